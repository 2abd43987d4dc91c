# SPDX-License-Identifier: GPL-3.0-or-later
"""SIP as such: retransmission, proof, refusals of nonsense, torture messages, a real SIPp."""

import asyncio
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization

from sip_sim import proof
from sip_sim.host import Limits
from sip_sim.transaction import Timers
from tests.sim.conftest import Start
from tests.sim.uac import Caller

QUICK = Timers(t1=0.05, t2=0.2, t4=0.1)


def test_proof_names_the_bound_socket(start: Start, tmp_path: Path) -> None:
    private, public = proof.generate(tmp_path / "keys")
    assert private.stat().st_mode & 0o777 == 0o600
    key = serialization.load_pem_public_key(public.read_bytes())
    nonce = "00112233445566778899aabbccddeeff"

    async def scenario() -> None:
        async with start(key=proof.load(private)) as sim, Caller(sim.address, "x") as caller:
            lie = f"X-Candor-Challenge: {nonce}\r\nHost: 192.0.2.9:5060\r\n"
            caller.send(caller.message("OPTIONS", extra=lie, uri="sip:192.0.2.9:5060"))
            value = (await caller.wait(200)).header("X-Candor-Proof")
            own = f"127.0.0.1:{sim.address[1]}"
            assert value.split(";")[:2] == ["v1", own]
            assert proof.verify(key, nonce, value) == own  # type: ignore[arg-type]
            assert proof.verify(key, nonce[:-1] + "0", value) is None  # type: ignore[arg-type]
            forged = value.replace(own, "127.0.0.1:1")
            assert proof.verify(key, nonce, forged) is None  # type: ignore[arg-type]
            for bad in ("", "xyz", "aa", "00" * 200):
                caller.cseq += 1
                branch = f"{caller.branch}-{caller.cseq}"
                extra = f"X-Candor-Challenge: {bad}\r\n"
                caller.send(caller.message("OPTIONS", extra=extra, branch=branch))
                assert (await caller.wait(200)).header("X-Candor-Proof") == ""

    asyncio.run(scenario())


def test_no_key_no_proof(start: Start) -> None:
    async def scenario() -> None:
        async with start() as sim, Caller(sim.address, "x") as caller:
            caller.send(caller.message("OPTIONS", extra=f"X-Candor-Challenge: {'0' * 32}\r\n"))
            answer = await caller.wait(200)
            assert answer.header("X-Candor-Proof") == ""
            assert "INVITE" in answer.header("Allow")

    asyncio.run(scenario())


def test_200_is_repeated_until_ack_and_invite_is_absorbed(start: Start) -> None:
    async def scenario() -> None:
        async with start(timers=QUICK) as sim, Caller(sim.address, "124") as caller:
            caller.invite()
            first = await caller.wait(200)
            caller.invite()  # a retransmission: no second call
            second, third = await caller.wait(200), await caller.wait(200)
            assert first.text == second.text == third.text
            assert second.at - first.at == pytest.approx(0.05, abs=0.02)
            assert third.at - second.at == pytest.approx(0.1, abs=0.02)
            caller.to_tag = first.header("To").split("tag=")[1]
            caller.ack()
            await asyncio.sleep(0.3)
            assert caller.inbox == []
            await caller.hang_up()
            assert await sim.settled()
            assert len(sim.records()) == 1

    asyncio.run(scenario())


def test_200_without_ack_ends_the_call(start: Start) -> None:
    async def scenario() -> None:
        timers = Timers(t1=0.01, t2=0.04, t4=0.01)
        async with start(timers=timers) as sim, Caller(sim.address, "124") as caller:
            caller.invite()
            caller.reply(await caller.wait(method="BYE", timeout=2))
            assert await sim.settled()
            (record,) = sim.records()
            assert record["violations"] == ["final response was never acknowledged"]
            assert record["ended"] == "no ACK"

    asyncio.run(scenario())


def test_a_failure_is_repeated_until_ack(start: Start) -> None:
    async def scenario() -> None:
        async with start(timers=QUICK) as sim, Caller(sim.address, "118") as caller:
            caller.invite()
            response = await caller.wait(503)
            await caller.wait(503)
            caller.to_tag = response.header("To").split("tag=")[1]
            caller.send(caller.message("ACK"))
            await asyncio.sleep(0.02)
            caller.inbox.clear()
            await asyncio.sleep(0.3)
            assert caller.inbox == []

    asyncio.run(scenario())


def test_a_repeated_bye_gets_the_same_answer(start: Start) -> None:
    async def scenario() -> None:
        async with start() as sim, Caller(sim.address, "124") as caller:
            await caller.answered()
            caller.request("BYE")
            first = await caller.wait(200, "BYE")
            caller.send(caller.message("BYE", branch=f"{caller.branch}-{caller.cseq}"))
            assert (await caller.wait(200, "BYE")).text == first.text
            assert await sim.settled()
            caller.request("BYE")
            await caller.wait(481)

    asyncio.run(scenario())


def test_our_bye_is_repeated_until_answered(start: Start, tmp_path: Path) -> None:
    rules = tmp_path / "b.yaml"
    rules.write_text('"001": {title: x, ring_ms: none, steps: [{at_ms: 40, hangup: true}]}')

    async def scenario() -> None:
        options = {"timers": QUICK, "behaviour_file": rules}
        async with start(**options) as sim, Caller(sim.address, "001") as caller:
            await caller.answered()
            first = await caller.wait(method="BYE")
            second = await caller.wait(method="BYE")
            assert first.text == second.text
            caller.reply(second)
            await asyncio.sleep(0.02)
            caller.inbox.clear()
            await asyncio.sleep(0.3)
            assert caller.inbox == []

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("method", "extra", "status"),
    [
        ("BYE", "", 481),
        ("CANCEL", "", 481),
        ("INFO", "", 481),
        ("REGISTER", "", 405),
        ("REFER", "", 405),
        ("FROBNICATE", "", 501),
        ("INVITE", "Require: 100rel\r\n", 420),
        ("OPTIONS", "", 200),
    ],
)
def test_out_of_dialog(start: Start, method: str, extra: str, status: int) -> None:
    async def scenario() -> None:
        async with start() as sim, Caller(sim.address, "101") as caller:
            caller.send(caller.message(method, extra=extra))
            response = await caller.wait(status)
            if status == 420:
                assert response.header("Unsupported") == "100rel"
            assert sim.records() == []

    asyncio.run(scenario())


def test_sessions_we_cannot_speak(start: Start) -> None:
    async def scenario() -> None:
        async with start() as sim:
            for codecs in ("0x", "18 101", "97"):
                async with Caller(sim.address, "124") as caller:
                    caller.invite(body=caller.sdp(codecs))
                    await caller.wait(488)
            async with Caller(sim.address, "124") as caller:
                caller.invite(body=caller.sdp("0 101").replace("AVP", "SAVP"))
                await caller.wait(488)
            assert await sim.settled()
            assert {r["final_status"] for r in sim.records()} == {488}

    asyncio.run(scenario())


def test_offer_in_the_200_and_a_second_stream(start: Start) -> None:
    async def scenario() -> None:
        async with start() as sim:
            async with Caller(sim.address, "124") as caller:
                caller.invite(body="")
                answer = await caller.wait(200)
                assert "m=audio" in answer.text
                caller.to_tag = answer.header("To").split("tag=")[1]
                caller.ack(caller.sdp("0"))
                await asyncio.sleep(0.1)
                assert caller.rtp_in
                assert caller.rtp_in[0][1][1] & 0x7F == 0
                await caller.hang_up()
            async with Caller(sim.address, "+8613900001124") as caller:
                caller.invite(body="".join([caller.sdp("0 101"), "m=video 6000 RTP/AVP 96\r\n"]))
                answer = await caller.wait(200)
                assert "m=video 0 RTP/AVP 96" in answer.text
                caller.to_tag = answer.header("To").split("tag=")[1]
                caller.ack()
                await caller.hang_up()
            await sim.settled()

    asyncio.run(scenario())


def test_the_bot_may_hold(start: Start) -> None:
    async def scenario() -> None:
        async with start() as sim, Caller(sim.address, "124") as caller:
            await caller.answered()
            caller.request("INVITE", caller.sdp(direction="sendonly"))
            assert "a=recvonly" in (await caller.wait(200, "INVITE")).text
            caller.ack()
            await asyncio.sleep(0.05)
            caller.rtp_in.clear()
            await asyncio.sleep(0.1)
            assert caller.rtp_in == []
            await caller.hang_up()
            assert await sim.settled()

    asyncio.run(scenario())


VIA = b"Via: SIP/2.0/UDP 127.0.0.1:9;branch=z9hG4bK-t;rport\r\n"
REST = b"From: <sip:a@b>;tag=1\r\nTo: <sip:c@d>\r\nCall-ID: torture\r\n"
TORTURE = [
    b"\x00\x01\x02",
    b"\xff" * 1500,
    b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    b"INVITE sip:101@x SIP/7.0\r\n" + VIA + REST + b"CSeq: 1 INVITE\r\n\r\n",
    b"INVITE sip:101@x SIP/2.0\r\n" + VIA + REST + b"CSeq: 1 OPTIONS\r\n\r\n",
    b"INVITE sip:101@x SIP/2.0\r\n" + VIA + REST + b"CSeq: 36893488147419103232 INVITE\r\n\r\n",
    b"INVITE sip:101@x SIP/2.0\r\n" + VIA + REST + b"CSeq: 1 INVITE\r\nContent-Length: -5\r\n\r\n",
    b"INVITE sip:101@x SIP/2.0\r\n" + VIA + REST + b"CSeq: 1 INVITE\r\nl: 9999\r\n\r\nshort",
    b"INVITE sip:101@x SIP/2.0\r\n" + REST + b"CSeq: 1 INVITE\r\n\r\n",
    b"INVITE sip:101@x SIP/2.0\r\nVia: gibberish\r\n" + REST + b"CSeq: 1 INVITE\r\n\r\n",
    b"INVITE sip:101@x SIP/2.0\r\n folded before any header\r\n\r\n",
    b"OPTIONS \xe2\x80\xa8 SIP/2.0\r\n"
    + VIA
    + b"From: \xff\xfe;tag=\x00\r\nTo: <\r\nCall-ID: \xff\r\n"
    b"CSeq: 1 OPTIONS\r\n\r\n",
    b"OPTIONS sip:@:99999 SIP/2.0\r\nv: SIP/2.0/UDP [::1]:99999;branch=z9hG4bK;rport=abc\r\n"
    b'f: "a\\"<,;" <sip:x>;tag=\r\nt: <sip:y;z=<>>\r\ni: ../../etc/passwd\r\n'
    b"CSeq: 1 OPTIONS\r\n\r\n",
    b"SIP/2.0 99 Low\r\n\r\n",
    b"SIP/2.0 200 OK\r\n\r\n",
    b"SIP/2.0 200 OK\r\n" + VIA + REST + b"CSeq: 1 INVITE\r\n\r\n",
    b"ACK sip:x SIP/2.0\r\n\r\n",
]


def test_torture(start: Start) -> None:
    """Nonsense neither stops the simulator nor makes a record (after RFC 4475)."""

    async def scenario() -> None:
        async with start() as sim, Caller(sim.address, "124") as caller:
            for datagram in TORTURE:
                caller.send(datagram)
            caller.send(b"")
            caller.send(b"\r\n\r\n")
            await caller.answered()
            for junk in (b"", b"\x80", b"\x8f" + bytes(20), b"\x90\x08" + bytes(12), bytes(200)):
                caller.rtp.sendto(junk, caller.remote_rtp or ("", 0))
            caller.rtp.sendto(b"\xa0\x08" + bytes(11) + b"\xff", caller.remote_rtp or ("", 0))
            await caller.hang_up()
            assert await sim.settled()
            assert [r["call_id"] for r in sim.records()] == [caller.call_id]
            assert len([e for e in sim.events() if e["event"] == "malformed"]) >= 10

    asyncio.run(scenario())


def test_compact_folded_and_hostile_headers(start: Start) -> None:
    """A valid INVITE in an unusual dress (RFC 4475 section 3.1.1), with a hostile Call-ID."""

    async def scenario() -> None:
        async with start() as sim, Caller(sim.address, "118") as caller:
            port = caller.sip.getsockname()[1]
            caller.send(
                b"INVITE sip:+86%20139-0000-0118;x=y@127.0.0.1;user=phone SIP/2.0\r\n"
                b't:\r\n "quoted \\" <string>"\r\n  <sip:118@127.0.0.1>\r\n'
                b"f : <sip:bot@127.0.0.1>  ;tag=98asjd8\r\ni: ../../../tmp/x\x01y\r\n"
                b"CSeq:   0009\r\n  INVITE\r\nMax-Forwards: 0068\r\n"
                b"v  : SIP / 2.0 / UDP 127.0.0.1:" + str(port).encode() + b" ;branch=z9hG4bKq,"
                b" SIP/2.0/UDP far.example;branch=z9hG4bKr\r\nNewFangled: ;;,,;=\r\nl: 0\r\n\r\n"
            )
            response = await caller.wait(503)
            assert response.text.count("Via:") == 2
            assert await sim.settled()
            (record,) = sim.records()
            assert record["number"] == "+8613900000118"
            assert record["from_uri"] == "sip:bot@127.0.0.1"
            names = {p.name for p in sim.store.folder.iterdir()} - {"events.jsonl"}
            assert all(name.startswith("_.._.._tmp_x_y-") for name in names)

    asyncio.run(scenario())


def test_sipp_calls_us(start: Start, tmp_path: Path) -> None:
    """A real SIPp completes its calls, 20 of them, several at a time."""
    sipp = shutil.which("sipp")
    assert sipp, "the package sip-tester is missing: apt install sip-tester"

    async def scenario() -> None:
        async with start(limits=Limits(linger=0.1)) as sim:
            host, port = sim.address
            command = [sipp, "-sn", "uac", f"{host}:{port}", "-i", host, "-m", "20", "-r", "20"]
            command += ["-d", "300", "-s", "8613900000124", "-nostdin", "-timeout", "20"]
            process = await asyncio.create_subprocess_exec(
                *command,
                cwd=tmp_path,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env={**os.environ, "TERM": "dumb"},
            )
            assert await process.wait() == 0
            assert await sim.settled()
            records = sim.records()
            assert len(records) == 20
            assert {(r["final_status"], r["bye_by"]) for r in records} == {(200, "bot")}
            assert all(r["ack"] for r in records)
            busy = [sipp, "-sn", "uac", f"{host}:{port}", "-i", host, "-m", "1"]
            busy += ["-s", "8613900000104", "-nostdin", "-timeout", "10"]
            process = await asyncio.create_subprocess_exec(
                *busy,
                cwd=tmp_path,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env={**os.environ, "TERM": "dumb"},
            )
            assert await process.wait() == 1  # SIPp's scenario did not expect 486
            assert await sim.settled()
            last = sim.records()[-1]
            assert (last["number"], last["final_status"]) == ("8613900000104", 486)
            assert last["ack"]

    asyncio.run(scenario())
