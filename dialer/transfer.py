# SPDX-License-Identifier: GPL-3.0-or-later
"""Connecting a callee who asks for a person with one of ours (S10).

The agent's leg runs in the callee's process: both are joined on its conference
bridge, and what the agent says goes into the recording like the bot's words.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import structlog

from compliance.clock import Clock
from compliance.errors import LineUnproven, PermitError, StorageError, TelephonyError
from compliance.facts import Agent, HomeKind, InternalLeg
from compliance.gate import authorize_internal
from dialer.agent_ear import AgentEar
from dialer.call import Why
from dialer.leg import CallLeg
from dialer.lines import Line
from dialer.orphans import dialog_of
from dialer.proof import SimulatorKey, prove
from dialer.sip import SipEndpoint
from dialer.writer import Writer
from storage.store import Store
from voicebot.line import AudioIn, LineGone
from voicebot.person import PersonSaid
from voicebot.speech import SpeechClient

log = structlog.get_logger("dialer.transfer")

_AWAY_S = 60.0  # who did not answer is left in peace for so long
_TRIES = 3  # agents called for one callee
_ANSWER_S = 3.0  # nobody on the line waits longer for a database


@dataclass(frozen=True, slots=True)
class Switchboard:
    """What it takes to reach agents; made once a process."""

    store: Store
    writer: Writer
    endpoint: SipEndpoint
    clock: Clock
    simulator_key: SimulatorKey | None
    speech: SpeechClient
    language: str  # agents speak the script's
    ring_timeout_s: float
    wrap_up_s: float
    report: Callable[[str, Mapping[str, Any]], None]

    async def call_person(self, attempt: str, lead: CallLeg, line: Line) -> ConnectedAgent | None:
        """Ring free agents one after another; None: nobody is free or answers."""
        for _ in range(_TRIES):
            try:
                async with asyncio.timeout(_ANSWER_S):
                    taken = await self.writer.run(
                        self.store.agents.claim_agent, attempt, self.clock.wall()
                    )
            except (StorageError, TimeoutError) as error:  # taken late: the call's record frees
                log.error("no agents", action="storage.away", cause=type(error).__name__)
                break
            if taken is None:
                break
            person = await self._ring(attempt, lead, line, *taken)
            if person is not None:
                return person
        self.report("no_agent", {"attempt": attempt})
        return None

    async def _ring(
        self, attempt: str, lead: CallLeg, line: Line, agent: Agent, leg_id: str
    ) -> ConnectedAgent | None:
        leg: CallLeg | None = None
        answered = False
        try:
            permit = authorize_internal(await self._internal_leg(agent), self.clock)
            leg = await self.endpoint.place_internal(permit, line)
            self.report("transferring", {"attempt": attempt, "agent": agent.id})
            answered = await leg.wait_answer(self.ring_timeout_s)
            if answered and leg.state.withdrawn is None:
                dialog = dialog_of(leg.answer_message, agent.uri.rpartition("@")[2])
                self.report(
                    "agent_answered",
                    {"attempt": attempt, "leg": leg_id, "dialog": dialog and dialog.to_json()},
                )
                return ConnectedAgent(self, attempt, agent.id, leg_id, lead, leg)
        except (PermitError, LineUnproven, TelephonyError) as error:
            log.warning(
                "agent not reached", action="agent.unreached", agent=agent.id,
                cause=type(error).__name__,
            )  # fmt: skip
        except asyncio.CancelledError:  # the callee said no or left while it rang
            answered = False
            await asyncio.shield(self.release(leg_id, leg, rest_s=0.0))
            raise
        await self.release(leg_id, leg, rest_s=_AWAY_S)
        return None

    async def _internal_leg(self, agent: Agent) -> InternalLeg:
        address = agent.uri.rpartition("@")[2]
        proven: tuple[str, ...] = ()
        if self.store.home is HomeKind.DEMO and self.simulator_key is not None:
            await prove(address, self.simulator_key)
            proven = (address,)
        return InternalLeg(self.store.home, agent.id, agent.uri, agent.enabled, proven)

    async def release(self, leg_id: str, leg: CallLeg | None, *, rest_s: float) -> None:
        """Hang up and let the agent go; the store learns how the leg ended."""
        if leg is not None:
            leg.withdraw(Why.TALK_OVER)
            await leg.wait_ended(5.0)
        try:
            async with asyncio.timeout(_ANSWER_S):
                await self.writer.run(
                    self.store.agents.release_agent,
                    leg_id,
                    self.clock.wall(),
                    rest_s=rest_s,
                    sip_call_id=leg.sip_call_id if leg else "",
                    sip_status=leg.state.status if leg else 0,
                )
        except (StorageError, TimeoutError) as error:  # freed with the attempt at the latest
            log.error("agent not released", action="agent.held", cause=type(error).__name__)
        self.report("agent_released", {"leg": leg_id})


class ConnectedAgent:
    """Implements ``voicebot.person.Person`` over an answered agent leg."""

    def __init__(
        self,
        board: Switchboard,
        attempt: str,
        agent: str,
        leg_id: str,
        lead: CallLeg,
        leg: CallLeg,
    ) -> None:
        self._board = board
        self._attempt = attempt
        self._agent = agent
        self._leg_id = leg_id
        self._lead = lead
        self._leg = leg
        self._parting: asyncio.Task[None] | None = None
        self._ear: AgentEar | None = None
        self._from = 0  # audio of the leg before this place was not for the callee

    @property
    def id(self) -> str:
        return self._agent

    async def join(self, said: PersonSaid) -> None:
        self._from = self._leg.position
        speech, language = self._board.speech, self._board.language
        self._ear = AgentEar(
            lambda: speech.open(f"{self._attempt}-agent", language), self._lead.position, said
        )
        self._lead.join(self._leg)
        await self._board.endpoint.join(self._lead, self._leg)
        try:
            async with asyncio.timeout(_ANSWER_S):
                await self._board.writer.run(
                    self._board.store.agents.connect_agent,
                    self._leg_id,
                    self._board.clock.wall(),
                    sip_call_id=self._leg.sip_call_id,
                )
        except (StorageError, TimeoutError) as error:  # the call's record tells of it
            log.error("agent not noted", action="storage.away", cause=type(error).__name__)
        self._board.report("transferred", {"attempt": self._attempt, "agent": self._agent})

    async def gone(self) -> None:
        while True:
            match await self._leg.next_event():
                case LineGone():
                    return
                case AudioIn(position, pcm) if self._ear is not None and position >= self._from:
                    self._ear.hear(pcm)

    async def heard_out(self) -> None:
        if self._ear is not None:
            await self._ear.close()

    def part(self) -> None:
        if self._parting is None:
            self._board.endpoint.part(self._leg)
            self._parting = asyncio.create_task(self._leave(), name="agent leg")

    async def _leave(self) -> None:
        await self._board.release(self._leg_id, self._leg, rest_s=self._board.wrap_up_s)
        await self.heard_out()

    async def parted(self) -> None:
        """Wait until the leg is over and on record."""
        self.part()
        if self._parting is not None:
            await self._parting
