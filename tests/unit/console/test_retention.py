# SPDX-License-Identifier: GPL-3.0-or-later
"""`candor retention`, `hold` and `destructions`, as a compliance officer types them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text

from compliance.facts import Role
from console import homes
from tests.console_home import ConsoleHome


@pytest.fixture
def officer(calls: ConsoleHome) -> ConsoleHome:
    calls.language("en")
    calls.sign_in(Role.COMPLIANCE)
    return calls


def age(calls: ConsoleHome, days: int) -> None:
    """Everything that has a time happened so many days earlier."""
    with homes.opened(calls.root) as it, it.engine.begin() as connection:
        connection.exec_driver_sql("DROP TRIGGER IF EXISTS home_update")
        for table, columns in {
            "attempts": (
                "at",
                "invited_at",
                "ringing_at",
                "answered_at",
                "ended_at",
                "finished_at",
            ),
            "ledger_outbox": ("at",),
        }.items():
            for column in columns:
                rows = connection.execute(text(f"SELECT rowid, {column} FROM {table}")).all()
                for row, at in rows:
                    if at is not None:
                        earlier = datetime.fromisoformat(at) - timedelta(days=days)
                        connection.execute(
                            text(f"UPDATE {table} SET {column} = :at WHERE rowid = :row"),
                            {"at": earlier.isoformat(" "), "row": row},
                        )


def report(calls: ConsoleHome) -> Any:
    return calls.candor("retention", "report", "--json").data


def test_what_goes_when_is_told_and_changes_nothing(officer: ConsoleHome) -> None:
    before = officer.kinds()
    found = report(officer)
    assert found["recordings_kept"] == 2
    assert found["overdue"] == 0
    first = min(datetime.fromisoformat(day).replace(tzinfo=UTC) for day in found["recordings"])
    assert first > datetime.now(UTC) + timedelta(days=180)
    shown = officer.candor("retention", "report").out
    assert "2 calls with sound" in shown
    assert "Nothing was ever destroyed" in shown
    dry = officer.candor("retention", "run", "--dry-run", "--json").data
    assert (dry["recordings"], dry["contacts"]) == (0, 0)
    assert officer.kinds() == before


def test_nothing_young_goes_and_the_run_is_written_down(officer: ConsoleHome) -> None:
    done = officer.candor("retention", "run", "--json").data
    assert (done["ran"], done["recordings"], done["contacts"]) == (True, 0, 0)
    assert officer.kinds()[-1] == "retention.run"
    assert report(officer)["last_run"] is not None
    again = officer.candor("retention", "run", "--scheduled")
    assert (again.code, "within the last day" in again.out) == (0, True)
    assert officer.candor("replay", officer.accepted, "--reason", "audit").code == 0


def test_a_hold_keeps_and_its_lifting_lets_go(officer: ConsoleHome) -> None:
    added = officer.candor("hold", "add", "--call", officer.accepted, "--reason", "dispute")
    assert added.code == 0
    (hold,) = officer.candor("hold", "list", "--json").data
    assert (hold["call"], hold["reason"]) == (officer.accepted, "dispute")
    assert report(officer)["held_calls"] == 1
    assert "dispute" in officer.candor("hold", "list").out
    assert officer.candor("hold", "lift", hold["hold"][:8]).code == 0
    assert officer.candor("hold", "list", "--json").data == []
    assert len(officer.candor("hold", "list", "--lifted", "--json").data) == 1
    assert officer.candor("hold", "lift", hold["hold"]).code == 2  # once


def test_a_number_is_held_whole_against_its_own_wish(officer: ConsoleHome) -> None:
    number = ("hold", "add", "--number", "+86 139 0000 0101", "--reason", "authority")
    assert officer.candor(*number).code == 0
    refused = officer.candor("subject", "13900000101", "erase", "--yes")
    assert refused.code == 1
    assert "legal hold" in refused.err
    for words in ((), ("--call", "abcdef", "--number", "1")):
        assert officer.candor("hold", "add", *words, "--reason", "audit").code == 2


def test_records_of_what_went(officer: ConsoleHome) -> None:
    with homes.opened(officer.root) as it, it.engine.begin() as connection:
        connection.execute(text("UPDATE attempts SET outcome = 'aborted' WHERE outcome IS NULL"))
        connection.execute(text("UPDATE attempts SET finished_at = at WHERE finished_at IS NULL"))
        connection.execute(text("DELETE FROM leases"))
    assert officer.candor("subject", "13900000101", "erase", "--yes").code == 0
    records = officer.candor("destructions", "--json").data
    asked = [record for record in records if record["why"] == "request"]
    assert asked
    assert asked[0]["by"] == "compliance_officer"
    assert "asked for" in officer.candor("destructions").out
    everything = str(records)
    assert "13900000101" not in everything
    officer.sign_in(Role.OPERATOR)
    assert officer.candor("destructions").code == 3
    assert officer.candor("retention", "run").code == 3
    assert officer.candor("hold", "add", "--call", officer.accepted, "--reason", "audit").code == 3


def test_an_old_recording_goes_with_its_object(officer: ConsoleHome) -> None:
    age(officer, 230)
    objects = [p for p in (officer.root / "objects").rglob("*") if p.is_file()]
    found = report(officer)
    assert found["overdue"] >= 2
    told = officer.candor("doctor").out
    assert "candor retention run" in told
    done = officer.candor("retention", "run", "--json").data
    assert done["recordings"] >= 2
    left = [p for p in (officer.root / "objects").rglob("*") if p.is_file()]
    assert len(left) < len(objects)
    gone = officer.candor("replay", officer.accepted, "--wav", "x.wav", "--reason", "audit")
    assert gone.code != 0
    why = {record["why"] for record in officer.candor("destructions", "--json").data}
    assert "term_over" in why
