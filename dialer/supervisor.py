# SPDX-License-Identifier: GPL-3.0-or-later
"""Starts, watches, drains and restarts dialer and speech processes.

A process that dies touches only its own calls: the supervisor says BYE for
them, the lease of each runs out and the record settles, and a new process
takes over the rest of the campaign.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
import os
import secrets
import signal
import sys
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import structlog

from compliance.clock import Clock
from compliance.errors import LedgerError, StorageError, TelephonyError
from dialer import schedule
from dialer.check_process import CheckProcess
from dialer.orders import DRAIN, CheckOrder, Order
from dialer.orphans import Dialog, say_goodbye
from dialer.policies import load_rulebook, load_terms
from dialer.runs import Run, bury, dead_runs
from dialer.settings import Home
from dialer.settling import Settling
from storage.call_replay import Replay
from storage.context import translated
from storage.key_sources import SECRET_VARIABLES
from storage.keys_environment import VARIABLE as KEYRING
from storage.sequencer import Sequencer
from storage.store import Store

log = structlog.get_logger("dialer.supervisor")

_RESTARTS = 5  # within _RESTART_WINDOW_S; then the run fails instead of crash-looping
_RESTART_WINDOW_S = 60.0
_SPEECH_START_S = 20.0
_STOP_S = 8.0
_ABORT_S = 1.5
_CHECK_S = 30.0  # for the calls whose check waits when nothing is left to dial
_LOOK_S = 0.5

Report = Callable[[str, Mapping[str, Any]], None]


def _without(names: frozenset[str]) -> dict[str, str]:
    """The environment for a process that has no use for these variables."""
    return {name: value for name, value in os.environ.items() if name not in names}


@dataclass(slots=True)
class _Worker:
    name: str
    lease_name: str  # of this one process: its leases end with it
    process: asyncio.subprocess.Process
    dialogs: dict[str, Dialog] = field(default_factory=dict)  # attempt or leg id -> answered
    finished: bool = False
    error: str = ""


class Supervisor:
    """Runs one campaign on this machine until nothing is due or it is stopped."""

    def __init__(
        self,
        home: Home,
        store: Store,
        sequencer: Sequencer,
        clock: Clock,
        report: Report,
        passphrase: str | None = None,
    ) -> None:
        self._home = home
        self._store = store
        self._sequencer = sequencer
        self._clock = clock
        self._report = report
        self._passphrase = passphrase
        self._workers: dict[str, _Worker] = {}
        self._speech: dict[int, asyncio.subprocess.Process] = {}
        self._stopping = False
        self._run: Run | None = None
        self._grace_s = _STOP_S
        self._stamps = home.open_timestamps()
        self._deaths: deque[float] = deque()
        self._settling = Settling(Replay(home.journal, store), store, clock, self._settled)
        self._behind: tuple[str, ...] = ()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._checks: CheckProcess | None = None

    @property
    def pids(self) -> dict[str, int]:
        """Process ids by name: ``worker1``, ``speech1`` …"""
        found = {name: w.process.pid for name, w in self._workers.items()}
        found |= {f"speech{i + 1}": p.pid for i, p in self._speech.items()}
        checker = self._checks.pid if self._checks is not None else None
        return found | ({"checker": checker} if checker is not None else {})

    async def run(self, campaign: str) -> None:
        """Dial ``campaign`` to its end.

        Raises:
            TelephonyError: processes keep dying, or one could not start.
        """
        settings = self._home.settings
        self._run = Run(self._home.run)
        await asyncio.to_thread(self._settle_dead_runs)
        objects = self._home.open_objects()
        jobs = schedule.build(
            self._sequencer,
            self._store,
            self._clock,
            objects,
            load_terms(self._home),
            self._settling.look,
            self._stamp if self._stamps is not None else None,
            self._carry if self._sequencer.has_further else None,
            self._watch_numbers,
        )
        self._loop = asyncio.get_running_loop()
        jobs.start()
        speech_watch: list[asyncio.Task[None]] = []
        try:
            await asyncio.gather(*(self._start_speech(i) for i in range(settings.speech.processes)))
            speech_watch = [
                asyncio.create_task(self._keep_speech(i)) for i in range(settings.speech.processes)
            ]
            self._checks = self._checker()
            async with asyncio.TaskGroup() as group:
                for index in range(settings.dial.processes):
                    group.create_task(self._keep_worker(index, campaign))
            if self._checks is not None and not self._stopping:
                await self._checks.finish(_CHECK_S)
        finally:
            self._stopping = True
            for task in speech_watch:
                task.cancel()
            if self._checks is not None:
                await self._checks.finish(0.0)  # what waits is the next run's
            await self._end_processes()
            for worker in self._workers.values():
                await self._bury(worker)
            jobs.shutdown(wait=True)
            await asyncio.to_thread(schedule.forward_rest, objects)
            self._run.close(settled=not self._settling.owed)
            now = self._clock.wall()
            with translated():
                self._sequencer.run_once(now)
                self._sequencer.checkpoint(now, force=True)

    def drain(self) -> None:
        """No new calls, no restarts: what rings is cancelled, who talks hears a goodbye."""
        self._stopping = True
        self._report("draining", {})
        if self._checks is not None:
            self._checks.leave()
        for worker in self._workers.values():
            if worker.process.returncode is None and worker.process.stdin is not None:
                worker.process.stdin.write(DRAIN)

    def abort(self) -> None:
        """End at once: every call is hung up on without a goodbye."""
        self._stopping = True
        self._grace_s = _ABORT_S

    def _settle_dead_runs(self) -> None:
        """What an earlier run of this home left open when it was killed."""
        node, folder = self._home.settings.node, self._home.run
        for run in dead_runs(folder):
            self._settling.bury(f"{node}/{run}/", functools.partial(bury, folder, run))
        self._settling.look()

    def _stamp(self) -> None:
        """Have the newest checkpoint stamped if that is due; an authority away stops nothing."""
        every = timedelta(seconds=self._home.settings.timestamps.every_s)
        if self._stamps is not None and self._stamps.due(self._clock.wall(), every):
            self._stamps.stamp_newest()

    def _watch_numbers(self) -> None:
        """A number of ours that seems blocked rests, and those at the screen are told (C4b)."""
        asked = load_rulebook(self._home.settings.policy.profiles).policy.own_numbers
        if asked is not None:
            for number in self._store.own_numbers.watch(asked.rest_hours):
                assert self._loop is not None
                self._loop.call_soon_threadsafe(self._report, "number_rests", {"number": number})

    def _carry(self) -> None:
        """Take checkpoints to the further anchors. One that is away stops no call; one that
        shows, when it is back, that this database was rolled back ends the run politely."""
        try:
            self._sequencer.carry()
        except LedgerError as error:
            log.error("an anchor disagrees", action="anchor.disagrees", cause=error.detail)
            if self._loop is not None and not self._stopping:
                self._loop.call_soon_threadsafe(self.drain)
            raise
        behind = self._sequencer.behind
        if behind != self._behind:
            self._behind = behind
            log.warning("anchors behind", action="anchor.behind", anchors=", ".join(behind))

    # ------------------------------------------------------------ dialer processes

    async def _keep_worker(self, index: int, campaign: str) -> None:
        while True:
            worker = await self._start_worker(index, campaign)
            await self._listen(worker)
            code = await worker.process.wait()
            if worker.finished:
                return
            await self._bury(worker)
            if worker.error:
                raise TelephonyError(worker.error)
            if self._stopping:
                return
            log.error("dialer process died", action="worker.died", worker=worker.name, code=code)
            self._report("worker_died", {"worker": worker.name, "code": code})
            self._count_death()
            await self._until_settled()

    async def _start_worker(self, index: int, campaign: str) -> _Worker:
        assert self._run is not None
        settings = self._home.settings
        sip, dial = settings.sip, settings.dial
        share = dial.max_calls // dial.processes + (index < dial.max_calls % dial.processes)
        order = Order(
            home=str(self._home.root),
            campaign=campaign,
            name=f"{settings.node}/{self._run.id}/worker{index + 1}.{secrets.token_hex(4)}",
            sip_port=sip.sip_port + index if sip.sip_port else 0,
            rtp_port=sip.rtp_port + index * sip.rtp_ports_per_process if sip.rtp_port else 0,
            rtp_ports=sip.rtp_ports_per_process,
            max_calls=max(1, share),
            speech_socket=str(self._socket(index % settings.speech.processes)),
            passphrase=self._passphrase,
        )
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "dialer.worker",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=self._error_file(f"worker{index + 1}"),
            env=_without(SECRET_VARIABLES - {KEYRING}),  # what opens the keys is in the order
            start_new_session=True,  # Ctrl-C reaches the supervisor, which drains them
        )
        assert process.stdin is not None
        process.stdin.write(order.to_json().encode() + b"\n")
        await process.stdin.drain()
        worker = _Worker(f"worker{index + 1}", order.name, process)
        self._workers[worker.name] = worker
        return worker

    async def _listen(self, worker: _Worker) -> None:
        assert worker.process.stdout is not None
        async for raw in worker.process.stdout:
            try:
                facts = json.loads(raw)
                event = facts.pop("event")
            except (ValueError, KeyError, AttributeError):
                continue  # not one of ours
            match event:
                case "answered":
                    dialog = facts.pop("dialog", None)
                    if dialog:
                        worker.dialogs[facts["attempt"]] = Dialog.from_json(dialog)
                case "agent_answered":
                    dialog = facts.pop("dialog", None)
                    if dialog:
                        worker.dialogs[facts["leg"]] = Dialog.from_json(dialog)
                case "ended":
                    worker.dialogs.pop(facts["attempt"], None)
                    if self._checks is not None:
                        await self._checks.ended(facts["attempt"])
                case "agent_released":
                    worker.dialogs.pop(facts["leg"], None)
                case "done":
                    worker.finished = True
                case "failed":
                    worker.error = facts["message"]
            self._report(event, {"worker": worker.name, **facts})

    async def _bury(self, worker: _Worker) -> None:
        """Say BYE for the calls a dead process left behind."""
        for attempt, dialog in tuple(worker.dialogs.items()):
            answered = await asyncio.to_thread(say_goodbye, dialog)
            log.warning(
                "said goodbye for a dead process",
                action="orphan.bye",
                attempt=attempt,
                answered=answered,
            )
            self._report("orphan_bye", {"attempt": attempt, "answered": answered})
        worker.dialogs.clear()
        self._settling.bury(worker.lease_name)
        try:
            await asyncio.to_thread(self._settling.look)
        except StorageError as error:  # the next look, or the next run
            log.error("not settled yet", action="storage.away", cause=type(error).__name__)

    async def _until_settled(self) -> None:
        """No new process before the database answers and knows what the dead one left."""
        if not self._settling.owed:
            return
        self._report("held", {"why": "storage"})
        while self._settling.owed and not self._stopping:
            await asyncio.sleep(_LOOK_S)
        self._report("held", {"why": ""})

    def _count_death(self) -> None:
        now = time.monotonic()
        self._deaths.append(now)
        while self._deaths and now - self._deaths[0] > _RESTART_WINDOW_S:
            self._deaths.popleft()
        if len(self._deaths) > _RESTARTS:
            raise TelephonyError(
                f"processes died {len(self._deaths)} times within {_RESTART_WINDOW_S:.0f} s",
                remedy=f"see the files in {self._home.logs}",
            )

    # ------------------------------------------------------------ speech processes

    def _socket(self, index: int) -> Path:
        assert self._run is not None
        return self._home.run / f"{self._run.id}-{index + 1}.sock"

    async def _start_speech(self, index: int) -> None:
        socket = self._socket(index)
        socket.unlink(missing_ok=True)
        models = []
        for language in self._home.settings.speech.models:
            models += ["--model", f"{language}={self._home.model(language)}"]
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "voicebot.speech",
            "--socket",
            str(socket),
            *models,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=self._error_file(f"speech{index + 1}"),
            env=_without(SECRET_VARIABLES),
            start_new_session=True,
        )
        self._speech[index] = process
        until = time.monotonic() + _SPEECH_START_S
        while not socket.exists():
            if process.returncode is not None or time.monotonic() > until:
                raise TelephonyError(
                    "the speech process did not start",
                    remedy=f"see {self._home.logs / f'speech{index + 1}.err'}",
                )
            await asyncio.sleep(0.05)

    async def _keep_speech(self, index: int) -> None:
        while True:
            code = await self._speech[index].wait()
            if self._stopping:
                return
            log.error("speech process died", action="speech.died", code=code)
            self._report("speech_died", {"code": code})
            self._count_death()
            await self._start_speech(index)

    # ------------------------------------------------------------ checks of ended calls

    def _checker(self) -> CheckProcess | None:
        if not self._home.settings.checks.automatic:
            return None
        return CheckProcess(
            CheckOrder(str(self._home.root), self._passphrase),
            _without(SECRET_VARIABLES - {KEYRING}),
            lambda: self._error_file("checker"),
        )

    # ------------------------------------------------------------ the end

    def _error_file(self, name: str) -> int:
        self._home.logs.mkdir(mode=0o700, exist_ok=True)
        path = self._home.logs / f"{name}.err"
        return os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)

    def _settled(self, attempts: list[str]) -> None:
        self._report("settled", {"attempts": attempts})

    async def _end_processes(self) -> None:
        for worker in self._workers.values():
            if worker.process.returncode is None and worker.process.stdin is not None:
                worker.process.stdin.close()
        processes = [w.process for w in self._workers.values()]
        for process in self._speech.values():
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    process.send_signal(signal.SIGTERM)
            processes.append(process)
        until = time.monotonic() + self._grace_s
        for process in processes:
            try:
                async with asyncio.timeout(max(0.1, until - time.monotonic())):
                    await process.wait()
            except TimeoutError:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                await process.wait()
        for index in self._speech:
            self._socket(index).unlink(missing_ok=True)
