# SPDX-License-Identifier: GPL-3.0-or-later
"""Cases: opened once a subject, noted, closed with words, and overdue when nobody does."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text

from compliance.errors import BadInput, NotAllowed
from storage.cases import TERMS, CaseKind, open_case
from storage.context import Context
from tests.storage_home import START, TestHome

LINE = "line1"


def entries(home: TestHome, kind: str) -> list[dict[str, Any]]:
    with home.engine.connect() as connection:
        rows = connection.execute(
            text("SELECT body FROM ledger_outbox WHERE kind = :kind ORDER BY id"), {"kind": kind}
        )
        return [json.loads(row.body) for row in rows]


def context_of(home: TestHome) -> Context:
    return Context(home.engine, home.keyring, node="node1", clock=home.clock)


def opened(home: TestHome, kind: CaseKind, subject: str, **more: Any) -> str:
    context = context_of(home)
    with context.write() as session:
        return open_case(context, session, kind, subject, now=home.clock.wall(), **more)


def test_a_subject_has_one_open_case(home: TestHome) -> None:
    case = opened(home, CaseKind.BLOCKED_NUMBER, LINE, findings=["failures_in_a_row"])
    assert opened(home, CaseKind.BLOCKED_NUMBER, LINE) == case
    assert opened(home, CaseKind.OTHER, LINE) != case
    (entry,) = [e for e in entries(home, "case.open") if e["body"]["case"] == case]
    assert entry["actor"] == "system"
    assert entry["body"]["findings"] == ["failures_in_a_row"]

    home.store.cases.close(home.actors["operator"], case, "the carrier lifted the block")
    assert opened(home, CaseKind.BLOCKED_NUMBER, LINE) == case  # it was looked into
    again = opened(home, CaseKind.BLOCKED_NUMBER, LINE, again=True)  # it happened once more
    assert again != case
    assert opened(home, CaseKind.BLOCKED_NUMBER, LINE, again=True) == again


def test_ten_who_open_at_once_open_one(home: TestHome) -> None:
    with ThreadPoolExecutor(10) as pool:
        found = set(pool.map(lambda _: opened(home, CaseKind.OTHER, "x"), range(10)))
    assert len(found) == 1
    assert len(entries(home, "case.open")) == 1


def test_a_case_is_undone_with_what_opened_it(home: TestHome) -> None:
    context = context_of(home)

    def fail() -> None:
        with context.write() as session:
            open_case(context, session, CaseKind.OTHER, "x", now=START)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert home.store.cases.cases() == []
    assert entries(home, "case.open") == []


def test_notes_are_sealed_and_reading_them_is_written_down(home: TestHome) -> None:
    cases, officer = home.store.cases, home.actors["officer"]
    case = opened(home, CaseKind.POST_CALL_CHECK, "a1")
    home.clock.advance(60)
    cases.note(home.actors["operator"], case, " Wang said he never heard the robot ")
    with home.engine.connect() as connection:
        (row,) = connection.execute(text("SELECT * FROM case_notes")).all()
    assert b"Wang" not in bytes(row.text_sealed)
    (noted,) = entries(home, "case.note")
    assert "Wang" not in json.dumps(noted)
    (note,) = cases.notes(officer, case)
    assert note.text == "Wang said he never heard the robot"
    assert note.at == START + timedelta(seconds=60)
    (read,) = entries(home, "pii.read")
    assert read["body"] == {"case": case, "what": "case"}


def test_only_an_officer_closes_a_failed_check(home: TestHome) -> None:
    cases = home.store.cases
    case = opened(home, CaseKind.POST_CALL_CHECK, "a1")
    with pytest.raises(NotAllowed):
        cases.close(home.actors["operator"], case, "fine")
    with pytest.raises(BadInput, match="note: is empty"):
        cases.close(home.actors["officer"], case, "  ")
    assert cases.case(case).closed_at is None
    cases.close(home.actors["officer"], case, "the recording is clear")
    with pytest.raises(BadInput, match="closed already"):
        cases.note(home.actors["officer"], case, "one more")
    assert cases.cases() == []
    (closed,) = cases.cases(closed=True)
    assert (closed.id, closed.closed_by, closed.notes) == (case, home.actors["officer"].id, 1)


def test_a_case_is_overdue_from_its_due_time_on(home: TestHome) -> None:
    case = home.store.cases.case(opened(home, CaseKind.BLOCKED_NUMBER, LINE))
    due = START + TERMS[CaseKind.BLOCKED_NUMBER]
    assert case.due == due
    assert not case.overdue(due - timedelta(microseconds=1))
    assert case.overdue(due)


@pytest.mark.parametrize(
    ("subject", "more"),
    [
        ("", {}),
        ("Wang Fang", {}),
        ("x" * 101, {}),
        ("x", {"findings": ["No Code"]}),
        ("x", {"due": START}),
    ],
)
def test_unusable_cases_are_refused(home: TestHome, subject: str, more: dict[str, Any]) -> None:
    with pytest.raises(BadInput):
        opened(home, CaseKind.OTHER, subject, **more)
    assert home.store.cases.cases() == []


def test_a_case_is_named_by_the_beginning_of_its_id(home: TestHome) -> None:
    cases = home.store.cases
    case = cases.open(home.actors["auditor"], "audit-2026")
    assert cases.case_of_prefix(case[:6]) == case
    for start in ("", case[:5], "ffffffffff", "%" * 8):
        with pytest.raises(BadInput, match="case"):
            cases.case_of_prefix(start)
    with pytest.raises(NotAllowed):
        cases.open(home.actors["author"], "x")
