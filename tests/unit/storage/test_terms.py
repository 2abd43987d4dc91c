# SPDX-License-Identifier: GPL-3.0-or-later
"""How long what is kept: calendar months, in both readings, for every instant and zone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compliance.errors import ConfigError
from storage.terms import Terms

SHANGHAI = ZoneInfo("Asia/Shanghai")
ZONES = (
    "Asia/Shanghai",
    "UTC",
    "Europe/Paris",
    "America/New_York",
    "Pacific/Kiritimati",  # UTC+14
    "Pacific/Pago_Pago",  # UTC-11
    "America/Santiago",  # its clocks change at midnight: some days have none
    "Australia/Lord_Howe",  # daylight saving of half an hour
)
TERMS = {zone: Terms(timezone=zone) for zone in ZONES}
instants = st.datetimes(
    min_value=datetime(2000, 1, 1), max_value=datetime(2080, 1, 1), timezones=st.just(UTC)
)
zones = st.sampled_from(ZONES)


def six_months_on(day: tuple[int, int, int]) -> tuple[int, int, int]:
    """Six months later on a calendar, worked out month by month and day by day."""
    year, month, number = day
    for _ in range(6):
        year, month = (year + 1, 1) if month == 12 else (year, month + 1)
    while True:
        try:
            datetime(year, month, number)
            return year, month, number
        except ValueError:
            number -= 1


def ymd(at: datetime) -> tuple[int, int, int]:
    return at.year, at.month, at.day


@pytest.mark.parametrize(
    ("over", "until"),
    [
        ("2026-08-31T17:00", "2027-03-01T00:00"),  # 31 August: to the end of 28 February
        ("2027-08-31T17:00", "2028-03-01T00:00"),  # of a leap year: of the 29th
        ("2026-08-29T17:00", "2027-03-01T00:00"),
        ("2026-02-28T10:00", "2026-08-29T00:00"),
        ("2028-02-29T10:00", "2028-08-30T00:00"),
        ("2026-11-24T10:00", "2027-05-25T00:00"),
        ("2026-12-31T23:59", "2027-07-01T00:00"),
        ("2026-03-31T12:00", "2026-10-01T00:00"),  # 30 September
    ],
)
def test_six_calendar_months_in_shanghai(over: str, until: str) -> None:
    ended = datetime.fromisoformat(over).replace(tzinfo=SHANGHAI)
    assert Terms().recording_until(ended).astimezone(SHANGHAI).isoformat()[:16] == until


def test_the_later_of_both_readings_counts() -> None:
    """In UTC this call ended on 28 February, in Shanghai on 1 March: three days lie between."""
    over = datetime(2026, 2, 28, 20, tzinfo=UTC)
    assert Terms(timezone="UTC").recording_until(over) == datetime(2026, 8, 29, tzinfo=UTC)
    assert Terms().recording_until(over) == datetime(2026, 9, 1, 16, tzinfo=UTC)
    # And by when it is gone is counted from the earlier one.
    assert Terms().recording_gone_by(over) == datetime(2026, 9, 27, 20, tzinfo=UTC)


@given(over=instants, place=zones)
def test_never_under_six_months_however_one_counts(over: datetime, place: str) -> None:
    until = TERMS[place].recording_until(over)
    for zone in (ZoneInfo(place), UTC):
        last = six_months_on(ymd(over.astimezone(zone)))
        assert ymd(until.astimezone(zone)) >= last
    # Where the company is, the last day is over.
    assert ymd(until.astimezone(ZoneInfo(place))) > six_months_on(
        ymd(over.astimezone(ZoneInfo(place)))
    )
    assert timedelta(days=181) - timedelta(days=1) <= until - over <= timedelta(days=188)


@given(over=instants, place=zones)
def test_gone_within_thirty_days_of_the_earliest_reading(over: datetime, place: str) -> None:
    terms = TERMS[place]
    until, by = terms.recording_until(over), terms.recording_gone_by(over)
    assert until + timedelta(days=24) < by
    for zone in (ZoneInfo(place), UTC):
        year, month, day = six_months_on(ymd(over.astimezone(zone)))
        end_of_day = datetime(year, month, day, tzinfo=zone) + timedelta(days=1)
        assert by < end_of_day + timedelta(days=30, hours=2)  # a change of clocks between


@given(first=instants, later=st.timedeltas(timedelta(), timedelta(days=400)), place=zones)
def test_who_ended_later_is_kept_at_least_as_long(
    first: datetime, later: timedelta, place: str
) -> None:
    terms = TERMS[place]
    assert terms.recording_until(first) <= terms.recording_until(first + later)
    assert terms.recording_gone_by(first) <= terms.recording_gone_by(first + later)
    assert terms.contact_from(first) <= terms.contact_from(first + later)


@given(over=instants, place=zones, zone=zones)
def test_the_zone_an_instant_is_written_in_does_not_matter(
    over: datetime, place: str, zone: str
) -> None:
    elsewhere = over.astimezone(ZoneInfo(zone))
    assert TERMS[place].recording_until(elsewhere) == TERMS[place].recording_until(over)
    assert TERMS[place].contact_gone_by(elsewhere) == TERMS[place].contact_gone_by(over)


@given(ended=instants, days=st.integers(3, 30), margin=st.integers(0, 2))
def test_contacts_go_before_their_last_day(ended: datetime, days: int, margin: int) -> None:
    terms = Terms(contact_days=days, contact_margin_days=margin)
    assert ended < terms.contact_from(ended) <= terms.contact_gone_by(ended)
    assert terms.contact_gone_by(ended) - ended <= timedelta(days=30)


@pytest.mark.parametrize(
    "wrong",
    [
        {"timezone": "Mars/Olympus"},
        {"timezone": ""},
        {"contact_days": 31},
        {"contact_days": 2, "contact_margin_days": 2},
        {"recording_months": -1},
        {"recording_days_over": 0},
    ],
)
def test_terms_that_break_a_rule_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match="retention"):
        Terms(**wrong)  # type: ignore[arg-type]


def test_a_time_without_a_zone_is_refused() -> None:
    terms = Terms()
    for use in (terms.recording_until, terms.recording_gone_by, terms.contact_from):
        with pytest.raises(ValueError, match="time zone"):
            use(datetime(2026, 1, 1))
