# SPDX-License-Identifier: GPL-3.0-or-later
"""What changed between two rulebooks, and whether it is stricter or laxer."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compliance.law_diff import TOGETHER, Change, Verdict, changes
from compliance.rulebook import Rulebook, parse
from tests.unit.compliance.builders import (
    calendar_data,
    profile_data,
    rulebook_with,
    shipped_rulebook,
)

CN = rulebook_with()
STRICTER, LAXER, OTHER = Verdict.STRICTER, Verdict.LAXER, Verdict.OTHER


def found(before: Rulebook, now: Rulebook) -> dict[tuple[str, str], Change]:
    return {(c.document, c.key): c for c in changes(before, now)}


def windows(*hours: tuple[str, str], days: str = "workdays") -> dict[str, Any]:
    region = {"calendar": "CN"} if days == "workdays" else {}
    return {"windows": {"hours": [list(pair) for pair in hours], "days": days} | region}


def test_equal_law_has_no_changes() -> None:
    assert changes(CN, rulebook_with()) == ()


@pytest.mark.parametrize(
    ("change", "key", "verdict"),
    [
        (windows(("09:00", "11:30")), "hours", STRICTER),
        (windows(("09:00", "17:30")), "hours", LAXER),
        (windows(("08:00", "11:00")), "hours", OTHER),
        (windows(("09:00", "11:30"), ("14:30", "17:30"), days="all"), "days", LAXER),
        ({"caps": [{"calls": 1, "per": "hour", "window": "rolling"}]}, "caps", LAXER),
        ({"refusal": {"months": 12}}, "refusal", STRICTER),
        ({"refusal": {"days": 1}}, "refusal", LAXER),
        ({"disclosure": {"within_ms": 2000, "order": ["disclosure", "purpose",
          "recording_notice", "way_out"]}}, "disclosure_within_ms", STRICTER),
        ({"line_papers": ["filing"]}, "line_papers", LAXER),
        ({"exam": False}, "exam", LAXER),
        ({"adopted_law": True}, "adopted_law", STRICTER),
        ({"synthetic_voice_label": False}, "synthetic_voice_label", LAXER),
        ({"registries": [{"name": "X", "max_age_days": 3}]}, "registries", STRICTER),
        ({"never_dial": profile_data()["never_dial"][:1]}, "never_dial", LAXER),
        ({"abandonment": {"percent": 3, "days": 30, "seconds": 2}}, "abandonment", STRICTER),
    ],
)  # fmt: skip
def test_each_demand_is_judged(change: dict[str, Any], key: str, verdict: Verdict) -> None:
    law = rulebook_with(**change)
    seen = found(CN, law)
    assert seen[TOGETHER, key].verdict is verdict
    assert seen["cn_seed", key].verdict is verdict
    assert seen["cn_seed", key].before != seen["cn_seed", key].now
    opposite = {STRICTER: LAXER, LAXER: STRICTER, OTHER: OTHER}[verdict]
    assert found(law, CN)["cn_seed", key].verdict is opposite


def test_words_that_demand_nothing_are_told_without_a_verdict() -> None:
    seen = found(CN, rulebook_with(title="Other", effective_until="2030-01-01"))
    assert {key for _, key in seen} == {"title", "effective_until"}
    assert {change.verdict for change in seen.values()} == {OTHER}


def test_a_profile_more_is_stricter_and_one_less_is_laxer() -> None:
    both = parse([profile_data(), profile_data("fr")], calendar_data())
    assert found(CN, both)["fr", "profile"].verdict is STRICTER
    assert found(both, CN)["fr", "profile"].verdict is LAXER
    assert found(CN, both)[TOGETHER, "hours"].now == "10:00-11:30, 14:30-17:30"


def test_calendars_are_compared_day_by_day() -> None:
    table = CN.calendars["CN", 2026]
    day = frozenset({date(2026, 12, 25)})
    more = CN.with_calendars([table.evolve(holidays=table.holidays | day)])
    seen = found(CN, more)
    assert set(seen) == {("calendar CN 2026", "holidays")}
    assert seen["calendar CN 2026", "holidays"].verdict is STRICTER
    assert found(more, CN)["calendar CN 2026", "holidays"].verdict is LAXER
    fewer = CN.with_calendars([table.evolve(working_days=frozenset())])
    assert found(CN, fewer)["calendar CN 2026", "working_days"].verdict is STRICTER
    new = CN.with_calendars([table.evolve(year=2027)])
    assert found(CN, new)["calendar CN 2027", "table"].verdict is LAXER
    assert found(new, CN)["calendar CN 2027", "table"].verdict is STRICTER


names = st.lists(
    st.sampled_from(["cn_seed", "fr", "uk", "us_federal", "us_fl"]),
    min_size=1, max_size=3, unique=True,
)  # fmt: skip


@given(names, names)
def test_adding_profiles_is_never_laxer(first: list[str], more: list[str]) -> None:
    before = shipped_rulebook(*first)
    now = shipped_rulebook(*sorted({*first, *more}))
    assert all(change.verdict is STRICTER for change in changes(before, now))
