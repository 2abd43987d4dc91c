# SPDX-License-Identifier: GPL-3.0-or-later
"""pjsua2 endpoint on one thread: the only module that can put an INVITE on the wire.

All pjsua2 calls are made from the endpoint's own thread, which polls
``libHandleEvents``; the asyncio side hands work over through a queue and gets
events back through ``call_soon_threadsafe``. The traps this handles, each of
which crashed or hung a process when met unprepared:

* a port or call dropped by the garbage collector races the clock thread:
  both are destroyed explicitly, after ``libHandleEvents`` has returned;
* a stale ``Call`` hangs up whoever reuses its slot: destroyed before the next
  ``makeCall``;
* a redirect, REFER or Replaces from the peer would place a call that no permit
  names: all three are refused;
* an exception in a callback is swallowed: each reports it instead.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import functools
import queue
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import pjsua2 as pj
import structlog

from compliance.clock import Clock
from compliance.errors import NoSlot, TelephonyError
from compliance.permits import InternalPermit, Permit
from dialer.audio import MediaPort
from dialer.leg import CallLeg
from dialer.lines import Line
from dialer.sip_call import Account, Call

log = structlog.get_logger("dialer.sip")

_ETOOMANY = 70010  # PJ_ETOOMANY: no free call slot
_POLL_MS = 10
# A hung-up call keeps its slot until the BYE is answered: 1 ms as a rule.
_SLOT_WAIT_S = 2.0
# Both ends of the telephone network speak G.711 (ITU-T); anything else is refused.
_CODECS = {"PCMA/8000": 255, "PCMU/8000": 254}


@dataclass(frozen=True, slots=True)
class EndpointConfig:
    """Where one dialer process listens. Ports of processes must not overlap."""

    host: str = "127.0.0.1"
    sip_port: int = 0  # 0: any free port
    rtp_port: int = 0  # first of the RTP range; 0: any
    rtp_ports: int = 64
    max_calls: int = 250  # asked for; the build may hold fewer
    user_agent: str = "Candor"
    log_level: int = 1


class SipEndpoint:
    """One pjsua2 endpoint and its calls.

    ``capacity`` is what the installed pjsua2 really holds (4 with the PyPI
    wheel). ``place`` is the single way to an INVITE and takes a ``Permit``.
    """

    def __init__(self, config: EndpointConfig, clock: Clock) -> None:
        self.config = config
        self.capacity = 0
        self.sip_port = 0
        self.callback_errors = 0
        self._slots_in_use = 0
        self._clock = clock
        self._loop: asyncio.AbstractEventLoop | None = None
        self._commands: queue.Queue[Callable[[], None]] = queue.Queue(maxsize=4096)
        self._thread: threading.Thread | None = None
        self._stopping = threading.Event()
        self._dead: list[tuple[pj.Call, MediaPort | None]] = []
        self._accounts: dict[str, Account] = {}
        self._calls: dict[CallLeg, Call] = {}
        self._endpoint: pj.Endpoint | None = None
        self._pump: asyncio.Task[None] | None = None

    # ------------------------------------------------------------ asyncio side

    async def start(self) -> None:
        """Bring the endpoint up; TelephonyError names what failed (port in use, …)."""
        self._loop = asyncio.get_running_loop()
        ready: asyncio.Future[None] = self._loop.create_future()
        self._thread = threading.Thread(target=self._run, args=(ready,), name="pjsua2", daemon=True)
        self._thread.start()
        await ready
        self._pump = asyncio.create_task(self._pump_frames(), name="media pump")

    async def place(self, permit: Permit, line: Line) -> CallLeg:
        """Send one INVITE over ``line`` for the attempt the permit names (C4, D3).

        Raises:
            PermitError: the permit is not committed, spent, expired or for another line.
            NoSlot: pjsua2 has no free call slot; nothing was sent.
            TelephonyError: the INVITE could not be sent.
        """
        number = permit.redeem(line.id, self._clock.monotonic())
        return await self._place(line, line.target(number))

    async def place_internal(self, permit: InternalPermit, line: Line) -> CallLeg:
        """Send one INVITE to a registered telephone of ours, showing ``line``'s number (S10).

        Raises as :meth:`place`.
        """
        return await self._place(line, permit.redeem(self._clock.monotonic()))

    async def join(self, one: CallLeg, other: CallLeg) -> None:
        """Let two answered callees hear each other; ended legs are left alone."""
        await self._call(lambda: self._join(one, other))

    def part(self, leg: CallLeg) -> None:
        """Take a joined leg apart from the other."""
        self._post(lambda: self._part(leg))

    async def _place(self, line: Line, target: str) -> CallLeg:
        leg = CallLeg(self, asyncio.get_running_loop(), line.id)
        deadline = self._clock.monotonic() + _SLOT_WAIT_S
        while True:
            try:
                await self._call(lambda: self._invite(leg, line, target))
                return leg
            except NoSlot:
                if self._clock.monotonic() >= deadline:
                    raise
                await asyncio.sleep(0.02)

    @property
    def free_slots(self) -> int:
        """Calls that can be placed now; a slot whose BYE got no reply frees after 32 s."""
        return self.capacity - self._slots_in_use

    def hangup(self, leg: CallLeg) -> None:
        """CANCEL before an answer, BYE after it; harmless on an ended call."""
        self._post(lambda: self._hangup(leg))

    async def close(self) -> None:
        """End every call, free everything, stop the thread (about 1 s)."""
        if self._pump is not None:
            self._pump.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._pump
        self._stopping.set()
        thread = self._thread
        if thread is not None:
            await asyncio.to_thread(thread.join, 10.0)

    async def _call(self, work: Callable[[], None]) -> None:
        loop = asyncio.get_running_loop()
        done: asyncio.Future[None] = loop.create_future()

        def run() -> None:
            try:
                work()
            except Exception as error:
                self._to_loop(functools.partial(_settle, done, error))
            else:
                self._to_loop(functools.partial(_settle, done, None))

        self._post(run)
        await done

    def _post(self, work: Callable[[], None]) -> None:
        try:
            self._commands.put_nowait(work)
        except queue.Full:
            raise TelephonyError("the SIP thread does not take commands any more") from None

    def _to_loop(self, work: Callable[[], object]) -> None:
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop is closed: we are leaving
                self._loop.call_soon_threadsafe(work)

    async def _pump_frames(self) -> None:
        """Every 20 ms move what the clock thread copied to the legs."""
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            due = max(due + 0.02, loop.time() - 0.2)
            await asyncio.sleep(max(0.0, due - loop.time()))
            for leg in tuple(self._calls):
                leg.drain()

    # ------------------------------------------------------------ SIP thread

    def _run(self, ready: asyncio.Future[None]) -> None:
        # Media callbacks of four calls stay under 25 ms even beside busy Python threads.
        sys.setswitchinterval(0.0005)
        try:
            self._open()
        except Exception as error:
            message = getattr(error, "reason", str(error))
            failure = TelephonyError(
                f"the SIP endpoint did not start on {self.config.host}:{self.config.sip_port}: "
                f"{message}",
                remedy="choose another sip_port or stop the program that uses it",
            )
            # The half-made endpoint must die here: freed on another thread it aborts the process.
            error.__traceback__ = None
            del error
            if self._endpoint is not None:
                with contextlib.suppress(pj.Error):
                    self._endpoint.libDestroy()
                self._endpoint = None
            self._to_loop(lambda: ready.set_exception(failure))
            return
        self._to_loop(lambda: ready.set_result(None))
        endpoint = self._endpoint
        assert endpoint is not None
        while not self._stopping.is_set():
            endpoint.libHandleEvents(_POLL_MS)
            self._reap()
            self._run_commands()
            self._slots_in_use = _in_use(len(self._calls))
        self._shut_down(endpoint)

    def _open(self) -> None:
        with contextlib.suppress(AttributeError):  # quiet before libInit reads logConfig
            _library().pj_log_set_level(self.config.log_level)
        endpoint = self._endpoint = pj.Endpoint()
        endpoint.libCreate()
        config = pj.EpConfig()
        config.uaConfig.maxCalls = self.config.max_calls
        config.uaConfig.threadCnt = 0
        config.uaConfig.mainThreadOnly = True
        config.uaConfig.userAgent = self.config.user_agent
        config.logConfig.level = self.config.log_level
        config.logConfig.consoleLevel = self.config.log_level
        config.logConfig.msgLogging = 0
        config.medConfig.clockRate = 8000
        config.medConfig.sndClockRate = 8000
        config.medConfig.audioFramePtime = 20
        config.medConfig.ecTailLen = 0
        config.medConfig.noVad = True
        config.medConfig.threadCnt = 1
        config.medConfig.jbMax = 400  # ms: a stall must not become lasting delay
        endpoint.libInit(config)
        transport = pj.TransportConfig()
        transport.boundAddress = self.config.host
        transport.port = self.config.sip_port
        transport_id = endpoint.transportCreate(pj.PJSIP_TRANSPORT_UDP, transport)
        endpoint.libStart()
        endpoint.audDevManager().setNullDev()
        for codec in endpoint.codecEnum2():
            priority = next((p for name, p in _CODECS.items() if codec.codecId.startswith(name)), 0)
            endpoint.codecSetPriority(codec.codecId, priority)
        address = endpoint.transportGetInfo(transport_id).localName
        self.sip_port = int(address.rpartition(":")[2])
        self.capacity = _capacity(self.config.max_calls)

    def _account(self, line: Line) -> Account:
        account = self._accounts.get(line.id)
        if account is not None:
            return account
        config = pj.AccountConfig()
        config.idUri = f"sip:{line.caller_id}@{self.config.host}:{self.sip_port}"
        config.callConfig.timerUse = pj.PJSUA_SIP_TIMER_OPTIONAL
        config.mediaConfig.transportConfig.boundAddress = self.config.host
        config.mediaConfig.transportConfig.port = self.config.rtp_port
        config.mediaConfig.transportConfig.portRange = self.config.rtp_ports
        account = Account(self)
        account.create(config)
        self._accounts[line.id] = account
        return account

    def _invite(self, leg: CallLeg, line: Line, target: str) -> None:
        self._reap()  # a stale Call would hang up whoever reuses its slot
        call = Call(self._account(line), self, leg)
        setting = pj.CallOpParam(True)
        setting.opt.audioCount = 1
        setting.opt.videoCount = 0
        self._calls[leg] = call
        leg.invited_at_monotonic = time.monotonic()
        try:
            call.makeCall(target, setting)
        except pj.Error as error:
            status, reason = error.status, error.reason
            self._calls.pop(leg, None)
            call.leg = None
            self._dead.append((call, None))
            if status == _ETOOMANY:
                raise NoSlot("no free call slot") from None
            raise TelephonyError(f"the INVITE was not sent: {reason}") from None
        leg.sip_call_id = call.getInfo().callIdString

    def _hangup(self, leg: CallLeg) -> None:
        call = self._calls.get(leg)
        if call is None:
            return
        with contextlib.suppress(pj.Error):  # it ended in this very moment
            call.hangup(pj.CallOpParam())

    def _join(self, one: CallLeg, other: CallLeg) -> None:
        first, second = self._calls.get(one), self._calls.get(other)
        if first is not None and second is not None:
            first.join(second)

    def _part(self, leg: CallLeg) -> None:
        call = self._calls.get(leg)
        if call is not None:
            call.part()

    def reap_later(self, call: pj.Call, port: MediaPort | None) -> None:
        self._dead.append((call, port))

    def _reap(self) -> None:
        while self._dead:
            call, port = self._dead.pop()
            for leg, live in tuple(self._calls.items()):
                if live is call:
                    del self._calls[leg]
                del live
            if port is not None:
                pj.AudioMediaPort.__swig_destroy__(port)
            pj.Call.__swig_destroy__(call)
            del call, port

    def _run_commands(self) -> None:
        for _ in range(64):
            try:
                work = self._commands.get_nowait()
            except queue.Empty:
                return
            work()

    def callback_failed(self, where: str, error: Exception) -> None:
        self.callback_errors += 1
        log.error("callback failed", action="sip.callback", where=where, kind=type(error).__name__)

    def _shut_down(self, endpoint: pj.Endpoint) -> None:
        endpoint.hangupAllCalls()
        until = time.monotonic() + 0.5
        while time.monotonic() < until:
            endpoint.libHandleEvents(_POLL_MS)
            self._reap()
        for call in tuple(self._calls.values()):
            self._dead.append((call, call.port))
            call.leg = None
            call.port = None
        self._reap()
        for account in self._accounts.values():
            account.shutdown()
        self._accounts.clear()
        endpoint.libDestroy()
        self._endpoint = None


def _settle(future: asyncio.Future[None], error: Exception | None) -> None:
    if future.done():
        return
    if error is None:
        future.set_result(None)
    else:
        future.set_exception(error)


@functools.cache
def _library() -> ctypes.CDLL:
    return ctypes.CDLL(pj._pjsua2.__file__)


def _in_use(known: int) -> int:
    """Slots pjsua2 holds, those of ended calls whose transaction still runs included."""
    try:
        return int(_library().pjsua_call_get_count())
    except AttributeError:
        return known


def _capacity(asked: int) -> int:
    """How many calls the installed pjsua2 holds, asked from the library itself."""
    try:
        return int(_library().pjsua_call_get_max_count())
    except AttributeError:  # a build that hides the symbol: its compile-time default
        log.warning("capacity not probed", action="sip.capacity", assumed=min(asked, 4))
        return min(asked, 4)
