# SPDX-License-Identifier: GPL-3.0-or-later
"""Profiles and calendars are read strictly, hashed, and combined by the strictest."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from compliance.calendar import (
    UnknownYear,
    add_calendar_months,
    is_workday,
    parse_calendar,
    refusal_until,
    zone,
)
from compliance.errors import PolicyError
from compliance.facts import HomeKind
from compliance.profiles import FOREVER, Window, parse_profile
from compliance.rulebook import intersect, parse
from tests.unit.compliance.builders import (
    DATA,
    calendar_data,
    load,
    profile_data,
    rulebook_with,
    shipped_rulebook,
)

NAMES = sorted(p.stem for p in (DATA / "policies").glob("*.yaml"))


def test_the_shipped_profiles_are_there_and_read() -> None:
    assert {"cn_seed", "demo", "lab", "us_federal", "us_fl", "uk", "fr"} == set(NAMES)
    for name in NAMES:
        [profile] = shipped_rulebook(name).profiles
        assert profile.id == name
        assert profile.verified is False
        assert profile.source


def test_the_default_says_what_the_requirements_say() -> None:
    policy = shipped_rulebook().policy
    assert [str(w) for w in policy.hours] == ["09:00-11:30", "14:30-17:30"]
    assert {(c.calls, c.per) for c in policy.caps} == {(1, "hour"), (3, "day")}
    assert policy.disclosure_within_ms == 3000
    assert policy.keep_min_months == 6
    at = datetime(2026, 8, 31, 4, 0, tzinfo=UTC)
    assert policy.refusal_until(at) == datetime(2027, 2, 28, 4, 0, tzinfo=UTC)


def test_demo_is_the_default_but_for_hours_days_papers_and_home() -> None:
    default, demo = profile_data(), profile_data("demo")
    differing = {key for key in default if default[key] != demo[key]}
    assert differing == {
        "id", "title", "homes", "source", "windows", "line_papers", "citations",
    }  # fmt: skip
    assert parse_profile(demo).homes == (HomeKind.DEMO,)
    assert parse_profile(profile_data("lab")).homes == (HomeKind.LAB,)


def _set(path: str, value: Any) -> Callable[[dict[str, Any]], None]:
    def change(data: dict[str, Any]) -> None:
        *parents, last = path.split(".")
        for parent in parents:
            data = data[parent]
        data[last] = value

    return change


def _drop(path: str) -> Callable[[dict[str, Any]], None]:
    def change(data: dict[str, Any]) -> None:
        *parents, last = path.split(".")
        for parent in parents:
            data = data[parent]
        del data[last]

    return change


@pytest.mark.parametrize(
    ("spoil", "key"),
    [
        (_set("hour", []), "hour"),
        (_set("windows.hour", []), "windows.hour"),
        (_set("windows.hours", []), "windows.hours"),
        (_set("windows.hours", [[540, 690]]), "windows.hours"),
        (_set("windows.hours", [["11:30", "09:00"]]), "windows.hours"),
        (_set("windows.hours", [["09:00", "24:30"]]), "windows.hours"),
        (_set("windows.hours", [["09:00", "12:00"], ["11:00", "13:00"]]), "windows.hours"),
        (_set("windows.days", "sundays"), "windows.days"),
        (_set("windows.calendar", None), "windows.calendar"),
        (_set("windows.days", "all"), "windows.calendar"),
        (_set("caps", [{"calls": 0, "per": "day", "window": "rolling"}]), "caps[0].calls"),
        (_set("caps", [{"calls": True, "per": "day", "window": "rolling"}]), "caps[0].calls"),
        (_set("caps", [{"calls": 1, "per": "year", "window": "rolling"}]), "caps[0].per"),
        (_set("caps", [{"calls": 1, "per": "day"}]), "caps[0].window"),
        (_set("caps", [{"calls": 1, "per": "day", "window": "rolling", "x": 1}]), "caps[0].x"),
        (_set("caps", None), "caps"),
        (_set("refusal", {}), "refusal.months"),
        (_set("refusal", {"months": 6, "forever": True}), "refusal.months"),
        (_set("consent", "implied"), "consent"),
        (_set("consent", "tester"), "consent"),
        (_set("homes", []), "homes"),
        (_set("homes", ["office"]), "homes"),
        (_set("verified", "no"), "verified"),
        (_set("effective_from", "last year"), "effective_from"),
        (_set("disclosure.order", ["purpose", "disclosure"]), "disclosure.order"),
        (_set("disclosure.order", ["disclosure", "way_out", "purpose"]), "disclosure.order"),
        (_set("disclosure.within_ms", 3.0), "disclosure.within_ms"),
        (_set("line_papers", []), "line_papers"),
        (_set("line_papers", ["stamp"]), "line_papers"),
        (_set("never_dial", ["110"]), "never_dial"),
        (_set("citations", {"weather": "x"}), "citations.weather"),
        (_set("format", "candor-policy/2"), "format"),
        (_drop("refusal"), "refusal"),
        (_drop("source"), "source"),
        (_drop("recording.notice"), "recording.notice"),
        (_drop("never_dial"), "never_dial"),
    ],
)
def test_a_broken_profile_is_refused_by_key_and_name(
    spoil: Callable[[dict[str, Any]], None], key: str
) -> None:
    data = load("policies/cn_seed.yaml")
    spoil(data)
    with pytest.raises(PolicyError) as caught:
        parse([profile_data("fr"), data], calendar_data())
    assert caught.value.field == key
    if key != "format":
        assert "profile cn_seed" in str(caught.value)


def test_no_profile_and_two_of_one_name_are_refused() -> None:
    with pytest.raises(PolicyError):
        parse([], calendar_data())
    with pytest.raises(PolicyError):
        parse([profile_data(), profile_data()], calendar_data())
    with pytest.raises(PolicyError):
        parse([profile_data()], [*calendar_data(), calendar_data()[0]])


def test_the_hash_follows_the_content_and_not_its_order() -> None:
    profiles = [profile_data(), profile_data("fr")]
    one = parse(profiles, calendar_data())
    two = parse(profiles[::-1], calendar_data()[::-1])
    assert one.digest == two.digest
    assert re.fullmatch(r"[0-9a-f]{64}", one.digest)
    changed = [
        rulebook_with(caps=[{"calls": 2, "per": "hour", "window": "rolling"}]),
        rulebook_with(verified=True),
        parse([profile_data()], calendar_data()[:1]),
        shipped_rulebook(),
    ]
    assert len({book.digest for book in changed}) == len(changed)


def test_a_rulebook_cannot_be_changed() -> None:
    book = shipped_rulebook()
    with pytest.raises(AttributeError):
        book.digest = "0"  # type: ignore[misc]
    with pytest.raises(TypeError):
        book.calendars["CN", 2027] = book.calendars["CN", 2026]  # type: ignore[index]


def test_of_several_profiles_the_strictest_value_holds() -> None:
    policy = shipped_rulebook("cn_seed", "us_federal", "us_fl", "uk", "fr").policy
    assert [str(w) for w in policy.hours] == ["10:00-11:30", "14:30-17:30"]
    assert policy.refusal_until(datetime(2026, 1, 1, tzinfo=UTC)) == FOREVER
    assert {r.name: r.max_age_days for r in policy.registries} == {
        "Florida Do Not Call List": 31,
        "National Do Not Call Registry": 31,
        "Telephone Preference Service": 28,
    }
    american = shipped_rulebook("us_federal", "us_fl").policy
    assert [str(w) for w in american.hours] == ["08:00-20:00"]
    lab = parse_profile(profile_data("lab"))
    assert parse([profile_data("lab")], []).policy.consent == "tester"
    assert shipped_rulebook("lab", "cn_seed").policy.consent == "explicit"
    assert lab.line_papers == ()
    assert shipped_rulebook("lab", "cn_seed").policy.line_papers == {
        "whitelist", "registration", "filing",
    }  # fmt: skip


def test_windows_that_do_not_meet_leave_nothing() -> None:
    assert intersect([Window(0, 60)], [Window(60, 120)]) == ()
    assert intersect([Window(0, 60), Window(90, 120)], [Window(30, 100)]) == (
        Window(30, 60),
        Window(90, 100),
    )


def test_the_schema_names_the_same_keys_as_the_reader() -> None:
    schema = json.loads((DATA / "policies" / "profile.schema.json").read_text("utf-8"))
    for name in NAMES:
        data = profile_data(name)
        assert set(schema["required"]) <= set(data) <= set(schema["properties"])
    for key in schema["required"]:
        data = profile_data()
        del data[key]
        with pytest.raises(PolicyError) as caught:
            parse_profile(data)
        assert caught.value.field == key


# ---------------------------------------------------------------- calendars


def test_the_tables_hold_the_official_number_of_days() -> None:
    calendars = shipped_rulebook().calendars
    assert set(calendars) == {("CN", 2025), ("CN", 2026), ("FR", 2026)}
    for year, days_off, made_up in ((2025, 28, 5), (2026, 33, 6)):
        table = calendars["CN", year]
        assert table.official
        assert (len(table.holidays), len(table.working_days)) == (days_off, made_up)


def test_an_unknown_year_or_region_is_not_guessed() -> None:
    calendars = shipped_rulebook().calendars
    for day, region in ((date(2027, 1, 5), "CN"), (date(2026, 1, 5), "JP")):
        with pytest.raises(UnknownYear):
            is_workday(day, region, calendars)


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ({"holidays": [{"name": "x", "from": "2026-01-02", "to": "2026-01-01"}]}, "holidays[0].to"),
        ({"holidays": [{"name": "x", "from": "2025-12-31", "to": "2026-01-01"}]}, "holidays[0].to"),
        ({"holidays": [{"from": "2026-01-01", "to": "2026-01-01"}]}, "holidays[0].name"),
        ({"working_days": ["2026-01-05"]}, "working_days"),  # a Monday anyway
        ({"working_days": ["2026-10-03"]}, "working_days"),  # a Saturday, but a holiday
        ({"working_days": ["2025-10-11"]}, "working_days"),
        ({"working_days": ["2026-10-10", "2026-10-10"]}, "working_days"),
        (
            {
                "holidays": [
                    {"name": "x", "from": "2026-01-01", "to": "2026-01-03"},
                    {"name": "y", "from": "2026-01-03", "to": "2026-01-04"},
                ]
            },
            "holidays[1].from",
        ),
        ({"weekend": [0, 7]}, "weekend"),
        ({"year": "2026"}, "year"),
        ({"extra": 1}, "extra"),
    ],
)
def test_a_broken_calendar_is_refused_by_key(change: dict[str, Any], key: str) -> None:
    with pytest.raises(PolicyError) as caught:
        parse_calendar({**load("calendars/cn_2026.yaml"), **change})
    assert caught.value.field == key


@pytest.mark.parametrize(
    ("start", "months", "end"),
    [
        ("2026-08-31", 6, "2027-02-28"),
        ("2027-08-31", 6, "2028-02-29"),
        ("2026-08-28", 6, "2027-02-28"),
        ("2026-10-31", 6, "2027-04-30"),
        ("2026-06-30", 6, "2026-12-30"),
        ("2026-12-15", 1, "2027-01-15"),
        ("2026-01-31", -2, "2025-11-30"),
    ],
)
def test_calendar_months_end_with_the_month(start: str, months: int, end: str) -> None:
    at = datetime.fromisoformat(f"{start}T12:34:56+00:00")
    assert add_calendar_months(at, months) == datetime.fromisoformat(f"{end}T12:34:56+00:00")


def test_a_refusal_lasts_six_months_by_default() -> None:
    at = datetime(2026, 11, 24, 2, 0, tzinfo=UTC)
    assert refusal_until(at) == datetime(2027, 5, 24, 2, 0, tzinfo=UTC)
    assert refusal_until(at) - at > timedelta(days=180)
    with pytest.raises(ValueError, match="month"):
        refusal_until(at, 0)
    with pytest.raises(ValueError, match="zone"):
        add_calendar_months(datetime(2026, 1, 1), 1)


def test_only_places_are_zones() -> None:
    assert zone("Asia/Shanghai") is not None
    for name in ("", "localtime", "posixrules", "../etc/passwd", "/etc/localtime", "Asia", "\0"):
        assert zone(name) is None
