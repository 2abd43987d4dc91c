# SPDX-License-Identifier: GPL-3.0-or-later
"""Who may dial which number just now: claims, leases, fencing, settling after a crash.

A lease holds a number, not a row: two spellings of one number, in any two
campaigns, are never handed out at once (C4). An expired lease is settled
before anybody gets the number again; what was authorised under it counts as
dialed for ever. Every transaction locks in one order: lease, attempt, then the
rest, the node's chain of the ledger last (docs/decisions/0011-postgresql.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import Select, and_, delete, false, or_, select, update
from sqlalchemy.orm import Session

from compliance.errors import BadInput, LeaseLost
from compliance.facts import Blame, Claim, Outcome
from storage.agents import free_agents_of
from storage.campaigns import CampaignState, TargetState, finish_if_exhausted
from storage.context import SYSTEM, Context, new_id
from storage.dialects import Guarded, insert_or_ignore, lock_shared, try_lock
from storage.models import AttemptRow, CampaignRow, Lease, Target
from storage.requests import request_of
from storage.stops import stopped_at

_RACES = 16  # numbers lost to faster workers before this one looks again later


class Leases:
    """Handing out contacts and taking them back."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def claim(
        self, campaign_id: str, *, worker: str, now: datetime, lease_s: float = 60
    ) -> Claim | None:
        """Lease the next due contact with every fact the gate needs; None: nothing is due.

        Nothing is due either while the campaign does not run or the platform is stopped.

        Raises:
            BadInput: no such campaign.
        """
        context = self._context
        with context.write() as session:
            campaign = session.get(CampaignRow, campaign_id)
            if campaign is None:
                raise BadInput("there is no such campaign", field="campaign")
            lock_shared(session, Guarded.DIALING)  # no stop comes between here and the request
            if campaign.state != CampaignState.RUNNING or stopped_at(session) is not None:
                return None
            until = now + timedelta(seconds=lease_s)
            lease = self._take(session, campaign_id, worker, now, until, lease_s)
            if lease is None:
                # The last two calls of a campaign may end at once, each seeing the other open.
                finish_if_exhausted(context, session, campaign_id, now)
                return None
            request = request_of(context, session, campaign, lease.contact, lease.id, now)
        return Claim(lease.id, lease.fencing, request, until)

    def _take(
        self,
        session: Session,
        campaign: str,
        worker: str,
        now: datetime,
        until: datetime,
        lease_s: float,
    ) -> Lease | None:
        lost: list[str] = []
        while len(lost) < _RACES:
            target = session.scalar(_next_due(campaign, now, lost))
            if target is None:
                return None
            lost.append(target.contact)
            if not try_lock(session, Guarded.NUMBER, target.number_index):
                continue  # somebody is taking it this moment; waiting for them could deadlock
            lease_id = new_id()
            insert_or_ignore(
                session,
                Lease,
                number_index=target.number_index,
                id=lease_id,
                campaign=campaign,
                contact=target.contact,
                fencing=target.fencing + 1,
                worker=worker,
                lease_s=lease_s,
                leased_until=until,
                authorised=False,
            )
            lease = session.scalar(select(Lease).where(Lease.id == lease_id))
            if lease is not None:  # else another worker took the number in between
                target.fencing += 1
                target.state = TargetState.LEASED
                return lease
        return None

    # ------------------------------------------------------------ giving back

    def release(self, claim: Claim) -> None:
        """Give a contact back undialed; without effect once authorised or no longer ours."""
        with self._context.write() as session:
            lease = own_lease(session, claim)
            if lease is not None and not lease.authorised:
                session.delete(lease)
                set_target(session, lease, TargetState.DUE)

    def renew(self, claim: Claim, now: datetime) -> Claim:
        """Hold on for another term; the claim with its new end.

        A live call may renew late as long as nobody settled it; a lease that was not
        authorised may not once it has expired.

        Raises:
            LeaseLost: settled, or expired before it was authorised.
        """
        with self._context.write() as session:
            lease = own_lease(session, claim)
            if lease is None or (lease.leased_until <= now and not lease.authorised):
                raise LeaseLost("the lease is over", lease=claim.lease_id)
            lease.leased_until = now + timedelta(seconds=lease.lease_s)
            return claim.evolve(leased_until=lease.leased_until)

    def settle_expired(self, now: datetime, *, dead: str = "", overdue: bool = True) -> list[str]:
        """Close what dead workers left; returns the attempts that were settled.

        Leases of ``dead`` do not wait for their time: a process seen to have ended, or with
        a slash at its end all processes of a run. Without ``overdue`` only they are settled.

        Not authorised: the contact is due again. Authorised: it counts as dialed,
        with outcome ``REFUSED`` if a refusal was recorded, ``ABORTED`` if it was
        answered, else ``UNKNOWN``.
        """
        context = self._context
        settled: list[str] = []
        with context.read() as session:  # an idle look does not take the write lock
            expired = or_(
                Lease.leased_until <= now if overdue else false(),
                and_(Lease.worker == dead, Lease.worker != ""),
                Lease.worker.startswith(dead, autoescape=True) if dead.endswith("/") else false(),
            )
            if session.scalar(select(Lease.id).where(expired).limit(1)) is None:
                return settled
        with context.write() as session:
            leases = session.scalars(
                select(Lease).where(expired).with_for_update(skip_locked=True)
            ).all()
            ids = [lease.id for lease in leases]
            attempts = {
                attempt.id: attempt
                for attempt in session.scalars(
                    select(AttemptRow)
                    .where(AttemptRow.id.in_(ids))
                    .order_by(AttemptRow.id)
                    .with_for_update()
                )
            }
            for lease in leases:
                session.delete(lease)
                attempt = attempts.get(lease.id)
                if attempt is None:
                    set_target(session, lease, TargetState.DUE)
                    continue
                set_target(session, lease, TargetState.DONE)
                if attempt.finished_at is None:
                    self._settle(session, attempt, now)
                    settled.append(attempt.id)
            for campaign in sorted({lease.campaign for lease in leases}):
                finish_if_exhausted(context, session, campaign, now)
        return settled

    def _settle(self, session: Session, attempt: AttemptRow, now: datetime) -> None:
        if attempt.refused:
            outcome, blame = Outcome.REFUSED, Blame.CALLEE
        elif attempt.answered_at is not None:
            outcome, blame = Outcome.ABORTED, Blame.US
        else:
            outcome, blame = Outcome.UNKNOWN, Blame.US
        attempt.outcome, attempt.blame, attempt.settled_at = outcome, blame, now
        free_agents_of(session, attempt.id, now)
        leaf = self._context.log(
            session, "attempt.settle", SYSTEM, now, attempt=attempt.id, outcome=str(outcome)
        )
        attempt.last_leaf = bytes.fromhex(leaf)


def _next_due(campaign: str, now: datetime, lost: Sequence[str]) -> Select[Target]:
    held = select(Lease.id).where(Lease.number_index == Target.number_index)
    return (
        select(Target)
        .where(
            Target.campaign == campaign,
            Target.state == TargetState.DUE,
            Target.not_before <= now,
            Target.contact.not_in(lost),
            ~held.exists(),
        )
        .order_by(Target.not_before, Target.position)
        .limit(1)
        .with_for_update(skip_locked=True, of=Target)
    )


def own_lease(session: Session, claim: Claim) -> Lease | None:
    """The claim's lease, locked, if this very claim still holds it."""
    return lease_of(session, claim.lease_id, claim.fencing)


def lease_of(session: Session, lease_id: str, fencing: int) -> Lease | None:
    """As :func:`own_lease`; a lease has its attempt's id."""
    return session.scalar(
        select(Lease).where(Lease.id == lease_id, Lease.fencing == fencing).with_for_update()
    )


def set_target(
    session: Session, lease: Lease, state: TargetState, not_before: datetime | None = None
) -> None:
    """Where the leased contact stands from now on in its campaign."""
    values: dict[str, object] = {"state": state}
    if not_before is not None:
        values["not_before"] = not_before
    session.execute(
        update(Target)
        .where(
            Target.campaign == lease.campaign,
            Target.contact == lease.contact,
            Target.fencing == lease.fencing,
        )
        .values(**values)
    )


def drop_lease(session: Session, lease: Lease) -> None:
    session.execute(delete(Lease).where(Lease.id == lease.id))
