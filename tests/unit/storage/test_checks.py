# SPDX-License-Identifier: GPL-3.0-or-later
"""Which calls wait for their check, what opening one leaves behind, and what is kept of it."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import func, select, text, update
from sqlalchemy.orm import Session

from compliance.errors import BadInput, NotAllowed
from compliance.facts import Outcome, RefusalScope
from storage.cases import CaseKind
from storage.check_tables import CallCheck
from storage.models import AttemptRow, RecordingTrack
from storage.store import Store
from tests.storage_home import TestHome

ITEMS = (
    {"item": "disclosure", "requirement": "S1", "verdict": "passed", "findings": []},
    {"item": "words", "requirement": "S9", "verdict": "failed", "findings": []},
)
VERSIONS = {"judgement": 1, "script": "s"}


def entries(home: TestHome, kind: str) -> list[tuple[str, dict[str, object]]]:
    """(actor, body) of the ledger's entries of one kind."""
    store: Store = home.store
    (call,) = store.checks.calls()
    return [(e.actor, dict(e.body)) for e in store.journal.entries(call) if e.kind == kind]


def test_a_recorded_call_waits_until_it_was_checked(home: TestHome) -> None:
    checks = home.store.checks
    assert checks.due() == []
    call = home.call()
    assert checks.due() == checks.calls() == [call]
    assert (checks.counts().recorded, checks.counts().checked) == (1, 0)
    assert checks.unchecked_before(home.clock.wall() + timedelta(days=1)) == 1
    assert checks.unchecked_before(home.clock.wall()) == 0
    checks.keep(call, "passed", ITEMS[:1], {"track_ms": 1}, VERSIONS)
    assert checks.due() == []
    assert checks.calls() == [call]
    assert checks.unchecked_before(home.clock.wall() + timedelta(days=1)) == 0
    counts = checks.counts()
    assert (counts.checked, counts.passed, counts.failed, counts.unknown) == (1, 1, 0, 0)


def test_opening_is_in_the_ledger_by_the_platform_or_by_who_asked(home: TestHome) -> None:
    call = home.call()
    subject = home.store.checks.open(call)
    assert subject.attempt == call
    assert subject.finished
    assert [line.mark for line in subject.lines] == ["disclosure", ""]
    assert subject.record.disclosed_ms == 2700
    assert subject.script.script == "greeting"
    assert len(subject.sealed.tracks) == 2
    officer = home.actors["officer"]
    home.store.checks.open(call, officer)
    for kind in ("recording.open", "pii.read"):
        (first, body), (second, _) = entries(home, kind)
        assert (first, second) == ("system", officer.id)
        assert body["reason"] == "quality"


@pytest.mark.parametrize("who", ["operator", "author", "admin"])
def test_others_open_nothing_and_the_refusal_is_in_the_ledger(home: TestHome, who: str) -> None:
    call = home.call()
    with pytest.raises(NotAllowed):
        home.store.checks.open(call, home.actors[who])
    with pytest.raises(NotAllowed):
        home.store.checks.keep(call, "passed", ITEMS[:1], {}, VERSIONS, home.actors[who])
    kinds = home.ledger_kinds()
    assert kinds.count("access.refuse") == 2
    assert "recording.open" not in kinds
    assert "call.check" not in kinds


def test_a_failed_check_opens_one_case_and_a_later_one_replaces_it(home: TestHome) -> None:
    call = home.call()
    first = home.store.checks.keep(call, "failed", ITEMS, {}, VERSIONS)
    (case,) = home.store.cases.cases(kind=CaseKind.POST_CALL_CHECK)
    assert (case.id, case.subject, case.findings) == (first.case, call, ("words",))
    again = home.store.checks.keep(call, "failed", ITEMS, {}, VERSIONS, home.actors["auditor"])
    assert again.case == case.id
    assert len(home.store.cases.cases(kind=CaseKind.POST_CALL_CHECK)) == 1
    newest = home.store.checks.check(call)
    assert newest == again
    assert home.store.checks.counts().failed == 1
    assert home.store.checks.counts("nobody's campaign").failed == 0
    (_, body), (actor, _) = entries(home, "call.check")
    assert actor == home.actors["auditor"].id
    assert (body["result"], body["failed"], body["check"]) == ("failed", ["words"], first.id)
    with Session(home.engine) as session:
        assert session.scalar(select(func.count()).select_from(CallCheck)) == 2


def test_a_check_that_cannot_be_kept_leaves_nothing(home: TestHome) -> None:
    call = home.call()
    before = home.ledger_kinds()
    with pytest.raises(BadInput):
        home.store.checks.keep(call, "splendid", ITEMS, {}, VERSIONS)
    with pytest.raises(BadInput):
        home.store.checks.keep("0" * 32, "passed", ITEMS, {}, VERSIONS)
    with pytest.raises(BadInput):
        home.store.checks.open("0" * 32)
    assert home.ledger_kinds() == before
    assert home.store.checks.check(call) is None


def test_a_call_without_a_closed_recording_is_not_checkable(home: TestHome) -> None:
    call = home.call()
    for change in ({"sealed_at": None}, {"destroyed": True}, {"wrapped_key": b""}):
        with Session(home.engine) as session:
            kept = {
                (t.recording, t.segment, t.track): (t.sealed_at, t.destroyed, t.wrapped_key)
                for t in session.scalars(select(RecordingTrack))
            }
            session.execute(update(RecordingTrack).values(**change))
            session.commit()
            assert home.store.checks.due() == []
            with pytest.raises(BadInput, match="no recording"):
                home.store.checks.open(call)
            for (recording, segment, track), (sealed, destroyed, key) in kept.items():
                session.execute(
                    update(RecordingTrack)
                    .where(
                        RecordingTrack.recording == recording,
                        RecordingTrack.segment == segment,
                        RecordingTrack.track == track,
                    )
                    .values(sealed_at=sealed, destroyed=destroyed, wrapped_key=key)
                )
            session.commit()
    assert home.store.checks.due() == [call]


def test_attempts_after_a_refusal_are_counted_while_it_holds(home: TestHome) -> None:
    claim, attempt = home.attempt()
    now = home.clock.wall()
    writer = home.recorder(attempt.id)
    writer.write(bytes([0xD5]) * 8000, bytes([0xD5]) * 8000)
    sealed = writer.close(keep_callee=False)
    until = now + timedelta(days=180)
    home.store.record_refusal(
        attempt.id, how="voice", at=now, until=until, scope=RefusalScope.COMPANY
    )
    record = home.record(claim, recording=sealed.id, outcome=Outcome.REFUSED, refused=True)
    home.store.finish(claim, record, sealed)
    assert home.store.checks.open(attempt.id).later_attempts == 0
    with home.engine.begin() as connection:
        columns = [c.name for c in AttemptRow.__table__.columns]
        copied = ", ".join({"id": ":id", "at": ":at"}.get(name, f'"{name}"') for name in columns)
        names = ", ".join(f'"{name}"' for name in columns)
        for id, days in (("1" * 32, 2), ("2" * 32, 200), ("3" * 32, -1)):
            connection.execute(
                text(f"INSERT INTO attempts ({names}) SELECT {copied} FROM attempts WHERE id = :a"),
                {"id": id, "at": now + timedelta(days=days), "a": attempt.id},
            )
    assert home.store.checks.open(attempt.id).later_attempts == 1


def test_calls_up_counts_what_is_on_the_line(home: TestHome) -> None:
    assert home.store.checks.calls_up() == 0
    home.attempt()
    assert home.store.checks.calls_up() == 1
