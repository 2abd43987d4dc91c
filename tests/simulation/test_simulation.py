# SPDX-License-Identifier: GPL-3.0-or-later
"""A small quarter, judged; and a judge that sees planted faults (``make simulate``: large)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from compliance.gate import recheck
from compliance.rules import LINE_RULES, RULES
from tests.simulation import log, mutations, world
from tests.simulation.oracle import Oracle, half_a_year_after, one_spelling
from tests.simulation.run import simulate


def test_a_quarter_without_a_violation_and_without_a_refusal_that_has_no_reason() -> None:
    result = simulate(11, 800)
    assert result.violations == []
    assert result.groundless == []
    assert result.counts["INVITEs"] > 600
    assert result.counts["processes killed"] > 0
    assert result.counts["leases settled"] > 0
    assert {"hours", "day off", "an hour", "three a day", "four a month", "consent", "refusal",
            "clock", "law not in force"} <= set(result.reasons)  # fmt: skip


@pytest.mark.parametrize("name", ["over_call_cap", "clock_adrift"])
def test_the_judge_sees_a_rule_that_is_gone(name: str) -> None:
    [rule] = [rule for rule in RULES if rule.name == name]
    judge = rule.judge
    assert mutations.seen(rule, attempts=120).total() > 0
    assert rule.judge is judge


def test_what_the_judge_cannot_see_is_listed_by_names_of_rules() -> None:
    assert set(mutations.UNSEEN) <= {rule.name for rule in (*RULES, *LINE_RULES)}


def test_everything_that_is_not_played_is_in_order_from_the_first_day_to_the_last() -> None:
    for day in ("2026-10-08T10:00", "2026-11-24T10:00", "2026-12-31T10:00"):
        agreed = world.blank(consent__given_at=world.START - DAY)
        assert recheck(agreed, world.law("cn"), world.at(day)).permitted


# ---------------------------------------------------------------- the judge alone

NOON = datetime(2026, 11, 24, 3, 29, 50, tzinfo=UTC)  # 11:29:50 in Shanghai
DAY = timedelta(days=1)


def judged(*events: log.Event) -> Oracle:
    """The judge after a person, a campaign and a line in order, and ``events``."""
    far = NOON + 400 * DAY
    oracle = Oracle()
    oracle.read(
        [
            log.Law(NOON, "c", ("cn",)),
            log.Line(NOON, "l", "ai_line", True, True, far, far, far, None, far, far, far),
            log.Campaign(NOON, "c", "Co", "p", "", ("l",)),
            log.Person(NOON, "a", "139 1234 5678", "+8613912345678", "Asia/Shanghai", "own_crm"),
            log.Consent(NOON, "+8613912345678", "Co", "p", NOON - 9 * DAY, None, True, False, True),
            *events,
        ]
    )
    return oracle


def call(after: timedelta, *, late: timedelta = timedelta(0), name: str = "1") -> list[log.Event]:
    at = NOON + after
    return [
        log.Attempt(at, at, name, "a", "c", 0.0),
        log.Invite(at + late, at + late, name, "+8613912345678", "l"),
    ]


def reasons(oracle: Oracle) -> set[str]:
    return {reason for reason, _ in oracle.violations}


def test_the_judge_passes_what_is_in_order() -> None:
    assert (
        reasons(judged(*call(timedelta(0)), *call(timedelta(hours=3, minutes=1), name="2")))
        == set()
    )


@pytest.mark.parametrize(
    ("events", "reason"),
    [
        (call(timedelta(seconds=9), late=timedelta(seconds=4)), "hours"),
        (call(timedelta(seconds=10)), "hours"),
        (call(4 * DAY), "day off"),
        ([*call(timedelta(0)), *call(timedelta(seconds=5), name="2")], "an hour"),
        ([*call(timedelta(0)), call(timedelta(0))[1]], "no attempt, or dialed twice"),
        ([call(timedelta(0))[1]], "no attempt, or dialed twice"),
        ([log.Refused(NOON, "13912345678", ""), *call(timedelta(0))], "refusal"),
        ([log.Withdrawn(NOON, "0086-139-1234-5678"), *call(timedelta(0))], "consent"),
        ([log.Stop(NOON, True), *call(timedelta(0))], "stopped"),
        ([log.Attempt(NOON, NOON, "1", "a", "c", 2.1)], "clock"),
        ([log.Attempt(NOON, NOON, "1", "a", "c", None)], "clock"),
        ([log.Law(NOON, "c", ("cn", "late")), *call(30 * DAY)], "law not in force"),
    ],
)  # fmt: skip
def test_the_judge_complains(events: list[log.Event], reason: str) -> None:
    assert reason in reasons(judged(*events))


def test_a_refusal_without_a_reason_is_told() -> None:
    refused = log.NoCall(NOON, NOON, "a", "c", 0.0, ("over_call_cap",))
    assert judged(refused).groundless == [refused]
    assert judged(*call(timedelta(0)), refused).groundless == []


def test_the_judges_own_arithmetic() -> None:
    spellings = ("139 1234 5678", "+86 139-1234-5678", "0086 13912345678", "8613912345678")
    assert {one_spelling(text) for text in spellings} == {"8613912345678"}
    assert half_a_year_after(datetime(2026, 8, 31, tzinfo=UTC)) == datetime(2027, 2, 28, tzinfo=UTC)
    assert half_a_year_after(datetime(2026, 4, 30, tzinfo=UTC)) == datetime(
        2026, 10, 30, tzinfo=UTC
    )
