# SPDX-License-Identifier: GPL-3.0-or-later
"""What agents and operators note about a call: customer feedback beside the callee's own (T1).

A note lies under the call's own key and goes with it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, insert, select
from sqlalchemy.orm import Session

from compliance.errors import BadInput
from compliance.facts import Actor, Evolve, Role
from storage import call_keys, ledger
from storage.cases import written
from storage.complaint_tables import CallNote
from storage.context import Context, new_id
from storage.holds import take_turn
from storage.models import AttemptRow
from storage.retention_tables import CallKey, Shredding


@dataclass(frozen=True, slots=True)
class NoteOfCall(Evolve):
    """One note. May name people."""

    at: datetime
    by: str  # actor id
    text: str


class CallNotes:
    """Writing notes about calls, and reading them."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def add(self, actor: Actor, attempt: str, text: str) -> None:
        """Note something about a call; sealed, with a commitment in the ledger.

        Raises:
            NotAllowed: neither operator nor compliance officer.
            BadInput: no such call, nothing of it is left, or no words.
        """
        context = self._context
        context.require(actor, "call.note", Role.OPERATOR, Role.COMPLIANCE)
        text = written(text, "note")
        commitment, key = ledger.commit_to(text.encode())
        with context.write() as session:
            take_turn(session)  # nobody destroys the call meanwhile
            _there(session, attempt)
            held = session.scalar(select(CallKey.attempt).where(CallKey.attempt == attempt))
            if held is None or session.get(Shredding, attempt) is not None:
                raise BadInput("nothing of this call is left to note something about", field="call")
            note, now = new_id(), context.clock.wall()
            session.execute(
                insert(CallNote).values(
                    id=note,
                    attempt=attempt,
                    at=now,
                    by=actor.id,
                    text_sealed=call_keys.seal(context, session, attempt, f"note:{note}", text),
                    text_key=context.hide(key, "call_notes", "text_key", note),
                )
            )
            context.log(
                session, "call.note", actor.id, now, attempt=attempt, note=note, text=commitment
            )

    def count(self, attempt: str) -> int:
        """How many notes a call has, those whose words went with it too."""
        query = select(func.count()).select_from(CallNote).where(CallNote.attempt == attempt)
        with self._context.read() as session:
            return session.scalar(query) or 0

    def notes(self, actor: Actor, attempt: str) -> list[NoteOfCall]:
        """The notes of a call, oldest first; a raw read, in the ledger before it returns (D10).
        Those that went with the call are empty.

        Raises:
            NotAllowed: neither operator, compliance officer nor auditor.
            BadInput: no such call.
        """
        context = self._context
        context.require(actor, "pii.read", Role.OPERATOR, Role.COMPLIANCE, Role.AUDITOR)
        with context.write() as session:
            _there(session, attempt)
            now = context.clock.wall()
            context.log(session, "pii.read", actor.id, now, what="call_notes", attempt=attempt)
            rows = session.scalars(
                select(CallNote)
                .where(CallNote.attempt == attempt)
                .order_by(CallNote.at, CallNote.id)
            )
            return [
                NoteOfCall(
                    row.at,
                    row.by,
                    call_keys.unseal(context, session, attempt, f"note:{row.id}", row.text_sealed)
                    if row.text_sealed
                    else "",
                )
                for row in rows
            ]


def _there(session: Session, attempt: str) -> None:
    if session.get(AttemptRow, attempt) is None:
        raise BadInput("there is no such call", field="call")
