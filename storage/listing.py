# SPDX-License-Identifier: GPL-3.0-or-later
"""Masked lists of calls and of what the gate refused (D8, T3)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session

from compliance.errors import BadInput
from compliance.facts import Blame, Decision, Evolve, Number, Outcome, mask_name
from storage import decisions
from storage.context import Context
from storage.ledger_tables import LedgerLeaf
from storage.models import AttemptRow, ContactRow, GateRefusal


@dataclass(frozen=True, slots=True)
class CallRow(Evolve):
    """One attempt as lists show it: ``contact`` and ``number`` are masked."""

    id: str
    campaign: str
    contact: str  # 王**
    number: str  # 139****5678
    contact_id: str
    at: datetime
    line: str
    outcome: Outcome | None  # None: still open
    blame: Blame | None
    sip_status: int
    sip_call_id: str
    answered_at: datetime | None
    ended_at: datetime | None
    disclosed_ms: int | None
    notice_ms: int | None
    refused: bool
    refused_ms: int | None
    farewell_ms: int | None
    transferred: bool
    callback: bool
    duration_ms: int
    recording: str
    feedback: str
    violations: tuple[str, ...]
    ledger_leaf: str  # of its last entry
    ledger_index: int | None  # follows the commit within 1 s
    invited_at: datetime | None = None
    ringing_at: datetime | None = None
    ended_by: str = ""
    sip_reason: str = ""
    transferred_ms: int | None = None
    agent: str = ""
    announcement: str = ""
    max_gap_ms: int = 0


@dataclass(frozen=True, slots=True)
class GateRefusalRow(Evolve):
    """One claim the gate refused; masked like :class:`CallRow`."""

    id: str
    campaign: str
    contact: str
    number: str
    contact_id: str
    at: datetime
    rules: tuple[str, ...]
    decision: Decision
    ledger_leaf: str
    ledger_index: int | None


class Listing:
    """Reading calls without anybody's raw data."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def calls(self, campaign: str) -> list[CallRow]:
        """Every attempt of a campaign, oldest first."""
        query = _calls().where(AttemptRow.campaign == campaign)
        with self._context.read() as session:
            return [
                self._call(session, *row)
                for row in session.execute(query.order_by(AttemptRow.at, AttemptRow.id)).all()
            ]

    def call(self, attempt_id: str) -> CallRow:
        """One attempt.

        Raises:
            BadInput: no such attempt.
        """
        with self._context.read() as session:
            row = session.execute(_calls().where(AttemptRow.id == attempt_id)).one_or_none()
            if row is None:
                raise BadInput("there is no such attempt", field="attempt")
            return self._call(session, *row)

    def decision(self, attempt_id: str) -> Decision:
        """What the gate found on an attempt, or on a claim it refused.

        Raises:
            BadInput: neither of this id.
        """
        with self._context.read() as session:
            stored = session.scalar(
                select(AttemptRow.decision).where(AttemptRow.id == attempt_id)
            ) or session.scalar(select(GateRefusal.decision).where(GateRefusal.id == attempt_id))
        if stored is None:
            raise BadInput("there is no such attempt", field="attempt")
        return decisions.from_json(stored)

    def gate_refusals(self, campaign: str) -> list[GateRefusalRow]:
        """What the gate refused in a campaign, oldest first."""
        query = (
            _refusals()
            .where(GateRefusal.campaign == campaign)
            .order_by(GateRefusal.at, GateRefusal.id)
        )
        with self._context.read() as session:
            return [self._refusal(session, *row) for row in session.execute(query).all()]

    def gate_refusal(self, attempt_id: str) -> GateRefusalRow | None:
        """The refused claim of this id; None where it was dialed."""
        query = _refusals().where(GateRefusal.id == attempt_id)
        with self._context.read() as session:
            row = session.execute(query).one_or_none()
            return None if row is None else self._refusal(session, *row)

    def _refusal(self, session: Session, row: GateRefusal, index: int | None) -> GateRefusalRow:
        decision = decisions.from_json(row.decision)
        name, number = self._masked(session, row.contact)
        return GateRefusalRow(
            id=row.id,
            campaign=row.campaign,
            contact=name,
            number=number,
            contact_id=row.contact,
            at=row.at,
            rules=tuple(sorted({f.rule for f in decision.refusing})),
            decision=decision,
            ledger_leaf=row.leaf.hex(),
            ledger_index=index,
        )

    def _call(self, session: Session, row: AttemptRow, index: int | None) -> CallRow:
        name, number = self._masked(session, row.contact)
        return CallRow(
            id=row.id,
            campaign=row.campaign,
            contact=name,
            number=number,
            contact_id=row.contact,
            at=row.at,
            line=row.line,
            outcome=Outcome(row.outcome) if row.outcome else None,
            blame=Blame(row.blame) if row.blame else None,
            sip_status=row.sip_status,
            sip_call_id=row.sip_call_id,
            answered_at=row.answered_at,
            ended_at=row.ended_at,
            disclosed_ms=row.disclosed_ms,
            notice_ms=row.notice_ms,
            refused=row.refused,
            refused_ms=row.refused_ms,
            farewell_ms=row.farewell_ms,
            transferred=row.transferred,
            callback=row.callback,
            duration_ms=row.duration_ms,
            recording=row.recording,
            feedback=row.feedback,
            violations=tuple(row.violations),
            ledger_leaf=(row.last_leaf or row.leaf).hex(),
            ledger_index=index,
            invited_at=row.invited_at,
            ringing_at=row.ringing_at,
            ended_by=row.ended_by,
            sip_reason=row.sip_reason,
            transferred_ms=row.transferred_ms,
            agent=row.agent,
            announcement=row.announcement,
            max_gap_ms=row.max_gap_ms,
        )

    def _masked(self, session: Session, contact: str) -> tuple[str, str]:
        row = session.get(ContactRow, contact)
        if row is None:  # purged: the attempt stays, the person is gone
            return "", ""
        context = self._context
        name = context.unseal(row.name_sealed, "contacts", "name", row.id)
        number = Number(context.unseal(row.number_sealed, "contacts", "number", row.id))
        return mask_name(name), number.masked


def _calls() -> Select[AttemptRow, int]:
    last = func.coalesce(AttemptRow.last_leaf, AttemptRow.leaf)
    return select(AttemptRow, LedgerLeaf.index).outerjoin(LedgerLeaf, LedgerLeaf.leaf_hash == last)


def _refusals() -> Select[GateRefusal, int]:
    return select(GateRefusal, LedgerLeaf.index).outerjoin(
        LedgerLeaf, LedgerLeaf.leaf_hash == GateRefusal.leaf
    )
