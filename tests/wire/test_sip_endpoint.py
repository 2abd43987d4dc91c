# SPDX-License-Identifier: GPL-3.0-or-later
"""The pjsua2 endpoint against SIPp: audio both ways, endings, and what it must refuse.

Each test is one process of its own: pjsua2 holds one endpoint a process, and a
crash of the library must fail a test, not the test run.
"""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import socket
import sys
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import numpy as np
import pytest

from compliance.clock import SystemClock
from compliance.errors import PermitError, TelephonyError
from dialer.call import Why
from dialer.leg import CallLeg
from dialer.lines import Line
from dialer.sip import EndpointConfig, SipEndpoint
from tests.wire import peers
from voicebot.line import AudioIn, LineEvent, LineGone, PlayCut, PlayEnded, PlayStarted

Body = Callable[[Path], Awaitable[None]]


def _child(body: Body, folder: Path, result: multiprocessing.SimpleQueue[str]) -> None:
    try:
        asyncio.run(asyncio.wait_for(body(folder), 60))
    except BaseException:
        result.put(traceback.format_exc())
    else:
        result.put("")


def alone(body: Body, folder: Path) -> None:
    """Run ``body`` in a fresh process; its failure is the test's."""
    context = multiprocessing.get_context("spawn")
    result: multiprocessing.SimpleQueue[str] = context.SimpleQueue()
    process = context.Process(target=_child, args=(body, folder, result))
    process.start()
    process.join(90)
    if process.is_alive():
        process.kill()
        pytest.fail("the endpoint's process hangs")
    assert process.exitcode == 0, f"the endpoint's process died: {process.exitcode}"
    failure = result.get()
    assert not failure, failure


@contextlib.asynccontextmanager
async def endpoint() -> AsyncIterator[SipEndpoint]:
    it = SipEndpoint(EndpointConfig(), SystemClock())
    await it.start()
    try:
        yield it
        assert it.callback_errors == 0
    finally:
        await it.close()


def tone(ms: int, hz: float = 440.0) -> bytes:
    at = np.arange(8 * ms) / 8000
    return (8000 * np.sin(2 * np.pi * hz * at)).astype("<i2").tobytes()


async def until_gone(leg: CallLeg) -> list[LineEvent]:
    events: list[LineEvent] = []
    while not events or not isinstance(events[-1], LineGone):
        events.append(await leg.next_event())
    return events


# ---------------------------------------------------------------- bodies, run in a child


async def _talks_both_ways(folder: Path) -> None:
    with peers.sipp(folder) as line:
        async with endpoint() as it:
            heard, sent = bytearray(), bytearray()

            def tap(back: bytes, out: bytes) -> None:
                heard.extend(back)
                sent.extend(out)

            leg = await it.place(peers.permit(address=line.address), line)
            leg.tap = tap
            assert await leg.wait_answer(5)
            leg.play(tone(700), "a")
            leg.play(tone(300), "b")
            events: list[LineEvent] = []
            while not any(isinstance(e, PlayEnded) and e.tag == "b" for e in events):
                events.append(await leg.next_event())
            await asyncio.sleep(0.3)
            await leg.hangup()
            events += await until_gone(leg)
            started = {e.tag: e.position for e in events if isinstance(e, PlayStarted)}
            ended = {e.tag: e.position for e in events if isinstance(e, PlayEnded)}
            assert ended["a"] - started["a"] == 5600
            assert started["b"] == ended["a"]  # gapless
            assert ended["b"] - started["b"] == 2400
            assert len(heard) == len(sent)
            out = np.frombuffer(bytes(sent), "<i2")
            assert np.flatnonzero(out)[0] == pytest.approx(started["a"], abs=2)
            echo = np.frombuffer(bytes(heard), "<i2").astype(float)
            spectrum = np.abs(np.fft.rfft(echo))
            peak = np.argmax(spectrum) * 8000 / len(echo)
            assert peak == pytest.approx(440, abs=3)  # what SIPp sent back is what we said
            positions = [e.position for e in events if isinstance(e, AudioIn)]
            assert positions == sorted(positions)
            gone = events[-1]
            assert isinstance(gone, LineGone)
            assert (gone.by, gone.status) == ("bot", 200)
            assert leg.sip_call_id


async def _stops_at_once(folder: Path) -> None:
    with peers.sipp(folder) as line:
        async with endpoint() as it:
            leg = await it.place(peers.permit(address=line.address), line)
            assert await leg.wait_answer(5)
            leg.play(tone(3000), "long")
            await asyncio.sleep(0.4)
            leg.stop()
            at = leg.position
            await asyncio.sleep(0.1)
            await leg.hangup()
            cut = next(e for e in await until_gone(leg) if isinstance(e, PlayCut))
            assert cut.played < 8 * 600
            assert cut.position <= at + 160


async def _status_is_reported(folder: Path) -> None:
    steps = peers.scenario(peers.answer("180 Ringing"), peers.answer("486 Busy Here"), peers.ACK)
    with peers.sipp(folder, scenario=steps) as line:
        async with endpoint() as it:
            leg = await it.place(peers.permit(address=line.address), line)
            assert not await leg.wait_answer(5)
            assert (leg.state.status, leg.state.rang) == (486, True)


async def _rings_out(folder: Path) -> None:
    steps = peers.scenario(peers.answer("180 Ringing"), '  <recv request="CANCEL"/>\n', peers.OK)
    with peers.sipp(folder, scenario=steps) as line:
        async with endpoint() as it:
            leg = await it.place(peers.permit(address=line.address), line)
            assert not await leg.wait_answer(0.5) or leg.state.withdrawn is Why.RANG_OUT
            assert leg.state.withdrawn is Why.RANG_OUT


async def _redirect_is_not_followed(folder: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as elsewhere:
        elsewhere.bind(("127.0.0.1", 0))
        elsewhere.settimeout(1.0)
        moved = f"      Contact: <sip:139@127.0.0.1:{elsewhere.getsockname()[1]}>\n"
        steps = peers.scenario(peers.answer("302 Moved Temporarily", extra=moved), peers.ACK)
        with peers.sipp(folder, scenario=steps) as line:
            async with endpoint() as it:
                leg = await it.place(peers.permit(address=line.address), line)
                assert not await leg.wait_answer(5)
                with pytest.raises(TimeoutError):
                    elsewhere.recv(100)


_REFER = """  <send>
    <![CDATA[
      REFER sip:us@127.0.0.1 SIP/2.0
      Via: SIP/2.0/UDP 127.0.0.1:[local_port];branch=z9hG4bK[call_number]refer
      Max-Forwards: 70
      From: <sip:peer@127.0.0.1>;tag=[pid]peer[call_number]
      [last_From:]
      [last_Call-ID:]
      CSeq: 1 REFER
      Contact: <sip:peer@127.0.0.1:[local_port]>
      Refer-To: <sip:victim@127.0.0.1:@PORT@>
      Content-Length: 0

    ]]>
  </send>
  <recv response="603"/>
"""


async def _refer_is_declined(folder: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as victim:
        victim.bind(("127.0.0.1", 0))
        victim.settimeout(0.5)
        refer = _REFER.replace("@PORT@", str(victim.getsockname()[1]))
        # The peer's From is our To and the reverse (RFC 3261 §12.2.1.1).
        refer = refer.replace("      [last_From:]\n", "      To: [$ours]\n")
        catch = (
            '  <recv request="ACK">\n    <action>\n'
            '      <ereg regexp=".*" search_in="hdr" header="From:" assign_to="ours"/>\n'
            "    </action>\n  </recv>\n"
        )
        steps = peers.scenario(peers.answer("200 OK", sdp=True), catch, refer, peers.BYE, peers.OK)
        with peers.sipp(folder, scenario=steps) as line:
            async with endpoint() as it:
                leg = await it.place(peers.permit(address=line.address), line)
                assert await leg.wait_answer(5)
                await asyncio.sleep(0.5)
                with pytest.raises(TimeoutError):
                    victim.recv(100)
                await leg.hangup()
                assert await leg.wait_ended(5)
                log = (folder / "sip.log").read_text("utf-8", "replace")
                assert "SIP/2.0 603" in log


async def _unsolicited_invite_is_declined(_folder: Path) -> None:
    async with endpoint() as it:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as caller:
            caller.bind(("127.0.0.1", 0))
            caller.setblocking(False)
            port = caller.getsockname()[1]
            invite = (
                f"INVITE sip:us@127.0.0.1:{it.sip_port} SIP/2.0\r\n"
                f"Via: SIP/2.0/UDP 127.0.0.1:{port};branch=z9hG4bKx;rport\r\n"
                "Max-Forwards: 70\r\n"
                f"From: <sip:x@127.0.0.1:{port}>;tag=1\r\n"
                f"To: <sip:us@127.0.0.1:{it.sip_port}>\r\n"
                "Call-ID: unsolicited\r\nCSeq: 1 INVITE\r\n"
                f"Contact: <sip:x@127.0.0.1:{port}>\r\nContent-Length: 0\r\n\r\n"
            ).encode()
            loop = asyncio.get_running_loop()
            await loop.sock_sendto(caller, invite, ("127.0.0.1", it.sip_port))
            statuses = []
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(2):
                    while not any(s >= 300 for s in statuses):
                        statuses.append(int((await loop.sock_recv(caller, 4096)).split()[1]))
            assert statuses[-1] >= 300
            assert 200 not in statuses


async def _no_permit_no_invite(_folder: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as callee:
        callee.bind(("127.0.0.1", 0))
        callee.settimeout(0.3)
        line = Line("line-1", f"127.0.0.1:{callee.getsockname()[1]}", "400")
        async with endpoint() as it:
            with pytest.raises(PermitError, match="not committed"):
                await it.place(peers.permit(commit=False), line)
            other = Line("line-2", line.address, "400")
            with pytest.raises(PermitError, match="line"):
                await it.place(peers.permit(), other)
            spent = peers.permit()
            spent.redeem("line-1", SystemClock().monotonic())
            with pytest.raises(PermitError, match="used"):
                await it.place(spent, line)
            with pytest.raises(TimeoutError):
                callee.recv(100)


async def _port_in_use_is_named(_folder: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        it = SipEndpoint(EndpointConfig(sip_port=port), SystemClock())
        with pytest.raises(TelephonyError, match=str(port)):
            await it.start()


async def _many_in_a_row(folder: Path) -> None:
    """More calls than slots, several times over: no slot sticks and nothing leaks."""
    rounds = 5
    async with endpoint() as it:
        with peers.sipp(folder, calls=rounds * it.capacity) as line:

            async def one() -> None:
                leg = await it.place(peers.permit(address=line.address), line)
                assert await leg.wait_answer(5)
                leg.play(tone(100), "x")
                await asyncio.sleep(0.15)
                await leg.hangup()
                assert await leg.wait_ended(5)

            for _ in range(rounds):
                await asyncio.gather(*(one() for _ in range(it.capacity)))
            await asyncio.sleep(0.2)
            assert it.free_slots == it.capacity
            assert not it._calls
            assert not it._dead


@pytest.mark.parametrize(
    "body",
    [
        _talks_both_ways,
        _stops_at_once,
        _status_is_reported,
        _rings_out,
        _redirect_is_not_followed,
        _refer_is_declined,
        _unsolicited_invite_is_declined,
        _no_permit_no_invite,
        _port_in_use_is_named,
        _many_in_a_row,
    ],
    ids=lambda body: body.__name__.strip("_"),
)
def test_endpoint(body: Body, tmp_path: Path) -> None:
    assert sys.version_info >= (3, 11)
    alone(body, tmp_path)
