# SPDX-License-Identifier: GPL-3.0-or-later
"""Complaints: the clock of the answer, who handles what, what closes one, and what is kept
(P2, P3, P6, P7)."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text

from compliance.complaints import Channel, ComplaintKind, Stage, Team
from compliance.errors import BadInput, NotAllowed, TooEarlyToDestroy
from compliance.facts import Number, Role
from storage.cases import CaseKind
from storage.complaint_clock import Swept
from storage.objects import FolderObjects
from storage.subjects import SubjectReason
from storage.terms import Terms
from tests.storage_home import PASSWORD, START, TestHome

NUMBER = Number("+8613900000001")
WORDS = "Wang Fang says she was called during lunch"
UNTIL = START + timedelta(days=180)


def entries(home: TestHome, kind: str) -> list[dict[str, Any]]:
    with home.engine.connect() as connection:
        rows = connection.execute(
            text("SELECT body FROM ledger_outbox WHERE kind = :kind ORDER BY id"), {"kind": kind}
        )
        return [json.loads(row.body) for row in rows]


def added(home: TestHome, kind: ComplaintKind = ComplaintKind.HARASSMENT, **more: Any) -> str:
    return home.store.complaints.add(
        home.actors[more.pop("by", "operator")],
        **{
            "kind": kind,
            "channel": Channel.PHONE,
            "text": WORDS,
            "received_at": home.clock.wall(),
            "number": None if "attempt" in more else NUMBER,
            **more,
        },
    )


def at(home: TestHome, hours: float) -> datetime:
    """Move the clock to so many hours after the start."""
    home.clock.advance((START + timedelta(hours=hours) - home.clock.wall()).total_seconds())
    return home.clock.wall()


def call(home: TestHome) -> str:
    """An answered call, over, with its recording; its id."""
    campaign = home.campaign([NUMBER.e164])
    claim = home.claim(campaign)
    home.store.authorise(home.permit(claim), claim, home.clock.wall())
    return claim.request.attempt_id


def test_the_clock_escalates_alarms_and_breaches_once_each(home: TestHome) -> None:
    complaints = home.store.complaints
    complaint = added(home)
    assert complaints.complaint(complaint).team is Team.OPERATORS
    steps = [
        (11.999, Swept(), Stage.WAITING),
        (12, Swept(escalated=1), Stage.ESCALATED),
        (13, Swept(), Stage.ESCALATED),
        (20, Swept(alarmed=1), Stage.ALARM),
        (23.9999, Swept(), Stage.ALARM),
        (24, Swept(breached=1), Stage.BREACHED),
        (40, Swept(), Stage.BREACHED),
    ]
    for hours, swept, stage in steps:
        at(home, hours)
        assert complaints.sweep() == swept, hours
        assert complaints.complaint(complaint).stage is stage, hours
    officer = home.actors["officer"].id
    (escalated,) = entries(home, "complaint.escalate")
    assert escalated["body"]["officers"] == [officer]
    assert len(entries(home, "complaint.alarm")) == 1
    (breach,) = entries(home, "complaint.breach")
    assert breach["actor"] == "system"
    assert complaints.complaint(complaint).team is Team.COMPLIANCE
    assert complaints.complaint(complaint).overdue


def test_a_late_answer_records_the_breach_though_nobody_looked_before(home: TestHome) -> None:
    complaints = home.store.complaints
    complaint = added(home)
    at(home, 25)
    complaints.answer(home.actors["operator"], complaint, "we are sorry", Channel.PHONE)
    assert len(entries(home, "complaint.breach")) == 1
    assert complaints.complaint(complaint).stage is Stage.BREACHED
    assert complaints.sweep() == Swept()


def test_an_answer_in_time_stops_the_clock(home: TestHome) -> None:
    complaints = home.store.complaints
    complaint = added(home)
    at(home, 23.9)
    complaints.answer(home.actors["operator"], complaint, "we are sorry", Channel.EMAIL)
    at(home, 400)
    assert complaints.sweep() == Swept()
    assert complaints.complaint(complaint).stage is Stage.ANSWERED
    assert entries(home, "complaint.breach") == []
    with pytest.raises(BadInput, match="answered already"):
        complaints.answer(home.actors["operator"], complaint, "again", Channel.EMAIL)


def test_a_complaint_entered_late_has_less_time(home: TestHome) -> None:
    complaint = added(home, received_at=START - timedelta(hours=21))
    assert len(entries(home, "complaint.alarm")) == 1
    assert home.store.complaints.complaint(complaint).due == START + timedelta(hours=3)
    for received in (START + timedelta(hours=1), START - timedelta(days=400)):
        with pytest.raises(BadInput, match="received"):
            added(home, received_at=received)


@pytest.mark.parametrize("kind", [ComplaintKind.PRIVACY, ComplaintKind.FALSE_ADVERTISING])
def test_privacy_and_advertising_are_for_the_compliance_team(
    home: TestHome, kind: ComplaintKind
) -> None:
    complaints = home.store.complaints
    complaint = added(home, kind)
    assert complaints.complaint(complaint).team is Team.COMPLIANCE
    operator, officer = home.actors["operator"], home.actors["officer"]
    with pytest.raises(NotAllowed):
        complaints.answer(operator, complaint, "sorry", Channel.PHONE)
    with pytest.raises(NotAllowed):
        complaints.words(operator, complaint)
    with pytest.raises(BadInput, match="P3"):
        complaints.assign(officer, complaint, operator.id)
    complaints.assign(officer, complaint, officer.id)
    complaints.answer(officer, complaint, "sorry", Channel.PHONE)
    assert complaints.words(officer, complaint).answer == "sorry"


def test_nothing_closes_without_answer_remedy_and_training(home: TestHome) -> None:
    complaints, operator = home.store.complaints, home.actors["operator"]
    complaint = added(home)

    def close(missing: str) -> None:
        with pytest.raises(BadInput, match=missing):
            complaints.close(operator, complaint, training_case="lunch-calls")
        assert complaints.complaint(complaint).closed_at is None
        assert complaints.complaint(complaint).progress.training_case == ""

    close("not answered")
    complaints.answer(operator, complaint, "sorry", Channel.PHONE)
    close("no remedy")
    complaints.set_remedy(operator, complaint, "hours mended", START + timedelta(days=3))
    close("not done")
    complaints.remedied(operator, complaint)
    with pytest.raises(BadInput, match="no training case"):
        complaints.close(operator, complaint)
    with pytest.raises(NotAllowed):
        complaints.close(operator, complaint, waiver="a wrong number")
    complaints.close(operator, complaint, training_case="lunch-calls")
    closed = complaints.complaint(complaint)
    assert closed.closed_by == operator.id
    assert closed.progress.training_case == "lunch-calls"
    assert home.store.cases.case(closed.case).closed_at == home.clock.wall()
    assert complaints.complaints() == []
    with pytest.raises(BadInput, match="is closed"):
        complaints.remedied(operator, complaint)


def test_an_officer_may_accept_that_it_teaches_nothing(home: TestHome) -> None:
    complaint = finished(home)
    officer = home.actors["officer"]
    home.store.complaints.close(officer, complaint, waiver="it was another company")
    assert home.store.complaints.words(officer, complaint).waiver == "it was another company"
    (entry,) = entries(home, "complaint.close")
    assert len(entry["body"]["waiver"]) == 64


def finished(home: TestHome, **more: Any) -> str:
    """A complaint with everything but its closing."""
    complaints, officer = home.store.complaints, home.actors["officer"]
    complaint = added(home, **more)
    complaints.answer(officer, complaint, "we are sorry", Channel.PHONE)
    complaints.set_remedy(officer, complaint, "mended", home.clock.wall() + timedelta(days=1))
    complaints.remedied(officer, complaint)
    return complaint


def test_a_remedy_has_a_deadline_and_its_breach_is_recorded(home: TestHome) -> None:
    complaints, operator = home.store.complaints, home.actors["operator"]
    complaint = added(home)
    for due in (START, START + timedelta(days=30, seconds=1)):
        with pytest.raises(BadInput, match="by: is after now"):
            complaints.set_remedy(operator, complaint, "x", due)
    complaints.answer(operator, complaint, "sorry", Channel.PHONE)
    complaints.set_remedy(operator, complaint, "x", START + timedelta(hours=2))
    at(home, 2)
    assert complaints.sweep() == Swept(remedies=1)
    assert complaints.complaint(complaint).overdue
    complaints.remedied(operator, complaint)
    assert complaints.sweep() == Swept()
    (breach,) = entries(home, "complaint.breach")
    assert breach["body"]["what"] == "remedy"


def test_words_and_number_are_sealed_and_never_in_the_ledger(home: TestHome) -> None:
    complaint = finished(home)
    with home.engine.connect() as connection:
        rows = [bytes(r.body) for r in connection.execute(text("SELECT body FROM ledger_outbox"))]
        (row,) = connection.execute(text("SELECT * FROM complaints")).all()
    for held in (*rows, *(v for v in row if isinstance(v, bytes | memoryview))):
        assert b"Wang" not in bytes(held)
        assert b"13900000001" not in bytes(held)
    assert home.store.complaints.complaint(complaint).number == NUMBER.masked
    reads = len(entries(home, "pii.read"))
    assert home.store.complaints.words(home.actors["auditor"], complaint).text == WORDS
    assert len(entries(home, "pii.read")) == reads + 1


def test_who_asks_not_to_be_called_is_on_the_list_at_once(home: TestHome) -> None:
    campaign = home.campaign([NUMBER.e164])
    added(home, refuse_until=UNTIL)
    claim = home.claim(campaign)
    home.refusal(claim)
    assert [refusal.how for refusal in claim.request.refusals] == ["complaint"]


def test_a_complaint_about_a_call_knows_its_number_and_holds_it(home: TestHome) -> None:
    complaints = home.store.complaints
    attempt = call(home)
    with pytest.raises(BadInput, match="another number"):
        added(home, attempt=attempt, number=Number("+8613900000002"))
    with pytest.raises(BadInput, match="no such call"):
        added(home, attempt="0" * 32)
    with pytest.raises(BadInput, match="name the number or the call"):
        added(home, number=None)
    complaint = finished(home, attempt=attempt)
    assert complaints.complaint(complaint).number == NUMBER.masked
    (hold,) = home.store.holds.holds()
    assert (hold.attempt, str(hold.reason)) == (attempt, "complaint")
    (case,) = home.store.cases.cases(kind=CaseKind.COMPLAINT)
    assert case.subject == complaint
    complaints.close(home.actors["officer"], complaint, training_case="lunch-calls")
    assert home.store.holds.holds() == []


def test_erasing_waits_for_the_complaint_and_then_takes_its_words(home: TestHome) -> None:
    complaints, officer = home.store.complaints, home.actors["officer"]
    home.contacts([NUMBER.e164])
    complaint = finished(home)
    home.store.cases.note(officer, complaints.complaint(complaint).case, "Wang Fang again")

    def erase() -> Any:
        return home.store.subjects.erase(officer, NUMBER, keep_until=lambda over: over)

    with pytest.raises(TooEarlyToDestroy):
        erase()
    complaints.close(officer, complaint, training_case="lunch-calls")
    held = home.store.subjects.show(officer, NUMBER, SubjectReason.REQUEST)
    assert [c.text for c in held.complaints] == [WORDS]
    assert erase().what["complaints"] == 1
    assert home.store.subjects.show(officer, NUMBER, SubjectReason.REQUEST).complaints == ()
    wiped = complaints.complaint(complaint)
    assert (wiped.number, wiped.wiped_at) == ("", home.clock.wall())
    assert complaints.words(officer, complaint).text == ""
    assert home.store.cases.notes(officer, wiped.case)[0].text == ""


def test_words_go_a_recordings_term_after_the_closing(home: TestHome) -> None:
    complaints, officer = home.store.complaints, home.actors["officer"]
    complaint = finished(home)
    complaints.close(officer, complaint, training_case="lunch-calls")
    objects = FolderObjects(home.path / "objects")
    ends = Terms().recording_until(home.clock.wall())
    for left, wiped in ((1, 0), (0, 1), (-1, 0)):
        home.clock.advance((ends - home.clock.wall()).total_seconds() - left)
        assert home.store.retention.run(Terms(), objects, actor=officer).complaints == wiped
    assert complaints.words(officer, complaint).text == ""
    (record,) = home.store.retention.records(officer)
    assert dict(record.what) == {"complaints": 1}


def test_only_staff_takes_complaints_in(home: TestHome) -> None:
    with pytest.raises(NotAllowed):
        added(home, by="author")
    with pytest.raises(BadInput, match="text: is empty"):
        added(home, text=" ")
    assert home.store.complaints.complaints() == []
    assert home.store.holds.holds() == []


def test_a_second_officer_is_told_too(home: TestHome) -> None:
    home.store.people.add_person(
        home.actors["admin"], "second", PASSWORD, [Role.COMPLIANCE, Role.AUDITOR]
    )
    added(home)
    at(home, 20)
    assert home.store.complaints.sweep() == Swept(escalated=1, alarmed=1)
    (alarm,) = entries(home, "complaint.alarm")
    assert len(alarm["body"]["officers"]) == 2
