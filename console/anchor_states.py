# SPDX-License-Identifier: GPL-3.0-or-later
"""What each further anchor of the ledger holds just now, and what waits for a stamp; reads only."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Engine, select

from compliance.errors import StorageError
from compliance.facts import Evolve
from storage.anchors import Anchor
from storage.checkpoint import parse_note
from storage.database import READ_ONLY
from storage.ledger_tables import LedgerCheckpoint

_ON_ITS_WAY = timedelta(minutes=1)  # a running dialer takes each checkpoint there in seconds


@dataclass(frozen=True, slots=True)
class AnchorState(Evolve):
    """One anchor: its newest note ("" if none), the size of its tree, what it lacks in entries.

    ``cause`` is why it cannot be read, with ``remedy``; empty if it can.
    """

    name: str
    note: str = ""
    size: int = 0
    lacks: int = 0
    cause: str = ""
    remedy: str = ""


def states(engine: Engine, anchors: Iterable[Anchor], now: datetime) -> list[AnchorState]:
    """What these anchors hold, beside what the database says that they should."""
    with engine.connect().execution_options(**READ_ONLY) as connection:
        due = connection.scalar(
            select(LedgerCheckpoint.size)
            .where(LedgerCheckpoint.at <= now - _ON_ITS_WAY)
            .order_by(LedgerCheckpoint.size.desc())
            .limit(1)
        )
    found = []
    for anchor in anchors:
        try:
            note = anchor.latest() or ""
        except StorageError as error:
            found.append(AnchorState(anchor.name, cause=error.detail, remedy=error.remedy))
            continue
        size = parse_note(note).checkpoint.size if note else 0
        found.append(AnchorState(anchor.name, note, size, max(0, (due or 0) - size)))
    return found


def first_after(engine: Engine, size: int) -> datetime | None:
    """When the first checkpoint of more than ``size`` entries was made; None: there is none."""
    with engine.connect().execution_options(**READ_ONLY) as connection:
        return connection.scalar(
            select(LedgerCheckpoint.at)
            .where(LedgerCheckpoint.size > size)
            .order_by(LedgerCheckpoint.size)
            .limit(1)
        )
