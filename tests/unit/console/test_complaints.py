# SPDX-License-Identifier: GPL-3.0-or-later
"""`candor complaint` and `candor case`, as people type them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from compliance.facts import Role
from console import homes
from tests.console_desk import Desk, desk_at

NUMBER = "13900000007"


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    folder = tmp_path_factory.mktemp("desk")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(folder / "state"))
        yield desk_at(folder / "home")


def test_a_complaint_goes_from_its_receipt_to_its_closing(desk: Desk) -> None:
    add = ["complaint", "add", "--kind", "harassment", "--channel", "phone", "--number", "-"]
    added = desk.data(Role.OPERATOR, *add, "--text", "李雷 was called twice", stdin=NUMBER)
    complaint = added["complaint"][:8]
    assert added["team"] == "operators"
    (listed,) = desk.data(Role.AUDITOR, "complaint", "list")
    assert listed["number"] == "139****0007"
    assert listed["stage"] == "waiting"
    assert "李雷" not in str(listed)
    assert desk.candor(Role.OPERATOR, "complaint", "list", "--overdue").code == 0

    def done(*words: str, role: Role = Role.OPERATOR, code: int = 0, stdin: str = "") -> None:
        result = desk.candor(role, "complaint", *words, stdin=stdin)
        assert result.code == code, result.err

    done("assign", complaint, "--to", str(Role.OPERATOR))
    done("assign", complaint, "--to", "nobody", code=2)
    done("close", complaint, "--training", "twice-in-a-day", code=2)
    done("answer", complaint, "--channel", "phone", "--text", "-", stdin="抱歉")
    done("remedy", complaint, "--text", "x", code=2)
    done("remedy", complaint, "--by", "2020-01-01", "--text", "x", code=2)
    by = (datetime.now(UTC) + timedelta(days=2)).isoformat()
    done("remedy", complaint, "--by", by, "--text", "caps mended")
    done("remedy", complaint, "--done")
    done("close", complaint, "--no-training", "a twin", code=3)
    done("close", complaint, "--no-training", "a twin", role=Role.COMPLIANCE)
    assert desk.data(Role.AUDITOR, "complaint", "list") == []
    shown = desk.data(Role.AUDITOR, "complaint", "show", complaint)
    assert shown["words"]["answer"] == "抱歉"
    assert desk.candor(Role.AUDITOR, "complaint", "show", complaint).code == 0
    assert "139****0007" in desk.candor(Role.AUDITOR, "complaint", "list", "--closed").out
    assert desk.candor(Role.AUTHOR, "complaint", "show", complaint).code == 3


def test_a_late_complaint_is_listed_and_told(desk: Desk) -> None:
    received = (datetime.now(UTC) - timedelta(hours=30)).isoformat()
    late = desk.data(
        Role.OPERATOR, *("complaint", "add", "--kind", "privacy", "--channel", "email"),
        *("--number", NUMBER, "--text", "x", "--received", received, "--do-not-call"),
    )["complaint"]  # fmt: skip
    listed = desk.candor(Role.OPERATOR, "complaint", "list", "--overdue", "--json")
    assert listed.code == 1
    assert [row["complaint"] for row in json.loads(listed.out)] == [late]
    assert desk.candor(Role.OPERATOR, "complaint", "show", late[:8]).code == 3  # P3
    with homes.opened(desk.root) as it, it.engine.connect() as connection:
        kinds = connection.exec_driver_sql("SELECT kind FROM ledger_outbox").scalars().all()
    assert kinds.count("complaint.breach") == 1
    assert "refusal.record" in kinds


@pytest.mark.parametrize(
    "words",
    [
        ("--number", "-", "--text", "-"),
        ("--text", "x"),
        ("--number", "12", "--text", "x"),
        ("--number", NUMBER, "--text", " "),
        ("--number", NUMBER, "--text", "x", "--received", "2999-01-01"),
        ("--number", NUMBER, "--text", "x", "--received", "yesterday"),
        ("--call", "abcdef", "--text", "x"),
    ],
)
def test_unusable_complaints_are_refused(desk: Desk, words: tuple[str, ...]) -> None:
    before = desk.data(Role.AUDITOR, "complaint", "list", "--closed")
    add = ("complaint", "add", "--kind", "other", "--channel", "web")
    refused = desk.candor(Role.OPERATOR, *add, *words)
    assert refused.code == 2
    assert NUMBER not in refused.err
    assert desk.data(Role.AUDITOR, "complaint", "list", "--closed") == before


def test_cases_are_opened_noted_and_closed(desk: Desk) -> None:
    case = desk.data(Role.AUDITOR, "case", "open", "line-telecom1", "--text", "warned")["case"][:8]
    assert desk.candor(Role.OPERATOR, "case", "note", case, "--text", "asked").code == 0
    shown = desk.data(Role.AUDITOR, "case", "show", case)
    assert [note["text"] for note in shown["notes"]] == ["warned", "asked"]
    assert "warned" in desk.candor(Role.AUDITOR, "case", "show", case).out
    assert desk.candor(Role.AUDITOR, "case", "list", "--overdue").code == 0
    assert desk.candor(Role.AUDITOR, "case", "close", case, "--text", "x").code == 3
    assert desk.candor(Role.OPERATOR, "case", "close", case, "--text", "x").code == 0
    assert case not in desk.candor(Role.AUDITOR, "case", "list").out
    assert desk.candor(Role.AUDITOR, "case", "show", "zzzzzz").code == 2
