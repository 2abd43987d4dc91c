# SPDX-License-Identifier: GPL-3.0-or-later
"""What is held of one person, found by number, and its erasure (PIPL art. 45, 47; D13, D14).

Erasing takes the person out: contact, consent, places in campaigns, and everything that
could lead from an attempt back to the number without this home's keys. It leaves what the
law asks to be kept: refusals and the withdrawal as keyed hashes, attempts without the
person, and sealed recordings with their transcripts until their minimum term has ended.
"""

from __future__ import annotations

import enum
import hmac
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import CursorResult, delete, insert, select, union
from sqlalchemy.orm import Session

from compliance.errors import BadInput, StorageError, TooEarlyToDestroy
from compliance.facts import Actor, Consent, Evolve, Number, Outcome, RefusalRecord, Role
from storage import complaint_words, destructions, due, shredding
from storage.campaigns import finish_if_exhausted
from storage.complaint_tables import ComplaintRow
from storage.complaint_words import HeldComplaint, complaints_of
from storage.context import SYSTEM, Context, new_id
from storage.destructions import Why
from storage.dialects import Guarded, insert_or_ignore, lock
from storage.holds import number_held, take_turn
from storage.models import (
    AttemptRow,
    Batch,
    CampaignRow,
    ConsentRow,
    ContactRow,
    Destruction,
    GateRefusal,
    LabTester,
    Lease,
    Person,
    RecordingTrack,
    Target,
)
from storage.refusals import number_of, refusals_of, withdraw, withdrawn_at
from storage.requests import consent_of

ERASED = "delete_rows_shred_keys"  # the method, as the destruction record names it
_REQUEST = "request"


class SubjectReason(enum.StrEnum):
    """Why somebody looks at all that is held of a person."""

    REQUEST = "request"  # the person asked (PIPL art. 45)
    DISPUTE = "dispute"
    AUDIT = "audit"


@dataclass(frozen=True, slots=True)
class HeldContact(Evolve):
    """A row of an imported file, opened. Personal data: for the person and nobody else."""

    id: str
    batch: str
    source: str
    imported_at: datetime
    name: str
    interest: str
    notes: str
    timezone: str
    language: str
    campaigns: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class HeldCall(Evolve):
    """One attempt; ``over_at`` is when its terms begin to run."""

    id: str
    campaign: str
    at: datetime
    outcome: Outcome | None  # None: still open
    answered_at: datetime | None
    over_at: datetime | None
    recording: bool  # sealed sound is held
    transcript: bool


@dataclass(frozen=True, slots=True)
class HeldDestruction(Evolve):
    """What was destroyed of this person: when, by whom, how, how many rows by table (D14)."""

    id: str
    at: datetime
    by: str  # actor id
    operator: str  # their name
    method: str
    reason: str
    what: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Held(Evolve):
    """Everything held of one number, over all its spellings and batches."""

    contacts: tuple[HeldContact, ...]
    consents: tuple[Consent, ...]
    refusals: tuple[RefusalRecord, ...]
    withdrawn_at: datetime | None
    calls: tuple[HeldCall, ...]
    refused_by_gate: int
    tester_since: datetime | None  # lab homes: a confirmed URI
    destructions: tuple[HeldDestruction, ...]
    complaints: tuple[HeldComplaint, ...] = ()


@dataclass(frozen=True, slots=True)
class Erasure(Evolve):
    """What an erasure did. ``record`` is empty when nothing was left to erase."""

    record: str  # id of the destruction record
    at: datetime
    what: Mapping[str, int]
    kept: tuple[tuple[str, datetime], ...]  # (attempt, until): sealed recordings
    objects: tuple[str, ...]  # whose keys are gone; the caller deletes the files


class Subjects:
    """Answering a person who asks what is held of them."""

    def __init__(self, context: Context, settle: Callable[[datetime], object]) -> None:
        self._context = context
        self._settle = settle

    def show(self, actor: Actor, number: Number, reason: SubjectReason) -> Held:
        """All that is held of a number; a raw read, in the ledger before it is returned.

        Raises:
            NotAllowed: neither compliance officer nor auditor.
            BadInput: a reason that is none of the three.
        """
        context = self._context
        if reason not in list(SubjectReason):
            raise BadInput("say whether the person asked, or dispute or audit", field="reason")
        context.require(actor, "pii.read", Role.COMPLIANCE, Role.AUDITOR)
        index, hidden = context.number_index(number), context.refusal_index(number)
        with context.write() as session:
            contacts = self._contacts(session, index)
            context.log(
                session,
                "pii.read",
                actor.id,
                context.clock.wall(),
                what="subject",
                contacts=[contact.id for contact in contacts],
                reason=str(reason),
            )
            consents = session.scalars(
                select(ConsentRow)
                .join(ContactRow, ContactRow.id == ConsentRow.contact)
                .where(ContactRow.number_index == index)
                .order_by(ConsentRow.given_at.desc(), ConsentRow.id)
            )
            return Held(
                contacts=contacts,
                consents=tuple(consent_of(context, row) for row in consents),
                refusals=refusals_of(session, hidden),
                withdrawn_at=withdrawn_at(session, hidden),
                calls=_calls(session, index),
                refused_by_gate=_count_refused(session, contacts),
                tester_since=session.scalar(
                    select(LabTester.confirmed_at).where(LabTester.number_index == index)
                ),
                destructions=self._destructions(session, index),
                complaints=complaints_of(context, session, index),
            )

    def _contacts(self, session: Session, index: bytes) -> tuple[HeldContact, ...]:
        rows = session.execute(
            select(ContactRow, Batch)
            .join(Batch, Batch.id == ContactRow.batch)
            .where(ContactRow.number_index == index)
            .order_by(Batch.imported_at, Batch.name)
        ).all()
        found = []
        for row, batch in rows:
            campaigns = session.scalars(
                select(CampaignRow.name)
                .join(Target, Target.campaign == CampaignRow.id)
                .where(Target.contact == row.id)
                .order_by(CampaignRow.created_at, CampaignRow.id)
            )
            found.append(
                HeldContact(
                    id=row.id,
                    batch=batch.name,
                    source=batch.source,
                    imported_at=batch.imported_at,
                    name=self._context.unseal(row.name_sealed, "contacts", "name", row.id),
                    interest=self._context.unseal(
                        row.interest_sealed, "contacts", "interest", row.id
                    ),
                    notes=self._context.unseal(row.notes_sealed, "contacts", "notes", row.id),
                    timezone=row.timezone,
                    language=row.language,
                    campaigns=tuple(campaigns),
                )
            )
        return tuple(found)

    def _destructions(self, session: Session, index: bytes) -> tuple[HeldDestruction, ...]:
        rows = session.execute(
            select(Destruction, Person.name)
            .outerjoin(Person, Person.id == Destruction.by)
            .order_by(Destruction.at, Destruction.id)
        )
        return tuple(
            HeldDestruction(row.id, row.at, row.by, name or "", row.method, row.reason, row.what)
            for row, name in rows
            if self._named(row.id, row.commitment, index)
        )

    def _named(self, record: str, commitment: str, index: bytes) -> bool:
        """Whether a destruction record is about the person of this number."""
        computed = destructions.commitment(self._context.keyring, record, index)
        return hmac.compare_digest(computed, commitment)

    # ------------------------------------------------------------ erasure

    def erase(
        self, actor: Actor, number: Number, *, keep_until: Callable[[datetime], datetime]
    ) -> Erasure:
        """Remove the person, withdraw their consent, and write the destruction record.

        ``keep_until`` says until when the recording of a call that ended at some time must
        be kept (S6). One transaction; repeating it finds nothing more to erase.

        Raises:
            NotAllowed: not a compliance officer.
            StorageError: a call to this number is live; nothing was erased.
            TooEarlyToDestroy: it is under a legal hold; nothing was erased.
        """
        context = self._context
        context.require(actor, "subject.erase", Role.COMPLIANCE)
        index, hidden = context.number_index(number), context.refusal_index(number)
        return self._erase(actor.id, index, hidden, keep_until)

    def erase_again(
        self,
        record: str,
        commitment: str,
        keep_until: Callable[[datetime], datetime],
        *,
        withdrawn: str,
        at: datetime,
    ) -> bool:
        """Erase whom a record of the log of destructions names; False: nobody here.

        For a restored backup, from which the erasure of ``at`` is missing (D14). ``withdrawn``
        is the number on the list of withdrawals, hidden; it goes there even if nothing else of
        the person is here. Without it the number is looked for, as a contact or a tester.

        Raises:
            TooEarlyToDestroy: the person is under a legal hold here.
        """
        context = self._context
        hidden = destructions.reveal(context.keyring, record, withdrawn) if withdrawn else None
        if hidden is not None:
            with context.write() as session:
                withdraw(session, hidden, at)
                context.log(
                    session, "withdrawal.again", SYSTEM, context.clock.wall(), erased=record
                )
        with context.read() as session:
            tables = (ContactRow, LabTester, AttemptRow, ComplaintRow)
            known = union(*(select(t.number_index) for t in tables))
            indexes = [bytes(index) for index in session.scalars(known) if index is not None]
            index = next((i for i in indexes if self._named(record, commitment, i)), None)
            if index is None:
                return False
            if hidden is None:
                hidden = self._refusal_index(session, index)
        return bool(self._erase(SYSTEM, index, hidden, keep_until, at).record)

    def _refusal_index(self, session: Session, index: bytes) -> bytes | None:
        """Of a person of whom only the other keyed hash is known; None: the number is gone."""
        context = self._context
        contact = session.scalar(
            select(ContactRow).where(ContactRow.number_index == index).limit(1)
        )
        if contact is not None:
            return context.refusal_index(number_of(context, session, contact.id))
        tester = session.scalar(select(LabTester).where(LabTester.number_index == index))
        if tester is None:
            return None
        uri = context.unseal(tester.uri_sealed, "lab_testers", "uri", tester.id)
        return context.refusal_index(Number(uri))

    def _erase(
        self,
        by: str,
        index: bytes,
        hidden: bytes | None,
        keep_until: Callable[[datetime], datetime],
        at: datetime | None = None,
    ) -> Erasure:
        """``hidden``: the number's place on the list of withdrawals, from ``at`` or now."""
        context, now = self._context, self._context.clock.wall()
        self._settle(now)  # what a dead process left open would look like a live call
        with context.write() as session:
            take_turn(session)
            held = _hold(session, index, now)
            if number_held(session, index):
                raise TooEarlyToDestroy(
                    "this number or one of its calls is under a legal hold; nothing was erased",
                    remedy="candor hold list",
                )
            if hidden is not None:
                lock(session, Guarded.REFUSAL, hidden)  # withdrawn below
            contacts = session.scalars(
                select(ContactRow.id).where(ContactRow.number_index == index)
            ).all()
            campaigns = session.scalars(
                select(Target.campaign).where(Target.contact.in_(contacts)).distinct()
            ).all()
            what = {
                "targets": _run(session, delete(Target).where(Target.contact.in_(contacts))),
                "consents": _run(
                    session, delete(ConsentRow).where(ConsentRow.contact.in_(contacts))
                ),
                "contacts": _run(
                    session, delete(ContactRow).where(ContactRow.number_index == index)
                ),
                "lab_testers": _run(
                    session, delete(LabTester).where(LabTester.number_index == index)
                ),
                "complaints": complaint_words.wipe_number(session, index, now),
            }
            person_gone = any(what.values())
            kept, objects = self._erase_calls(session, index, keep_until, by, now, what)
            what = {table: rows for table, rows in what.items() if rows}
            withdrawn = hidden if person_gone else None
            record = self._write_down(
                session, by, index, now, what, kept, objects, contacts, withdrawn
            )
            if withdrawn is not None:
                withdraw(session, withdrawn, at or now)
            session.delete(held)
            for campaign in sorted(campaigns):
                finish_if_exhausted(context, session, campaign, now)
        return Erasure(record, now, what, kept, objects)

    def _erase_calls(
        self,
        session: Session,
        index: bytes,
        keep_until: Callable[[datetime], datetime],
        by: str,
        now: datetime,
        what: dict[str, int],
    ) -> tuple[tuple[tuple[str, datetime], ...], tuple[str, ...]]:
        """Unlink the attempts; take the keys of sound and words that no term keeps any more."""
        context = self._context
        kept: list[tuple[str, datetime]] = []
        objects: list[str] = []
        unlinked = words = sound = 0
        for attempt in session.scalars(
            select(AttemptRow)
            .where(AttemptRow.number_index == index)
            .order_by(AttemptRow.at)
            .with_for_update()  # a record that comes late waits, and is erased or comes after
        ):
            if attempt.number_key:
                attempt.number_key = ""  # the ledger's commitment leads nowhere without it
                unlinked += 1
            tracks = session.scalars(
                select(RecordingTrack).where(
                    RecordingTrack.attempt == attempt.id, ~RecordingTrack.destroyed
                )
            ).all()
            until = keep_until(due.over_at(session, attempt, now) or now)
            if tracks and until > now:
                kept.append((attempt.id, until))
                continue
            objects += [track.object for track in tracks]
            sound += len(tracks)
            words += attempt.transcript_sealed is not None
            if tracks:  # the keys go now; their record is written once the objects are gone
                shredding.begin(context, session, attempt, by=by, at=now, why=Why.REQUEST)
            else:
                shredding.forget_words(session, attempt)
        what |= {"attempts_unlinked": unlinked, "transcripts": words, "recording_tracks": sound}
        session.flush()
        return tuple(kept), tuple(objects)

    def _write_down(
        self,
        session: Session,
        by: str,
        index: bytes,
        now: datetime,
        what: Mapping[str, int],
        kept: Sequence[tuple[str, datetime]],
        objects: Sequence[str],
        contacts: Sequence[str],
        withdrawn: bytes | None,
    ) -> str:
        context, keyring = self._context, self._context.keyring
        record = new_id() if what else ""
        commitment = destructions.commitment(keyring, record, index) if record else ""
        leaf = context.log(
            session,
            "subject.erase",
            by,
            now,
            record=record,
            method=ERASED if record else "",
            reason=_REQUEST,
            what=[[table, rows] for table, rows in sorted(what.items())],
            commitment=commitment,
            kept=[[attempt, until.isoformat()] for attempt, until in kept],
            destroyed=list(objects),
            withdrawn=destructions.hide(keyring, record, withdrawn) if withdrawn else "",
        )
        if record:
            session.execute(
                insert(Destruction).values(
                    id=record,
                    at=now,
                    by=by,
                    method=ERASED,
                    reason=_REQUEST,
                    what=dict(what),
                    commitment=commitment,
                    commitment_key="",  # derived from the home's keys: see destructions
                    leaf=bytes.fromhex(leaf),
                    contacts=list(contacts),
                )
            )
        return record


def _hold(session: Session, index: bytes, now: datetime) -> Lease:
    """Take the number as a claim would, so that nobody begins a call to it meanwhile."""
    lock(session, Guarded.NUMBER, index)
    lease = new_id()
    insert_or_ignore(
        session,
        Lease,
        number_index=index,
        id=lease,
        campaign="",
        contact="",
        fencing=0,
        worker="",
        lease_s=0,
        leased_until=now,
        authorised=False,
    )
    held = session.scalar(select(Lease).where(Lease.id == lease))
    if held is None:
        raise StorageError(
            "a call to this number is live; nothing was erased",
            remedy="try again when the call is over",
        )
    return held


def _run(session: Session, statement: object) -> int:
    """How many rows a DELETE took."""
    result = session.execute(statement)  # type: ignore[call-overload]
    assert isinstance(result, CursorResult)
    return result.rowcount


def _over_at(attempt: AttemptRow) -> datetime | None:
    return attempt.ended_at or attempt.settled_at or attempt.finished_at


def _calls(session: Session, index: bytes) -> tuple[HeldCall, ...]:
    sound = (
        select(RecordingTrack.recording)
        .where(
            RecordingTrack.attempt == AttemptRow.id,
            ~RecordingTrack.destroyed,
            RecordingTrack.wrapped_key != b"",  # else its destruction is under way
        )
        .exists()
    )
    rows = session.execute(
        select(AttemptRow, CampaignRow.name, sound)
        .join(CampaignRow, CampaignRow.id == AttemptRow.campaign)
        .where(AttemptRow.number_index == index)
        .order_by(AttemptRow.at, AttemptRow.id)
    ).all()
    return tuple(
        HeldCall(
            id=row.id,
            campaign=campaign,
            at=row.at,
            outcome=Outcome(row.outcome) if row.outcome else None,
            answered_at=row.answered_at,
            over_at=_over_at(row),
            recording=recorded,
            transcript=row.transcript_sealed is not None,
        )
        for row, campaign, recorded in rows
    )


def _count_refused(session: Session, contacts: Sequence[HeldContact]) -> int:
    ids = [contact.id for contact in contacts]
    return len(session.scalars(select(GateRefusal.id).where(GateRefusal.contact.in_(ids))).all())
