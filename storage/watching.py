# SPDX-License-Identifier: GPL-3.0-or-later
"""Looking at a campaign from outside: what its figures are made of, with nobody's data in it.

Nothing here opens a sealed column, so it may be asked once a second.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from compliance.errors import BadInput
from compliance.facts import Blame, Evolve, Outcome
from storage.context import Context
from storage.models import AttemptRow, Callback, GateRefusal

SHORTEST_PREFIX = 6  # hex digits of a call's id
_ID = re.compile(r"[0-9a-f]{1,32}")


@dataclass(frozen=True, slots=True)
class AttemptFacts(Evolve):
    """One attempt as sums need it."""

    outcome: Outcome | None  # None: still open
    blame: Blame | None
    sent: bool  # an INVITE is known to have left
    invited_at: datetime | None = None
    ringing_at: datetime | None = None
    answered_at: datetime | None = None
    duration_ms: int = 0
    disclosed_ms: int | None = None
    refused: bool = False
    transferred: bool = False
    violations: tuple[str, ...] = field(default=())


class Watching:
    """Reads for whoever watches a run, and the way from a short id to a call."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def attempts(self, campaign: str) -> list[AttemptFacts]:
        """Every attempt of a campaign, oldest first."""
        columns = (
            AttemptRow.outcome,
            AttemptRow.blame,
            AttemptRow.sip_call_id,
            AttemptRow.invited_at,
            AttemptRow.ringing_at,
            AttemptRow.answered_at,
            AttemptRow.duration_ms,
            AttemptRow.disclosed_ms,
            AttemptRow.refused,
            AttemptRow.transferred,
            AttemptRow.violations,
        )
        query = select(*columns).where(AttemptRow.campaign == campaign)
        with self._context.read() as session:
            return [
                AttemptFacts(
                    outcome=Outcome(row.outcome) if row.outcome else None,
                    blame=Blame(row.blame) if row.blame else None,
                    sent=bool(row.sip_call_id),
                    invited_at=row.invited_at,
                    ringing_at=row.ringing_at,
                    answered_at=row.answered_at,
                    duration_ms=row.duration_ms,
                    disclosed_ms=row.disclosed_ms,
                    refused=row.refused,
                    transferred=row.transferred,
                    violations=tuple(row.violations),
                )
                for row in session.execute(query.order_by(AttemptRow.at, AttemptRow.id))
            ]

    def callbacks_open(self, campaign: str) -> int:
        """How many callees of a campaign wait to be called back by a person (S10)."""
        query = (
            select(func.count())
            .select_from(Callback)
            .join(AttemptRow, AttemptRow.id == Callback.attempt)
            .where(AttemptRow.campaign == campaign, Callback.closed_at.is_(None))
        )
        with self._context.read() as session:
            return session.scalar(query) or 0

    def find(self, prefix: str) -> str:
        """The id of the one attempt or gate refusal that begins with ``prefix``.

        Raises:
            BadInput: not 6 to 32 hex digits, none begins so, or several do.
        """
        prefix = prefix.strip().lower()
        if not _ID.fullmatch(prefix) or len(prefix) < SHORTEST_PREFIX:
            raise BadInput(
                f"a call is named by {SHORTEST_PREFIX} or more of its id's hex digits",
                field="call",
                remedy="candor calls list CAMPAIGN shows the ids",
            )
        with self._context.read() as session:
            found = _begin_with(session, prefix)
        if not found:
            raise BadInput(
                "no call has this id", field="call", remedy="candor calls list CAMPAIGN shows them"
            )
        if len(found) > 1:
            raise BadInput(
                f"several calls begin with {prefix}", field="call", remedy="give more of the id"
            )
        return found[0]


def _begin_with(session: Session, prefix: str) -> list[str]:
    found: list[str] = []
    for column in (AttemptRow.id, GateRefusal.id):
        found += session.scalars(select(column).where(column.startswith(prefix)).limit(2))
    return found
