# SPDX-License-Identifier: GPL-3.0-or-later
"""Monthly audits: drawn, answered, signed; what was found opens a case each (G2)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Any

from sqlalchemy import Select, delete, insert, select, union
from sqlalchemy.orm import Session

from compliance.audits import (
    Answer,
    Checklist,
    Stratum,
    draw,
    launched_by_signer,
    month_of,
    seed_of,
)
from compliance.calendar import zone
from compliance.duties import DutyKind, Period, period_of
from compliance.errors import BadInput, NotAllowed
from compliance.facts import Actor, Number, Role
from storage import ledger
from storage.audit_rows import Audit, DrawnContact, audit_of, digest, digest_of
from storage.case_tables import AuditAnswer, AuditItem, AuditNote, AuditRow
from storage.cases import CaseKind, open_case, written
from storage.complaint_tables import ComplaintRow
from storage.context import Context, new_id, parse_roles
from storage.ledger_tables import LedgerCheckpoint
from storage.models import (
    AttemptRow,
    Batch,
    CampaignRow,
    ConsentRow,
    ContactRow,
    Person,
    RecordingTrack,
    Target,
)
from storage.requests import consent_of

_MAY = (Role.COMPLIANCE, Role.AUDITOR)


class Audits:
    """Drawing, answering, signing and reading audits."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def draw(self, actor: Actor, month: str, checklist: Checklist, timezone: str) -> Audit:
        """Draw the sample of a month that is over. Once: nobody draws until they like it.

        Raises:
            NotAllowed: neither compliance officer nor auditor.
            BadInput: no month, not over, drawn already, or no checkpoint since its end.
        """
        context = self._context
        context.require(actor, "audit.draw", *_MAY)
        period, now = _period(month, timezone), context.clock.wall()
        if period.ended > now:
            raise BadInput("is not over yet", field="month", remedy="draw it from the 1st on")
        with context.write() as session:
            if session.get(AuditRow, month) is not None:
                raise BadInput("was drawn already", field="month", remedy="candor audit show")
            head = session.execute(
                select(LedgerCheckpoint.size, LedgerCheckpoint.root)
                .where(LedgerCheckpoint.at >= period.ended)
                .order_by(LedgerCheckpoint.size)
                .limit(1)
            ).one_or_none()
            if head is None:
                raise BadInput(
                    "the ledger has no checkpoint since its end",
                    field="month",
                    remedy="candor ledger checkpoint",
                )
            root = bytes(head.root).hex()
            seed = seed_of(month, head.size, root)
            drawn = {
                stratum: draw(seed, stratum, _ids(session, query))
                for stratum, query in _populations(period)
            }
            session.execute(
                insert(AuditRow).values(
                    month=month,
                    drawn_by=actor.id,
                    drawn_at=now,
                    size=head.size,
                    root=root,
                    seed=seed,
                    checklist=checklist.digest,
                    population={str(s): d.population for s, d in drawn.items()},
                )
            )
            session.flush()
            sampled = [(Stratum.MONTH, month)]
            sampled += [(s, name) for s, d in drawn.items() for name in d.sample]
            session.execute(
                insert(AuditItem),
                [
                    {"month": month, "position": n, "stratum": str(s), "subject": name}
                    for n, (s, name) in enumerate(sampled)
                ],
            )
            context.log(
                session,
                "audit.draw",
                actor.id,
                now,
                month=month,
                size=head.size,
                root=root,
                seed=seed,
                checklist=checklist.digest,
                population=[[str(s), d.population, d.digest] for s, d in drawn.items()],
                sample=digest([[str(s), name] for s, name in sampled]),
            )
        return self.audit(month)

    def audit(self, month: str) -> Audit:
        """Raises BadInput: no month, or it was not drawn."""
        month_of(month)
        with self._context.read() as session:
            return audit_of(session, month)

    def audits(self) -> list[Audit]:
        """Every audit, oldest month first."""
        with self._context.read() as session:
            months = session.scalars(select(AuditRow.month).order_by(AuditRow.month)).all()
            return [audit_of(session, month) for month in months]

    def answer(
        self,
        actor: Actor,
        month: str,
        position: int,
        question: str,
        answer: Answer,
        note: str,
        checklist: Checklist,
    ) -> None:
        """Answer one question about one item; until the audit is signed the newest counts.

        Raises:
            NotAllowed: neither compliance officer nor auditor.
            BadInput: not drawn, signed already, no such item, a question that is not asked of
                it, another edition of the checklist, or *no* without a note.
        """
        context = self._context
        context.require(actor, "audit.answer", *_MAY)
        if answer is Answer.NO or note.strip():
            note = written(note, "note")
        with context.write() as session:
            row, now = _open_row(session, month), context.clock.wall()
            _same(row, checklist)
            item = session.get(AuditItem, (month, position))
            if item is None:
                raise BadInput("there is no such item", field="item", remedy="candor audit show")
            asked = [q.id for q in checklist.about(Stratum(item.stratum))]
            if question not in asked:
                raise BadInput(
                    "is not asked of this item", field="question", remedy=f"one of {asked}"
                )
            old = session.get(AuditAnswer, (month, position, question))
            if old is not None:
                session.execute(delete(AuditNote).where(AuditNote.id == old.id))
                session.delete(old)
                session.flush()
            made, commitment, kept = new_id(), "", ""
            if note:
                commitment, key = ledger.commit_to(note.encode())
                kept = context.hide(key, "audit_answers", "note_key", made)
                sealed = context.seal(note, "audit_notes", "text", made)
                session.execute(insert(AuditNote).values(id=made, text_sealed=sealed))
            session.execute(
                insert(AuditAnswer).values(
                    month=month,
                    position=position,
                    question=question,
                    id=made,
                    answer=str(answer),
                    note_key=kept,
                    by=actor.id,
                    at=now,
                )
            )
            context.log(
                session,
                "audit.answer",
                actor.id,
                now,
                month=month,
                item=position,
                question=question,
                answer=str(answer),
                id=made,
                note=commitment,
            )

    def sign(self, actor: Actor, month: str, checklist: Checklist) -> Audit:
        """Sign the audit; each *no* opens a case.

        Raises:
            NotAllowed: not a compliance officer, or who launched a campaign that was sampled
                while another officer could sign.
            BadInput: not drawn, signed already, another edition, or a question is open.
        """
        context = self._context
        context.require(actor, "audit.sign", Role.COMPLIANCE)
        with context.write() as session:
            row, now = _open_row(session, month), context.clock.wall()
            _same(row, checklist)
            if launched_by_signer(actor.id, _launchers(session, month), _officers(session)):
                raise NotAllowed(
                    "you launched a campaign of this sample",
                    remedy="another compliance officer signs",
                )
            audit = audit_of(session, month)
            still = audit.open(checklist)
            if still:
                raise BadInput(
                    f"{len(still)} questions are open",
                    field="audit",
                    remedy=f"candor audit walk --month {month}",
                )
            found = audit.found()
            row.digest = digest_of(audit)
            row.result = "findings" if found else "passed"
            row.signed_by, row.signed_at = actor.id, now
            cases = [
                open_case(
                    context,
                    session,
                    CaseKind.AUDIT_FINDING,
                    f"{month}:{item.position}:{question}",
                    now=now,
                    by=actor.id,
                    findings=[question],
                )
                for item, question in found
            ]
            context.log(
                session,
                "audit.sign",
                actor.id,
                now,
                month=month,
                digest=row.digest,
                result=row.result,
                cases=cases,
            )
        return self.audit(month)

    def notes(self, actor: Actor, month: str) -> dict[str, str]:
        """The words to the answers, by their ids; a raw read, in the ledger before it returns.

        Raises:
            NotAllowed: neither compliance officer nor auditor.
            BadInput: not drawn.
        """
        context = self._context
        context.require(actor, "pii.read", *_MAY)
        month_of(month)
        with context.write() as session:
            now = context.clock.wall()
            audit_of(session, month)
            context.log(session, "pii.read", actor.id, now, what="audit", month=month)
            rows = session.execute(
                select(AuditNote.id, AuditNote.text_sealed)
                .join(AuditAnswer, AuditAnswer.id == AuditNote.id)
                .where(AuditAnswer.month == month)
            ).all()
            return {
                name: context.unseal(sealed, "audit_notes", "text", name) for name, sealed in rows
            }

    def contact(self, actor: Actor, month: str, position: int) -> DrawnContact:
        """A contact that was drawn, with the consents of its number; a raw read, in the ledger
        before it returns (D10).

        Raises:
            NotAllowed: neither compliance officer nor auditor.
            BadInput: not drawn, no contact, or its data is gone meanwhile.
        """
        context = self._context
        context.require(actor, "pii.read", *_MAY)
        month_of(month)
        with context.write() as session:
            item = session.get(AuditItem, (month, position))
            if item is None or item.stratum != str(Stratum.CONTACT):
                raise BadInput("is no contact of this audit", field="item")
            row = session.get(ContactRow, item.subject)
            if row is None:
                raise BadInput(
                    "this contact was destroyed since the draw",
                    field="item",
                    remedy="candor destructions; answer na",
                )
            now = context.clock.wall()
            context.log(
                session, "pii.read", actor.id, now, what="audit", month=month, contact=row.id
            )
            batch = session.get_one(Batch, row.batch)
            consents = session.scalars(
                select(ConsentRow)
                .where(ConsentRow.contact == row.id)
                .order_by(ConsentRow.given_at, ConsentRow.id)
            )
            called = session.scalars(
                select(AttemptRow.at)
                .where(AttemptRow.number_index == row.number_index)
                .order_by(AttemptRow.at)
            )
            number = Number(context.unseal(row.number_sealed, "contacts", "number", row.id))
            return DrawnContact(
                number.masked,
                batch.name,
                batch.source,
                batch.imported_at,
                tuple(consent_of(context, consent) for consent in consents),
                tuple(called),
            )


def _period(month: str, timezone: str) -> Period:
    place = zone(timezone)
    if place is None:
        raise BadInput("is not an IANA time zone", field="retention.timezone")
    return period_of(DutyKind.AUDIT, date.fromisoformat(f"{month_of(month)}-01"), place)


def _populations(period: Period) -> list[tuple[Stratum, Select[Any]]]:
    """What each stratum is drawn from, sorted by id."""
    begins, ends = period.begun, period.ended
    imported = (
        select(ContactRow.id)
        .join(Batch, Batch.id == ContactRow.batch)
        .where(Batch.imported_at >= begins, Batch.imported_at < ends)
    )
    called = (
        select(ContactRow.id)
        .join(AttemptRow, AttemptRow.contact == ContactRow.id)
        .where(AttemptRow.at >= begins, AttemptRow.at < ends)
    )
    contacts = union(imported, called).subquery()
    kept = select(RecordingTrack.attempt).where(~RecordingTrack.destroyed)
    recorded = select(AttemptRow.id).where(
        AttemptRow.answered_at >= begins, AttemptRow.answered_at < ends, AttemptRow.id.in_(kept)
    )
    complained = select(ComplaintRow.id).where(
        ComplaintRow.received_at >= begins, ComplaintRow.received_at < ends
    )
    return [
        (Stratum.CONTACT, select(contacts.c.id).order_by(contacts.c.id)),
        (Stratum.RECORDING, recorded.order_by(AttemptRow.id)),
        (Stratum.COMPLAINT, complained.order_by(ComplaintRow.id)),
    ]


def _ids(session: Session, query: Select[Any]) -> Iterator[str]:
    """Ids one after the other: a month may have a million contacts."""
    yield from session.scalars(query.execution_options(yield_per=10_000))


def _open_row(session: Session, month: str) -> AuditRow:
    row = session.get(AuditRow, month_of(month), with_for_update=True)
    if row is None:
        raise BadInput("was not drawn", field="month", remedy=f"candor audit draw --month {month}")
    if row.signed_at is not None:
        raise BadInput("is signed already", field="month")
    return row


def _same(row: AuditRow, checklist: Checklist) -> None:
    if row.checklist != checklist.digest:
        raise BadInput(
            "was drawn with another checklist",
            field="month",
            remedy="finish it with the version of Candor that drew it",
        )


def _officers(session: Session) -> list[str]:
    rows = session.execute(select(Person.id, Person.roles).where(Person.disabled_at.is_(None)))
    return [row.id for row in rows if Role.COMPLIANCE in parse_roles(row.roles)]


def _launchers(session: Session, month: str) -> list[str]:
    """Who launched the campaigns of the calls and contacts that were drawn."""

    def drawn(stratum: Stratum) -> Select[Any]:
        return select(AuditItem.subject).where(
            AuditItem.month == month, AuditItem.stratum == str(stratum)
        )

    campaigns = union(
        select(AttemptRow.campaign).where(AttemptRow.id.in_(drawn(Stratum.RECORDING))),
        select(Target.campaign).where(Target.contact.in_(drawn(Stratum.CONTACT))),
    ).subquery()
    query = select(CampaignRow.launched_by).where(CampaignRow.id.in_(select(campaigns.c.campaign)))
    return [by for by in session.scalars(query) if by]
