# SPDX-License-Identifier: GPL-3.0-or-later
"""Complaints, from the receipt to the closing (P1-P3, P6, P7).

What people wrote is sealed; the ledger has commitments to it and every step with its time.
While a complaint is open a legal hold keeps what it is about. The clock's steps (escalation,
alarm, breach) are written down once each, by whoever looks first: a command, the scheduler,
or the late answer itself.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta

from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from compliance.complaints import (
    REMEDY_WITHIN_MAX,
    Channel,
    ComplaintKind,
    answer_due,
    closing_faults,
    team_for,
)
from compliance.errors import BadInput
from compliance.facts import Actor, Number, Role
from storage import ledger
from storage.cases import CaseKind, close_case, one_of, open_case, written
from storage.complaint_clock import Swept, sweep, tick
from storage.complaint_rows import Complaint, complaint_of, handlers, progress_of
from storage.complaint_tables import ComplaintRow
from storage.complaint_words import Words, words_of
from storage.context import Context, new_id, parse_roles
from storage.holds import HoldReason, Holds
from storage.models import AttemptRow, ContactRow, Person
from storage.refusals import Refusals, number_of

_SLACK = timedelta(minutes=5)  # clocks differ; later than that a receipt lies in the future
_OLDEST = timedelta(days=366)
_TRAINING = re.compile(r"[a-z0-9][a-z0-9-]{2,63}")
_MISSING = {
    "not_answered": ("it was not answered", "candor complaint answer"),
    "no_remedy": ("no remedy was set", "candor complaint remedy"),
    "remedy_open": ("its remedy is not done", "candor complaint remedy --done"),
    "no_training": (
        "it is no training case yet",
        "--training NAME, or --no-training with a reason (compliance officers)",
    ),
}


class Complaints:
    """Taking complaints in, and bringing them to their end."""

    def __init__(self, context: Context, refusals: Refusals, holds: Holds) -> None:
        self._context = context
        self._refusals = refusals
        self._holds = holds

    # ------------------------------------------------------------ taking in

    def add(
        self,
        actor: Actor,
        *,
        kind: ComplaintKind,
        channel: Channel,
        text: str,
        received_at: datetime,
        number: Number | None = None,
        attempt: str = "",
        refuse_until: datetime | None = None,
    ) -> str:
        """Take a complaint in; its id. The clock runs from ``received_at``.

        Args:
            number: of who complains; needed unless ``attempt`` leads to it.
            attempt: id of the call it is about.
            refuse_until: the person asks not to be called: on the refusal list until then.

        Raises:
            NotAllowed: neither operator nor compliance officer.
            BadInput: no such call, the number is not that of the call, neither is given, no
                words, or received in the future.
        """
        context = self._context
        context.require(actor, "complaint.add", Role.OPERATOR, Role.COMPLIANCE)
        now, text = context.clock.wall(), written(text, "text")
        received_at, given = min(received_at, now), received_at
        if given > now + _SLACK or given < now - _OLDEST:
            raise BadInput(
                "a complaint was received in the past year, not later than now", field="received"
            )
        if number is None and not attempt:
            raise BadInput("name the number or the call", field="complaint add")
        complaint = new_id()
        with context.write() as session:
            index = None if number is None else context.number_index(number)
            if attempt:
                called = session.get(AttemptRow, attempt)
                if called is None:
                    raise BadInput("there is no such call", field="call")
                if index is not None and bytes(called.number_index) != index:
                    raise BadInput("this call was to another number", field="call")
                index = bytes(called.number_index)
                if number is None and session.get(ContactRow, called.contact) is not None:
                    number = number_of(context, session, called.contact)
            if refuse_until is not None and number is None:
                raise BadInput(
                    "the contact of this call is gone",
                    field="number",
                    remedy="name the number too, so that it can go on the refusal list",
                )
            case = open_case(
                context,
                session,
                CaseKind.COMPLAINT,
                complaint,
                by=actor.id,
                now=now,
                due=max(answer_due(received_at), now + timedelta(minutes=1)),
                findings=[str(kind)],
            )
            assert index is not None
            hold = self._holds.keep(
                session, actor.id, HoldReason.COMPLAINT, attempt=attempt, number_index=index
            )
            commitment, key = ledger.commit_to(text.encode())
            team = team_for(kind)
            session.execute(
                insert(ComplaintRow).values(
                    id=complaint,
                    kind=str(kind),
                    channel=str(channel),
                    attempt=attempt or None,
                    number_index=index,
                    number_sealed=self._seal(number.e164, "number", complaint) if number else b"",
                    text_sealed=self._seal(text, "text", complaint),
                    text_key=context.hide(key, "complaints", "text_key", complaint),
                    received_at=received_at,
                    entered_at=now,
                    entered_by=actor.id,
                    team=str(team),
                    case=case,
                    hold=hold,
                    do_not_call=refuse_until is not None,
                    answer_sealed=b"",
                    remedy_sealed=b"",
                    waiver_sealed=b"",
                )
            )
            context.log(
                session,
                "complaint.add",
                actor.id,
                now,
                complaint=complaint,
                about=str(kind),
                channel=str(channel),
                attempt=attempt,
                received=received_at.isoformat(),
                team=str(team),
                case=case,
                hold=hold,
                do_not_call=refuse_until is not None,
                text=commitment,
            )
            if refuse_until is not None:
                assert number is not None
                self._refusals.refuse_in(
                    session, actor.id, number, how="complaint", at=now, until=refuse_until
                )
            tick(self._context, session, self._row(session, complaint), now)
        return complaint

    def sweep(self) -> Swept:
        """Write down what the clock did meanwhile, once each; for the scheduler and commands."""
        return sweep(self._context)

    # ------------------------------------------------------------ looking

    def complaints(self, *, closed: bool = False) -> list[Complaint]:
        """Open complaints, the first due first; with ``closed`` all there ever were."""
        query = select(ComplaintRow).order_by(ComplaintRow.received_at, ComplaintRow.id)
        if not closed:
            query = query.where(ComplaintRow.closed_at.is_(None))
        now = self._context.clock.wall()
        with self._context.read() as session:
            return [complaint_of(self._context, row, now) for row in session.scalars(query)]

    def complaint(self, complaint: str) -> Complaint:
        """Raises BadInput: no such complaint."""
        with self._context.read() as session:
            row = session.get(ComplaintRow, complaint)
            if row is None:
                raise BadInput("there is no such complaint", field="complaint")
            return complaint_of(self._context, row, self._context.clock.wall())

    def words(self, actor: Actor, complaint: str) -> Words:
        """What was written; a raw read, in the ledger before it returns (D10).

        Raises:
            NotAllowed: not in the team that handles it, and no auditor.
            BadInput: no such complaint.
        """
        context = self._context
        self._require(actor, "pii.read", complaint, Role.AUDITOR)
        with context.write() as session:
            row = self._row(session, complaint)
            now = context.clock.wall()
            context.log(session, "pii.read", actor.id, now, what="complaint", complaint=complaint)
            return words_of(context, row)

    def complaint_of_prefix(self, start: str) -> str:
        """The id of the one complaint whose id begins so.

        Raises:
            BadInput: fewer than 6 digits, none, or several.
        """
        query = select(ComplaintRow.id).where(ComplaintRow.id.startswith(start, autoescape=True))
        with self._context.read() as session:
            return one_of(session.scalars(query.limit(2)).all(), start, "complaint")

    # ------------------------------------------------------------ acting

    def assign(self, actor: Actor, complaint: str, person: str) -> None:
        """Somebody of the team takes it on.

        Raises:
            NotAllowed: not in the team that handles it.
            BadInput: no such complaint or person, closed, or the person is not in the team.
        """
        context = self._context
        self._require(actor, "complaint.assign", complaint)
        with context.write() as session:
            row = self._open_row(session, complaint)
            found = session.get(Person, person)
            if found is None or found.disabled_at is not None:
                raise BadInput("nobody of this name works here", field="to")
            roles = handlers(ComplaintKind(row.kind))
            if not parse_roles(found.roles).intersection(roles):
                raise BadInput(
                    f"this complaint is for: {', '.join(roles)} (P3)",
                    field="to",
                    remedy="assign it to somebody with this role",
                )
            now = context.clock.wall()
            tick(self._context, session, row, now)
            row.assigned_to = person
            self._log(session, "complaint.assign", actor.id, row, now, person=person)

    def answer(self, actor: Actor, complaint: str, text: str, channel: Channel) -> None:
        """The person was told: what, and how (P6); when is now. An answer that is written
        down late counts as late.

        Raises:
            NotAllowed: not in the team that handles it.
            BadInput: no such complaint, closed, answered already, or no words.
        """
        context = self._context
        self._require(actor, "complaint.answer", complaint)
        with context.write() as session:
            row, now = self._open_row(session, complaint), context.clock.wall()
            if row.answered_at is not None:
                raise BadInput("this complaint was answered already", field="complaint")
            tick(self._context, session, row, now)
            text, (commitment, key) = self._words(text, "text")
            row.answered_at, row.answered_by = now, actor.id
            row.answer_channel = str(channel)
            row.answer_sealed = self._seal(text, "answer", complaint)
            row.answer_key = context.hide(key, "complaints", "answer_key", complaint)
            self._log(
                session,
                "complaint.answer",
                actor.id,
                row,
                now,
                channel=str(channel),
                text=commitment,
            )

    def set_remedy(self, actor: Actor, complaint: str, text: str, due: datetime) -> None:
        """What will be mended until when (P6); once set, only its being done changes it.

        Raises:
            NotAllowed: not in the team that handles it.
            BadInput: no such complaint, closed, set already, no words, or a deadline in the
                past or more than 30 days away.
        """
        context = self._context
        self._require(actor, "complaint.remedy", complaint)
        with context.write() as session:
            row, now = self._open_row(session, complaint), context.clock.wall()
            if row.remedy_due is not None:
                raise BadInput("a remedy was set already", field="complaint")
            if not now < due <= now + REMEDY_WITHIN_MAX:
                raise BadInput(f"is after now and within {REMEDY_WITHIN_MAX.days} days", field="by")
            tick(self._context, session, row, now)
            text, (commitment, key) = self._words(text, "text")
            row.remedy_due = due
            row.remedy_sealed = self._seal(text, "remedy", complaint)
            row.remedy_key = context.hide(key, "complaints", "remedy_key", complaint)
            self._log(
                session,
                "complaint.remedy",
                actor.id,
                row,
                now,
                due=due.isoformat(),
                text=commitment,
            )

    def remedied(self, actor: Actor, complaint: str) -> None:
        """The remedy is done.

        Raises:
            NotAllowed: not in the team that handles it.
            BadInput: no such complaint, closed, no remedy set, or done already.
        """
        context = self._context
        self._require(actor, "complaint.remedy", complaint)
        with context.write() as session:
            row, now = self._open_row(session, complaint), context.clock.wall()
            if row.remedy_due is None or row.remedied_at is not None:
                raise BadInput("there is no open remedy", field="complaint")
            tick(self._context, session, row, now)
            row.remedied_at, row.remedied_by = now, actor.id
            self._log(session, "complaint.remedied", actor.id, row, now)

    def close(
        self, actor: Actor, complaint: str, *, training_case: str = "", waiver: str = ""
    ) -> None:
        """The complaint is done; its case and its hold end with it.

        ``training_case`` names the training case it became; ``waiver`` says why it teaches
        nothing, which a compliance officer must accept by closing it.

        Raises:
            NotAllowed: not in the team that handles it; ``waiver`` and no compliance officer.
            BadInput: no such complaint, closed, or something is missing (P6, P7).
        """
        context = self._context
        self._require(actor, "complaint.close", complaint)
        if waiver and not training_case:
            context.require(actor, "complaint.waive", Role.COMPLIANCE)
        with context.write() as session:
            row, now = self._open_row(session, complaint), context.clock.wall()
            tick(self._context, session, row, now)
            commitment = ""
            if training_case:
                row.training_case = _name(training_case)
            elif waiver:
                waiver, (commitment, key) = self._words(waiver, "no-training")
                row.waiver_sealed = self._seal(waiver, "waiver", complaint)
                row.waiver_key = context.hide(key, "complaints", "waiver_key", complaint)
                row.waived_by = actor.id
            faults = closing_faults(progress_of(row))
            if faults:
                detail, remedy = _MISSING[faults[0]]
                raise BadInput(f"cannot close: {detail}", field="complaint", remedy=remedy)
            row.closed_at, row.closed_by = now, actor.id
            self._log(
                session,
                "complaint.close",
                actor.id,
                row,
                now,
                training_case=row.training_case,
                waiver=commitment,
            )
            close_case(context, session, row.case, by=actor.id, now=now)
            if row.hold is not None:
                self._holds.let_go(session, actor.id, row.hold)

    # ------------------------------------------------------------ inside

    def _require(self, actor: Actor, kind: str, complaint: str, *more: Role) -> None:
        """First of all whether this person has any business here, then with this one."""
        context = self._context
        context.require(actor, kind, Role.OPERATOR, Role.COMPLIANCE, *more)
        context.require(actor, kind, *handlers(self.complaint(complaint).kind), *more)

    def _row(self, session: Session, complaint: str) -> ComplaintRow:
        row = session.get(ComplaintRow, complaint, with_for_update=True, populate_existing=True)
        if row is None:
            raise BadInput("there is no such complaint", field="complaint")
        return row

    def _open_row(self, session: Session, complaint: str) -> ComplaintRow:
        row = self._row(session, complaint)
        if row.closed_at is not None:
            raise BadInput("this complaint is closed", field="complaint")
        return row

    def _seal(self, text: str, column: str, complaint: str) -> bytes:
        return self._context.seal(text, "complaints", column, complaint)

    def _words(self, text: str, field: str) -> tuple[str, tuple[str, str]]:
        text = written(text, field)
        return text, ledger.commit_to(text.encode())

    def _log(
        self,
        session: Session,
        kind: str,
        by: str,
        row: ComplaintRow,
        now: datetime,
        **body: object,
    ) -> None:
        self._context.log(session, kind, by, now, complaint=row.id, **body)


def _name(written_name: str) -> str:
    name = written_name.strip().lower()
    if not _TRAINING.fullmatch(name):
        raise BadInput(
            "a training case has a name of small letters, digits and dashes", field="training"
        )
    return name
