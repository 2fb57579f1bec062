"""Figures: what one measurement gives, repeated and put beside that of other subjects."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping

import msgspec

NOISY = 0.25
"""The spread of a bare client's rate, of its median, beyond which small differences can't be told."""

Measure = Callable[[str], Mapping[str, float]]
"""Measures one subject once, and returns the values by figure."""


class Figure(msgspec.Struct, frozen=True):
    """The values of one figure by subject, one for each repetition."""

    part: str
    name: str
    values: dict[str, list[float]]

    def median(self, subject: str) -> float:
        return statistics.median(self.values[subject])

    def spread(self, subject: str) -> float:
        """Return the distance of the outermost values, of the median."""
        values = self.values[subject]
        return (max(values) - min(values)) / self.median(subject) if self.median(subject) else 0.0

    def ratio(self, other: str) -> float:
        """Return the median of the relay's value divided by another subject's of the same repetition."""
        pairs = zip(self.values["relay"], self.values[other], strict=True)
        return statistics.median([ours / theirs for ours, theirs in pairs if theirs])


def in_turn(part: str, subjects: list[str], repetitions: int, measure: Measure) -> list[Figure]:
    """Measure the subjects in turn within each repetition, every other time in reverse order."""
    found: dict[str, dict[str, list[float]]] = {}
    for repetition in range(repetitions):
        for subject in subjects if repetition % 2 == 0 else subjects[::-1]:
            for name, value in measure(subject).items():
                found.setdefault(name, {}).setdefault(subject, []).append(value)
    return [Figure(part, name, values) for name, values in found.items()]


def percentile(sorted_values: list[float], share: float) -> float:
    return sorted_values[min(len(sorted_values) - 1, int(len(sorted_values) * share))]
