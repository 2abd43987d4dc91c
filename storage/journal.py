# SPDX-License-Identifier: GPL-3.0-or-later
"""The ledger as people read it: the entries of one call, and a checkpoint on request (T2)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import func, select

from compliance.facts import Actor, Evolve, Role
from storage.context import Context
from storage.ledger_tables import LedgerLeaf, LedgerOutbox
from storage.models import AttemptRow, GateRefusal


@dataclass(frozen=True, slots=True)
class JournalEntry(Evolve):
    """One entry of the ledger. Nothing in it is personal: entries never are."""

    index: int | None  # None: waits for the sequencer, at most a second
    kind: str
    actor: str
    at: datetime
    body: Mapping[str, Any] = field(default_factory=dict)


class Journal:
    """Reading entries, and asking for a signature."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def entries(self, attempt_id: str) -> list[JournalEntry]:
        """Every entry about one attempt or refused claim, oldest first."""
        with self._context.read() as session:
            since = session.scalar(
                select(AttemptRow.at).where(AttemptRow.id == attempt_id)
            ) or session.scalar(select(GateRefusal.at).where(GateRefusal.id == attempt_id))
            if since is None:
                return []
            rows = session.execute(
                select(LedgerOutbox.body, LedgerOutbox.at, LedgerLeaf.index)
                .outerjoin(LedgerLeaf, LedgerLeaf.outbox_id == LedgerOutbox.id)
                .where(LedgerOutbox.at >= since)
                .order_by(LedgerOutbox.id)
                .execution_options(yield_per=5_000)
            )
            # The bytes are searched before they are parsed: a ledger is long, a call's part short.
            mark = f'"attempt":"{attempt_id}"'.encode()
            return [_entry(body, at, index) for body, at, index in rows if mark in body]

    def newest(self) -> datetime | None:
        """When the newest entry was written, by the clock of its time."""
        with self._context.read() as session:
            return session.scalar(select(func.max(LedgerOutbox.at)))

    def ask_checkpoint(self, actor: Actor) -> None:
        """Write down who asks for a signed checkpoint now; the sequencer makes it.

        Raises:
            NotAllowed: an author alone has no business with it.
        """
        context = self._context
        context.require(
            actor,
            "ledger.checkpoint",
            Role.AUDITOR,
            Role.COMPLIANCE,
            Role.OPERATOR,
            Role.ADMIN,
        )
        with context.write() as session:
            context.log(session, "ledger.checkpoint", actor.id, context.clock.wall())


def _entry(body: bytes, at: datetime, index: int | None) -> JournalEntry:
    envelope = json.loads(body)
    return JournalEntry(index, envelope["kind"], envelope["actor"], at, envelope["body"])
