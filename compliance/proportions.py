# SPDX-License-Identifier: GPL-3.0-or-later
"""Shares and how sure they are: intervals of one, of the difference of two, and how many it takes.

Wilson's interval for one share and Newcombe's for a difference (method 10 of Newcombe, Stat.
Med. 1998) hold for few calls and for shares near 0 and 1, where the usual one does not.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

from compliance.facts import Evolve

CONFIDENCE = 0.95
POWER = 0.8


@dataclass(frozen=True, slots=True)
class Interval(Evolve):
    """A share, or a difference of two, with the interval it lies in; all between -1 and 1."""

    value: float
    low: float
    high: float

    def excludes(self, value: float) -> bool:
        return not self.low <= value <= self.high


def wilson(count: int, total: int, confidence: float = CONFIDENCE) -> Interval | None:
    """The share ``count`` of ``total`` with its interval; None: of nothing there is no share.

    Raises:
        ValueError: not 0 <= count <= total.
    """
    if not 0 <= count <= total:
        raise ValueError(f"{count} of {total}")
    if total == 0:
        return None
    z = _z(confidence)
    share, square = count / total, z * z
    middle = (count + square / 2) / (total + square)
    half = z / (total + square) * math.sqrt(count * (total - count) / total + square / 4)
    low = 0.0 if count == 0 else max(0.0, middle - half)
    high = 1.0 if count == total else min(1.0, middle + half)
    return Interval(share, low, high)


def newcombe(
    first: tuple[int, int], second: tuple[int, int], confidence: float = CONFIDENCE
) -> Interval | None:
    """Share of ``first`` (count, total) less that of ``second``, with its interval."""
    one, other = wilson(*first, confidence), wilson(*second, confidence)
    if one is None or other is None:
        return None
    difference = one.value - other.value
    low = difference - math.hypot(one.value - one.low, other.high - other.value)
    high = difference + math.hypot(one.high - one.value, other.value - other.low)
    return Interval(difference, max(-1.0, low), min(1.0, high))


def needed(
    share: float,
    difference: float,
    *,
    confidence: float = CONFIDENCE,
    power: float = POWER,
) -> int:
    """How many of each group it takes to see a ``difference`` from ``share`` with ``power``.

    Two groups of one size, two-sided (Fleiss, Statistical Methods for Rates and Proportions,
    without continuity correction). Where ``share`` plus the difference is over 1, it is taken
    below.

    Raises:
        ValueError: a share outside 0 to 1, or a difference that is none.
    """
    if not 0 <= share <= 1 or not 0 < difference < 1:
        raise ValueError(f"{share}, {difference}")
    other = share + difference if share + difference <= 1 else share - difference
    mean = (share + other) / 2
    spread = _z(confidence) * math.sqrt(2 * mean * (1 - mean))
    spread += NormalDist().inv_cdf(power) * math.sqrt(share * (1 - share) + other * (1 - other))
    return max(1, math.ceil(spread**2 / difference**2))


def shared(confidence: float, comparisons: int) -> float:
    """The confidence of each of several comparisons, so that all hold together (Bonferroni)."""
    return 1 - (1 - confidence) / max(1, comparisons)


def _z(confidence: float) -> float:
    return NormalDist().inv_cdf((1 + confidence) / 2)
