# SPDX-License-Identifier: GPL-3.0-or-later
"""The platform-wide emergency stop: nothing of this home dials while one is in force (G1).

Campaigns keep their state: once it is lifted they go on with what was still due. Claims
hand out nothing meanwhile, so that a stop costs no contact its turn.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ScalarSelect, func, insert, select, update
from sqlalchemy.orm import Session

from compliance.clock import MOST_AHEAD_S
from compliance.errors import BadInput
from compliance.facts import Actor, Evolve, Role
from storage.campaigns import CampaignState
from storage.context import Context, new_id
from storage.dialects import Guarded, lock
from storage.exam_tables import AdoptedLaw
from storage.models import CampaignRow, EmergencyStop


class StopReason(enum.StrEnum):
    """Why somebody stops everything. A closed list: the ledger keeps it for good."""

    COMPLAINT = "complaint"
    FAULT = "fault"  # a script, a line or the platform itself behaves wrongly
    AUTHORITY = "authority"  # a carrier, regulator or court asks for it
    DRILL = "drill"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Steering(Evolve):
    """What a dialer process must know of its campaign several times a second."""

    state: CampaignState
    stopped_at: datetime | None  # the emergency stop in force
    adopted_law: str = ""  # digest of the rulebook adopted last; empty: none
    clock_ahead_s: float = 0.0  # this machine against the database's

    @property
    def clock_adrift(self) -> bool:
        return abs(self.clock_ahead_s) > MOST_AHEAD_S


class Stops:
    """Stopping everything, and letting it go on."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def stop(self, actor: Actor, reason: StopReason = StopReason.OTHER) -> bool:
        """No new calls anywhere; dialers end what is live. False: a stop was in force already.

        Raises:
            NotAllowed: neither compliance officer, administrator nor operator.
        """
        context = self._context
        context.require(actor, "platform.stop", Role.COMPLIANCE, Role.ADMIN, Role.OPERATOR)
        now = context.clock.wall()
        with context.write() as session:
            lock(session, Guarded.DIALING)  # what is being authorised is through, or sees it
            if stopped_at(session) is not None:
                return False
            stop = new_id()
            session.execute(insert(EmergencyStop).values(id=stop, at=now, by=actor.id))
            context.log(session, "platform.stop", actor.id, now, stop=stop, reason=str(reason))
        return True

    def lift(self, actor: Actor) -> bool:
        """Dialing may go on; nothing starts by itself. False: nothing was stopped.

        Raises:
            NotAllowed: neither compliance officer nor administrator.
        """
        context = self._context
        context.require(actor, "platform.lift", Role.COMPLIANCE, Role.ADMIN)
        now = context.clock.wall()
        with context.write() as session:
            lock(session, Guarded.DIALING)
            held = session.scalars(
                select(EmergencyStop.id)
                .where(EmergencyStop.lifted_at.is_(None))
                .order_by(EmergencyStop.at)
            ).all()
            if not held:
                return False
            session.execute(
                update(EmergencyStop)
                .where(EmergencyStop.id.in_(held))
                .values(lifted_at=now, lifted_by=actor.id)
            )
            context.log(session, "platform.lift", actor.id, now, stops=list(held))
        return True

    def in_force(self) -> datetime | None:
        """Since when the platform is stopped; None: it is not."""
        with self._context.read() as session:
            return stopped_at(session)

    def steering(self, campaign: str) -> Steering:
        """The campaign's state, the stop and the law in force, and how far our clock is off.

        Raises:
            BadInput: no such campaign.
        """
        with self._context.read() as session:
            row = session.execute(
                select(CampaignRow.state, _in_force(), _adopted()).where(CampaignRow.id == campaign)
            ).one_or_none()
            ahead = self._context.clock_ahead_s(session)
        if row is None:
            raise BadInput("there is no such campaign", field="campaign")
        return Steering(CampaignState(row[0]), row[1], row[2] or "", ahead)


def _in_force() -> ScalarSelect[datetime]:
    since = select(func.min(EmergencyStop.at)).where(EmergencyStop.lifted_at.is_(None))
    return since.scalar_subquery()


def _adopted() -> ScalarSelect[str]:
    newest = select(func.max(AdoptedLaw.number)).scalar_subquery()
    return select(AdoptedLaw.rulebook).where(AdoptedLaw.number == newest).scalar_subquery()


def stopped_at(session: Session) -> datetime | None:
    """Since when the platform is stopped, as the caller's transaction sees it."""
    return session.scalar(select(_in_force()))
