"""A token bucket, for the rates of sources and the pace of accounts."""

from __future__ import annotations


class TokenBucket:
    """A bucket that admits `rate` takes a second, and a second's worth at once. Times are monotonic seconds."""

    def __init__(self, rate: float, now: float) -> None:
        self.rate = rate
        self._burst = max(1.0, rate)
        self._tokens = self._burst
        self._at = now

    def wait(self, now: float, amount: float = 1.0) -> float:
        """Return the seconds until `amount` may be taken, 0 for now. An amount over the burst needs a full bucket."""
        self._tokens = min(self._burst, self._tokens + (now - self._at) * self.rate)
        self._at = now
        return max(0.0, (min(amount, self._burst) - self._tokens) / self.rate)

    def take(self, amount: float = 1.0) -> None:
        """Take `amount`, after `wait` returned 0. An amount over the burst is owed, and delays the next take."""
        self._tokens -= amount
