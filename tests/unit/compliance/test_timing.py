# SPDX-License-Identifier: GPL-3.0-or-later
"""Hours, days and caps at their edges, in the called party's own zone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from compliance.clock import RINGS_WITHIN_S
from compliance.facts import Finding
from compliance.gate import recheck
from compliance.rulebook import Rulebook, parse
from tests.unit.compliance.builders import (
    NOW,
    allowed_request,
    attempt,
    calendar_data,
    profile_data,
    rulebook_with,
    shipped_rulebook,
)

CN = shipped_rulebook()
SHANGHAI = ZoneInfo("Asia/Shanghai")
MINUTE = timedelta(minutes=1)


def verdict(rule: str, at: datetime, rulebook: Rulebook = CN, **changes: object) -> Finding:
    [finding] = [f for f in recheck(allowed_request(**changes), rulebook, at).findings
                 if f.rule == rule]  # fmt: skip
    return finding


def local(text: str, zone: str = "Asia/Shanghai") -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone))


@pytest.mark.parametrize(
    ("time", "inside"),
    [
        ("08:59:59.999999", False),
        ("09:00:00", True),
        ("11:29:59.999", True),
        ("11:30:00", False),
        ("14:29:59.999999", False),
        ("14:30:00", True),
        ("17:29:59.999", True),
        ("17:30:00", False),
        ("00:00:00", False),
        ("23:59:59.999999", False),
    ],
)
def test_hours_are_half_open(time: str, inside: bool) -> None:
    at = local(f"2026-11-24T{time}")
    assert verdict("outside_calling_hours", at).passed is inside


@pytest.mark.parametrize(
    ("now", "opens"),
    [
        ("2026-11-24T08:00:00", "2026-11-24T09:00:00"),
        ("2026-11-24T11:30:00", "2026-11-24T14:30:00"),
        ("2026-11-24T17:30:00", "2026-11-25T09:00:00"),
    ],
)
def test_the_earliest_time_is_the_next_opening(now: str, opens: str) -> None:
    assert verdict("outside_calling_hours", local(now)).earliest == local(opens)


def test_it_is_the_called_partys_clock_that_counts() -> None:
    at = datetime(2026, 11, 24, 2, 0, tzinfo=UTC)  # 10:00 in Shanghai, 08:00 in Urumqi
    assert verdict("outside_calling_hours", at).passed
    assert not verdict("outside_calling_hours", at, contact__timezone="Asia/Urumqi").passed


def test_daylight_saving_moves_the_window_in_utc_and_not_on_the_wall() -> None:
    us = rulebook_with(windows={"hours": [["08:00", "21:00"]], "days": "all"})
    place = "America/New_York"
    before = datetime(2026, 3, 7, 13, 0, tzinfo=UTC)  # 08:00 EST
    after = datetime(2026, 3, 8, 12, 0, tzinfo=UTC)  # 08:00 EDT
    for opening in (before, after):
        assert verdict("outside_calling_hours", opening, us, contact__timezone=place).passed
        early = verdict(
            "outside_calling_hours",
            opening - timedelta(microseconds=1),
            us,
            contact__timezone=place,
        )
        assert not early.passed
        assert early.earliest == opening


def test_an_opening_that_the_clock_skips_comes_when_the_clock_resumes() -> None:
    night = rulebook_with(windows={"hours": [["02:30", "04:00"]], "days": "all"})
    at = datetime(2026, 3, 8, 6, 0, tzinfo=UTC)  # 01:00 EST; 02:00 to 03:00 does not exist
    found = verdict("outside_calling_hours", at, night, contact__timezone="America/New_York")
    assert found.earliest == datetime(2026, 3, 8, 7, 30, tzinfo=UTC)  # 03:30 EDT
    assert verdict(
        "outside_calling_hours", found.earliest, night, contact__timezone="America/New_York"
    ).passed


@pytest.mark.parametrize(
    ("day", "worked"),
    [
        ("2026-02-14", True),  # a Saturday worked in exchange
        ("2026-02-16", False),  # a Monday, spring festival
        ("2026-10-10", True),
        ("2026-10-11", False),
        ("2026-11-24", True),
        ("2025-01-26", True),
        ("2025-10-08", False),
    ],
)
def test_workdays_follow_the_official_tables(day: str, worked: bool) -> None:
    found = verdict("on_a_day_off", local(f"{day}T10:00:00"))
    assert found.passed is worked


def test_the_day_is_the_called_partys_day() -> None:
    at = datetime(2026, 11, 27, 17, 0, tzinfo=UTC)  # Saturday 01:00 in Shanghai, Friday in UTC
    assert not verdict("on_a_day_off", at).passed
    assert verdict("on_a_day_off", at, contact__timezone="Europe/Paris").passed


def test_after_a_holiday_the_next_workday_is_named() -> None:
    found = verdict("on_a_day_off", local("2026-02-16T10:00:00"))
    assert found.earliest == local("2026-02-24T00:00:00")


def test_the_last_days_of_the_last_known_year_name_no_later_day() -> None:
    weekend = verdict("on_a_day_off", local("2026-12-27T10:00:00"))
    assert weekend.earliest == local("2026-12-28T00:00:00")
    unknown = verdict("on_a_day_off", local("2027-01-04T10:00:00"))
    assert unknown.message == "rule.on_a_day_off.unknown_year"
    assert unknown.earliest is None


# ---------------------------------------------------------------- caps


@pytest.mark.parametrize(
    ("ago", "free"),
    [
        (timedelta(hours=1, seconds=8, microseconds=999_999), False),  # it may have rung just then
        (timedelta(hours=1, seconds=9), True),
        (timedelta(0), False),
        (timedelta(minutes=-5), False),  # a clock ran ahead: it still was a call
    ],
)
def test_one_call_an_hour(ago: timedelta, free: bool) -> None:
    found = verdict("over_call_cap", NOW, attempts=(attempt(ago),))
    assert found.passed is free
    if not free:
        assert found.earliest == NOW - ago + timedelta(hours=1, seconds=RINGS_WITHIN_S)


def test_three_a_day_whatever_the_campaign_and_the_order() -> None:
    two = (attempt(timedelta(hours=2), campaign="b"), attempt(timedelta(hours=5), campaign="c"))
    assert verdict("over_call_cap", NOW, attempts=two).passed
    third = attempt(timedelta(hours=8), campaign="d")
    for order in ((*two, third), (third, *two)):
        assert not verdict("over_call_cap", NOW, attempts=order).passed


def test_calendar_and_rolling_days_differ_at_local_midnight() -> None:
    def one_cap(window: str) -> Rulebook:
        return rulebook_with(caps=[{"calls": 1, "per": "day", "window": window}])

    yesterday = (attempt(timedelta(hours=11)),)  # 23:00 the day before in Shanghai
    today = (attempt(timedelta(hours=9)),)  # 01:00, still the day before in UTC
    assert verdict("over_call_cap", NOW, one_cap("calendar"), attempts=yesterday).passed
    refused = verdict("over_call_cap", NOW, one_cap("calendar"), attempts=today)
    assert refused.earliest == local("2026-11-25T00:00:00")
    assert not verdict("over_call_cap", NOW, one_cap("rolling"), attempts=yesterday).passed


@pytest.mark.parametrize(
    ("per", "inside", "outside", "free"),
    [
        ("hour", "2026-11-24T07:00:00", "2026-11-24T06:59:59", "2026-11-24T08:00:00"),
        ("week", "2026-11-23T00:00:00", "2026-11-22T23:59:59", "2026-11-30T00:00:00"),
        ("month", "2026-11-01T00:00:00", "2026-10-31T23:59:59", "2026-12-01T00:00:00"),
    ],
)
def test_calendar_periods_start_on_the_local_clock(
    per: str, inside: str, outside: str, free: str
) -> None:
    # Kathmandu is 5 h 45 min ahead: its hours start at a quarter past of UTC's.
    zone = "Asia/Kathmandu" if per == "hour" else "Asia/Shanghai"
    book = rulebook_with(caps=[{"calls": 1, "per": per, "window": "calendar"}])
    for when, passed in ((inside, False), (outside, True)):
        past = attempt(NOW - local(when, zone))
        found = verdict("over_call_cap", NOW, book, attempts=(past,), contact__timezone=zone)
        assert found.passed is passed
        if not passed:
            assert found.earliest == local(free, zone)


def test_a_day_of_25_hours_is_one_day() -> None:
    book = rulebook_with(caps=[{"calls": 1, "per": "day", "window": "calendar"}])
    at = datetime(2026, 11, 2, 4, 30, tzinfo=UTC)  # 23:30 EST on the day the clocks went back
    first = attempt(timedelta(hours=24, minutes=20), now=at)  # 00:10 EDT the same day
    found = verdict(
        "over_call_cap", at, book, attempts=(first,), contact__timezone="America/New_York"
    )
    assert not found.passed
    assert found.earliest == datetime(2026, 11, 2, 5, 0, tzinfo=UTC)


def test_the_longest_wait_of_several_caps_is_named() -> None:
    recent = tuple(attempt(timedelta(minutes=m)) for m in (10, 70, 130))
    found = verdict("over_call_cap", NOW, attempts=recent)
    assert found.earliest == NOW - 130 * MINUTE + timedelta(days=1, seconds=RINGS_WITHIN_S)


def test_strictest_of_two_profiles_decides() -> None:
    fr = parse([profile_data(), profile_data("fr")], calendar_data())
    at = local("2026-11-24T09:30:00")
    assert verdict("outside_calling_hours", at).passed
    assert not verdict("outside_calling_hours", at, fr).passed
    four = tuple(attempt(timedelta(days=d)) for d in (5, 10, 15, 20))
    assert verdict("over_call_cap", NOW, attempts=four).passed
    assert not verdict("over_call_cap", NOW, fr, attempts=four).passed
