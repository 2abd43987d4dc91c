# SPDX-License-Identifier: GPL-3.0-or-later
"""The demo's cast fits its files, and the checks of a whole run can fail."""

from __future__ import annotations

import csv
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from compliance.facts import Decision
from console import demo_home, demo_proof
from console.checks import Checks
from console.messages import LANGUAGES, text
from sip_sim import behaviours
from storage.listing import GateRefusalRow
from storage.sensitive import find_sensitive

AT = datetime(2026, 11, 24, 2, tzinfo=UTC)


def contacts(name: str) -> list[dict[str, str]]:
    with (demo_home.examples() / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_every_contact_has_a_part_and_every_part_a_contact() -> None:
    rows = [
        row
        for name in ("contacts.csv", "contacts.earlier.csv", "contacts.crm.csv")
        for row in contacts(name)
    ]
    left_out = [row for row in rows if find_sensitive(row["notes"])]
    endings = {row["phone"][-4:] for row in rows if row not in left_out}
    parts = {*demo_proof.CALLS, *demo_proof.ASKING, *demo_proof.REFUSED}
    assert endings == parts
    assert len(rows) - len(left_out) == len(parts) + 1  # one number comes in two spellings


def test_the_rejected_row_is_where_the_demo_says() -> None:
    rows = contacts("contacts.csv")
    found = [i for i, row in enumerate(rows, start=2) if find_sensitive(row["notes"])]
    assert [(row, "notes") for row in found] == list(demo_proof.REJECTED)


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_part_has_words(language: str) -> None:
    for ending in (*demo_proof.CALLS, *demo_proof.ASKING):
        assert ending[-3:] in behaviours.load()
        assert text(f"callee.{ending[-3:]}", language) != f"callee.{ending[-3:]}"
    for ending in demo_proof.REFUSED:
        assert text(f"demo.case.{ending}", language) != f"demo.case.{ending}"


# ---------------------------------------------------------------- the checks can fail


def invite(number: str, at: datetime) -> dict[str, Any]:
    return {"number": number, "invite": {"wall": at.isoformat(), "mono_ns": 0}}


def refusal(masked: str, rule: str) -> GateRefusalRow:
    decision = Decision("a", False, (), "", "", AT)
    return GateRefusalRow("r", "c", "王**", masked, "", AT, (rule,), decision, "", None)


def faults(refusals: list[GateRefusalRow], invites: list[dict[str, Any]]) -> list[str]:
    checks = Checks()
    demo_proof.check_dialing(checks, refusals, invites)
    assert checks.made
    return checks.faults


def test_dialing_twice_is_found() -> None:
    twice = [invite("+8613900000101", AT), invite("+8613900000101", AT + timedelta(minutes=1))]
    assert faults([], twice) == ["139****0101 was dialed 2 times"]


def test_dialing_after_a_refusal_is_found() -> None:
    after = [invite("+8613900000101", AT + timedelta(seconds=1))]
    assert any(
        "though refused" in f for f in faults([refusal("139****0101", "over_call_cap")], after)
    )


def test_a_call_before_the_cap_is_lawful_and_before_any_other_refusal_is_not() -> None:
    before = [invite("+8613900000101", AT - timedelta(seconds=1))]
    assert not faults([refusal("139****0101", "over_call_cap")], before)
    assert faults([refusal("139****0101", "no_explicit_consent")], before)


def test_busyness_counts_what_is_up_at_once() -> None:
    def call(start: int, end: int) -> dict[str, Any]:
        return {
            "invite": {"mono_ns": start * 10**9},
            "ringing": {"mono_ns": start * 10**9 + 1},
            "answered": None,
            "bye": {"mono_ns": end * 10**9},
        }

    steps = demo_proof.busyness([call(0, 10), call(2, 4), call(3, 12)])
    assert steps == ((0, 1), (2, 2), (3, 3), (4, 2), (10, 1), (12, 0))
