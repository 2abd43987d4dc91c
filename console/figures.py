# SPDX-License-Identifier: GPL-3.0-or-later
"""A campaign's figures as the field names them: pure sums over its attempts.

ASR and NER follow ITU-T E.411 and E.425 with every INVITE as one seizure; an
attempt that still rings is neither a success nor a failure yet and is left out
of both. An attempt is one bid and one seizure, so ABR (E.411) equals ASR here.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeVar

from compliance.facts import Blame, Evolve, Outcome
from storage.watching import AttemptFacts

_T = TypeVar("_T")

# What the network delivered although nobody answered: user busy, ring no answer, terminal
# rejection (E.425). Only where it is the callee's doing.
_DELIVERED = frozenset({Outcome.BUSY, Outcome.NO_ANSWER, Outcome.REJECTED, Outcome.UNAVAILABLE})


@dataclass(frozen=True, slots=True)
class Figures(Evolve):
    """Counts, ratios between 0 and 1, and times; None where there is nothing to divide by."""

    attempts: int = 0
    live: int = 0  # neither ended nor settled
    talking: int = 0  # of these, answered
    answered: int = 0
    asr: float | None = None
    ner: float | None = None
    acd_s: float | None = None
    pdd_p50_ms: int | None = None
    pdd_p95_ms: int | None = None
    refusals: int = 0
    transfers: int = 0
    disclosure_p50_ms: int | None = None
    disclosure_max_ms: int | None = None
    outcomes: Mapping[Outcome, int] = field(default_factory=dict)  # most frequent first
    violations: Mapping[str, int] = field(default_factory=dict)  # by requirement id


def of(attempts: Iterable[AttemptFacts]) -> Figures:
    """The figures of ``attempts``, in whatever order they come."""
    seen = list(attempts)
    live = [a for a in seen if a.outcome is None]
    answered = [a for a in seen if a.answered_at is not None]
    # A call whose answer is known counts from then on; one that rings does not count yet.
    seized = [a for a in seen if a.outcome is not None or a.answered_at is not None]
    ended = [a.duration_ms for a in answered if a.outcome is not None]
    delays = [pdd for a in seen if (pdd := pdd_ms(a.invited_at, a.ringing_at)) is not None]
    disclosed = [a.disclosed_ms for a in seen if a.disclosed_ms is not None]
    return Figures(
        attempts=len(seen),
        live=len(live),
        talking=sum(a.answered_at is not None for a in live),
        answered=len(answered),
        asr=_share(len(answered), len(seized)),
        ner=_effectiveness(seized),
        acd_s=sum(ended) / len(ended) / 1000 if ended else None,
        pdd_p50_ms=percentile(delays, 0.50),
        pdd_p95_ms=percentile(delays, 0.95),
        refusals=sum(a.refused for a in seen),
        transfers=sum(a.transferred for a in seen),
        disclosure_p50_ms=percentile(disclosed, 0.50),
        disclosure_max_ms=max(disclosed, default=None),
        outcomes=_counted(a.outcome for a in seen if a.outcome is not None),
        violations=_counted(name for a in seen for name in a.violations),
    )


def _effectiveness(seized: Sequence[AttemptFacts]) -> float | None:
    """NER (E.425): seizures the network brought to the far end, over all that reached it.

    What we never sent, or withdrew before it rang, tells nothing of the network.
    """
    judged = delivered = 0
    for attempt in seized:
        if attempt.answered_at is not None:
            judged, delivered = judged + 1, delivered + 1
        elif attempt.sent and not (
            attempt.outcome is Outcome.CANCELLED and attempt.ringing_at is None
        ):
            judged += 1
            by_callee = attempt.outcome in _DELIVERED and attempt.blame is Blame.CALLEE
            delivered += by_callee or attempt.outcome is Outcome.CANCELLED
    return _share(delivered, judged)


def pdd_ms(invited_at: datetime | None, ringing_at: datetime | None) -> int | None:
    """Post-dial delay: INVITE to the first ringing; None where it never rang."""
    return span_ms(invited_at, ringing_at)


def span_ms(start: datetime | None, end: datetime | None) -> int | None:
    """Whole milliseconds between two instants, never negative; None where one is missing."""
    if start is None or end is None:
        return None
    return max(0, round((end - start).total_seconds() * 1000))


def percentile(values: Sequence[int], share: float) -> int | None:
    """The least value that at least ``share`` of all do not exceed (nearest rank).

    Raises:
        ValueError: ``share`` is not above 0 and at most 1.
    """
    if not 0 < share <= 1:
        raise ValueError("a percentile lies above 0 and at most at 1")
    if not values:
        return None
    return sorted(values)[max(1, math.ceil(share * len(values))) - 1]


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _counted(values: Iterable[_T]) -> dict[_T, int]:
    """How often each occurs, most frequent first."""
    return dict(Counter(values).most_common())
