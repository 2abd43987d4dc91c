# SPDX-License-Identifier: GPL-3.0-or-later
"""Two or more signed scripts compared by chance: who hears which, and what the figures show (G6).

Pure. The keyed hash comes from outside: without the home's keys nobody can tell beforehand, or
choose, which script a number hears.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from compliance.facts import Evolve
from compliance.proportions import CONFIDENCE, Interval, needed, newcombe, shared, wilson

DETECT = 0.05  # the least difference in acceptance worth finding, unless somebody says another
_HASH_BYTES = 8


def assigned(keyed: bytes, arms: Sequence[tuple[str, int]]) -> str:
    """The arm of a number, from its keyed hash and the (name, weight) of every arm.

    The same hash and arms give the same arm for ever. Among many numbers arms come up as
    their weights say.

    Raises:
        ValueError: no arm, a weight under 1, or a hash too short.
    """
    total = sum(weight for _, weight in arms)
    if not arms or min(weight for _, weight in arms) < 1 or len(keyed) < _HASH_BYTES:
        raise ValueError("arms with weights, and a whole hash")
    # 64 bits against weights of thousands: the bias is below 10^-15.
    place = int.from_bytes(keyed[:_HASH_BYTES], "big") * total >> 8 * _HASH_BYTES
    for name, weight in arms:
        if place < weight:
            return name
        place -= weight
    raise AssertionError("unreachable: the place is below the sum of the weights")


class Rate(enum.StrEnum):
    """What is compared, each of the calls a person answered."""

    ACCEPTANCE = "acceptance"
    REFUSAL = "refusal"
    COMPLAINT = "complaint"


@dataclass(frozen=True, slots=True)
class ArmCounts(Evolve):
    """How the calls of one arm ended."""

    arm: str
    script: str  # name and number: welcome 3
    weight: int
    attempts: int = 0
    answered: int = 0  # by a person, and over
    counts: Mapping[Rate, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ArmFigures(Evolve):
    """An arm beside the first one; None: no call was answered yet."""

    counts: ArmCounts
    rates: Mapping[Rate, Interval | None]
    differences: Mapping[Rate, Interval | None]  # to the first arm; empty for that one


class Verdict(enum.StrEnum):
    """What may be said of acceptance by now."""

    TOO_FEW = "too_few"  # whatever the figures look like
    BETTER = "better"  # than the first arm
    WORSE = "worse"
    NO_DIFFERENCE = "no_difference"  # as large as was looked for


@dataclass(frozen=True, slots=True)
class Judged(Evolve):
    """One arm's verdict against the first one."""

    arm: str
    verdict: Verdict
    more: int = 0  # answered calls that are missing yet, of both arms together
    besides: tuple[tuple[Rate, bool], ...] = ()  # other rates that differ; True: higher here


@dataclass(frozen=True, slots=True)
class Comparison(Evolve):
    """Arms side by side, with what it takes to tell them apart."""

    arms: tuple[ArmFigures, ...]
    detect: float
    per_arm: int  # answered calls each arm needs
    confidence: float  # of each difference: 95 % for all of them together
    judged: tuple[Judged, ...]  # of each arm but the first


def compare(arms: Sequence[ArmCounts], detect: float = DETECT) -> Comparison:
    """Put arms beside the first one.

    Nothing is concluded before every arm has the calls it takes to see a difference of
    ``detect`` in acceptance four times out of five: who looks every day and stops at the first
    pleasant figure finds differences that are not there.

    Raises:
        ValueError: fewer than two arms, or ``detect`` not between 0 and 1.
    """
    if len(arms) < 2:
        raise ValueError("there is nothing to compare")
    confidence = shared(CONFIDENCE, len(arms) - 1)
    answered = sum(arm.answered for arm in arms)
    accepted = sum(arm.counts.get(Rate.ACCEPTANCE, 0) for arm in arms)
    base = accepted / answered if answered else 0.5  # nothing is known yet: what takes most
    per_arm = needed(base, detect, confidence=confidence)
    figures = tuple(_figures(arm, arms[0], confidence) for arm in arms)
    judged = tuple(_judge(arm, figures[0], per_arm) for arm in figures[1:])
    return Comparison(figures, detect, per_arm, confidence, judged)


def _figures(arm: ArmCounts, first: ArmCounts, confidence: float) -> ArmFigures:
    differences: dict[Rate, Interval | None] = {}
    if arm is not first:
        for rate in Rate:
            mine = (arm.counts.get(rate, 0), arm.answered)
            theirs = (first.counts.get(rate, 0), first.answered)
            differences[rate] = newcombe(mine, theirs, confidence)
    rates = {rate: wilson(arm.counts.get(rate, 0), arm.answered) for rate in Rate}
    return ArmFigures(arm, rates, differences)


def _judge(arm: ArmFigures, first: ArmFigures, per_arm: int) -> Judged:
    more = sum(max(0, per_arm - one.counts.answered) for one in (first, arm))
    difference = arm.differences[Rate.ACCEPTANCE]
    if more or difference is None:
        return Judged(arm.counts.arm, Verdict.TOO_FEW, more)
    besides = tuple(
        (rate, other.value > 0)
        for rate in (Rate.REFUSAL, Rate.COMPLAINT)
        if (other := arm.differences[rate]) is not None and other.excludes(0.0)
    )
    if not difference.excludes(0.0):
        return Judged(arm.counts.arm, Verdict.NO_DIFFERENCE, besides=besides)
    better = difference.value > 0
    return Judged(arm.counts.arm, Verdict.BETTER if better else Verdict.WORSE, besides=besides)
