"""A token bucket as a value: rates of sources and the pace of accounts."""

from __future__ import annotations


class TokenBucket:
    """Admits `rate` takes a second, and as many at once as fall into one second. Times are monotonic seconds."""

    def __init__(self, rate: float, now: float) -> None:
        self.rate = rate
        self._burst = max(1.0, rate)
        self._tokens = self._burst
        self._at = now

    def wait(self, now: float, amount: float = 1.0) -> float:
        """Seconds until `amount` may be taken, 0 for now; an amount over the burst needs a full one."""
        self._tokens = min(self._burst, self._tokens + (now - self._at) * self.rate)
        self._at = now
        return max(0.0, (min(amount, self._burst) - self._tokens) / self.rate)

    def take(self, amount: float = 1.0) -> None:
        """Take what `wait` has said is there; what goes beyond is owed."""
        self._tokens -= amount
