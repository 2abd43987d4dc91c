# SPDX-License-Identifier: GPL-3.0-or-later
"""Whatever is added to a call that some rule minds: a refusal never becomes a permit."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compliance.calendar import add_calendar_months
from compliance.clock import RINGS_WITHIN_S
from compliance.facts import DialRequest
from compliance.gate import recheck
from compliance.rulebook import Rulebook, parse
from compliance.rules import LINE_RULES, RULES
from tests.unit.compliance.builders import (
    NOW,
    allowed_request,
    attempt,
    calendar_data,
    profile_data,
)
from tests.unit.compliance.restrictions import RESTRICTIONS
from tests.unit.compliance.test_gate_properties import requests, times

EVERY = [(name, place) for name, them in RESTRICTIONS.items() for place in range(len(them))]
CALENDARS = calendar_data()
LAWS: dict[str, list[dict[str, Any]]] = {
    "cn": [profile_data()],
    "cn and fr": [profile_data(), profile_data("fr")],
    "demo": [profile_data("demo")],
    "lab": [profile_data("lab")],
}


@lru_cache(maxsize=256)
def _read(law: str, name: str, place: int) -> Rulebook:
    return parse([*LAWS[law], *(RESTRICTIONS[name][place].law() if name else ())], CALENDARS)


def rulebook(law: str, added: tuple[str, int] | None = None) -> Rulebook:
    """``law``, with the profile that a restriction puts beside it."""
    if added is None or not RESTRICTIONS[added[0]][added[1]].profile:
        return _read(law, "", 0)
    return _read(law, *added)


def test_every_rule_has_a_restriction() -> None:
    """A new rule belongs into the table: say there what can be added that it minds."""
    assert set(RESTRICTIONS) == {rule.name for rule in (*RULES, *LINE_RULES)}
    assert all(RESTRICTIONS.values())


@pytest.mark.parametrize(("name", "place"), EVERY, ids=[f"{n}-{i}" for n, i in EVERY])
def test_each_makes_its_rule_refuse_a_call_that_was_permitted(name: str, place: int) -> None:
    assert recheck(allowed_request(), rulebook("cn"), NOW).permitted
    restricted = RESTRICTIONS[name][place].change(allowed_request())
    decision = recheck(restricted, rulebook("cn", (name, place)), NOW)
    assert not decision.permitted
    assert name in {finding.rule for finding in decision.refusing}
    assert "rule.failed" not in {finding.message for finding in decision.refusing}


@settings(max_examples=150)
@given(
    requests(),
    st.sampled_from(sorted(LAWS)),
    times,
    st.lists(st.sampled_from(EVERY), max_size=3),
    st.sampled_from(EVERY),
)
def test_none_turns_a_refusal_into_a_permit(
    request: DialRequest,
    law: str,
    at: datetime,
    before: list[tuple[str, int]],
    added: tuple[str, int],
) -> None:
    for name, place in before:
        request = RESTRICTIONS[name][place].change(request)
    lax = recheck(request, rulebook(law), at)
    strict = recheck(RESTRICTIONS[added[0]][added[1]].change(request), rulebook(law, added), at)
    assert lax.permitted or not strict.permitted
    assert set(strict.lines) <= set(lax.lines)


@settings(max_examples=100)
@given(requests(), st.sampled_from(sorted(LAWS)), times, st.sampled_from(EVERY))
def test_what_a_rule_minds_it_minds_whatever_else_is_wrong(
    request: DialRequest, law: str, at: datetime, added: tuple[str, int]
) -> None:
    """No finding is lost beside another: a rule that refuses goes on refusing."""
    before = recheck(request, rulebook(law), at)
    after = recheck(request, rulebook(law, added), at)
    assert {f.rule for f in before.refusing} <= {f.rule for f in after.refusing}


# ---------------------------------------------------------------- the edges of time

ZONES = (
    "Asia/Shanghai", "Asia/Kathmandu", "Asia/Kolkata", "America/St_Johns", "Australia/Lord_Howe",
    "America/New_York", "Europe/Paris", "Pacific/Chatham", "Pacific/Apia", "America/Caracas",
)  # fmt: skip
HOURS = [["09:00", "11:30"], ["14:30", "17:30"]]


@lru_cache(maxsize=1)
def any_day() -> Rulebook:
    return parse([profile_data(windows={"hours": HOURS, "days": "all"})], CALENDARS)


def _passes(rule: str, at: datetime, zone: str, law: Rulebook, **changes: Any) -> bool:
    decision = recheck(allowed_request(contact__timezone=zone, **changes), law, at)
    [finding] = [f for f in decision.findings if f.rule == rule]
    return finding.passed


@settings(max_examples=150)
@given(
    st.datetimes(datetime(2026, 1, 1), datetime(2026, 12, 31), timezones=st.just(UTC)),
    st.sampled_from(ZONES),
)
def test_hours_are_those_on_the_called_partys_wall_in_every_zone(at: datetime, zone: str) -> None:
    # Asked in a second order too: what the gate remembers of a minute must not leak into another.
    for when in (at, at + timedelta(minutes=1), at, at - timedelta(minutes=1), at):
        wall = when.astimezone(ZoneInfo(zone)).strftime("%H:%M")
        inside = any(start <= wall < end for start, end in HOURS)
        assert _passes("outside_calling_hours", when, zone, any_day()) is inside


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize(
    "day", ["2026-03-08", "2026-03-29", "2026-10-04", "2026-10-25", "2026-11-01"]
)
def test_the_lunch_break_begins_to_the_microsecond_on_days_the_clock_changes(
    zone: str, day: str
) -> None:
    noon = datetime.fromisoformat(f"{day}T11:30:00").replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)
    law = any_day()
    for before, inside in ((1000, True), (1, True), (0, False), (-1000, False)):
        at = noon - timedelta(microseconds=before)
        assert _passes("outside_calling_hours", at, zone, law) is inside


@pytest.mark.parametrize(
    ("zone", "first", "again"),
    [
        # 01:45 comes twice: in New York an hour apart, on Lord Howe half an hour.
        ("America/New_York", "2026-11-01T05:45:00", "2026-11-01T06:45:00"),
        ("Australia/Lord_Howe", "2026-04-04T14:45:00", "2026-04-04T15:15:00"),
    ],
)
def test_an_hour_that_comes_twice_is_open_twice_and_counted_in_real_time(
    zone: str, first: str, again: str
) -> None:
    law = parse(
        [
            profile_data(
                windows={"hours": [["01:00", "02:00"]], "days": "all"},
                caps=[{"calls": 1, "per": "hour", "window": "rolling"}],
            )
        ],
        CALENDARS,
    )
    early, late = (datetime.fromisoformat(t).replace(tzinfo=UTC) for t in (first, again))
    for at in (early, late):
        assert at.astimezone(ZoneInfo(zone)).strftime("%H:%M") == "01:45"
        assert _passes("outside_calling_hours", at, zone, law)
    called = (attempt(timedelta(0), now=early),)
    free = early + timedelta(hours=1, seconds=RINGS_WITHIN_S)
    assert not _passes(
        "over_call_cap", free - timedelta(microseconds=1), zone, law, attempts=called
    )
    assert _passes("over_call_cap", free, zone, law, attempts=called)


@settings(max_examples=150)
@given(
    st.datetimes(datetime(2024, 1, 1), datetime(2028, 12, 31), timezones=st.just(UTC)),
    st.integers(1, 30),
)
def test_months_end_where_the_month_does(at: datetime, months: int) -> None:
    end = add_calendar_months(at, months)
    assert (end.year * 12 + end.month) - (at.year * 12 + at.month) == months
    assert end.day == at.day or (end.day < at.day and (end + timedelta(days=1)).month != end.month)
    assert end.timetz() == at.timetz()
    assert end <= add_calendar_months(at + timedelta(days=1), months)  # a later no ends no sooner
