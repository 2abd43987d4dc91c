# SPDX-License-Identifier: GPL-3.0-or-later
"""One call from due contact to sealed record: the main path, top to bottom.

Five hops (docs/architecture.md): claim, authorise by rule, authorise by
commit, talk, finish. No hop is skipped and nothing else places calls.
"""

from __future__ import annotations

import asyncio
import enum
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import structlog

from compliance.clock import Clock
from compliance.errors import (
    AuthorisationDenied,
    LeaseLost,
    LineUnproven,
    PermitError,
    SpeechError,
    StorageError,
    TelephonyError,
)
from compliance.facts import (
    Announcement,
    Attempt,
    Blame,
    CallRecord,
    Claim,
    HomeKind,
    LineFacts,
    Number,
    Outcome,
    RefusalScope,
)
from compliance.gate import authorize
from compliance.permits import Permit, Refusal
from compliance.rulebook import Rulebook
from dialer import outcome
from dialer.call import Why
from dialer.disk import Disk
from dialer.early import EarlyEar
from dialer.journal import Journal
from dialer.leg import CallLeg
from dialer.lines import Line, choose
from dialer.orphans import dialog_of
from dialer.proof import SimulatorKey, prove
from dialer.recorder import CallRecorder
from dialer.sip import SipEndpoint
from dialer.transfer import ConnectedAgent, Switchboard
from dialer.writer import Writer
from storage import pii
from storage.attempts import Caps, default_caps
from storage.call_entries import Answered, Ended, Opened, Refused
from storage.keys import Keyring
from storage.recordings import SealedRecording
from storage.store import Store
from voicebot.dialogue import EVERYTHING
from voicebot.prompts import PromptCache, RenderedScript, for_contact
from voicebot.session import Conversation, converse
from voicebot.speech import SpeechClient, SpeechStream
from voicebot.words import WordCheck

log = structlog.get_logger("dialer.campaign")

DISCLOSURE_LIMIT_MS = 3000  # S1
_RENEW_AGAIN_S = 1.0
_BYE_TIMEOUT_S = 35.0  # a BYE transaction without an answer ends after 32 s (RFC 3261 timer F)


class Placed(enum.Enum):
    """What came of asking for one more call."""

    NOTHING_DUE = "nothing_due"
    HELD = "held"  # something must reach the database first
    REFUSED = "refused"  # the gate or the authorising transaction said no
    DONE = "done"


@dataclass(slots=True)
class DialContext:
    """What a dialer process needs to place calls; made once by ``worker``."""

    campaign: str
    store: Store
    writer: Writer  # the database's thread
    files: Writer  # the disk's thread
    journal: Journal
    endpoint: SipEndpoint
    speech: SpeechClient
    rulebook: Rulebook
    scripts: Mapping[str, RenderedScript]  # by version: one, or those of the arms (G6)
    voice: PromptCache  # says what names a contact's values
    words: WordCheck  # of everything that is said
    clock: Clock
    worker: str
    tenant: str
    objects: Path
    disk: Disk
    ring_timeout_s: float
    lease_s: float
    simulator_key: SimulatorKey | None
    switchboard: Switchboard
    report: Callable[[str, Mapping[str, Any]], None]
    legs: dict[str, CallLeg] = field(default_factory=dict)  # attempt id -> live leg
    live: dict[str, int] = field(default_factory=dict)  # line id -> live calls
    leave: asyncio.Event = field(default_factory=asyncio.Event)  # set: live calls take leave
    stopping: bool = False
    held: str = ""  # why no new call is placed just now; empty: dial on
    told_held: str = ""  # what was reported of it


async def place_one_call(ctx: DialContext) -> Placed:
    """Place the next due call of the campaign and see it through to its record."""
    # 0. What earlier calls left comes first: a refusal heard a moment ago must count.
    if not await ctx.journal.clear():
        return Placed.HELD

    # 1. Lease a due contact with everything the rules need to know.
    claim = await ctx.writer.run(
        ctx.store.claim,
        ctx.campaign,
        worker=ctx.worker,
        now=ctx.clock.wall(),
        lease_s=ctx.lease_s,
    )
    if claim is None:
        return Placed.NOTHING_DUE
    if ctx.stopping:
        await ctx.writer.run(ctx.store.release, claim)
        return Placed.NOTHING_DUE

    # 2. Every rule, in one pure call.
    claim = claim.evolve(request=claim.request.evolve(lines=await _prove_lines(ctx, claim)))
    request = claim.request
    verdict = authorize(request, ctx.rulebook, ctx.clock)
    if isinstance(verdict, Refusal):
        await ctx.writer.run(ctx.store.refuse, claim, verdict.decision, ctx.clock.wall())
        rules = sorted({finding.rule for finding in verdict.decision.refusing})
        facts = {"contact": request.contact.number.masked, "rules": rules}
        ctx.report("refused", {"attempt": request.attempt_id, **facts})
        return Placed.REFUSED

    # What a refusal is listed by, while the keys answer and before any telephone rings.
    indexes = await ctx.files.run(_indexes, ctx.store.keyring, request.contact.number)

    # All the robot may say to this contact, checked before any telephone rings (S9).
    script = await _script_for(ctx, claim)

    # 3. Caps and refusals once more, and the attempt made durable: it counts from here.
    if ctx.held or not await ctx.journal.clear():  # the database may have been away meanwhile
        await ctx.writer.run(ctx.store.release, claim)
        return Placed.HELD
    try:
        attempt = await ctx.writer.run(
            ctx.store.authorise, verdict, claim, ctx.clock.wall(), _caps(ctx)
        )
    except (AuthorisationDenied, LeaseLost) as denied:
        log.info("not authorised", action="attempt.denied", cause=type(denied).__name__)
        return Placed.REFUSED

    # 4. Ring, talk, hang up.
    lease = asyncio.create_task(_keep_lease(ctx, claim))
    try:
        record, sealed = await _talk(ctx, claim, attempt, verdict, indexes, script)
    except (TelephonyError, PermitError) as error:  # nothing was sent: it counts all the same
        log.error("no call", action="call.failed", cause=type(error).__name__)
        record = CallRecord(attempt.id, Outcome.LINE_FAILED, Blame.US, attempt.line)
        record, sealed = record.evolve(sip_reason=error.detail, ended_at=ctx.clock.wall()), None
    finally:
        lease.cancel()

    # 5. Everything the call leaves behind: on this disk, then in one transaction.
    leaf = await _finish(ctx, claim, record, sealed)
    ctx.report("ended", _summary(record, leaf))
    return Placed.DONE


def _caps(ctx: DialContext) -> Caps:
    """What the authorising transaction counts again, the daily cap of our own numbers as the
    profiles in force have it."""
    own = ctx.rulebook.policy.own_numbers
    caps = default_caps(ctx.store.home)
    return caps.evolve(own_per_day=None if own is None else own.calls_per_day)


async def _finish(
    ctx: DialContext, claim: Claim, record: CallRecord, sealed: SealedRecording | None
) -> str:
    """Make the record durable; its ledger leaf, or empty while the database is away."""
    ended = Ended(record.attempt_id, claim.fencing, record, sealed)
    try:
        moved = await ctx.journal.note(ended)
    except StorageError as error:  # the journal tries on as long as this process lives
        log.error("record not safe yet", action="finish.late", cause=type(error).__name__)
        return ""
    return moved.result() if await ctx.journal.is_moved(moved) else ""


async def _prove_lines(ctx: DialContext, claim: Claim) -> tuple[LineFacts, ...]:
    """A demo home learns, a moment before the dial, which lines are simulators."""
    if claim.request.home is not HomeKind.DEMO or ctx.simulator_key is None:
        return claim.request.lines
    facts = []
    for line in claim.request.lines:
        try:
            await prove(line.address, ctx.simulator_key)
            facts.append(line.evolve(simulator_proven=True))
        except LineUnproven as unproven:
            log.warning("line unproven", action="line.unproven", line=line.id, why=unproven.detail)
            ctx.report("unproven", {"line": line.id, "why": str(unproven)})
            facts.append(line.evolve(simulator_proven=False))
    return tuple(facts)


async def _keep_lease(ctx: DialContext, claim: Claim) -> None:
    """Renew the lease while the call lives, so that nobody settles it under us."""
    wait_s = ctx.lease_s / 3
    while True:
        await asyncio.sleep(wait_s)
        wait_s = ctx.lease_s / 3
        try:
            await ctx.writer.run(_renew, ctx, claim)
        except LeaseLost:
            log.error("lease lost in mid-call", action="lease.lost", attempt=claim.lease_id)
            return
        except StorageError as error:  # the first to come when the database is back
            log.error("lease not renewed", action="lease.late", cause=type(error).__name__)
            wait_s = _RENEW_AGAIN_S


def _renew(ctx: DialContext, claim: Claim) -> None:
    """From the moment the database takes it: a renewal that waited while it hung still counts."""
    ctx.store.renew(claim, ctx.clock.wall())


async def _talk(
    ctx: DialContext,
    claim: Claim,
    attempt: Attempt,
    permit: Permit,
    indexes: tuple[bytes, bytes],
    script: RenderedScript,
) -> tuple[CallRecord, SealedRecording | None]:
    """INVITE, wait, converse, hang up; returns the record and the sealed recording."""
    lines = {facts.id: Line.of(facts) for facts in claim.request.lines}
    line = choose((attempt.line,), lines, ctx.live)  # its own number was counted (C4b)
    recorder = CallRecorder(
        ctx.files,
        ctx.store.keyring,
        lambda opening: ctx.journal.note(Opened(attempt.id, opening)),
        ctx.objects,
        ctx.tenant,
        attempt.id,
    )
    blank = CallRecord(attempt.id, Outcome.LINE_FAILED, Blame.US, line.id)
    ctx.live[line.id] = ctx.live.get(line.id, 0) + 1
    leg: CallLeg | None = None
    try:
        leg = await ctx.endpoint.place(permit, line)
        leg.tap = recorder.feed
        ctx.legs[attempt.id] = leg
        if ctx.stopping:
            leg.withdraw(Why.STOPPED)
        ctx.report(
            "dialing", {"attempt": attempt.id, "contact": claim.request.contact.number.masked}
        )
        early = _listen_early(ctx, claim, attempt, leg)
        try:
            answered = await leg.wait_answer(ctx.ring_timeout_s)
        finally:
            await early.close()
        conversation: Conversation | None = None
        sealed: SealedRecording | None = None
        if answered and leg.state.withdrawn is None:
            conversation = await _converse(
                ctx, claim, attempt, leg, recorder, line, indexes, script
            )
        if answered:
            await leg.hangup()
        await leg.wait_ended(_BYE_TIMEOUT_S)
        if conversation is not None:
            sealed = await recorder.close(keep_callee=conversation.notice_ms is not None)
            if recorder.failed.is_set():
                ctx.disk.failed(recorder.cause)
                conversation = conversation.evolve(violations=(*conversation.violations, "S6"))
        record = _record(ctx, blank, leg, conversation, early.found)
        if sealed is not None:
            record = record.evolve(recording=sealed.id)
        return record, sealed
    except BaseException:
        recorder.abandon()
        if leg is not None:
            leg.withdraw(Why.TALK_OVER)  # whatever failed here, nobody is left on a dead line
        raise
    finally:
        ctx.live[line.id] -= 1
        ctx.legs.pop(attempt.id, None)


def _listen_early(ctx: DialContext, claim: Claim, attempt: Attempt, leg: CallLeg) -> EarlyEar:
    """An ear for what the carrier says while nobody has answered."""
    language = claim.request.script.language

    def found(what: Announcement) -> None:
        ctx.report("announcement", {"attempt": attempt.id, "announcement": str(what)})

    return EarlyEar(leg, lambda: ctx.speech.open(f"{attempt.id}-early", language), found)


async def _converse(
    ctx: DialContext,
    claim: Claim,
    attempt: Attempt,
    leg: CallLeg,
    recorder: CallRecorder,
    line: Line,
    indexes: tuple[bytes, bytes],
    script: RenderedScript,
) -> Conversation:
    """The conversation of an answered call, its recording open and its refusal durable."""
    dialog = dialog_of(leg.answer_message, line.peer(claim.request.contact.number))
    ctx.report("answered", {"attempt": attempt.id, "dialog": dialog and dialog.to_json()})
    answered_at = _wall_of(ctx.clock, leg.answered_at_monotonic)
    opening = asyncio.gather(
        ctx.journal.note(Answered(attempt.id, answered_at, leg.sip_call_id)), recorder.open()
    )
    stream: SpeechStream | None = None
    try:
        stream = await ctx.speech.open(attempt.id, claim.request.script.language)
    except SpeechError as error:
        log.error("no recognizer", action="speech.lost", cause=type(error).__name__)

    async def refused(how: str, at_ms: int) -> None:
        at = answered_at + timedelta(milliseconds=at_ms)
        scope = RefusalScope.COMPANY
        if how == EVERYTHING:  # never call me again
            how, scope = "voice", RefusalScope.EVERYTHING
        everything = scope is RefusalScope.EVERYTHING
        until = ctx.rulebook.policy.refusal_until(at, everything=everything)
        await ctx.journal.note(Refused(attempt.id, how, at, until, *indexes, str(scope)))
        ctx.report("refusal", {"attempt": attempt.id, "how": how})

    agent: ConnectedAgent | None = None

    async def call_person() -> ConnectedAgent | None:
        nonlocal agent
        agent = await ctx.switchboard.call_person(attempt.id, leg, line)
        return agent

    leave = asyncio.Event()
    leaving = asyncio.create_task(_ask_to_leave(ctx, recorder, leave), name="leaving")
    try:
        talk = await converse(
            leg,
            script,
            stream,
            clock=ctx.clock,
            on_refusal=refused,
            words=ctx.words,
            call_person=call_person,
            leave=leave,
        )
    finally:
        leaving.cancel()
    if agent is not None:
        await agent.parted()
    try:
        await opening
    except StorageError as error:  # the record of the call says so again
        log.error("answer not noted", action="storage.away", cause=type(error).__name__)
    return talk


async def _script_for(ctx: DialContext, claim: Claim) -> RenderedScript:
    """The approved script of this number, with the contact's values where it names any."""
    approved = ctx.scripts[claim.request.script.id]
    names = {slot for prompt in approved.script.prompts for slot in prompt.slots}
    if not names:
        return approved
    values = await ctx.writer.run(ctx.store.spoken.values, claim, names)
    script = await asyncio.to_thread(for_contact, approved, ctx.voice, values, ctx.words)
    flags = sorted({flag for prompt in script.prompts.values() for flag in prompt.flags})
    if flags:
        log.warning("not to be said", action="wording.blocked", requirements=flags)
        ctx.report("blocked", {"attempt": claim.request.attempt_id, "requirements": flags})
    return script


def _indexes(keyring: Keyring, number: Number) -> tuple[bytes, bytes]:
    return pii.number_index(keyring, number), pii.refusal_index(keyring, number)


async def _ask_to_leave(ctx: DialContext, recorder: CallRecorder, leave: asyncio.Event) -> None:
    """A run that stops, and a call that is not recorded any more (S6), end with a goodbye."""
    told = [asyncio.create_task(event.wait()) for event in (ctx.leave, recorder.failed)]
    try:
        await asyncio.wait(told, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for each in told:
            each.cancel()
    if recorder.failed.is_set():
        ctx.disk.failed(recorder.cause)
        ctx.held = "disk"  # no further call, until there is room again
    leave.set()


def _record(
    ctx: DialContext,
    blank: CallRecord,
    leg: CallLeg,
    talk: Conversation | None,
    announcement: Announcement | None,
) -> CallRecord:
    """What SIP saw and what the conversation says of itself, as one record."""
    times = leg.times
    record = blank.evolve(
        sip_call_id=leg.sip_call_id,
        sip_status=200 if leg.state.answered else leg.state.status,
        sip_reason=leg.state.reason,
        invited_at=_wall_of(ctx.clock, times.invited),
        ringing_at=times.ringing and _wall_of(ctx.clock, times.ringing),
        answered_at=times.answered and _wall_of(ctx.clock, times.answered),
        ended_at=_wall_of(ctx.clock, times.ended) if times.ended else ctx.clock.wall(),
        ended_by=leg.state.ended_by,
    )
    if talk is None or times.answered is None:
        result, blame = outcome.of_unanswered(leg.state, announcement)
        said = str(announcement) if announcement is not None else ""
        return record.evolve(outcome=result, blame=blame, announcement=said)
    ended = times.ended if times.ended is not None else ctx.clock.monotonic()
    violations = list(talk.violations)
    if talk.disclosed_ms is not None and talk.disclosed_ms > DISCLOSURE_LIMIT_MS:
        violations.append("S1")
    if leg.tape.dropped or leg.lost_events:
        violations.append("S6")  # part of the call is missing from its recording
    return record.evolve(
        outcome=talk.outcome,
        blame=talk.blame,
        duration_ms=round((ended - times.answered) * 1000),
        disclosed_ms=talk.disclosed_ms,
        notice_ms=talk.notice_ms,
        refused=talk.refused,
        refused_ms=talk.refused_ms,
        farewell_ms=talk.farewell_ms,
        transferred=talk.transferred_ms is not None,
        transferred_ms=talk.transferred_ms,
        agent=talk.agent,
        callback=talk.callback,
        feedback=talk.feedback,
        transcript=talk.transcript,
        keys=talk.keys,
        violations=tuple(dict.fromkeys(violations)),
        max_gap_ms=round(leg.tape.max_gap_s * 1000),
    )


def _wall_of(clock: Clock, monotonic: float | None) -> datetime:
    """The wall time of a monotonic instant of the near past."""
    now = clock.wall()
    if monotonic is None:
        return now
    return now - timedelta(seconds=clock.monotonic() - monotonic)


def _summary(record: CallRecord, leaf: str) -> dict[str, Any]:
    """The facts of a finished call that progress displays show; no personal data."""
    return {
        "attempt": record.attempt_id,
        "outcome": record.outcome.value,
        "blame": record.blame.value,
        "sip_status": record.sip_status,
        "disclosed_ms": record.disclosed_ms,
        "refused": record.refused,
        "callback": record.callback,
        "transferred": record.transferred,
        "duration_ms": record.duration_ms,
        "violations": list(record.violations),
        "max_gap_ms": record.max_gap_ms,
        "leaf": leaf,
    }
