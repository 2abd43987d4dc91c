# SPDX-License-Identifier: GPL-3.0-or-later
"""The sums of the field: what counts, what does not, and what nothing can be divided by."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compliance.facts import Blame, Outcome
from console import figures
from storage.watching import AttemptFacts

AT = datetime(2026, 11, 24, 2, tzinfo=UTC)


def ms(n: int) -> timedelta:
    return timedelta(milliseconds=n)


def attempt(outcome: Outcome | None, blame: Blame = Blame.CALLEE, **fields: Any) -> AttemptFacts:
    return AttemptFacts(outcome, blame, sent=True, invited_at=AT).evolve(**fields)


def answered(outcome: Outcome | None = Outcome.ACCEPTED, **fields: Any) -> AttemptFacts:
    known: dict[str, Any] = {
        "answered_at": AT,
        "ringing_at": AT + ms(20),
        "duration_ms": 10_000,
    } | fields
    return attempt(outcome, **known)


BUSY = attempt(Outcome.BUSY)
FAILED = attempt(Outcome.LINE_FAILED, Blame.CARRIER)
RINGING = attempt(None, ringing_at=AT + ms(10))


def test_nothing_divides_nothing() -> None:
    none = figures.of([])
    assert none == figures.Figures()
    assert (none.asr, none.ner, none.acd_s, none.pdd_p50_ms, none.disclosure_max_ms) == (
        None, None, None, None, None,
    )  # fmt: skip


def test_a_call_that_rings_counts_for_nothing_yet() -> None:
    seen = figures.of([RINGING])
    assert (seen.attempts, seen.live, seen.talking, seen.asr, seen.ner) == (1, 1, 0, None, None)
    seen = figures.of([RINGING, answered(), FAILED])
    assert (seen.attempts, seen.live, seen.asr, seen.ner) == (3, 1, 0.5, 0.5)


def test_a_call_that_talks_is_answered_and_has_no_duration_yet() -> None:
    seen = figures.of([answered(None, duration_ms=0), answered(duration_ms=30_000), BUSY])
    assert (seen.live, seen.talking, seen.answered) == (1, 1, 2)
    assert seen.asr == pytest.approx(2 / 3)
    assert seen.acd_s == 30.0


def test_acd_is_the_mean_of_answered_calls_alone() -> None:
    short, long = answered(duration_ms=1_000), answered(duration_ms=2_500)
    assert figures.of([short, long, BUSY, FAILED]).acd_s == 1.75


@pytest.mark.parametrize(
    ("one", "delivered"),
    [
        (answered(), 1),
        (answered(Outcome.VOICEMAIL, blame=Blame.NOBODY), 1),
        (answered(Outcome.ABORTED, blame=Blame.US), 1),  # the network did its part
        (BUSY, 1),
        (attempt(Outcome.NO_ANSWER), 1),
        (attempt(Outcome.REJECTED), 1),
        (attempt(Outcome.REJECTED, Blame.CARRIER), 0),  # 608: an analytics engine
        (attempt(Outcome.UNAVAILABLE), 1),
        (attempt(Outcome.UNAVAILABLE, Blame.CARRIER), 0),
        (attempt(Outcome.INVALID_NUMBER, Blame.CARRIER), 0),
        (FAILED, 0),
        (attempt(Outcome.UNKNOWN, Blame.US), 0),
        (attempt(Outcome.CANCELLED, Blame.US, ringing_at=AT), 1),  # it rang: delivered
        (attempt(Outcome.CANCELLED, Blame.US), None),  # withdrawn before it could
        (attempt(Outcome.LINE_FAILED, Blame.US, sent=False), None),  # never left us
    ],
)
def test_what_the_network_delivered(one: AttemptFacts, delivered: int | None) -> None:
    assert figures.of([one]).ner == delivered
    if delivered is None:
        assert figures.of([one, answered()]).ner == 1.0


def test_what_never_left_us_still_counts_against_asr() -> None:
    unsent = attempt(Outcome.LINE_FAILED, Blame.US, sent=False)
    assert figures.of([unsent, answered()]).asr == 0.5


def test_counts_of_refusals_transfers_and_violations() -> None:
    seen = figures.of(
        [
            answered(Outcome.REFUSED, refused=True, violations=("S1", "S6")),
            answered(Outcome.REFUSED, refused=True, violations=("S1",)),
            answered(Outcome.TRANSFERRED, transferred=True),
        ]
    )
    assert (seen.refusals, seen.transfers) == (2, 1)
    assert list(seen.outcomes.items()) == [(Outcome.REFUSED, 2), (Outcome.TRANSFERRED, 1)]
    assert seen.violations == {"S1": 2, "S6": 1}


def test_delays_and_disclosures() -> None:
    seen = figures.of(
        [answered(ringing_at=AT + ms(n), disclosed_ms=2_400 + n) for n in range(1, 101)]
        + [answered(ringing_at=None)]
    )
    assert (seen.pdd_p50_ms, seen.pdd_p95_ms) == (50, 95)
    assert (seen.disclosure_p50_ms, seen.disclosure_max_ms) == (2_450, 2_500)


def test_a_clock_set_back_gives_no_negative_delay() -> None:
    assert figures.pdd_ms(AT, AT - ms(5)) == 0
    assert figures.pdd_ms(AT, None) is None
    assert figures.pdd_ms(None, AT) is None


@pytest.mark.parametrize(
    ("values", "share", "expected"),
    [
        ([7], 0.5, 7),
        ([7], 0.95, 7),
        ([1, 2], 0.5, 1),
        ([2, 1, 3], 0.5, 2),
        ([1, 2, 3, 4], 1.0, 4),
        ([], 0.5, None),
    ],
)
def test_percentile_by_nearest_rank(values: list[int], share: float, expected: int | None) -> None:
    assert figures.percentile(values, share) == expected


@pytest.mark.parametrize("share", [0.0, -1.0, 1.1])
def test_a_percentile_of_nothing_or_more_than_all(share: float) -> None:
    with pytest.raises(ValueError):
        figures.percentile([1], share)


@given(st.lists(st.integers(0, 10_000), min_size=1), st.floats(0.01, 1.0))
def test_a_percentile_is_a_value_that_was_seen(values: list[int], share: float) -> None:
    found = figures.percentile(values, share)
    assert found in values
    assert sum(v <= found for v in values) >= share * len(values) - 1e-9
