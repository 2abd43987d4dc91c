# SPDX-License-Identifier: GPL-3.0-or-later
"""Legal holds: what is held is not destroyed, whatever its term says.

Placing a hold and destroying something take turns (:func:`take_turn`): whoever comes first
is done before the other looks. What was begun to be destroyed cannot be held any more.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, and_, insert, or_, select
from sqlalchemy.orm import Session

from compliance.errors import BadInput
from compliance.facts import Actor, Evolve, Number, Role
from storage.context import Context, new_id
from storage.dialects import Guarded, lock
from storage.models import AttemptRow, ContactRow, RecordingTrack, RefusalRow
from storage.retention_tables import CallKey, Hold, Shredding


class HoldReason(enum.StrEnum):
    """Why something is held. A closed list: the ledger keeps it for good."""

    DISPUTE = "dispute"  # the person or the company disputes a call
    LAWSUIT = "lawsuit"
    AUTHORITY = "authority"  # a regulator or court asks
    AUDIT = "audit"
    COMPLAINT = "complaint"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class HoldRow(Evolve):
    """One hold. ``attempt`` is empty when it is on everything of one number."""

    id: str
    attempt: str
    reason: HoldReason
    by: str  # actor id
    at: datetime
    lifted_at: datetime | None


class Holds:
    """Placing and lifting holds."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def hold_call(self, actor: Actor, attempt: str, reason: HoldReason) -> str:
        """Keep one call's recording, words and proof, and its contact; returns the hold's id.

        Raises:
            NotAllowed: not a compliance officer.
            BadInput: no such call, or nothing of it is left to hold.
        """
        context = self._context
        context.require(actor, "hold.add", Role.COMPLIANCE)
        with context.write() as session:
            take_turn(session)
            if session.get(AttemptRow, attempt) is None:
                raise BadInput("there is no such call", field="call")
            if not _anything_left(session, attempt):
                raise BadInput(
                    "nothing of this call is left to hold: it was destroyed, or never recorded",
                    field="call",
                    remedy="its destruction record is in the ledger",
                )
            return self._add(session, actor, reason, attempt=attempt)

    def hold_number(self, actor: Actor, number: Number, reason: HoldReason) -> str:
        """Keep everything of one number: contact, consents, refusals, calls.

        Raises:
            NotAllowed: not a compliance officer.
        """
        context = self._context
        context.require(actor, "hold.add", Role.COMPLIANCE)
        with context.write() as session:
            take_turn(session)
            return self._add(session, actor, reason, number=number)

    def _add(
        self,
        session: Session,
        actor: Actor,
        reason: HoldReason,
        *,
        attempt: str | None = None,
        number: Number | None = None,
    ) -> str:
        context = self._context
        hold, now = new_id(), context.clock.wall()
        session.execute(
            insert(Hold).values(
                id=hold,
                attempt=attempt,
                number_index=number and context.number_index(number),
                refusal_index=number and context.refusal_index(number),
                reason=str(HoldReason(reason)),
                by=actor.id,
                at=now,
            )
        )
        context.log(
            session,
            "hold.add",
            actor.id,
            now,
            hold=hold,
            attempt=attempt or "",
            whole_number=number is not None,
            reason=str(reason),
        )
        return hold

    def keep(
        self, session: Session, by: str, reason: HoldReason, *, attempt: str, number_index: bytes
    ) -> str:
        """A hold in the caller's transaction, for what opens it (a complaint): on the call, or
        on everything of the number if no call is named or nothing of it is left."""
        context = self._context
        take_turn(session)
        call = attempt if attempt and _anything_left(session, attempt) else None
        hold, now = new_id(), context.clock.wall()
        session.execute(
            insert(Hold).values(
                id=hold,
                attempt=call,
                number_index=None if call else number_index,
                reason=str(reason),
                by=by,
                at=now,
            )
        )
        context.log(
            session,
            "hold.add",
            by,
            now,
            hold=hold,
            attempt=call or "",
            whole_number=call is None,
            reason=str(reason),
        )
        return hold

    def let_go(self, session: Session, by: str, hold: str) -> None:
        """End a hold with what opened it, in that transaction; lifted already: nothing."""
        take_turn(session)
        row = session.get(Hold, hold, with_for_update=True)
        if row is not None and row.lifted_at is None:
            now = self._context.clock.wall()
            row.lifted_at, row.lifted_by = now, by
            self._context.log(session, "hold.lift", by, now, hold=hold)

    def lift(self, actor: Actor, hold: str) -> None:
        """The hold ends; terms that are over meanwhile take effect with the next run.

        Raises:
            NotAllowed: not a compliance officer.
            BadInput: no such hold, or lifted already.
        """
        context = self._context
        context.require(actor, "hold.lift", Role.COMPLIANCE)
        now = context.clock.wall()
        with context.write() as session:
            take_turn(session)
            row = session.get(Hold, hold, with_for_update=True)
            if row is None:
                raise BadInput("there is no such hold", field="hold", remedy="candor hold list")
            if row.lifted_at is not None:
                raise BadInput("this hold is lifted already", field="hold")
            row.lifted_at, row.lifted_by = now, actor.id
            context.log(session, "hold.lift", actor.id, now, hold=hold)

    def holds(self, *, lifted: bool = False) -> list[HoldRow]:
        """Holds in force, oldest first; with ``lifted`` all that ever were."""
        query = select(Hold).order_by(Hold.at, Hold.id)
        if not lifted:
            query = query.where(Hold.lifted_at.is_(None))
        with self._context.read() as session:
            return [
                HoldRow(
                    row.id, row.attempt or "", HoldReason(row.reason), row.by, row.at, row.lifted_at
                )
                for row in session.scalars(query)
            ]

    def hold_of_prefix(self, start: str) -> str:
        """The id of the one hold whose id begins so.

        Raises:
            BadInput: fewer than 6 digits, none, or several.
        """
        if len(start) < 6:
            raise BadInput("give at least its first 6 digits", field="hold")
        with self._context.read() as session:
            found = session.scalars(
                select(Hold.id).where(Hold.id.startswith(start, autoescape=True)).limit(2)
            ).all()
        if len(found) != 1:
            raise BadInput(
                "there is no such hold" if not found else "several holds begin so",
                field="hold",
                remedy="candor hold list",
            )
        return found[0]


def take_turn(session: Session) -> None:
    """Wait for whoever places a hold or destroys just now; ours until the transaction ends."""
    lock(session, Guarded.KEEPING)


def call_held() -> ColumnElement[bool]:
    """Whether a hold covers the ``AttemptRow`` of the enclosing query."""
    return (
        select(Hold.id)
        .where(
            Hold.lifted_at.is_(None),
            or_(
                Hold.attempt == AttemptRow.id,
                Hold.number_index == AttemptRow.number_index,
            ),
        )
        .correlate(AttemptRow)
        .exists()
    )


def contact_held() -> ColumnElement[bool]:
    """Whether a hold covers the ``ContactRow`` of the enclosing query, by number or by a call."""
    its_calls = (
        select(AttemptRow.id).where(AttemptRow.contact == ContactRow.id).correlate(ContactRow)
    )
    return (
        select(Hold.id)
        .where(
            Hold.lifted_at.is_(None),
            or_(
                Hold.number_index == ContactRow.number_index,
                and_(Hold.attempt.is_not(None), Hold.attempt.in_(its_calls)),
            ),
        )
        .correlate(ContactRow)
        .exists()
    )


def refusal_held() -> ColumnElement[bool]:
    """Whether a hold covers the ``RefusalRow`` of the enclosing query."""
    return (
        select(Hold.id)
        .where(Hold.lifted_at.is_(None), Hold.refusal_index == RefusalRow.refusal_index)
        .correlate(RefusalRow)
        .exists()
    )


def number_held(session: Session, number_index: bytes) -> bool:
    """Whether anything of this number is held: the number itself, or one of its calls."""
    its_calls = select(AttemptRow.id).where(AttemptRow.number_index == number_index)
    found = session.scalar(
        select(Hold.id)
        .where(
            Hold.lifted_at.is_(None),
            or_(
                Hold.number_index == number_index,
                and_(Hold.attempt.is_not(None), Hold.attempt.in_(its_calls)),
            ),
        )
        .limit(1)
    )
    return found is not None


def _anything_left(session: Session, attempt: str) -> bool:
    if session.get(Shredding, attempt) is not None:
        return False
    track = select(RecordingTrack.recording).where(
        RecordingTrack.attempt == attempt, ~RecordingTrack.destroyed
    )
    key = select(CallKey.attempt).where(CallKey.attempt == attempt)
    return any(session.scalar(query.limit(1)) is not None for query in (track, key))
