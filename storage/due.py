# SPDX-License-Identifier: GPL-3.0-or-later
"""Whose term is over, as queries; and the forecast of what goes when. Changes nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

from sqlalchemy import (
    ColumnElement,
    Delete,
    and_,
    case,
    delete,
    func,
    or_,
    select,
    update,
)
from sqlalchemy.orm import Session

from compliance.facts import Evolve
from storage.dialects import insert_or_ignore
from storage.holds import call_held, contact_held, refusal_held
from storage.ledger_tables import LedgerLeaf, LedgerOutbox
from storage.models import (
    AttemptRow,
    Batch,
    Callback,
    CampaignRow,
    ContactRow,
    Lease,
    RecordingTrack,
    RefusalRow,
    Target,
)
from storage.retention_tables import RefusedNumber, Shredding
from storage.terms import Terms

_SHORTEST_MONTH = timedelta(days=28)


@dataclass(frozen=True, slots=True)
class KeptCall(Evolve):
    """A call of which something is left, and its term."""

    attempt: str
    until: datetime  # the minimum; from here it goes
    gone_by: datetime
    held: bool
    recorded: bool  # sealed sound is held


@dataclass(frozen=True, slots=True)
class Forecast(Evolve):
    """What goes when. Days are UTC dates of the earliest destruction."""

    at: datetime
    recordings: Mapping[date, int] = field(default_factory=dict)
    contacts: Mapping[date, int] = field(default_factory=dict)
    refusals: Mapping[date, int] = field(default_factory=dict)
    recordings_kept: int = 0  # calls with sealed sound
    contacts_in_use: int = 0  # their campaigns go on
    contacts_unused: int = 0  # in no campaign yet: no term runs
    held_calls: int = 0
    held_contacts: int = 0
    waiting: int = 0  # keys gone, objects not yet
    overdue: int = 0  # past the day by which they should be gone


# ---------------------------------------------------------------- calls


def calls(session: Session, terms: Terms, now: datetime) -> list[KeptCall]:
    """Calls whose minimum is over and which nothing holds."""
    before = now - terms.recording_months * _SHORTEST_MONTH
    kept = _kept(session, terms, now, AttemptRow.at <= before)
    return [call for call in kept if call.until <= now and not call.held]


def over_at(session: Session, attempt: AttemptRow, now: datetime) -> datetime | None:
    """When a call's terms begin; None: it is open."""
    if attempt.outcome is None:
        return None
    place = session.scalar(select(LedgerLeaf.outbox_id).where(LedgerLeaf.leaf_hash == attempt.leaf))
    seen = _newest_between(session, 0, place or _waiting_place(session, attempt.leaf), now)
    return max(at for at in (*_ends(attempt), seen) if at is not None)


def _kept(
    session: Session, terms: Terms, now: datetime, condition: ColumnElement[bool]
) -> Iterator[KeptCall]:
    """Calls of which something is left, in the order of the ledger.

    A clock that was set back while a call was on would end its term too early. Entries
    that were in the ledger before it tell: a call did not end before they were written.
    What claims to be later than now was written by a clock that ran ahead, and tells nothing.
    """
    sound = (
        select(RecordingTrack.recording)
        .where(RecordingTrack.attempt == AttemptRow.id, ~RecordingTrack.destroyed)
        .correlate(AttemptRow)
    )
    rows = session.execute(
        select(
            AttemptRow,
            LedgerLeaf.outbox_id,
            call_held().label("held"),
            sound.exists().label("recorded"),
        )
        .outerjoin(LedgerLeaf, LedgerLeaf.leaf_hash == AttemptRow.leaf)
        .where(
            condition,
            AttemptRow.outcome.is_not(None),
            or_(
                AttemptRow.transcript_sealed.is_not(None),
                AttemptRow.request_sealed.is_not(None),
                sound.exists(),
            ),
            ~sound.where(RecordingTrack.sealed_at.is_(None)).exists(),  # recovered first
            ~select(Shredding.attempt).where(Shredding.attempt == AttemptRow.id).exists(),
        )
        .order_by(LedgerLeaf.outbox_id)
    ).all()
    read = 0
    seen: datetime | None = None
    # Those without a place in the tree were written last, whatever the database sorts first.
    for row, found, held, recorded in sorted(rows, key=lambda r: (r[1] is None, r[1] or 0)):
        place = found or _waiting_place(session, row.leaf)
        newest = _newest_between(session, read, place, now)
        seen = max((at for at in (seen, newest) if at is not None), default=None)
        read = max(read, place or 0)
        over = max(at for at in (*_ends(row), seen) if at is not None)
        until = terms.recording_until(over)
        yield KeptCall(row.id, until, terms.recording_gone_by(over), held, recorded)


def _ends(attempt: AttemptRow) -> tuple[datetime | None, ...]:
    return (attempt.at, attempt.ended_at, attempt.settled_at, attempt.finished_at)


def _waiting_place(session: Session, leaf: bytes) -> int | None:
    """Where an entry stands that the sequencer has not reached."""
    sequenced = select(func.coalesce(func.max(LedgerLeaf.outbox_id), 0)).scalar_subquery()
    return session.scalar(
        select(LedgerOutbox.id).where(LedgerOutbox.id > sequenced, LedgerOutbox.leaf_hash == leaf)
    )


def _newest_between(
    session: Session, after: int, place: int | None, now: datetime
) -> datetime | None:
    query = select(func.max(LedgerOutbox.at)).where(LedgerOutbox.id > after, LedgerOutbox.at <= now)
    return session.scalar(query if place is None else query.where(LedgerOutbox.id <= place))


# ---------------------------------------------------------------- contacts


def refused(terms: Terms, now: datetime) -> ColumnElement[bool]:
    """Contacts imported before their owner's refusal, whose term is over."""
    return (
        select(RefusedNumber.at)
        .join(Batch, Batch.id == ContactRow.batch)
        .where(
            RefusedNumber.number_index == ContactRow.number_index,
            RefusedNumber.at >= Batch.imported_at,
            RefusedNumber.at <= _contact_cutoff(terms, now),
        )
        .correlate(ContactRow)
        .exists()
    )


def cycle_over(terms: Terms, now: datetime) -> ColumnElement[bool]:
    """Contacts all of whose campaigns ended, whose term is over, and whom nobody owes a call."""
    places = (
        select(Target.campaign)
        .join(CampaignRow, CampaignRow.id == Target.campaign)
        .where(Target.contact == ContactRow.id)
        .correlate(ContactRow)
    )
    live = or_(CampaignRow.ended_at.is_(None), CampaignRow.ended_at > _contact_cutoff(terms, now))
    owed = (
        select(Callback.id)
        .join(AttemptRow, AttemptRow.id == Callback.attempt)
        .where(AttemptRow.contact == ContactRow.id, Callback.closed_at.is_(None))
        .correlate(ContactRow)
    )
    return and_(places.exists(), ~places.where(live).exists(), ~owed.exists())


def being_called() -> ColumnElement[bool]:
    """Whether somebody holds the number of the ``ContactRow`` just now."""
    return (
        select(Lease.id)
        .where(Lease.number_index == ContactRow.number_index)
        .correlate(ContactRow)
        .exists()
    )


def _contact_cutoff(terms: Terms, now: datetime) -> datetime:
    return now - timedelta(days=terms.contact_days - terms.contact_margin_days)


def note_refused(session: Session, number_index: bytes, at: datetime) -> None:
    """Contacts of this number that are here now go within their term; the first no counts."""
    insert_or_ignore(session, RefusedNumber, number_index=number_index, at=at)
    # A later no counts anew only where nothing of the first is left: see forget_refused_numbers.
    session.execute(
        update(RefusedNumber)
        .where(
            RefusedNumber.number_index == number_index,
            RefusedNumber.at < at,
            ~select(ContactRow.id)
            .join(Batch, Batch.id == ContactRow.batch)
            .where(ContactRow.number_index == number_index, Batch.imported_at <= RefusedNumber.at)
            .correlate(RefusedNumber)
            .exists(),
        )
        .values(at=at)
    )


def forget_refused_numbers() -> Delete:
    """Marks whose contacts are all gone."""
    left = (
        select(ContactRow.id)
        .join(Batch, Batch.id == ContactRow.batch)
        .where(
            ContactRow.number_index == RefusedNumber.number_index,
            Batch.imported_at <= RefusedNumber.at,
        )
        .correlate(RefusedNumber)
    )
    return delete(RefusedNumber).where(~left.exists())


# ---------------------------------------------------------------- the forecast


def held(session: Session, terms: Terms, now: datetime) -> int:
    """How much would go now but for a hold."""
    before = now - terms.recording_months * _SHORTEST_MONTH
    late = sum(
        call.held and call.until <= now
        for call in _kept(session, terms, now, and_(AttemptRow.at <= before, call_held()))
    )
    people = select(func.count()).select_from(ContactRow)
    due = or_(refused(terms, now), cycle_over(terms, now))
    late += session.scalar(people.where(contact_held(), due)) or 0
    entries = select(func.count()).select_from(RefusalRow)
    late += session.scalar(entries.where(RefusalRow.until <= now, refusal_held())) or 0
    return late


def forecast(session: Session, terms: Terms, now: datetime) -> Forecast:
    recordings: Counter[date] = Counter()
    kept = held_calls = overdue = 0
    for call in _kept(session, terms, now, AttemptRow.id.is_not(None)):
        kept += call.recorded
        if call.held:
            held_calls += 1
            continue
        recordings[max(call.until, now).date()] += 1
        overdue += call.gone_by < now
    contacts, in_use, unused, late = _contacts(session, terms, now)
    refusals: Counter[date] = Counter()
    for until in session.scalars(select(RefusalRow.until).where(~refusal_held())):
        refusals[max(until, now).date()] += 1
    people = select(func.count()).select_from(ContactRow).where(contact_held())
    return Forecast(
        at=now,
        recordings=dict(sorted(recordings.items())),
        contacts=dict(sorted(contacts.items())),
        refusals=dict(sorted(refusals.items())),
        recordings_kept=kept,
        contacts_in_use=in_use,
        contacts_unused=unused,
        held_calls=held_calls,
        held_contacts=session.scalar(people) or 0,
        waiting=session.scalar(select(func.count()).select_from(Shredding)) or 0,
        overdue=overdue + late,
    )


def _contacts(session: Session, terms: Terms, now: datetime) -> tuple[Counter[date], int, int, int]:
    """(contacts by day they go, in use, in no campaign, overdue); what is held is left out."""
    said_no = (
        select(RefusedNumber.at)
        .join(Batch, Batch.id == ContactRow.batch)
        .where(
            RefusedNumber.number_index == ContactRow.number_index,
            RefusedNumber.at >= Batch.imported_at,
        )
        .correlate(ContactRow)
        .scalar_subquery()
    )
    owed = (
        select(Callback.id)
        .join(AttemptRow, AttemptRow.id == Callback.attempt)
        .where(AttemptRow.contact == ContactRow.id, Callback.closed_at.is_(None))
        .correlate(ContactRow)
        .exists()
    )
    per_contact = (
        select(
            said_no.label("refused"),
            func.max(CampaignRow.ended_at).label("ended"),
            (func.count(Target.campaign) > 0).label("used"),
            (func.sum(case((CampaignRow.ended_at.is_(None), 1), else_=0)) > 0).label("live"),
            case((owed, 1), else_=0).label("owed"),
        )
        .select_from(ContactRow)
        .outerjoin(Target, Target.contact == ContactRow.id)
        .outerjoin(CampaignRow, CampaignRow.id == Target.campaign)
        .where(~contact_held())
        .group_by(ContactRow.id)
        .subquery()
    )
    columns = per_contact.c
    days: Counter[date] = Counter()
    in_use = unused = overdue = 0
    kinds = (columns.refused, columns.ended, columns.used, columns.live, columns.owed)
    for refused_at, ended, used, live, is_owed, count in session.execute(
        select(*kinds, func.count()).group_by(*kinds)
    ):
        cycle = None if not used or live or is_owed else ended
        starts = [at for at in (refused_at, cycle) if at is not None]
        if starts:
            days[max(terms.contact_from(min(starts)), now).date()] += count
            overdue += count * (terms.contact_gone_by(min(starts)) < now)
        elif used:
            in_use += count
        else:
            unused += count
    return days, in_use, unused, overdue
