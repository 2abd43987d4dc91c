# SPDX-License-Identifier: GPL-3.0-or-later
"""Whole calls to the simulator, each behaviour seen from the caller's side and in the record."""

import asyncio
import hashlib
import wave
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sip_sim import Simulator, witness
from sip_sim.voices import Utterance
from tests.sim.conftest import Start, record_of, run
from tests.sim.uac import Caller, gap, tone


def samples(sim: Simulator, record: dict[str, Any], kind: str) -> np.ndarray:
    path = sim.store.folder / record["audio"][f"{kind}_wav"]
    assert hashlib.sha256(path.read_bytes()).hexdigest() == record["audio"][f"{kind}_sha256"]
    with wave.open(str(path), "rb") as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (8000, 1, 2)
        return np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(np.int16)


def words(sim: Simulator, text: str) -> np.ndarray:
    spoken = {u for b in sim.behaviours.values() for u in b.utterances() if u.text == text}
    return sim.samples(min(spoken, key=lambda u: u.voice))


async def says_yes_at_the_question(sim: Simulator) -> None:
    async with Caller(sim.address, "+8613900000101") as caller:
        await caller.answered()
        began = await caller.speak(np.concatenate([gap(200), tone(2200), gap(1900)]))
        await caller.hang_up()
        record = await record_of(sim, caller)
        (said,) = record["said"]
        assert (said["text"], said["means"]) == ("好的，可以", "agrees")
        # the words follow the end of the bot's 2.2 s by 600 ms, in 20 ms steps
        answered = record["answered"]["mono_ns"] / 1e9
        end_of_bot = (began - answered) * 1000 + 2400
        assert 600 <= said["start_ms"] - end_of_bot + 20 <= 680
        audio = samples(sim, record, "said")
        uttered = sim.samples(Utterance("好的，可以", "linda", 165))
        match = witness.find_prompt(audio, uttered)
        assert match.score > 0.98
        assert match.start_ms == pytest.approx(said["start_ms"], abs=25)
        assert match.end_ms == pytest.approx(said["end_ms"], abs=25)
        heard = samples(sim, record, "heard")
        found = witness.find_prompt(heard, tone(2200))
        assert found.start_ms == pytest.approx(end_of_bot - 2200, abs=25)
        (bot,) = record["bot_speech"]
        assert bot[1] - bot[0] == pytest.approx(2200, abs=30)
        assert record["heard"]["lost"] == 0
        assert record["heard"]["ssrcs"] == 1
        assert record["heard"]["packets"] == 215
        assert record["refused_at_ms"] is None
        assert (record["final_status"], record["bye_by"]) == (200, "bot")
        order = ["invite", "trying", "ringing", "answered", "ack", "bye"]
        times = [record[name]["mono_ns"] for name in order]
        assert times == sorted(times)
        assert record["violations"] == []


async def refuses_over_the_disclosure(sim: Simulator) -> None:
    async with Caller(sim.address, "8613900000102") as caller:
        await caller.answered()
        began = await caller.speak(tone(3400))
        await caller.hang_up()
        record = await record_of(sim, caller)
        (said,) = record["said"]
        assert said["text"] == "不需要，别打了"
        first = (began - record["answered"]["mono_ns"] / 1e9) * 1000
        assert said["start_ms"] - first == pytest.approx(1220, abs=40)
        assert record["refused_at_ms"] == said["end_ms"]
        bye = (record["bye"]["mono_ns"] - record["answered"]["mono_ns"]) / 1e6
        assert record["bye_after_refusal_ms"] == pytest.approx(bye - said["end_ms"], abs=0.01)


async def presses_1(sim: Simulator) -> None:
    async with Caller(sim.address, "+8613900000121") as caller:
        await caller.answered()
        await caller.speak(gap(1300))
        await caller.hang_up()
        record = await record_of(sim, caller)
        (press,) = record["dtmf"]
        assert (press["digit"], press["method"]) == ("1", "rfc4733")
        assert press["start_ms"] == pytest.approx(810, abs=40)
        assert press["end_ms"] - press["start_ms"] == pytest.approx(140, abs=15)
        assert record["refused_at_ms"] == press["end_ms"]
        events = [data for _, data in caller.rtp_in if data[1] & 0x7F == 101]
        assert len(events) == 10  # 160 ms in 20 ms updates, the end three times
        assert [bool(data[13] & 0x80) for data in events] == [False] * 7 + [True] * 3
        assert len({data[4:8] for data in events}) == 1  # one timestamp
        assert events[0][1] & 0x80  # marker
        assert not any(data[1] & 0x80 for data in events[1:])
        assert int.from_bytes(events[-1][14:16], "big") == 1280
        assert not samples(sim, record, "said").any()


def test_behaviours_in_real_time(start: Start) -> None:
    """The slow ones side by side, as different callers of one simulator."""
    scenarios = (
        says_yes_at_the_question,
        refuses_over_the_disclosure,
        early_announcement,
        holds_and_resumes,
        talks_all_the_time,
        hangs_up_in_mid_disclosure,
        presses_1,
    )

    async def scenario() -> None:
        async with start() as sim:
            results = await asyncio.gather(*(s(sim) for s in scenarios), return_exceptions=True)
        failed = [r for r in results if isinstance(r, Exception)]
        if failed:
            raise ExceptionGroup("behaviours", failed)

    run(scenario())


@pytest.mark.parametrize(
    ("ending", "status", "rings"),
    [("104", 486, True), ("115", 603, True), ("116", 480, True), ("117", 404, False),
     ("118", 503, False), ("999", 404, False)],
)  # fmt: skip
def test_not_answered(start: Start, ending: str, status: int, rings: bool) -> None:
    async def scenario() -> None:
        async with start() as sim, Caller(sim.address, f"+8613900000{ending}") as caller:
            caller.invite()
            response = await caller.wait(status)
            caller.to_tag = response.header("To").split("tag=")[1]
            caller.send(caller.message("ACK"))
            record = await record_of(sim, caller)
            assert record["final_status"] == status
            assert record["answered"] is None
            assert bool(record["ringing"]) is rings
            assert record["ack"] is not None
            assert any(m.status == 180 for m in caller.inbox) is rings

    run(scenario())


def test_rings_out_until_cancel(start: Start) -> None:
    async def scenario() -> None:
        async with start() as sim, Caller(sim.address, "+8613900000105") as caller:
            caller.invite()
            await caller.wait(180)
            await asyncio.sleep(0.3)
            caller.send(caller.message("CANCEL"))
            await caller.wait(200, "CANCEL")
            response = await caller.wait(487)
            caller.to_tag = response.header("To").split("tag=")[1]
            caller.send(caller.message("ACK"))
            record = await record_of(sim, caller)
            assert record["final_status"] == 487
            assert record["cancel"]["mono_ns"] > record["ringing"]["mono_ns"]

    run(scenario())


def test_200_crossing_cancel(start: Start) -> None:
    async def scenario() -> None:
        async with start() as sim, Caller(sim.address, "+8613900000130") as caller:
            caller.invite()
            await caller.wait(180)
            caller.send(caller.message("CANCEL"))
            await caller.wait(200, "CANCEL")
            answer = await caller.wait(200, "INVITE")
            caller.to_tag = answer.header("To").split("tag=")[1]
            caller.ack()
            await caller.hang_up()
            record = await record_of(sim, caller)
            after = record["answered"]["mono_ns"] - record["cancel"]["mono_ns"]
            assert 50 <= after / 1e6 <= 100
            assert record["final_status"] == 200

    run(scenario())


def test_must_never_be_dialed(start: Start) -> None:
    async def scenario() -> None:
        async with start() as sim, Caller(sim.address, "+8613900000106") as caller:
            caller.invite()
            await caller.wait(404)
            record = await record_of(sim, caller)
            assert record["violations"] == ["INVITE to a number that must never be dialed"]

    run(scenario())


def test_second_call_to_an_open_number_in_another_spelling(start: Start) -> None:
    async def scenario() -> None:
        async with (
            start() as sim,
            Caller(sim.address, "+86-139-0000-0105") as one,
            Caller(sim.address, "008613900000105") as two,
        ):
            one.invite()
            await one.wait(180)
            two.invite()
            await two.wait(180)
            await sim.stop()
            records = {r["call_id"]: r for r in sim.records()}
            assert records[one.call_id]["violations"] == []
            assert "same number" in records[two.call_id]["violations"][0]
            assert records[one.call_id]["final_status"] == 480

    run(scenario())


def test_redirect(start: Start) -> None:
    async def scenario() -> None:
        async with start() as sim, Caller(sim.address, "+8613900000122") as caller:
            caller.invite()
            response = await caller.wait(302)
            host, port = sim.address
            assert response.header("Contact") == f"<sip:+8613900000106@{host}:{port}>"
            await sim.settled()

    run(scenario())


def test_no_reply_leaves_a_trace_in_the_log_only(start: Start) -> None:
    async def scenario() -> None:
        async with start() as sim, Caller(sim.address, "+8613900000123") as caller:
            caller.invite()
            caller.invite()
            await asyncio.sleep(0.3)
            assert caller.inbox == []
            sip = [e for e in sim.events() if e["event"] == "sip"]
            assert [(e["dir"], e["method"]) for e in sip] == [("in", "INVITE")] * 2
            assert [r["state"] for r in sim.records()] == ["open"]

    run(scenario())


def test_answers_at_once(start: Start) -> None:
    async def scenario() -> None:
        async with start() as sim, Caller(sim.address, "+8613900000124") as caller:
            await caller.answered()
            assert caller.inbox == []
            await caller.hang_up()
            record = await record_of(sim, caller)
            assert record["trying"] is record["ringing"] is None

    run(scenario())


async def hangs_up_in_mid_disclosure(sim: Simulator) -> None:
    async with Caller(sim.address, "+8613900000111") as caller:
        await caller.answered()
        bye = await caller.wait(method="BYE")
        caller.reply(bye)
        record = await record_of(sim, caller)
        assert record["bye_by"] == "callee"
        at = (record["bye"]["mono_ns"] - record["answered"]["mono_ns"]) / 1e6
        assert at == pytest.approx(1510, abs=30)
        mine = [e for e in sim.events() if e.get("call_id") == caller.call_id and "uri" in e]
        byes = [e for e in mine if e["method"] == "BYE" and e["dir"] == "out"]
        assert len(byes) == 1


def test_bye_glare(start: Start) -> None:
    async def scenario() -> None:
        async with start() as sim, Caller(sim.address, "+8613900000125") as caller:
            await caller.answered()
            caller.request("BYE")
            theirs = await caller.wait(method="BYE")
            await caller.wait(200, "BYE")
            caller.reply(theirs)
            record = await record_of(sim, caller)
            assert record["bye_by"] == "bot"

    run(scenario())


async def early_announcement(sim: Simulator) -> None:
    async with Caller(sim.address, "+8613900000114") as caller:
        caller.invite()
        await caller.wait(183)
        await caller.wait(404, timeout=9)
        record = await record_of(sim, caller)
        assert record["early"] == ["您拨打的号码是空号，请核对后再拨"]
        assert record["announced"] == "vacant"
        assert record["said"] == []
        early = samples(sim, record, "early")
        announcement = words(sim, "您拨打的号码是空号，请核对后再拨")
        match = witness.find_prompt(early, announcement)
        assert match.score > 0.98
        assert match.start_ms == pytest.approx(1500, abs=30)


def test_never_sends_rtp(start: Start) -> None:
    async def scenario() -> None:
        async with start() as sim, Caller(sim.address, "+8613900000126") as caller:
            await caller.answered()
            await caller.speak(tone(200))
            await caller.hang_up()
            record = await record_of(sim, caller)
            assert caller.rtp_in == []
            assert record["heard"]["packets"] == 10

    run(scenario())


async def holds_and_resumes(sim: Simulator) -> None:
    async with Caller(sim.address, "+8613900000129") as caller:
        await caller.answered()
        hold = await caller.wait(method="INVITE")
        assert "a=sendonly" in hold.text
        caller.reply(hold, caller.sdp("8 101", "recvonly"))
        await caller.wait(method="ACK")
        resume = await caller.wait(method="INVITE")
        assert "a=sendrecv" in resume.text
        assert resume.at - hold.at == pytest.approx(2.0, abs=0.1)
        caller.reply(resume, caller.sdp("8 101"))
        await caller.wait(method="ACK")
        await caller.hang_up()
        await sim.settled()


async def talks_all_the_time(sim: Simulator) -> None:
    async with Caller(sim.address, "+8613900000120") as caller:
        await caller.answered()
        await asyncio.sleep(4.0)
        await caller.hang_up()
        record = await record_of(sim, caller)
        assert len(record["said"]) >= 2
        assert record["said"][-1]["cut"] is True
        pauses = [
            after["start_ms"] - before["end_ms"]
            for before, after in zip(record["said"], record["said"][1:], strict=False)
        ]
        assert all(280 <= pause <= 360 for pause in pauses)


@pytest.mark.parametrize(("ending", "method"), [("134", "info"), ("135", "inband")])
def test_other_ways_to_press_a_key(start: Start, tmp_path: Path, ending: str, method: str) -> None:
    behaviours = tmp_path / "b.yaml"
    behaviours.write_text(
        f'"{ending}": {{title: x, ring_ms: none, steps: '
        f'[{{at_ms: 100, dtmf: "5", method: {method}}}]}}'
    )

    async def scenario() -> None:
        sims = start(behaviour_file=behaviours)
        async with sims as sim, Caller(sim.address, ending) as caller:
            await caller.answered()
            if method == "info":
                info = await caller.wait(method="INFO")
                assert "Signal=5" in info.text
                caller.reply(info)
            await asyncio.sleep(0.5)
            await caller.hang_up()
            record = await record_of(sim, caller)
            (press,) = record["dtmf"]
            assert (press["digit"], press["method"]) == ("5", method)
            if method == "inband":
                audio = samples(sim, record, "said")
                start_at = int(press["start_ms"] * 8)
                part = audio[start_at : start_at + 1280].astype(float)
                spectrum = np.abs(np.fft.rfft(part * np.hanning(len(part))))
                loudest = np.argsort(spectrum)[-6:] * 8000 / len(part)
                assert all(min(abs(f - 770), abs(f - 1336)) < 15 for f in loudest)

    run(scenario())


def test_key_presses_of_the_bot_are_noted(start: Start) -> None:
    async def scenario() -> None:
        async with start() as sim, Caller(sim.address, "+8613900000110") as caller:
            await caller.answered()
            await caller.speak(gap(100))
            for step in range(1, 6):
                flag = 0x80 if step > 3 else 0
                length = (min(step, 4) * 160).to_bytes(2, "big")
                caller.packet(bytes([7, flag | 10]) + length, 101, 800)
                await asyncio.sleep(0.02)
            info = "Signal=2\r\nDuration=120\r\n"
            caller.request("INFO", info, "Content-Type: application/dtmf-relay\r\n")
            await caller.wait(200, "INFO")
            await caller.hang_up()
            record = await record_of(sim, caller)
            presses = {p["method"]: p for p in record["dtmf_received"]}
            assert presses["rfc4733"]["digit"] == "7"
            span = presses["rfc4733"]["end_ms"] - presses["rfc4733"]["start_ms"]
            assert span == pytest.approx(60, abs=15)
            assert presses["info"]["digit"] == "2"

    run(scenario())


def test_media_after_bye_is_a_violation(start: Start) -> None:
    async def scenario() -> None:
        async with start() as sim, Caller(sim.address, "+8613900000110") as caller:
            await caller.answered()
            await caller.speak(gap(100))
            await caller.hang_up()
            await caller.speak(gap(250))
            record = await record_of(sim, caller)
            assert record["violations"][0].startswith("media after BYE")

    run(scenario())
