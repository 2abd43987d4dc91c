# SPDX-License-Identifier: GPL-3.0-or-later
"""What goes when, and its going (D13, D14, S6, S12).

Recordings, and with them the words and the proof of their call, stay until their minimum is
over and then go. Contacts go after a refusal or the end of their campaigns; what a kept
recording needs of them is sealed with the call. Refusals go when their own term is over; the
withdrawal, a keyed hash, stays. Nothing goes while a hold is on it.

Every step may be killed and run again (``storage.shredding``).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Engine, and_, delete, func, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from compliance.clock import Clock
from compliance.errors import BadInput, StorageError, TooEarlyToDestroy
from compliance.facts import Actor, Evolve, Role
from storage import complaint_words, destructions, due, shredding
from storage.context import SYSTEM, Context, new_id
from storage.database import SKEW_STOPS_S, server_clock_skew
from storage.destructions import Method, Record, Why
from storage.dialects import Guarded, try_lock
from storage.holds import call_held, contact_held, refusal_held, take_turn
from storage.ledger_tables import LedgerLeaf, LedgerOutbox
from storage.models import (
    AttemptRow,
    ConsentRow,
    ContactRow,
    Destruction,
    Home,
    RefusalRow,
    Target,
)
from storage.objects import Objects
from storage.shredding import Step, no_step
from storage.staging import clear_abandoned
from storage.terms import Terms

_AT_ONCE = 200  # contacts a transaction: the dialer waits no longer than that
_BACKWARDS = timedelta(minutes=5)  # clocks of several nodes differ a little
_RUN = "retention.run"
_IDLE = timedelta(days=45)  # longer silence than any home has that runs its nightly job


@dataclass(frozen=True, slots=True)
class Done(Evolve):
    """What a run destroyed. ``held`` was due but for a hold; ``waiting`` lost its keys, and its
    objects wait for the store to come back."""

    at: datetime
    recordings: int = 0
    contacts: int = 0
    refusals: int = 0
    complaints: int = 0
    held: int = 0
    waiting: int = 0
    what: Mapping[str, int] = field(default_factory=dict)  # rows by table


@dataclass(frozen=True, slots=True)
class Destroyed(Evolve):
    """One destruction record. ``what`` counts rows by table; ``method`` and ``why`` are of
    ``destructions.Method`` and ``Why``."""

    id: str
    at: datetime
    by: str  # actor id
    method: str
    why: str
    what: Mapping[str, int]
    attempt: str
    ledger_index: int | None


class Retention:
    """Destroying what has had its time."""

    def __init__(self, context: Context, settle: Callable[[datetime], object]) -> None:
        self._context = context
        self._settle = settle

    # ------------------------------------------------------------ a run

    def report(self, terms: Terms) -> due.Forecast:
        """What is kept, until when, what is held, and what is under way. Changes nothing."""
        with self._context.read() as session:
            return due.forecast(session, terms, self._context.clock.wall())

    def run(
        self,
        terms: Terms,
        objects: Objects,
        *,
        actor: Actor | None = None,
        step: Step = no_step,
    ) -> Done:
        """Destroy everything that is due now. ``actor`` None: the platform's nightly job.

        Raises:
            NotAllowed: neither compliance officer nor administrator.
            StorageError: the clock cannot be trusted; nothing was destroyed.
        """
        context = self._context
        if actor is not None:
            context.require(actor, _RUN, Role.COMPLIANCE, Role.ADMIN)
        by, now = actor.id if actor is not None else SYSTEM, context.clock.wall()
        self._check_clock(now, by_hand=actor is not None)
        self._settle(now)
        what: dict[str, int] = {}
        begun = self._begin_calls(terms, by, now, what, step)
        waiting = self._complete(objects, step)
        contacts = self._purge_contacts(terms, by, now, what, step)
        clear_abandoned(context)
        refusals = self._purge_refusals(by, now, what, step)
        complaints = self._wipe_complaints(terms, by, now, what)
        with context.write() as session:
            held = due.held(session, terms, now)
            done = Done(now, begun, contacts, refusals, complaints, held, waiting, what)
            context.log(
                session,
                _RUN,
                by,
                now,
                recordings=begun,
                contacts=contacts,
                refusals=refusals,
                complaints=complaints,
                held=held,
                waiting=waiting,
            )
        self._scrub()
        return done

    def last_run(self) -> datetime | None:
        """When a run last ended; None: never since the home was made."""
        with self._context.read() as session:
            query = select(func.max(LedgerOutbox.at)).where(LedgerOutbox.kind == _RUN)
            return session.scalar(query)

    def is_due(self) -> bool:
        """Whether a day has passed since the last run, or since the home was made."""
        with self._context.read() as session:
            made = session.scalar(select(Home.created_at))
        since = self.last_run() or made
        return since is None or self._context.clock.wall() - since >= timedelta(days=1)

    def records(self, actor: Actor) -> list[Destroyed]:
        """Every destruction record, oldest first.

        Raises:
            NotAllowed: neither compliance officer, auditor nor administrator.
        """
        context = self._context
        context.require(actor, "destruction.list", Role.COMPLIANCE, Role.AUDITOR, Role.ADMIN)
        with context.read() as session:
            found = session.execute(
                select(Destruction, LedgerLeaf.index)
                .outerjoin(LedgerLeaf, LedgerLeaf.leaf_hash == Destruction.leaf)
                .order_by(Destruction.at, Destruction.id)
            )
            return [
                Destroyed(
                    row.id,
                    row.at,
                    row.by,
                    row.method,
                    row.reason,
                    row.what,
                    row.attempt or "",
                    index,
                )
                for row, index in found
            ]

    def _check_clock(self, now: datetime, *, by_hand: bool) -> None:
        """Nothing is destroyed by a clock that stands before the newest entry, nor, by
        itself, by one that has left every entry far behind."""
        with self._context.read() as session:
            newest = session.scalar(
                select(LedgerOutbox.at).order_by(LedgerOutbox.id.desc()).limit(1)
            )
        if newest is None:
            return
        if now < newest - _BACKWARDS:
            raise StorageError(
                "the clock stands before the newest ledger entry; nothing was destroyed",
                remedy="set the clock right, then run it again",
            )
        if not by_hand and now > newest + _IDLE:
            raise StorageError(
                f"the newest ledger entry is {(now - newest).days} days old: either nobody was "
                "here or the clock is wrong; nothing was destroyed",
                remedy="check the date and run `candor retention run` yourself",
            )

    def _scrub(self) -> None:
        """SQLite: what was deleted leaves the write-ahead log too."""
        if self._context.engine.dialect.name != "sqlite":
            return
        with self._context.engine.connect() as connection:
            raw = connection.connection.driver_connection
            assert raw is not None
            raw.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    # ------------------------------------------------------------ calls

    def _begin_calls(
        self, terms: Terms, by: str, now: datetime, what: dict[str, int], step: Step
    ) -> int:
        context, begun = self._context, 0
        with context.read() as session:
            attempts = [call.attempt for call in due.calls(session, terms, now)]
        for attempt in attempts:
            with context.write() as session:
                take_turn(session)
                row = _locked(session, attempt)
                if _held(session, attempt):  # placed since the look above
                    continue
                gone = shredding.begin(context, session, row, by=by, at=now, why=Why.TERM_OVER)
                step("keys deleted")
            step("keys committed")
            begun += bool(gone)
            _count(what, gone)
        return begun

    def _complete(self, objects: Objects, step: Step) -> int:
        """Finish every destruction under way; returns how many the store held up."""
        with self._context.read() as session:
            attempts = shredding.pending(session)
        waiting = 0
        for attempt in attempts:
            try:
                shredding.complete(self._context, objects, attempt, step=step)
            except StorageError:
                waiting += 1
            step("call done")
        return waiting

    def complete(self, objects: Objects) -> int:
        """Go on with destructions that were begun; returns how many still wait."""
        return self._complete(objects, no_step)

    def destroy_call(self, actor: Actor, attempt: str, terms: Terms, objects: Objects) -> None:
        """Destroy one call's recording, words and proof once its minimum is over.

        Raises:
            NotAllowed: not a compliance officer.
            BadInput: no such call, or nothing of it is left.
            TooEarlyToDestroy: its minimum is not over, it is held, or it is still open.
        """
        context = self._context
        context.require(actor, "recording.destroy", Role.COMPLIANCE)
        now = context.clock.wall()
        self._check_clock(now, by_hand=True)
        with context.write() as session:
            take_turn(session)
            row = _locked(session, attempt)
            over = due.over_at(session, row, now)
            if over is None:
                raise TooEarlyToDestroy("this call is still open")
            until = terms.recording_until(over)
            if until > now:
                raise TooEarlyToDestroy(
                    f"this call must be kept until {until.isoformat(timespec='minutes')} (S6)",
                    until=until,
                )
            if _held(session, attempt):
                raise TooEarlyToDestroy(
                    "this call is under a legal hold", remedy="candor hold list"
                )
            if not shredding.begin(
                context, session, row, by=actor.id, at=now, why=Why.BY_HAND
            ) and attempt not in shredding.pending(session):
                raise BadInput("nothing of this call is left", field="call")
        shredding.complete(context, objects, attempt)

    def destroy_again(self, attempt: str, why: str) -> bool:
        """Begin to destroy a call that was destroyed after this database was backed up.

        False: no such call here, or nothing of it is left. :meth:`complete` finishes it.

        Raises:
            TooEarlyToDestroy: it is under a hold here.
        """
        context, now = self._context, self._context.clock.wall()
        with context.write() as session:
            take_turn(session)
            row = session.get(AttemptRow, attempt, with_for_update=True)
            if row is None:
                return False
            if _held(session, attempt):
                raise TooEarlyToDestroy("this call is under a legal hold")
            return bool(shredding.begin(context, session, row, by=SYSTEM, at=now, why=why))

    def purge_again(self, contacts: Sequence[str], why: str) -> int:
        """Destroy contacts that were destroyed after this database was backed up.

        Raises:
            StorageError: the backup says that one of them is on the line.
        """
        condition, now = ContactRow.id.in_(contacts), self._context.clock.wall()
        self._settle(now)
        gone = self._purge_some(Why(why), condition, SYSTEM, now, {}, no_step)
        with self._context.read() as session:
            if session.scalar(select(ContactRow.id).where(condition, ~contact_held()).limit(1)):
                raise StorageError(
                    "a contact that must go was on the line when the backup was made",
                    remedy="wait a minute for its lease to end, then restore again",
                )
        with self._context.write() as session:
            session.execute(due.forget_refused_numbers())
        return gone

    def purge_refusals_again(self, at: datetime) -> int:
        """Destroy entries of the refusal list whose term was over at ``at``."""
        return self._purge_refusals(SYSTEM, self._context.clock.wall(), {}, no_step, over=at)

    # ------------------------------------------------------------ contacts

    def _purge_contacts(
        self, terms: Terms, by: str, now: datetime, what: dict[str, int], step: Step
    ) -> int:
        total = 0
        for why, condition in (
            (Why.REFUSED, due.refused(terms, now)),
            (Why.CYCLE_OVER, due.cycle_over(terms, now)),
        ):
            while gone := self._purge_some(why, condition, by, now, what, step):
                total += gone
        with self._context.write() as session:
            session.execute(due.forget_refused_numbers())
        return total

    def _purge_some(
        self,
        why: Why,
        condition: ColumnElement[bool],
        by: str,
        now: datetime,
        what: dict[str, int],
        step: Step,
    ) -> int:
        context = self._context
        with context.write() as session:
            take_turn(session)
            query = (
                select(ContactRow.id, ContactRow.number_index)
                .where(condition, ~contact_held(), ~due.being_called())
                .order_by(ContactRow.id)
            )
            found = session.execute(query.limit(_AT_ONCE)).all()
            # Whoever takes the number for a call this moment keeps it; nobody takes it after.
            ours = [p.id for p in found if try_lock(session, Guarded.NUMBER, p.number_index)]
            people = session.execute(query.where(ContactRow.id.in_(ours))).all()
            if not people:
                return 0
            ids = [person.id for person in people]
            tables = {
                "consents": _by_contact(session, ConsentRow.contact, ids),
                "targets": _by_contact(session, Target.contact, ids),
                "requests": _forget_requests(session, ids),
            }
            session.execute(delete(ConsentRow).where(ConsentRow.contact.in_(ids)))
            session.execute(delete(Target).where(Target.contact.in_(ids)))
            session.execute(delete(ContactRow).where(ContactRow.id.in_(ids)))
            step("rows deleted")
            records = []
            for person in people:
                rows = {t: n for t, by_id in tables.items() if (n := by_id.get(person.id, 0))}
                rows["contacts"] = 1
                records.append(
                    Record(
                        new_id(),
                        now,
                        by,
                        Method.DELETE_ROWS,
                        why,
                        rows,
                        number_index=person.number_index,
                        contacts=[person.id],
                    )
                )
            destructions.write(context, session, records)
            step("records written")
        step("contacts committed")
        for record in records:
            _count(what, record.what)
        return len(people)

    # ------------------------------------------------------------ refusals

    def _purge_refusals(
        self,
        by: str,
        now: datetime,
        what: dict[str, int],
        step: Step,
        *,
        over: datetime | None = None,
    ) -> int:
        """Entries of the refusal list whose term is over. The withdrawal stays (S12)."""
        context, ended = self._context, and_(RefusalRow.until <= (over or now), ~refusal_held())
        with context.write() as session:
            take_turn(session)
            found = session.scalars(select(RefusalRow.id).where(ended)).all()
            if not found:
                return 0
            session.execute(delete(RefusalRow).where(ended))
            step("refusals deleted")
            rows = {"refusals": len(found)}
            record = Record(new_id(), now, by, Method.DELETE_ROWS, Why.LIST_OVER, rows)
            destructions.write(context, session, [record])
        step("refusals committed")
        _count(what, rows)
        return len(found)

    # ------------------------------------------------------------ complaints

    def _wipe_complaints(self, terms: Terms, by: str, now: datetime, what: dict[str, int]) -> int:
        """The words of complaints that were closed a recording's term ago."""
        with self._context.write() as session:
            take_turn(session)
            count = complaint_words.wipe_over(self._context, session, terms, by, now)
        if count:
            _count(what, {"complaints": count})
        return count


def check_server_clock(engine: Engine, clock: Clock) -> None:
    """For whoever starts a run by the machine's clock.

    Raises:
        StorageError: the database server's clock says something else.
    """
    if abs(server_clock_skew(engine, clock)) > SKEW_STOPS_S:
        raise StorageError(
            "this machine's clock and the database server's differ; nothing was destroyed",
            remedy="set both right, then run it again",
        )


def _locked(session: Session, attempt: str) -> AttemptRow:
    row = session.get(AttemptRow, attempt, with_for_update=True)
    if row is None:
        raise BadInput("there is no such call", field="call")
    return row


def _held(session: Session, attempt: str) -> bool:
    query = select(AttemptRow.id).where(AttemptRow.id == attempt, call_held())
    return session.scalar(query) is not None


def _by_contact(
    session: Session, column: InstrumentedAttribute[str], ids: Sequence[str]
) -> dict[str, int]:
    rows = session.execute(select(column, func.count()).where(column.in_(ids)).group_by(column))
    return {row[0]: row[1] for row in rows}


def _forget_requests(session: Session, contacts: Sequence[str]) -> dict[str, int]:
    """Unlink the calls of contacts that go. What was sealed with a call that nobody answered
    has no recording to stay for; returns how many requests went, by contact."""
    gone: Counter[str] = Counter()
    for attempt in session.scalars(select(AttemptRow).where(AttemptRow.contact.in_(contacts))):
        attempt.number_key = ""  # the ledger's commitment leads nowhere without it
        if attempt.outcome is not None and not (attempt.answered_at or attempt.recording):
            gone[attempt.contact] += attempt.request_sealed is not None
            shredding.forget_words(session, attempt)
    session.flush()
    return gone


def _count(total: dict[str, int], more: Mapping[str, int]) -> None:
    for table, rows in more.items():
        total[table] = total.get(table, 0) + rows
