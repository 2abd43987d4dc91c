# SPDX-License-Identifier: GPL-3.0-or-later
"""Monthly audits and periodic duties: drawn by nobody's choice, signed by the right person."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert, text
from sqlalchemy.orm import Session

from compliance.audits import Answer, Checklist, Stratum, draw, seed_of
from compliance.complaints import Channel, ComplaintKind
from compliance.duties import GRACE, DutyKind
from compliance.errors import BadInput, NotAllowed
from compliance.facts import Number, Role
from console.audit_view import load_checklist
from storage.anchors import FolderAnchor
from storage.audit_rows import Audit, digest_of
from storage.case_tables import AuditRow
from storage.cases import CaseKind
from storage.sequencer import Sequencer
from storage.store import note_upgrade
from tests.storage_home import PASSWORD, START, TestHome

PLACE = "Asia/Shanghai"
MONTH = "2026-11"
DECEMBER = datetime(2026, 12, 1, 1, tzinfo=UTC)  # 09:00 in Shanghai
PHONES = [f"1390000{n:04}" for n in range(1, 13)]


@pytest.fixture
def checklist() -> Checklist:
    return load_checklist()


def entries(home: TestHome, kind: str) -> list[dict[str, Any]]:
    with home.engine.connect() as connection:
        rows = connection.execute(
            text("SELECT body FROM ledger_outbox WHERE kind = :kind ORDER BY id"), {"kind": kind}
        )
        return [json.loads(row.body) for row in rows]


def until(home: TestHome, at: datetime) -> None:
    home.clock.advance((at - home.clock.wall()).total_seconds())


def checkpoint(home: TestHome, folder: Path) -> None:
    """As `candor ledger checkpoint` does it."""
    folder.mkdir(exist_ok=True)
    home.store.journal.ask_checkpoint(home.actors["auditor"])
    sequencer = Sequencer(home.engine, home.keyring, [FolderAnchor(folder)], "candor/test")
    sequencer.run_once(home.clock.wall())
    sequencer.checkpoint(home.clock.wall(), force=True)


def month_with_things(home: TestHome, tmp_path: Path) -> None:
    """Twelve contacts and a complaint in November, and a checkpoint in December."""
    home.contacts(PHONES)
    home.store.complaints.add(
        home.actors["operator"],
        kind=ComplaintKind.WORDING,
        channel=Channel.WEB,
        text="too fast",
        received_at=START,
        number=Number("+8613900000001"),
    )
    until(home, DECEMBER)
    checkpoint(home, tmp_path / "anchor")


def drawn(home: TestHome, checklist: Checklist, by: str = "auditor") -> Audit:
    return home.store.audits.draw(home.actors[by], MONTH, checklist, PLACE)


def answer_all(home: TestHome, checklist: Checklist, no: tuple[int, str] | None = None) -> None:
    audits, auditor = home.store.audits, home.actors["auditor"]
    for item, question in audits.audit(MONTH).open(checklist):
        is_no = (item.position, question.id) == no
        answer, note = (Answer.NO, "Wang was never asked") if is_no else (Answer.YES, "")
        audits.answer(auditor, MONTH, item.position, question.id, answer, note, checklist)


def test_the_sample_follows_from_month_checkpoint_and_population(
    home: TestHome, checklist: Checklist, tmp_path: Path
) -> None:
    month_with_things(home, tmp_path)
    audit = drawn(home, checklist)
    assert audit.population == {"contact": 12, "recording": 0, "complaint": 1}
    assert audit.seed == seed_of(MONTH, audit.size, audit.root)
    with home.engine.connect() as connection:
        ids = connection.execute(text("SELECT id FROM contacts ORDER BY id")).scalars().all()
    again = draw(audit.seed, Stratum.CONTACT, ids)
    contacts = [item.subject for item in audit.items if item.stratum is Stratum.CONTACT]
    assert contacts == list(again.sample)
    assert len(contacts) == 10  # all up to ten, then the square root, at least ten
    assert audit.items[0].subject == MONTH
    (entry,) = entries(home, "audit.draw")
    assert ["contact", 12, again.digest] in entry["body"]["population"]
    with pytest.raises(BadInput, match="drawn already"):
        drawn(home, checklist)


def test_nothing_is_drawn_before_the_month_and_its_checkpoint(
    home: TestHome, checklist: Checklist, tmp_path: Path
) -> None:
    checkpoint(home, tmp_path / "anchor")
    until(home, datetime(2026, 11, 30, 15, 59, 59, tzinfo=UTC))
    with pytest.raises(BadInput, match="not over yet"):
        drawn(home, checklist)
    until(home, DECEMBER)
    with pytest.raises(BadInput, match="no checkpoint since"):
        drawn(home, checklist)
    checkpoint(home, tmp_path / "anchor")
    with pytest.raises(NotAllowed):
        drawn(home, checklist, by="operator")
    assert drawn(home, checklist).size > 0
    for month in ("2026-13", "november", "2026-1"):
        with pytest.raises(BadInput, match="no month"):
            home.store.audits.draw(home.actors["auditor"], month, checklist, PLACE)


def test_it_is_signed_once_everything_is_answered_and_findings_open_cases(
    home: TestHome, checklist: Checklist, tmp_path: Path
) -> None:
    month_with_things(home, tmp_path)
    drawn(home, checklist)
    audits, officer = home.store.audits, home.actors["officer"]
    with pytest.raises(BadInput, match="questions are open"):
        audits.sign(officer, MONTH, checklist)
    answer_all(home, checklist, no=(1, "consent_explicit"))
    with pytest.raises(NotAllowed):
        audits.sign(home.actors["auditor"], MONTH, checklist)
    signed = audits.sign(officer, MONTH, checklist)
    assert (signed.result, signed.signed_by) == ("findings", officer.id)
    assert signed.digest == digest_of(signed)
    (case,) = home.store.cases.cases(kind=CaseKind.AUDIT_FINDING)
    assert (case.subject, case.findings) == (f"{MONTH}:1:consent_explicit", ("consent_explicit",))
    (entry,) = entries(home, "audit.sign")
    assert entry["body"]["digest"] == signed.digest
    assert entry["body"]["cases"] == [case.id]
    assert list(audits.notes(home.actors["auditor"], MONTH).values()) == ["Wang was never asked"]
    with pytest.raises(BadInput, match="signed already"):
        audits.answer(officer, MONTH, 0, "caps_kept", Answer.YES, "", checklist)
    with home.engine.connect() as connection:
        bodies = connection.execute(text("SELECT body FROM ledger_outbox")).scalars().all()
    assert not any(b"Wang" in bytes(body) for body in bodies)


def test_a_drawn_contact_is_looked_at_masked_and_that_is_written_down(
    home: TestHome, checklist: Checklist, tmp_path: Path
) -> None:
    month_with_things(home, tmp_path)
    audit = drawn(home, checklist)
    (first, *_) = [item for item in audit.items if item.stratum is Stratum.CONTACT]
    looked = home.store.audits.contact(home.actors["auditor"], MONTH, first.position)
    assert looked.number.startswith("139****")
    assert [consent.explicit for consent in looked.consents] == [True]
    assert entries(home, "pii.read")[-1]["body"]["contact"] == first.subject
    with pytest.raises(NotAllowed):
        home.store.audits.contact(home.actors["operator"], MONTH, first.position)
    for position in (0, 99):  # the month, nothing
        with pytest.raises(BadInput, match="no contact of this audit"):
            home.store.audits.contact(home.actors["auditor"], MONTH, position)
    (complaint,) = [item for item in audit.items if item.stratum is Stratum.COMPLAINT]
    with home.engine.begin() as connection:
        connection.execute(text("DELETE FROM targets"))
        connection.execute(text("DELETE FROM consents"))
        connection.execute(text("DELETE FROM contacts"))
    with pytest.raises(BadInput, match="destroyed since"):
        home.store.audits.contact(home.actors["auditor"], MONTH, first.position)
    assert complaint.position == len(audit.items) - 1


def test_an_answer_may_be_changed_and_no_needs_words(
    home: TestHome, checklist: Checklist, tmp_path: Path
) -> None:
    month_with_things(home, tmp_path)
    drawn(home, checklist)
    audits, auditor = home.store.audits, home.actors["auditor"]

    def answer(
        answer: Answer, note: str = "", position: int = 0, question: str = "caps_kept"
    ) -> None:
        audits.answer(auditor, MONTH, position, question, answer, note, checklist)

    with pytest.raises(BadInput, match="note: is empty"):
        answer(Answer.NO)
    answer(Answer.NO, "twice at noon")
    before = digest_of(audits.audit(MONTH))
    answer(Answer.YES)
    assert audits.audit(MONTH).found() == []
    assert digest_of(audits.audit(MONTH)) != before
    assert audits.notes(auditor, MONTH) == {}
    assert len(entries(home, "audit.answer")) == 2
    with pytest.raises(BadInput, match="not asked of this item"):
        answer(Answer.YES, question="consent_explicit")
    with pytest.raises(BadInput, match="no such item"):
        answer(Answer.YES, position=99)
    with pytest.raises(BadInput, match="another checklist"):
        audits.answer(
            auditor, MONTH, 0, "caps_kept", Answer.YES, "", checklist.evolve(digest="0" * 64)
        )


def test_who_launched_does_not_sign_where_another_officer_could(
    home: TestHome, checklist: Checklist, tmp_path: Path
) -> None:
    home.campaign(PHONES)
    officer = home.actors["officer"]
    with home.engine.begin() as connection:  # an officer who is an operator too launched it
        connection.execute(text("UPDATE campaigns SET launched_by = :by"), {"by": officer.id})
    until(home, DECEMBER)
    checkpoint(home, tmp_path / "anchor")
    drawn(home, checklist)
    answer_all(home, checklist)
    home.store.people.add_person(home.actors["admin"], "second", PASSWORD, [Role.COMPLIANCE])
    with pytest.raises(NotAllowed, match="you launched"):
        home.store.audits.sign(officer, MONTH, checklist)
    second = next(i for i, name in home.store.people.names().items() if name == "second")
    home.store.people.disable_person(home.actors["admin"], second)
    assert home.store.audits.sign(officer, MONTH, checklist).result == "passed"


# ---------------------------------------------------------------- duties


def owed(home: TestHome) -> list[tuple[str, str, bool]]:
    now = home.clock.wall()
    return [
        (str(d.period.kind), d.period.name, d.overdue(now))
        for d in home.store.duties.duties(PLACE)
        if d.done_at is None and d.period.ends > START.date()  # the home is older
    ]


def test_duties_are_owed_from_the_homes_first_month_and_closed_with_words(home: TestHome) -> None:
    duties, officer = home.store.duties, home.actors["officer"]
    until(home, datetime(2026, 12, 10, 16, tzinfo=UTC))  # midnight after the tenth
    assert owed(home)[:2] == [("audit", MONTH, True), ("script_review", MONTH, True)]
    duties.close(officer, DutyKind.SCRIPT_REVIEW, MONTH, "the question comes later now", PLACE)
    assert ("script_review", MONTH, True) not in owed(home)
    (entry,) = entries(home, "duty.close")
    assert entry["body"]["late"] is True
    assert "question" not in json.dumps(entry["body"]["note"])
    for kind, period, note, file, match in (
        (DutyKind.SCRIPT_REVIEW, MONTH, "again", "", "done already"),
        (DutyKind.SCRIPT_REVIEW, "2026-09", "x", "", "is not owed"),
        (DutyKind.SCRIPT_REVIEW, "2026-12", " ", "", "is empty"),
        (DutyKind.SECURITY, "2026-H2", "x", "", "needs its report"),
        (DutyKind.SECURITY, "2026-H2", "x", "abc", "no SHA-256"),
        (DutyKind.AUDIT, MONTH, "x", "", "when it is signed"),
    ):
        with pytest.raises(BadInput, match=match):
            duties.close(officer, kind, period, note, PLACE, file)
    with pytest.raises(NotAllowed):
        duties.close(home.actors["admin"], DutyKind.SCRIPT_REVIEW, "2026-12", "x", PLACE)
    duties.close(officer, DutyKind.SECURITY, "2026-H2", "by ACME", PLACE, "ab" * 32)
    assert ("security", "2026-H2", False) not in owed(home)


def test_a_signed_audit_is_a_duty_done(
    home: TestHome, checklist: Checklist, tmp_path: Path
) -> None:
    month_with_things(home, tmp_path)
    drawn(home, checklist)
    answer_all(home, checklist)
    assert ("audit", MONTH, False) in owed(home)
    home.store.audits.sign(home.actors["officer"], MONTH, checklist)
    assert ("audit", MONTH, False) not in owed(home)


def test_a_long_overdue_audit_blocks_new_campaigns_and_no_running_one(home: TestHome) -> None:
    campaigns, operator = home.store.campaigns, home.actors["operator"]
    running = home.campaign(PHONES[:1], name="running")
    draft = home.campaign(PHONES[1:2], name="draft", start=False)
    audited(home, "2026-10")
    due = datetime(2026, 12, 11, tzinfo=UTC)  # counted in UTC here
    until(home, due + GRACE - timedelta(seconds=1))
    campaigns.pause(operator, running)
    until(home, due + GRACE)
    with pytest.raises(BadInput, match="audit 2026-11"):
        campaigns.start(operator, draft)
    campaigns.start(operator, running)
    audited(home, MONTH)
    campaigns.start(operator, draft)


def audited(home: TestHome, month: str) -> None:
    """As if the audit had been signed."""
    now = home.clock.wall()
    with Session(home.engine) as session, session.begin():
        session.execute(
            insert(AuditRow).values(
                month=month, drawn_by="x", drawn_at=now, size=1, root="", seed="", checklist="",
                population={}, digest="", result="passed", signed_by="x", signed_at=now,
            )
        )  # fmt: skip


def test_an_upgraded_home_owes_nothing_for_the_time_before(home: TestHome) -> None:
    until(home, datetime(2027, 3, 15, tzinfo=UTC))
    assert ("audit", MONTH, True) in owed(home)
    with home.engine.begin() as connection:
        note_upgrade(connection, "0004", "0009", node="node1", clock=home.clock)
    assert owed(home) == [("script_review", "2027-03", False), ("security", "2027-H1", False)]
