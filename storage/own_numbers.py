# SPDX-License-Identifier: GPL-3.0-or-later
"""Our own numbers in use: how often each was shown, and whose turn it is to rest (C4b).

Calls are counted over all lines, campaigns and machines, in any 24 hours: no calendar day of
any time zone can then hold more than the cap. A call counts from the transaction that
authorises it; who authorises one more from the same number waits for that transaction.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta

from sqlalchemy import func, select, true, update
from sqlalchemy.orm import Session

from compliance.facts import LineFacts
from compliance.own_numbers import CALLS_NEEDED, DAY, NumberCall, OwnNumber
from storage.campaigns import TargetState
from storage.dialects import Guarded, insert_or_ignore, lock
from storage.models import AttemptRow, CampaignLine, LineRow, Target
from storage.number_tables import OwnNumberRow
from storage.numbers import own_number


def shown_by(line: LineFacts) -> str:
    """Our number a line shows, in one spelling; a line that shows none counts by itself."""
    return own_number(line.caller_id) or f"line:{line.id}"[:64]


def with_own_numbers(
    session: Session, lines: Sequence[LineFacts], now: datetime
) -> tuple[LineFacts, ...]:
    """The lines, each with what is known of the number it shows."""
    known = use_of(session, {shown_by(line) for line in lines}, now)
    return tuple(line.evolve(own_number=known[shown_by(line)]) for line in lines)


def use_of(session: Session, numbers: Collection[str], now: datetime) -> Mapping[str, OwnNumber]:
    """What the gate must know of each of ``numbers``. Calls dated later than now count too: a
    clock was wrong, and that must not make room."""
    counted = {
        row.own_number: (row.calls, row.oldest)
        for row in session.execute(
            select(
                AttemptRow.own_number,
                func.count().label("calls"),
                func.min(AttemptRow.at).label("oldest"),
            )
            .where(AttemptRow.own_number.in_(numbers), AttemptRow.at > now - DAY)
            .group_by(AttemptRow.own_number)
        )
    }
    rows = {
        row.number: row
        for row in session.scalars(
            select(OwnNumberRow)
            .where(OwnNumberRow.number.in_(numbers))
            .execution_options(populate_existing=True)
        )
    }
    found = {}
    for number in numbers:
        calls, oldest = counted.get(number, (0, None))
        row = rows.get(number)
        found[number] = OwnNumber(
            number=number,
            calls=calls,
            oldest=oldest,
            day_cap=row.day_cap if row is not None else None,
            rest_until=row.rest_until if row is not None else None,
        )
    return found


def free_at(own: OwnNumber, asked: int | None, now: datetime) -> datetime | None:
    """When a number may be shown again; None: now."""
    if own.rest_until is not None and own.rest_until > now:
        return own.rest_until
    cap = own.cap(asked)
    if cap is None or own.used(now) < cap:
        return None
    return own.room_at() or now + DAY


def take(
    session: Session, lines: Sequence[LineFacts], asked: int | None, now: datetime
) -> LineFacts | datetime:
    """The first of ``lines`` whose number has room, to be shown by this transaction's call;
    else when to try again.

    Only one number is locked, so two who want the same two cannot wait for each other. Whoever
    finds the number full once it has waited tries again at once, with what is then known.
    """
    known = use_of(session, {shown_by(line) for line in lines}, now)
    waits = []
    for line in lines:
        number = shown_by(line)
        wait = free_at(known[number], asked, now)
        if wait is not None:
            waits.append(wait)
            continue
        hold(session, number)
        wait = free_at(use_of(session, (number,), now)[number], asked, now)
        return line if wait is None else now
    return min(waits, default=now)


def hold(session: Session, number: str) -> None:
    """Nobody else counts or changes this number until the transaction ends. Before the ledger."""
    lock(session, Guarded.OWN_NUMBER, hashlib.sha256(number.encode()).digest())


def row_of(session: Session, number: str) -> OwnNumberRow:
    """The number's row, made if there is none. The caller holds the number."""
    insert_or_ignore(session, OwnNumberRow, number=number, rest_reason="", on_trial=False, rests=0)
    return session.scalars(
        select(OwnNumberRow)
        .where(OwnNumberRow.number == number)
        .execution_options(populate_existing=True)
    ).one()


def last_calls(
    session: Session, number: str, limit: int = CALLS_NEEDED, since: datetime | None = None
) -> list[NumberCall]:
    """How the last calls that showed the number ended, newest first; those after ``since``."""
    columns = (
        AttemptRow.at,
        AttemptRow.outcome,
        AttemptRow.sip_status,
        AttemptRow.announcement,
        AttemptRow.invited_at,
        AttemptRow.ringing_at,
        AttemptRow.answered_at,
        AttemptRow.ended_at,
    )
    return [
        NumberCall(
            at=row.at,
            outcome=row.outcome or "",
            sip_status=row.sip_status,
            announcement=row.announcement,
            rang=row.ringing_at is not None,
            answered=row.answered_at is not None,
            waited_ms=(
                round((row.ended_at - row.invited_at) / timedelta(milliseconds=1))
                if row.ended_at and row.invited_at and row.answered_at is None
                else None
            ),
        )
        for row in session.execute(
            select(*columns)
            .where(
                AttemptRow.own_number == number,
                AttemptRow.outcome.is_not(None),
                AttemptRow.at > since if since is not None else true(),
            )
            .order_by(AttemptRow.at.desc())
            .limit(limit)
        )
    ]


def due_again(session: Session, number: str, now: datetime) -> None:
    """Contacts that were put off are looked at anew: the number may be shown again.

    Those put off for another reason are put off again by the gate.
    """
    lines = [
        row.id
        for row in session.execute(select(LineRow.id, LineRow.caller_id))
        if (own_number(row.caller_id) or f"line:{row.id}"[:64]) == number
    ]
    campaigns = select(CampaignLine.campaign).where(CampaignLine.line.in_(lines))
    session.execute(
        update(Target)
        .where(
            Target.campaign.in_(campaigns),
            Target.state == TargetState.DUE,
            Target.not_before > now,
        )
        .values(not_before=now)
    )
