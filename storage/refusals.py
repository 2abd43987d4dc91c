# SPDX-License-Identifier: GPL-3.0-or-later
"""The refusal list and withdrawn consent, by keyed hash only (S11, S12)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

from sqlalchemy import insert, select, update
from sqlalchemy.orm import Session

from compliance.errors import BadInput, StorageError
from compliance.facts import (
    Actor,
    Blame,
    Number,
    Outcome,
    RefusalRecord,
    RefusalScope,
    Role,
)
from storage.context import SYSTEM, Context, new_id
from storage.corrections import correct
from storage.dialects import Guarded, insert_or_ignore, lock
from storage.due import note_refused
from storage.models import AttemptRow, CampaignRow, ContactRow, RefusalRow, Withdrawal


class Refusals:
    """Recording that somebody said no."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def record_refusal(
        self,
        attempt_id: str,
        *,
        how: str,
        at: datetime,
        until: datetime,
        scope: RefusalScope,
        indexes: tuple[bytes, bytes] | None = None,
    ) -> None:
        """Put the called number on the list and withdraw its consent, durably, at once (S11).

        One refusal an attempt: repeating it changes nothing. ``indexes`` are the number's blind
        index and its refusal index: with them it is listed even if contact or attempt is gone.

        Raises:
            BadInput: no such attempt and no indexes, or ``until`` not after ``at``.
        """
        context = self._context
        with context.write() as session:
            attempt = session.get(AttemptRow, attempt_id, with_for_update=True)
            if attempt is None and indexes is None:
                raise BadInput("there is no such attempt", field="attempt")
            if session.scalar(select(RefusalRow.id).where(RefusalRow.attempt == attempt_id)):
                return
            if attempt is not None:
                indexes = indexes or self._indexes(number_of(context, session, attempt.contact))
                attempt.refused = True
                correct(
                    context, session, attempt, Outcome.REFUSED, Blame.CALLEE, context.clock.wall()
                )
            assert indexes is not None
            campaign = attempt.campaign if attempt is not None else ""
            self._add(session, indexes, how, at, until, scope, campaign, attempt_id)
            context.log(
                session,
                "refusal.record",
                SYSTEM,
                at,
                attempt=attempt_id,
                how=how,
                scope=str(scope),
                until=until.isoformat(),
            )

    def refuse_number(
        self,
        actor: Actor,
        number: Number,
        *,
        how: str,
        at: datetime,
        until: datetime,
        scope: RefusalScope = RefusalScope.COMPANY,
        campaign: str = "",
    ) -> None:
        """A refusal that came by another way than a call: letter, complaint, service desk.

        It reaches the whole company unless ``scope`` says otherwise; ``campaign`` (id) is the
        one that a refusal of one campaign is about.

        Raises:
            NotAllowed: neither operator nor compliance officer.
            BadInput: ``until`` not after ``at``, ``at`` to come, or scope and campaign do not
                go together.
        """
        context = self._context
        context.require(actor, "refusal.record", Role.OPERATOR, Role.COMPLIANCE)
        with context.write() as session:
            if (scope is RefusalScope.CAMPAIGN) != bool(campaign):
                raise BadInput("a refusal of one campaign names it, no other", field="campaign")
            if at > context.clock.wall():
                raise BadInput("nobody has said no yet at that time", field="at")
            if campaign and session.get(CampaignRow, campaign) is None:
                raise BadInput("there is no such campaign", field="campaign")
            self.refuse_in(
                session,
                actor.id,
                number,
                how=how,
                at=at,
                until=until,
                scope=scope,
                campaign=campaign,
            )

    def refuse_in(
        self,
        session: Session,
        by: str,
        number: Number,
        *,
        how: str,
        at: datetime,
        until: datetime,
        scope: RefusalScope = RefusalScope.COMPANY,
        campaign: str = "",
    ) -> None:
        """:meth:`refuse_number` in the transaction of what it came with, who may is asked there."""
        context = self._context
        indexes = self._indexes(number)
        self._add(session, indexes, how, at, until, scope, campaign, None)
        context.log(
            session,
            "refusal.record",
            by,
            context.clock.wall(),
            how=how,
            scope=str(scope),
            until=until.isoformat(),
        )

    def _indexes(self, number: Number) -> tuple[bytes, bytes]:
        return self._context.number_index(number), self._context.refusal_index(number)

    def _add(
        self,
        session: Session,
        indexes: tuple[bytes, bytes],
        how: str,
        at: datetime,
        until: datetime,
        scope: RefusalScope,
        campaign: str,
        attempt: str | None,
    ) -> None:
        if until <= at:
            raise BadInput("a refusal ends after it was made", field="until")
        number_index, index = indexes
        lock(session, Guarded.REFUSAL, index)  # who is about to call this number sees it, or waits
        session.execute(
            insert(RefusalRow).values(
                id=new_id(),
                refusal_index=index,
                at=at,
                until=until,
                scope=str(scope),
                how=how,
                campaign=campaign,
                attempt=attempt,
            )
        )
        if scope is RefusalScope.CAMPAIGN and campaign:
            withdraw(session, self._context.campaign_refusal_index(index, campaign), at)
            return  # other campaigns may still call: the contact stays
        withdraw(session, index, at)
        note_refused(session, number_index, at)


def withdraw(session: Session, refusal_index: bytes, at: datetime) -> None:
    """Consent ends at ``at``; an earlier withdrawal never replaces a later one."""
    lock(session, Guarded.REFUSAL, refusal_index)
    insert_or_ignore(session, Withdrawal, refusal_index=refusal_index, at=at)
    session.execute(
        update(Withdrawal)
        .where(Withdrawal.refusal_index == refusal_index, Withdrawal.at < at)
        .values(at=at)
    )


def refusals_by(
    session: Session, indexes: Collection[bytes]
) -> Mapping[bytes, Sequence[RefusalRecord]]:
    """Every refusal of each number, newest first; the gate decides which still hold."""
    found: dict[bytes, list[RefusalRecord]] = defaultdict(list)
    for row in session.scalars(
        select(RefusalRow)
        .where(RefusalRow.refusal_index.in_(indexes))
        .order_by(RefusalRow.at.desc())
    ):
        found[row.refusal_index].append(
            RefusalRecord(row.at, row.until, RefusalScope(row.scope), row.how, row.campaign)
        )
    return found


def refusals_of(session: Session, refusal_index: bytes) -> tuple[RefusalRecord, ...]:
    """Every refusal of one number, newest first."""
    return tuple(refusals_by(session, (refusal_index,)).get(refusal_index, ()))


def withdrawals_by(session: Session, indexes: Mapping[bytes, bytes]) -> Mapping[bytes, datetime]:
    """When consent for each number was last withdrawn, if ever: altogether, or for the campaign
    whose ``campaign_refusal_index`` stands beside it."""
    both = [*indexes, *(index for index in indexes.values() if index)]
    rows = session.execute(
        select(Withdrawal.refusal_index, Withdrawal.at).where(Withdrawal.refusal_index.in_(both))
    )
    at = {row.refusal_index: row.at for row in rows}
    found = {}
    for index, narrow in indexes.items():
        times = [at[place] for place in (index, narrow) if place in at]
        if times:
            found[index] = max(times)
    return found


def withdrawn_at(session: Session, refusal_index: bytes, narrow: bytes = b"") -> datetime | None:
    """When consent for one number was last withdrawn, altogether or in the place ``narrow``."""
    return withdrawals_by(session, {refusal_index: narrow}).get(refusal_index)


def number_of(context: Context, session: Session, contact: str) -> Number:
    """The contact's number, opened inside the store."""
    sealed = session.scalar(select(ContactRow.number_sealed).where(ContactRow.id == contact))
    if sealed is None:
        raise StorageError("the contact of this attempt is gone")
    return Number(context.unseal(sealed, "contacts", "number", contact))
