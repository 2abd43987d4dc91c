# SPDX-License-Identifier: GPL-3.0-or-later
"""Decisions of the gate with all they were made from, to be made again (T2)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import func, select

from compliance.facts import Actor, Decision, Evolve, Role
from storage import call_keys, decisions
from storage.context import Context
from storage.models import AttemptRow, GateRefusal
from storage.rulebooks import Rulebooks

_AT_ONCE = 200


@dataclass(frozen=True, slots=True)
class Recorded(Evolve):
    """One decision that let a call through."""

    attempt: str
    decision: Decision
    request: bytes = field(repr=False)  # as hashed then, personal; empty: destroyed in its time
    rulebook: bytes = field(repr=False)  # canonical JSON; empty: never kept


class Rechecks:
    """Reading decisions back."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def recorded(self, actor: Actor, since: datetime) -> Iterator[Recorded]:
        """Every decision from ``since`` on that let a call through, oldest first.

        Personal data is opened for it; the reading is in the ledger beforehand.

        Raises:
            NotAllowed: neither compliance officer nor auditor.
        """
        context = self._context
        context.require(actor, "gate.recheck", Role.COMPLIANCE, Role.AUDITOR)
        now = context.clock.wall()
        with context.write() as session:
            context.log(session, "gate.recheck", actor.id, now, since=since.isoformat())
        texts: dict[str, bytes] = {}
        after = (since, "")
        while True:
            with context.read() as session:
                rows = session.scalars(
                    select(AttemptRow)
                    .where(
                        (AttemptRow.at > after[0])
                        | ((AttemptRow.at == after[0]) & (AttemptRow.id > after[1]))
                    )
                    .order_by(AttemptRow.at, AttemptRow.id)
                    .limit(_AT_ONCE)
                ).all()
                found = [
                    (
                        row.id,
                        decisions.from_json(row.decision),
                        b""
                        if row.request_sealed is None
                        else call_keys.unseal(
                            context, session, row.id, "request", row.request_sealed
                        ).encode(),
                    )
                    for row in rows
                ]
            for attempt, decision, request in found:
                law = decision.rulebook
                if law not in texts:
                    texts[law] = Rulebooks(context).text(law) or b""
                yield Recorded(attempt, decision, request, texts[law])
            if not rows:
                return
            after = (rows[-1].at, rows[-1].id)

    def refused(self, since: datetime) -> int:
        """How many claims the gate refused: what those rested on is known by hash only, since
        whom we may not call we keep no more of than we must."""
        with self._context.read() as session:
            counted = select(func.count()).select_from(GateRefusal).where(GateRefusal.at >= since)
            return session.scalar(counted) or 0
