# SPDX-License-Identifier: GPL-3.0-or-later
"""One dialer process: one pjsua2 endpoint, as many calls as it holds.

Started by the supervisor as ``python -m dialer.worker``. Orders come as one
JSON line on standard input, events go out as JSON lines on standard output;
standard input closing means the supervisor is gone: live calls are ended
politely and the process leaves.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
import os
import resource
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import structlog
from sqlalchemy import Engine

from compliance.clock import Clock, SystemClock
from compliance.errors import BadInput, CandorError, ScriptError, StorageAway, StorageError
from dialer import renderings
from dialer.call import Why
from dialer.campaign import DialContext, Placed, place_one_call
from dialer.disk import Disk
from dialer.journal import Journal
from dialer.law import rulebook_of
from dialer.logs import configure
from dialer.orders import DRAIN, Order
from dialer.policies import word_check
from dialer.proof import SimulatorKey
from dialer.settings import Home
from dialer.sip import EndpointConfig, SipEndpoint
from dialer.transfer import Switchboard
from dialer.writer import Writer
from storage import sequencer
from storage.call_journal import CallJournal
from storage.context import translated
from storage.database import check_version, make_engine
from storage.store import Store
from voicebot.prompts import PromptCache, RenderedScript
from voicebot.speech import SpeechClient
from voicebot.tts import PyttsxSynthesizer
from voicebot.words import WordCheck

log = structlog.get_logger("dialer.worker")

_POLL_S = 0.3  # how soon a pause or stop written to storage is acted on (≤ 1 s)
_IDLE_S = 0.5
_AFTER_FAILURE_S = 2.0
_VOICE_S = 1.0  # a synthesizer that takes longer for one sentence is given up
_ANSWER_S = 3.0  # a database that takes longer counts as away
_GOODBYE_S = 5.0  # live calls end politely within this time of a stop


class _Events:
    """JSON lines to the supervisor; a supervisor that is gone is not an error here."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        # The endpoint and speech libraries may print: keep the event pipe to ourselves.
        self._out = os.fdopen(os.dup(1), "w", encoding="utf-8", buffering=1)
        os.dup2(2, 1)

    def __call__(self, event: str, facts: Mapping[str, Any]) -> None:
        with self._lock, contextlib.suppress(BrokenPipeError, ValueError):
            self._out.write(json.dumps({"event": event, **facts}) + "\n")
            self._out.flush()


async def run(order: Order, report: _Events, drain: asyncio.Event) -> None:
    """Dial until nothing is due, the campaign is stopped or the supervisor says drain."""
    clock = SystemClock()
    home = Home(Path(order.home))
    settings = home.settings
    keyring = home.key_source.open(order.passphrase)
    engine = make_engine(home.database_url)
    check_version(engine)
    store = Store(engine, keyring, node=settings.node, clock=clock)
    rulebook = rulebook_of(home, store)
    store.rulebooks.keep(rulebook.digest, rulebook.text)
    writer, files = Writer(), Writer("files")
    noted = CallJournal.create(home.journal, order.name, keyring, store.tenant)
    spool_bytes = settings.storage.spool_mb * 10**6 if home.remote else None
    disk = Disk(home.objects, spool_bytes, home.journal)
    journal = Journal(noted, store, files=files, database=writer, disk_failed=disk.failed)
    synthesizer = PyttsxSynthesizer(timeout_s=_VOICE_S)
    rendered, words = await asyncio.to_thread(_approved_scripts, store, home, order.campaign)
    endpoint = SipEndpoint(
        EndpointConfig(
            host=settings.sip.host,
            sip_port=order.sip_port,
            rtp_port=order.rtp_port,
            rtp_ports=order.rtp_ports,
            max_calls=settings.sip.max_calls_per_process,
            user_agent=settings.sip.user_agent,
        ),
        clock,
    )
    speech = await SpeechClient.connect(order.speech_socket)
    await endpoint.start()
    simulator = (
        SimulatorKey.load(home.simulator_key.read_bytes()) if home.simulator_key.exists() else None
    )
    ctx = DialContext(
        campaign=order.campaign,
        store=store,
        writer=writer,
        files=files,
        journal=journal,
        endpoint=endpoint,
        speech=speech,
        rulebook=rulebook,
        scripts=rendered,
        voice=PromptCache(None, synthesizer),
        words=words,
        clock=clock,
        worker=order.name,
        tenant=store.tenant,
        objects=home.objects,
        disk=disk,
        ring_timeout_s=settings.dial.ring_timeout_s,
        lease_s=settings.dial.lease_s,
        simulator_key=simulator,
        switchboard=Switchboard(
            store,
            writer,
            endpoint,
            clock,
            simulator,
            speech,
            next(iter(rendered.values())).script.language,
            ring_timeout_s=settings.dial.agent_ring_timeout_s,
            wrap_up_s=settings.dial.wrap_up_s,
            report=report,
        ),
        report=report,
    )
    report("ready", {"capacity": endpoint.capacity, "sip_port": endpoint.sip_port})
    watcher = asyncio.create_task(_watch(ctx, home, engine, settings.dial.stop_after_lag_s))
    drainer = asyncio.create_task(_when_told(ctx, drain))
    agents = sum(agent.enabled for agent in await writer.run(store.agents.agents))
    slots = min(order.max_calls, _leads(endpoint.capacity, agents))
    busy: set[int] = set()
    try:
        async with asyncio.TaskGroup() as group:
            for index in range(slots):
                group.create_task(_slot(ctx, index, busy))
    finally:
        watcher.cancel()
        drainer.cancel()
        slots_left = endpoint.capacity - endpoint.free_slots
        await endpoint.close()
        await journal.close()
        await asyncio.to_thread(files.close)
        if writer.busy_s < _ANSWER_S:  # else it may never return; what matters is on disk
            await asyncio.to_thread(writer.close)
        await speech.close()
        synthesizer.close()
    report("done", {"callback_errors": endpoint.callback_errors, "slots_left": slots_left})


def _leads(capacity: int, agents: int) -> int:
    """How many callees at a time, so that one who asks for a person still finds a call slot."""
    return max(1, capacity - min(agents, max(1, capacity // 4)))


async def _slot(ctx: DialContext, index: int, busy: set[int]) -> None:
    """One call after another, until nothing is due and no other slot may free a contact."""
    while not ctx.stopping:
        if ctx.endpoint.free_slots <= 0 or ctx.held:
            await asyncio.sleep(_IDLE_S)
            continue
        busy.add(index)
        try:
            placed = await place_one_call(ctx)
        except Exception as error:
            # One call's failure is that call's: its lease runs out and the record settles.
            log.error("call failed", action="call.failed", kind=type(error).__name__)
            ctx.report("call_failed", {"kind": type(error).__name__})
            placed = Placed.DONE
            await asyncio.sleep(_AFTER_FAILURE_S)
        finally:
            busy.discard(index)
        if placed is Placed.NOTHING_DUE and not busy:
            return
        if placed in (Placed.NOTHING_DUE, Placed.HELD):
            await asyncio.sleep(_IDLE_S)


async def _watch(ctx: DialContext, home: Home, engine: Engine, lag_limit_s: float) -> None:
    """Act on what operators write to storage, and dial less when something falls behind."""
    while True:
        await asyncio.sleep(_POLL_S)
        full = await ctx.files.run(ctx.disk.full)
        spooled = await ctx.files.run(ctx.disk.spool_full)
        if ctx.disk.broken:
            log.error("the disk fails", action="disk.broken")
            hold(ctx, "disk")
            stop(ctx)
            return
        try:
            if ctx.writer.busy_s > _ANSWER_S:
                raise StorageAway("the database hangs")
            async with asyncio.timeout(_ANSWER_S):
                steering = await ctx.writer.run(ctx.store.steering, ctx.campaign)
                lag = await ctx.writer.run(_lag, engine, ctx.clock)
                lawful = await take_over_law(ctx, home, steering.adopted_law)
        except (StorageError, TimeoutError) as error:
            hold(ctx, "storage")  # no new INVITE while it is away; live calls go on
            log.error("storage away", action="storage.away", kind=type(error).__name__)
            continue
        if steering.state in ("stopped", "done") or steering.stopped_at is not None:
            stop(ctx)
        reasons = {
            "disk": full,
            "spool": spooled,
            "storage": ctx.journal.behind,
            "journal": await ctx.files.run(ctx.journal.aside),
            "paused": steering.state == "paused",
            "law": not lawful,
            "clock": steering.clock_adrift,
            "ledger": lag > lag_limit_s,
            "speech": ctx.speech.behind,
        }
        hold(ctx, next((why for why, true in reasons.items() if true), ""))


async def take_over_law(ctx: DialContext, home: Home, adopted: str) -> bool:
    """Whether calls are decided under adopted law; law adopted in mid-run is read anew."""
    if not ctx.rulebook.policy.adopted_law or adopted == ctx.rulebook.digest:
        return True
    try:
        # The settings too: adopted law may name other profiles.
        law = await ctx.writer.run(lambda: rulebook_of(Home(home.root), ctx.store))
    except BadInput:  # the files are being changed just now, or broken
        return False
    if law.digest != adopted:
        return False
    ctx.rulebook = law
    return True


def _lag(engine: Engine, clock: Clock) -> float:
    with translated():
        return sequencer.lag(engine, clock.wall())


def hold(ctx: DialContext, why: str) -> None:
    """Place no new call because of ``why``; empty: dial on. Those at the screen are told."""
    if why != ctx.told_held:
        ctx.report("held", {"why": why})
    ctx.held = ctx.told_held = why


async def _when_told(ctx: DialContext, drain: asyncio.Event) -> None:
    await drain.wait()
    stop(ctx)


def stop(ctx: DialContext) -> None:
    """No new calls; what rings is cancelled, what talks ends within ``_GOODBYE_S``."""
    if ctx.stopping:
        return
    ctx.stopping = True
    ctx.leave.set()  # whoever talks says goodbye; the BYE comes below at the latest
    loop = asyncio.get_running_loop()
    for leg in tuple(ctx.legs.values()):
        if leg.state.answered:
            loop.call_later(_GOODBYE_S - 0.5, leg.withdraw, Why.STOPPED)
        else:
            leg.withdraw(Why.STOPPED)


def _approved_scripts(
    store: Store, home: Home, campaign: str
) -> tuple[dict[str, RenderedScript], WordCheck]:
    """Every script the campaign speaks by its version, rendered, and proven to be the very one
    that was approved (G5, G6); the first is the campaign's own, all are of one language.

    Their words are checked once more: a pack may have grown since (S9).
    """
    rendered = {
        version.id: renderings.approved(home, version) for version in store.arms.scripts(campaign)
    }
    first = next(iter(rendered.values()))
    words = word_check(first.script.language, home.settings.policy, home.root)
    for prompt in (prompt for one in rendered.values() for prompt in one.script.prompts):
        for found in words.findings(prompt.text):
            raise ScriptError(
                f"{prompt.id} holds words that must not be said any more ({found.requirement})",
                field="script",
                remedy="see `candor script lint`; submit a mended version and have it approved",
            )
    return rendered, words


async def _main() -> int:
    report = _Events()
    line = await asyncio.to_thread(sys.stdin.readline)
    order = Order(**json.loads(line))
    node, _, process = order.name.split("/")
    log_name = f"{node}-{process.partition('.')[0]}"
    configure(Path(order.home) / "logs" / f"{log_name}.log")
    drain = asyncio.Event()
    work = asyncio.create_task(run(order, report, drain))
    told = functools.partial(asyncio.get_running_loop().call_soon_threadsafe, drain.set)
    gone = asyncio.create_task(asyncio.to_thread(_read_to_end, told))
    done, _ = await asyncio.wait({work, gone}, return_when=asyncio.FIRST_COMPLETED)
    if work not in done:
        work.cancel()
    try:
        await work
    except asyncio.CancelledError:
        return 0
    except (CandorError, ExceptionGroup) as error:
        cause = _first(error)
        if not isinstance(cause, CandorError):
            raise
        report("failed", {"error": type(cause).__name__, "message": str(cause)})
        return 1
    return 0


def _first(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def _read_to_end(told_to_drain: Callable[[], object]) -> None:
    while line := sys.stdin.readline():
        if line.encode() == DRAIN:
            told_to_drain()


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a dump would hold keys and people (D8)
    loop = asyncio.new_event_loop()
    code = loop.run_until_complete(_main())
    sys.stdout.flush()
    # Leave at once: the thread that reads standard input never returns by itself, and pjsua2
    # objects that are still referenced would abort the interpreter's own teardown.
    os._exit(code)
