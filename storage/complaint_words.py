# SPDX-License-Identifier: GPL-3.0-or-later
"""What people wrote in and about complaints: opened for who may read it, and its going.

Words and number of a complaint are personal data. They go with an erasure of the person, or
when the term of a recording has passed since the complaint was closed; dates, kind and who
acted stay. The ledger's commitments lead nowhere then, since their keys go too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from compliance.facts import Evolve
from storage import destructions
from storage.case_tables import CaseNote
from storage.complaint_tables import ComplaintRow
from storage.context import Context, new_id
from storage.destructions import Method, Record, Why
from storage.terms import Terms


@dataclass(frozen=True, slots=True)
class Words(Evolve):
    """The words of one complaint, opened. Personal data: for its team and auditors."""

    text: str
    answer: str
    remedy: str
    waiver: str


@dataclass(frozen=True, slots=True)
class HeldComplaint(Evolve):
    """A complaint as its person is told of it (PIPL art. 45)."""

    id: str
    kind: str
    received_at: datetime
    answered_at: datetime | None
    closed_at: datetime | None
    text: str
    answer: str


def words_of(context: Context, row: ComplaintRow) -> Words:
    """Open a complaint's words; what is not there or went is empty."""

    def opened(sealed: bytes, column: str) -> str:
        return context.unseal(sealed, "complaints", column, row.id) if sealed else ""

    return Words(
        opened(row.text_sealed, "text"),
        opened(row.answer_sealed, "answer"),
        opened(row.remedy_sealed, "remedy"),
        opened(row.waiver_sealed, "waiver"),
    )


def complaints_of(
    context: Context, session: Session, number_index: bytes
) -> tuple[HeldComplaint, ...]:
    """Everything somebody complained about, oldest first; for an answer to that person."""
    rows = session.scalars(
        select(ComplaintRow)
        .where(ComplaintRow.number_index == number_index, ComplaintRow.wiped_at.is_(None))
        .order_by(ComplaintRow.received_at, ComplaintRow.id)
    )
    found = []
    for row in rows:
        words = words_of(context, row)
        found.append(
            HeldComplaint(
                row.id,
                row.kind,
                row.received_at,
                row.answered_at,
                row.closed_at,
                words.text,
                words.answer,
            )
        )
    return tuple(found)


def wipe_number(session: Session, number_index: bytes, now: datetime) -> int:
    """Take words and number out of every complaint of a number; how many. For an erasure,
    which nothing open gets to: a hold is on it."""
    rows = session.scalars(
        select(ComplaintRow).where(
            ComplaintRow.number_index == number_index, ComplaintRow.closed_at.is_not(None)
        )
    ).all()
    return _wipe(session, rows, now)


def wipe_over(context: Context, session: Session, terms: Terms, by: str, now: datetime) -> int:
    """Take words and number out of complaints whose term is over, with a record (D14).

    The term is that of a recording, counted from the closing: whoever disputes the handling
    finds both or neither.
    """
    rows = session.scalars(
        select(ComplaintRow).where(
            ComplaintRow.closed_at.is_not(None), ComplaintRow.wiped_at.is_(None)
        )
    ).all()
    over = [row for row in rows if row.closed_at and terms.recording_until(row.closed_at) <= now]
    count = _wipe(session, over, now)
    if count:
        record = Record(new_id(), now, by, Method.DELETE_ROWS, Why.TERM_OVER, {"complaints": count})
        destructions.write(context, session, [record])
    return count


def _wipe(session: Session, rows: Sequence[ComplaintRow], now: datetime) -> int:
    for row in rows:
        row.number_index = None
        row.number_sealed = row.text_sealed = row.answer_sealed = b""
        row.remedy_sealed = row.waiver_sealed = b""
        row.text_key = row.answer_key = row.remedy_key = row.waiver_key = ""
        row.wiped_at = now
        session.execute(
            update(CaseNote).where(CaseNote.case == row.case).values(text_sealed=b"", text_key="")
        )
    session.flush()
    return len(rows)
