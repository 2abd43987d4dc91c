# SPDX-License-Identifier: GPL-3.0-or-later
"""What is owed regularly: month ends, the company's calendar, overdue and blocking."""

from __future__ import annotations

import itertools
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from compliance.duties import (
    GRACE,
    Duty,
    DutyKind,
    blocking,
    owed,
    period_of,
    periods,
)

SHANGHAI = ZoneInfo("Asia/Shanghai")
NEW_YORK = ZoneInfo("America/New_York")
TICK = timedelta(microseconds=1)


@pytest.mark.parametrize(
    ("kind", "day", "name", "begins", "ends"),
    [
        (DutyKind.AUDIT, "2026-11-30", "2026-11", "2026-11-01", "2026-12-01"),
        (DutyKind.AUDIT, "2026-12-31", "2026-12", "2026-12-01", "2027-01-01"),
        (DutyKind.SCRIPT_REVIEW, "2028-02-29", "2028-02", "2028-02-01", "2028-03-01"),
        (DutyKind.SECURITY, "2026-06-30", "2026-H1", "2026-01-01", "2026-07-01"),
        (DutyKind.SECURITY, "2026-07-01", "2026-H2", "2026-07-01", "2027-01-01"),
    ],
)
def test_the_period_of_a_day(kind: DutyKind, day: str, name: str, begins: str, ends: str) -> None:
    period = period_of(kind, date.fromisoformat(day), SHANGHAI)
    assert (period.name, period.begins.isoformat(), period.ends.isoformat()) == (name, begins, ends)


def test_it_is_overdue_once_the_tenth_is_over_where_the_company_is() -> None:
    november = period_of(DutyKind.AUDIT, date(2026, 11, 5), SHANGHAI)
    assert november.ended == datetime(2026, 11, 30, 16, tzinfo=UTC)
    assert november.due == datetime(2026, 12, 10, 16, tzinfo=UTC)
    duty = Duty(november)
    assert not duty.overdue(november.due - TICK)
    assert duty.overdue(november.due)
    assert not Duty(november, november.due + GRACE, "chen").overdue(november.due + GRACE)
    # Summer time ends in New York on 1 November 2026: midnight is 04:00 UTC, then 05:00.
    october = period_of(DutyKind.AUDIT, date(2026, 10, 5), NEW_YORK)
    assert october.ended == datetime(2026, 11, 1, 4, tzinfo=UTC)
    assert october.due == datetime(2026, 11, 11, 5, tzinfo=UTC)


def test_periods_run_on_without_a_gap() -> None:
    since, now = datetime(2026, 1, 31, 15, 59, tzinfo=UTC), datetime(2028, 3, 1, tzinfo=UTC)
    found = periods(DutyKind.AUDIT, since, now, SHANGHAI)
    assert [p.name for p in found[:2]] == ["2026-01", "2026-02"]
    assert found[-1].name == "2028-03"
    assert all(a.ends == b.begins and a.ended < b.ended for a, b in itertools.pairwise(found))
    # One minute later it is February in Shanghai.
    assert periods(DutyKind.AUDIT, since + timedelta(minutes=1), now, SHANGHAI)[0] == found[1]


def test_a_running_month_is_reviewed_but_not_audited_yet() -> None:
    since, now = datetime(2026, 11, 2, tzinfo=UTC), datetime(2026, 11, 30, 15, 59, tzinfo=UTC)
    assert [d.period.kind for d in owed(since, now, SHANGHAI, {})] == ["script_review", "security"]
    later = owed(since, now + timedelta(minutes=1), SHANGHAI, {})
    assert [(d.period.kind, d.period.name) for d in later] == [
        ("audit", "2026-11"),
        ("script_review", "2026-11"),
        ("script_review", "2026-12"),
        ("security", "2026-H2"),
    ]


def test_what_was_done_says_when_and_by_whom() -> None:
    since, now = datetime(2026, 11, 2, tzinfo=UTC), datetime(2026, 12, 2, tzinfo=UTC)
    done = {(DutyKind.AUDIT, "2026-11"): (now, "chen")}
    audit = owed(since, now, SHANGHAI, done)[0]
    assert (audit.done_at, audit.done_by) == (now, "chen")
    assert not audit.overdue(now + timedelta(days=99))


def test_only_audits_and_assessments_block_and_only_after_the_grace() -> None:
    since = datetime(2026, 11, 2, tzinfo=UTC)
    due = period_of(DutyKind.AUDIT, date(2026, 11, 2), SHANGHAI).due
    for now, named in (
        (due, []),
        (due + GRACE - TICK, []),
        (due + GRACE, [DutyKind.AUDIT]),
        (datetime(2027, 2, 3, tzinfo=UTC), [DutyKind.AUDIT, DutyKind.AUDIT, DutyKind.SECURITY]),
    ):
        found = blocking(owed(since, now, SHANGHAI, {}), now)
        assert sorted(duty.period.kind for duty in found) == named, now
