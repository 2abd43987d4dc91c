# SPDX-License-Identifier: GPL-3.0-or-later
"""People at telephones of ours whom callers may be connected to (S10).

An agent takes one caller at a time and has a wrap-up time afterwards; who has been
free for longest comes first. Every INVITE to one is on record before it is sent.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta

from sqlalchemy import insert, or_, select, update
from sqlalchemy.orm import Session

from compliance.errors import BadInput
from compliance.facts import Actor, Agent, AgentLegRecord, Role
from storage.context import SYSTEM, Context, new_id
from storage.models import AgentLeg, AgentRow, AttemptRow

_AGENT_ID = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_URI = re.compile(r"sip:[A-Za-z0-9_.+-]{1,64}@(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]+)(:\d{1,5})?")


class Agents:
    """Registering agents, and handing them out to calls."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def add_agent(self, actor: Actor, agent: str, uri: str) -> None:
        """Register an agent's telephone.

        Raises:
            NotAllowed: not an administrator.
            BadInput: an unusable or taken id, or no plain SIP URI.
        """
        context = self._context
        context.require(actor, "agent.add", Role.ADMIN)
        if not _AGENT_ID.fullmatch(agent):
            raise BadInput("write small letters, digits, dots and dashes", field="agent")
        if not _URI.fullmatch(uri):
            raise BadInput(
                "is no plain SIP URI", field="uri", remedy="write sip:extension@host:port"
            )
        now = context.clock.wall()
        with context.write() as session:
            if session.get(AgentRow, agent) is not None:
                raise BadInput("an agent of this name exists", field="agent")
            session.execute(insert(AgentRow).values(id=agent, uri=uri, enabled=True, added_at=now))
            context.log(session, "agent.add", actor.id, now, agent=agent)

    def enable_agent(self, actor: Actor, agent: str, enabled: bool) -> None:
        """Let an agent be called, or not; a call in progress goes on.

        Raises:
            NotAllowed: not an administrator.
            BadInput: no such agent.
        """
        context = self._context
        context.require(actor, "agent.enable", Role.ADMIN)
        with context.write() as session:
            row = session.get(AgentRow, agent, with_for_update=True)
            if row is None:
                raise BadInput("there is no such agent", field="agent")
            row.enabled = enabled
            context.log(
                session,
                "agent.enable",
                actor.id,
                context.clock.wall(),
                agent=agent,
                enabled=enabled,
            )

    def agents(self) -> list[Agent]:
        """Every agent, by id."""
        with self._context.read() as session:
            return [_agent(row) for row in session.scalars(select(AgentRow).order_by(AgentRow.id))]

    # ------------------------------------------------------------ for a call

    def claim_agent(self, attempt: str, now: datetime) -> tuple[Agent, str] | None:
        """The agent free for longest, taken for ``attempt``, and the id of the leg to be placed.

        None: nobody is free. The leg is on record from here.
        """
        context = self._context
        with context.write() as session:
            row = session.scalar(
                select(AgentRow)
                .where(
                    AgentRow.enabled,
                    AgentRow.busy_with.is_(None),
                    or_(AgentRow.free_from.is_(None), AgentRow.free_from <= now),
                )
                .order_by(AgentRow.free_from.is_not(None), AgentRow.free_from, AgentRow.id)
                .limit(1)
                .with_for_update(skip_locked=True)
            )
            if row is None:
                return None
            row.busy_with = attempt
            leg = new_id()
            session.execute(
                insert(AgentLeg).values(
                    id=leg,
                    attempt=attempt,
                    agent=row.id,
                    at=now,
                    connected=False,
                    sip_call_id="",
                    sip_status=0,
                )
            )
            context.log(session, "agent.call", SYSTEM, now, attempt=attempt, agent=row.id, leg=leg)
            return _agent(row), leg

    def connect_agent(self, leg: str, now: datetime, *, sip_call_id: str) -> None:
        """The agent answered and speaks with the callee; repeating it changes nothing."""
        with self._context.write() as session:
            row = _leg(session, leg)
            if not row.connected:
                row.connected, row.sip_call_id, row.sip_status = True, sip_call_id, 200
                self._context.log(
                    session, "agent.connect", SYSTEM, now, attempt=row.attempt, agent=row.agent
                )

    def release_agent(
        self, leg: str, now: datetime, *, rest_s: float, sip_call_id: str = "", sip_status: int = 0
    ) -> None:
        """The leg is over; its agent gets the next caller after ``rest_s`` seconds."""
        with self._context.write() as session:
            row = _leg(session, leg)
            if row.ended_at is not None:
                return
            row.ended_at = now
            row.sip_call_id = row.sip_call_id or sip_call_id
            row.sip_status = row.sip_status or sip_status
            session.execute(
                update(AgentRow)
                .where(AgentRow.id == row.agent, AgentRow.busy_with == row.attempt)
                .values(busy_with=None, free_from=now + timedelta(seconds=rest_s))
            )
            self._context.log(
                session,
                "agent.release",
                SYSTEM,
                now,
                attempt=row.attempt,
                agent=row.agent,
                connected=row.connected,
                sip_status=row.sip_status,
            )

    def agent_legs(self, campaign: str) -> list[AgentLegRecord]:
        """Every leg to an agent on behalf of a campaign's calls, oldest first."""
        with self._context.read() as session:
            rows = session.scalars(
                select(AgentLeg)
                .join(AttemptRow, AttemptRow.id == AgentLeg.attempt)
                .where(AttemptRow.campaign == campaign)
                .order_by(AgentLeg.at, AgentLeg.id)
            )
            return [
                AgentLegRecord(r.id, r.attempt, r.agent, r.at, r.connected, r.sip_call_id,
                               r.sip_status)
                for r in rows
            ]  # fmt: skip


def free_agents_of(session: Session, attempt: str, now: datetime) -> None:
    """Whoever still holds an agent for a settled attempt lets go of them.

    Legs first, as :meth:`Agents.release_agent` locks them.
    """
    session.execute(
        update(AgentLeg)
        .where(AgentLeg.attempt == attempt, AgentLeg.ended_at.is_(None))
        .values(ended_at=now)
    )
    session.execute(
        update(AgentRow).where(AgentRow.busy_with == attempt).values(busy_with=None, free_from=now)
    )


def _leg(session: Session, leg: str) -> AgentLeg:
    row = session.get(AgentLeg, leg, with_for_update=True)
    if row is None:
        raise BadInput("there is no such leg", field="leg")
    return row


def _agent(row: AgentRow) -> Agent:
    return Agent(row.id, row.uri, row.enabled, row.busy_with or "", row.free_from)
