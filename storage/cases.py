# SPDX-License-Identifier: GPL-3.0-or-later
"""Cases: what somebody must look into and close, whoever or whatever found it (C4b, G2, P2).

A case is named by its kind and by whom or what it is about. Opening it again while it is
open changes nothing, so that a check may run as often as it likes.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from compliance.errors import BadInput
from compliance.facts import Actor, Evolve, Role
from storage import ledger
from storage.case_tables import CaseNote, CaseRow
from storage.context import SYSTEM, Context, new_id
from storage.dialects import insert_or_ignore

SHORTEST_PREFIX = 6
LONGEST_TEXT = 4000  # of a note, in characters
_SUBJECT = re.compile(r"[A-Za-z0-9_.:-]{1,100}")
_CODE = re.compile(r"[a-z0-9_.]{1,64}")


class CaseKind(enum.StrEnum):
    """What a case is about; its subject is an id of that kind of thing."""

    COMPLAINT = "complaint"  # a complaint's id; closes with it
    POST_CALL_CHECK = "post_call_check"  # the call's id: its check after the call failed
    BLOCKED_NUMBER = "blocked_number"  # the line's id: its number seems blocked (C4b)
    AUDIT_FINDING = "audit_finding"  # month:item:question of a monthly audit (G2)
    OTHER = "other"


TERMS = {
    CaseKind.COMPLAINT: timedelta(hours=24),
    CaseKind.POST_CALL_CHECK: timedelta(days=3),
    CaseKind.BLOCKED_NUMBER: timedelta(days=2),
    CaseKind.AUDIT_FINDING: timedelta(days=30),
    CaseKind.OTHER: timedelta(days=7),
}
"""How long a case may stay open unless who opens it says otherwise."""

_OFFICERS_ONLY = (CaseKind.POST_CALL_CHECK, CaseKind.AUDIT_FINDING)


@dataclass(frozen=True, slots=True)
class Case(Evolve):
    """One case; ``findings`` are codes, ``notes`` how many there are."""

    id: str
    kind: CaseKind
    subject: str
    findings: tuple[str, ...]
    opened_by: str  # actor id, or "system"
    opened_at: datetime
    due: datetime
    notes: int
    closed_by: str
    closed_at: datetime | None

    def overdue(self, now: datetime) -> bool:
        return self.closed_at is None and now >= self.due


@dataclass(frozen=True, slots=True)
class Note(Evolve):
    """What somebody wrote about a case. May name people."""

    at: datetime
    by: str
    text: str


class Cases:
    """Listing, noting and closing cases."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def open(self, actor: Actor, subject: str, *, due: datetime | None = None) -> str:
        """A person opens a case of kind *other*; its id.

        Raises:
            NotAllowed: neither operator, compliance officer nor auditor.
            BadInput: an unusable subject, or due before now.
        """
        context = self._context
        context.require(actor, "case.open", Role.OPERATOR, Role.COMPLIANCE, Role.AUDITOR)
        now = context.clock.wall()
        with context.write() as session:
            return open_case(
                context, session, CaseKind.OTHER, subject, by=actor.id, now=now, due=due, again=True
            )

    def cases(self, *, closed: bool = False, kind: CaseKind | None = None) -> list[Case]:
        """Open cases, the first due first; with ``closed`` all there ever were."""
        query = select(CaseRow).order_by(CaseRow.due, CaseRow.id)
        if not closed:
            query = query.where(CaseRow.closed_at.is_(None))
        if kind is not None:
            query = query.where(CaseRow.kind == str(kind))
        with self._context.read() as session:
            counts: dict[str, int] = {}
            for case in session.scalars(select(CaseNote.case)):
                counts[case] = counts.get(case, 0) + 1
            return [_case(row, counts.get(row.id, 0)) for row in session.scalars(query)]

    def case(self, case: str) -> Case:
        """Raises BadInput: no such case."""
        with self._context.read() as session:
            row = session.get(CaseRow, case)
            if row is None:
                raise BadInput("there is no such case", field="case", remedy="candor case list")
            notes = session.scalars(select(CaseNote.id).where(CaseNote.case == case)).all()
            return _case(row, len(notes))

    def notes(self, actor: Actor, case: str) -> list[Note]:
        """The notes of a case, oldest first; a raw read, in the ledger before it returns (D10).

        Raises:
            NotAllowed: neither operator, compliance officer nor auditor.
            BadInput: no such case.
        """
        context = self._context
        context.require(actor, "pii.read", Role.OPERATOR, Role.COMPLIANCE, Role.AUDITOR)
        with context.write() as session:
            if session.get(CaseRow, case) is None:
                raise BadInput("there is no such case", field="case", remedy="candor case list")
            now = context.clock.wall()
            context.log(session, "pii.read", actor.id, now, what="case", case=case)
            rows = session.scalars(
                select(CaseNote).where(CaseNote.case == case).order_by(CaseNote.at, CaseNote.id)
            )
            return [Note(row.at, row.by, self._opened(row)) for row in rows]

    def note(self, actor: Actor, case: str, text: str) -> None:
        """Add a note; sealed, with a commitment in the ledger.

        Raises:
            NotAllowed: neither operator, compliance officer nor auditor.
            BadInput: no such case, closed, or no text.
        """
        context = self._context
        context.require(actor, "case.note", Role.OPERATOR, Role.COMPLIANCE, Role.AUDITOR)
        with context.write() as session:
            row = self._of(session, case)
            self._note(session, actor, row, "case.note", text)

    def close(self, actor: Actor, case: str, text: str) -> None:
        """The case is done; the note says what was found and what was done.

        Raises:
            NotAllowed: not a compliance officer; operators close blocked and other cases.
            BadInput: no such case, closed, no text, or the case of a complaint.
        """
        context = self._context
        context.require(actor, "case.close", Role.COMPLIANCE, Role.OPERATOR)
        kind = self.case(case).kind
        if kind is CaseKind.COMPLAINT:
            raise BadInput(
                "the case of a complaint closes with the complaint",
                field="case",
                remedy="candor complaint close",
            )
        if kind in _OFFICERS_ONLY:
            context.require(actor, "case.close", Role.COMPLIANCE)
        with context.write() as session:
            row = self._of(session, case)
            row.closed_at, row.closed_by = context.clock.wall(), actor.id
            self._note(session, actor, row, "case.close", text)

    def case_of_prefix(self, start: str) -> str:
        """The id of the one case whose id begins so.

        Raises:
            BadInput: fewer than 6 digits, none, or several.
        """
        with self._context.read() as session:
            query = select(CaseRow.id).where(CaseRow.id.startswith(start, autoescape=True))
            found = session.scalars(query.limit(2)).all() if start else []
        return one_of(found, start, "case")

    def _opened(self, row: CaseNote) -> str:
        """The words of a note; empty once they went with the complaint they were about."""
        sealed = row.text_sealed
        return self._context.unseal(sealed, "case_notes", "text", row.id) if sealed else ""

    def _of(self, session: Session, case: str) -> CaseRow:
        row = session.get(CaseRow, case, with_for_update=True)
        if row is None:
            raise BadInput("there is no such case", field="case", remedy="candor case list")
        if row.closed_at is not None:
            raise BadInput("this case is closed already", field="case")
        return row

    def _note(self, session: Session, actor: Actor, row: CaseRow, kind: str, text: str) -> None:
        context, now, note = self._context, self._context.clock.wall(), new_id()
        text = written(text, "note")
        commitment, key = ledger.commit_to(text.encode())
        session.execute(
            insert(CaseNote).values(
                id=note,
                case=row.id,
                at=now,
                by=actor.id,
                text_sealed=context.seal(text, "case_notes", "text", note),
                text_key=context.hide(key, "case_notes", "text_key", note),
            )
        )
        context.log(session, kind, actor.id, now, case=row.id, note=note, text=commitment)


def open_case(
    context: Context,
    session: Session,
    kind: CaseKind,
    subject: str,
    *,
    now: datetime,
    by: str = SYSTEM,
    due: datetime | None = None,
    findings: Sequence[str] = (),
    again: bool = False,
) -> str:
    """Open a case in the caller's transaction, with its ledger entry ``case.open``; its id.

    Idempotent by kind and subject: while one is open its id comes back and nothing changes.
    Once it is closed the same, unless ``again``: then a new one is opened.

    Args:
        subject: an id (of a call, complaint, line …) as 1 to 100 of ``A-Za-z0-9_.:-``; never
            a telephone number of a callee.
        due: when it is overdue; else :data:`TERMS` from ``now``.
        findings: codes of what was found, such as ``disclosure_late``.

    Raises:
        BadInput: an unusable subject or finding, or due not after ``now``.
    """
    if not _SUBJECT.fullmatch(subject):
        raise BadInput("a case is about something with an id", field="subject")
    for code in findings:
        if not _CODE.fullmatch(code):
            raise BadInput("a finding is a code of small letters", field="findings")
    due = due or now + TERMS[kind]
    if due <= now:
        raise BadInput("a case is due after it is opened", field="due")
    found = _existing(session, kind, subject, again=again)
    if found is not None:
        return found
    case = new_id()
    insert_or_ignore(
        session,
        CaseRow,
        id=case,
        kind=str(kind),
        subject=subject,
        findings=list(findings),
        opened_by=by,
        opened_at=now,
        due=due,
    )
    found = _existing(session, kind, subject, again=True)
    assert found is not None  # ours, or that of somebody who was faster
    if found == case:
        context.log(
            session,
            "case.open",
            by,
            now,
            case=case,
            about=str(kind),
            subject=subject,
            findings=list(findings),
            due=due.isoformat(),
        )
    return found


def close_case(context: Context, session: Session, case: str, *, by: str, now: datetime) -> None:
    """Close a case in the transaction that ends what it is about; closed already: nothing."""
    row = session.get(CaseRow, case, with_for_update=True)
    if row is not None and row.closed_at is None:
        row.closed_at, row.closed_by = now, by
        context.log(session, "case.close", by, now, case=case)


def written(text: str, field: str) -> str:
    """What a person wrote, without the space around it.

    Raises:
        BadInput: nothing, or longer than :data:`LONGEST_TEXT` characters.
    """
    text = text.strip()
    if not text:
        raise BadInput("is empty", field=field, remedy="say it in a few words")
    if len(text) > LONGEST_TEXT:
        raise BadInput(f"is longer than {LONGEST_TEXT} characters", field=field)
    return text


def one_of(found: Sequence[str], start: str, what: str) -> str:
    """The one id found by its beginning.

    Raises:
        BadInput: fewer than 6 digits, none, or several.
    """
    if len(start) < SHORTEST_PREFIX:
        raise BadInput("give at least its first 6 digits", field=what)
    if len(found) != 1:
        raise BadInput(
            f"there is no such {what}" if not found else "several begin so: give more of the id",
            field=what,
            remedy=f"candor {what} list",
        )
    return found[0]


def _existing(session: Session, kind: CaseKind, subject: str, *, again: bool) -> str | None:
    query = (
        select(CaseRow.id)
        .where(CaseRow.kind == str(kind), CaseRow.subject == subject)
        .order_by(CaseRow.closed_at.is_not(None), CaseRow.opened_at.desc())
    )
    if again:
        query = query.where(CaseRow.closed_at.is_(None))
    return session.scalar(query.limit(1))


def _case(row: CaseRow, notes: int) -> Case:
    return Case(
        id=row.id,
        kind=CaseKind(row.kind),
        subject=row.subject,
        findings=tuple(row.findings),
        opened_by=row.opened_by,
        opened_at=row.opened_at,
        due=row.due,
        notes=notes,
        closed_by=row.closed_by or "",
        closed_at=row.closed_at,
    )
