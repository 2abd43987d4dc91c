# SPDX-License-Identifier: GPL-3.0-or-later
"""The real speech process with real silero and real Vosk, over its real socket."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from compliance.errors import SpeechLost
from voicebot import speech_wire as wire
from voicebot.hearing import (
    Behind,
    Final,
    SpeechEvent,
    SpeechFailed,
    SpeechGone,
    SpeechReady,
    SpeechStarted,
)
from voicebot.intents import Intent, classify
from voicebot.prompts import shape
from voicebot.speech import RemoteStream, SpeechClient
from voicebot.tts import PyttsxSynthesizer

ROOT = Path(__file__).parents[2]
MODELS = {"zh": ROOT / "voicebot/models/zh-demo", "en": ROOT / "voicebot/models/en-demo"}
FRAME = 320  # bytes
START_S = 20


class Process:
    """A speech process of this test's own."""

    def __init__(self, socket: Path) -> None:
        self.socket = socket
        self.child = subprocess.Popen(self.command(socket), cwd=ROOT)
        wait_for(lambda: socket.exists() or self.child.poll() is not None)
        assert self.child.poll() is None

    @staticmethod
    def command(socket: Path) -> list[str]:
        models = [f"--model={language}={folder}" for language, folder in MODELS.items()]
        return [sys.executable, "-m", "voicebot.speech", f"--socket={socket}", *models]

    def end(self) -> None:
        if self.child.poll() is None:
            self.child.send_signal(signal.SIGCONT)
            self.child.kill()
        self.child.wait()

    @property
    def resident_kib(self) -> int:
        status = Path(f"/proc/{self.child.pid}/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0])


def wait_for(condition: Callable[[], bool], seconds: float = START_S) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.02)


@contextlib.contextmanager
def started() -> Iterator[Process]:
    with tempfile.TemporaryDirectory(prefix="speech") as folder:
        process = Process(Path(folder) / "s")
        try:
            yield process
        finally:
            process.end()


@pytest.fixture
def socket() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="speech") as folder:
        yield Path(folder) / "s"


@pytest.fixture(scope="module")
def process() -> Iterator[Process]:
    """One process for all tests that leave it alive."""
    with started() as process:
        yield process


@pytest.fixture
def own_process() -> Iterator[Process]:
    """A process of this test's own, to be stopped or killed."""
    with started() as process:
        yield process


@pytest.fixture(scope="module")
def say() -> Iterator[Callable[[str, str], bytes]]:
    with PyttsxSynthesizer() as synthesizer:
        voices = {"zh": "sit/cmn", "en": "gmw/en-us"}
        yield lambda text, language: shape(synthesizer.synthesize(text, voices[language], 180))


def padded(pcm: bytes, before_ms: int = 500, after_ms: int = 700, noise: int = 0) -> bytes:
    audio = bytes(16 * before_ms) + pcm + bytes(16 * after_ms)
    if noise:
        random = np.random.default_rng(5)
        samples = np.frombuffer(audio, "<i2") + random.normal(0, noise, len(audio) // 2)
        audio = np.clip(samples, -32768, 32767).astype("<i2").tobytes()
    return audio


@contextlib.asynccontextmanager
async def connected(socket: Path) -> AsyncIterator[SpeechClient]:
    client = await SpeechClient.connect(socket)
    try:
        yield client
    finally:
        await client.close()


async def talk(stream: RemoteStream, audio: bytes, pace_s: float = 0.004) -> Final:
    """Feed ``audio`` in frames, by default at five times real time; the first final with words."""

    async def listen() -> Final:
        while True:
            event = await stream.next_event()
            assert not isinstance(event, SpeechGone | SpeechFailed)
            if isinstance(event, Final) and event.words:
                return event

    heard = asyncio.create_task(listen())
    for at in range(0, len(audio), FRAME):
        stream.feed(at // 2, audio[at : at + FRAME])
        await asyncio.sleep(pace_s)
    async with asyncio.timeout(20):
        return await heard


async def until(stream: RemoteStream, kind: type[SpeechEvent]) -> SpeechEvent:
    async with asyncio.timeout(20):
        while True:
            event = await stream.next_event()
            if isinstance(event, kind):
                return event
            assert not isinstance(event, SpeechGone)


def text(final: Final, joiner: str = "") -> str:
    return joiner.join(w.text for w in final.words)


@pytest.mark.parametrize("noise", [0, 300])
@pytest.mark.parametrize(
    ("language", "words", "intent"),
    [
        ("zh", "不需要", Intent.REFUSAL),
        ("zh", "好的，不用了", Intent.REFUSAL),
        ("zh", "转人工", Intent.HUMAN),
        ("zh", "可以", Intent.YES),
        ("en", "no thanks", Intent.REFUSAL),
        ("en", "stop calling me", Intent.REFUSAL),
    ],
)
def test_words_are_heard_with_their_times(
    process: Process,
    say: Callable[[str, str], bytes],
    language: str,
    words: str,
    intent: Intent,
    noise: int,
) -> None:
    pcm = say(words, language)

    async def run() -> Final:
        async with connected(process.socket) as client:
            return await talk(await client.open("call", language), padded(pcm, noise=noise))

    final = asyncio.run(run())
    joiner = "" if language == "zh" else " "
    assert classify(text(final, joiner), language).intent is intent
    end = 4000 + len(pcm) // 2
    assert abs(final.words[-1].end - end) <= 8 * 120
    assert abs(final.position - end) <= 8 * 250
    assert abs(final.words[0].start - 4000) <= 8 * 200


def test_final_comes_within_600_ms_of_the_words(
    process: Process, say: Callable[[str, str], bytes]
) -> None:
    pcm = say("不需要", "zh")
    audio = padded(pcm, after_ms=1500)

    async def run() -> float:
        async with connected(process.socket) as client:
            stream = await client.open("call", "zh")
            begun = time.monotonic()
            waiting = asyncio.create_task(until(stream, Final))
            for at in range(0, len(audio), FRAME):
                delay = begun + (at + FRAME) / 16000 - time.monotonic()
                await asyncio.sleep(max(0, delay))
                stream.feed(at // 2, audio[at : at + FRAME])
                if waiting.done():
                    break
            await waiting
            return time.monotonic() - begun - 0.5 - len(pcm) / 16000

    assert sorted(asyncio.run(run()) for _ in range(3))[1] <= 0.6


def test_noise_and_tones_are_no_words(process: Process) -> None:
    random = np.random.default_rng(3)
    seconds = np.arange(4 * 8000) / 8000
    ringback = 6000 * np.sin(2 * np.pi * 450 * seconds) * ((seconds % 2) < 1)
    hiss = random.normal(0, 1500, 4 * 8000)
    audio = np.concatenate([ringback, hiss]).astype("<i2").tobytes()

    async def run() -> list[SpeechEvent]:
        async with connected(process.socket) as client:
            stream = await client.open("call", "zh")
            for at in range(0, len(audio), FRAME):
                stream.feed(at // 2, audio[at : at + FRAME])
                await asyncio.sleep(0.004)
            await asyncio.sleep(0.5)
            stream.close()
            found: list[SpeechEvent] = []
            with contextlib.suppress(TimeoutError):
                while True:
                    async with asyncio.timeout(0.2):
                        found.append(await stream.next_event())
            return found

    events = asyncio.run(run())
    assert isinstance(events[0], SpeechReady)
    assert not [e for e in events if isinstance(e, Final) and e.words]


def test_two_dialers_and_two_languages_at_once(
    process: Process, say: Callable[[str, str], bytes]
) -> None:
    no, stop = padded(say("不需要", "zh")), padded(say("stop calling me", "en"))

    async def run() -> list[Final]:
        async with connected(process.socket) as one, connected(process.socket) as two:
            streams = [
                await one.open("a", "zh"),
                await one.open("b", "en"),
                await two.open("c", "zh"),
                await two.open("d", "en"),
            ]
            return await asyncio.gather(
                *(talk(s, a, 0.01) for s, a in zip(streams, [no, stop, no, stop], strict=True))
            )

    heard = [text(f, " ") for f in asyncio.run(run())]
    assert heard[0] == heard[2]
    assert heard[1] == heard[3] == "stop calling me"


def test_killed_process_is_noticed_and_its_successor_used(
    socket: Path, say: Callable[[str, str], bytes]
) -> None:
    no = padded(say("不需要", "zh"))

    async def run(first: Process) -> str:
        async with connected(socket) as client:
            stream = await client.open("a", "zh")
            stream.feed(0, no[:16000])
            await until(stream, SpeechReady)
            first.child.kill()
            await until(stream, SpeechGone)
            first.child.wait()
            assert isinstance(await stream.next_event(), SpeechGone)
            stream.feed(8000, no[:FRAME])  # harmless
            assert stream.dropped == FRAME // 2
            with pytest.raises(SpeechLost):
                await client.open("b", "zh")
            second = await asyncio.to_thread(restart)
            try:
                return text(await talk(await client.open("c", "zh"), no))
            finally:
                second.end()

    def restart() -> Process:
        process.end()
        assert socket.exists()  # a killed process leaves it behind
        stale = socket.stat().st_mtime_ns
        child = subprocess.Popen(Process.command(socket), cwd=ROOT)
        second = Process.__new__(Process)
        second.socket, second.child = socket, child
        wait_for(lambda: socket.exists() and socket.stat().st_mtime_ns != stale)
        return second

    process = Process(socket)
    try:
        assert classify(asyncio.run(run(process)), "zh").refused
    finally:
        process.end()


@pytest.mark.parametrize(
    "garbage",
    [
        b"GET / HTTP/1.1\r\n\r\n" * 10,
        b"\xff" * 4000,
        b"\x00\x00\x00\x02\x02\x00\x00\x00\x01ab",  # audio without a position, unopened stream
        b"\x00\x00\x00\x02\x01\x00\x00\x00\x01{]",  # opening that is no JSON
        b"\x00\x00\x00\x00\x10\x00\x00\x00\x01",  # an event towards the process
        b"\x00\x00",  # cut in the head
    ],
)
def test_garbage_closes_one_connection_only(
    process: Process, say: Callable[[str, str], bytes], garbage: bytes
) -> None:
    async def run() -> str:
        async with connected(process.socket) as client:
            stream = await client.open("a", "zh")
            reader, writer = await asyncio.open_unix_connection(str(process.socket))
            writer.write(garbage)
            writer.write_eof()
            async with asyncio.timeout(5):
                assert await reader.read() == b""
            writer.close()
            return text(await talk(stream, padded(say("不需要", "zh"))))

    assert classify(asyncio.run(run()), "zh").refused
    assert process.child.poll() is None


def test_unknown_language_fails_that_stream_only(process: Process) -> None:
    async def run() -> SpeechEvent:
        async with connected(process.socket) as client:
            failed = await until(await client.open("a", "xx"), SpeechFailed)
            await until(await client.open("b", "en"), SpeechReady)
            return failed

    assert asyncio.run(run()) == SpeechFailed("no model for this language")


def test_flood_is_reported_and_memory_stays_bounded(process: Process) -> None:
    random = np.random.default_rng(1)
    minute = random.normal(0, 3000, 60 * 8000).astype("<i2").tobytes()

    async def run() -> tuple[list[SpeechEvent], int]:
        reader, writer = await asyncio.open_unix_connection(str(process.socket))
        for number in range(8):
            writer.write(wire.pack_json(wire.Kind.OPEN, number, {"language": "zh"}))
        frames = [await wire.read_frame(reader) for _ in range(8)]
        before = process.resident_kib
        for at in range(0, len(minute), 32000):  # a minute each, as fast as the socket takes it
            for number in range(8):
                writer.write(wire.pack_audio(number, at // 2, minute[at : at + 32000]))
            await writer.drain()
        async with asyncio.timeout(60):
            while (frame := await wire.read_frame(reader)) is not None:
                frames.append(frame)
                if frame.kind is wire.Kind.EVENT:
                    event = wire.unpack_event(frame.body)
                    if isinstance(event, Behind) and event.backlog_ms == 0:
                        break
        writer.close()
        events = [wire.unpack_event(f.body) for f in frames if f and f.kind is wire.Kind.EVENT]
        return events, process.resident_kib - before

    events, grown = asyncio.run(run())
    behind = [e for e in events if isinstance(e, Behind)]
    assert behind[0].backlog_ms > 1000
    assert behind[-1].dropped_ms > 0
    assert grown < 120_000  # 8 recognizers and 4 s of audio each


def test_hanging_process_is_given_up_and_the_dialer_never_waits(own_process: Process) -> None:
    async def run() -> tuple[float, int]:
        async with connected(own_process.socket) as client:
            stream = await client.open("a", "zh")
            stream.feed(0, bytes(FRAME))
            await until(stream, SpeechReady)
            os.kill(own_process.child.pid, signal.SIGSTOP)
            longest, frames = 0.0, 0
            async with asyncio.timeout(20):
                while stream._connection is not None:
                    begun = time.perf_counter()
                    frames += 1
                    stream.feed(frames * 160, bytes(FRAME))
                    longest = max(longest, time.perf_counter() - begun)
                    if frames % 50 == 0:
                        await asyncio.sleep(0)
            await until(stream, SpeechGone)
            return longest, frames

    longest, frames = asyncio.run(run())
    assert longest < 0.1
    assert frames <= 50 * 5  # at most five seconds of audio


def test_closed_stream_is_silent_and_the_next_call_works(
    process: Process, say: Callable[[str, str], bytes]
) -> None:
    async def run() -> str:
        async with connected(process.socket) as client:
            first = await client.open("a", "zh")
            first.feed(0, padded(say("不需要", "zh"))[:16000])
            first.close()
            first.close()
            return text(await talk(await client.open("b", "zh"), padded(say("不需要", "zh"))))

    assert classify(asyncio.run(run()), "zh").refused


def test_socket_is_private_and_removed_at_the_end(own_process: Process) -> None:
    assert own_process.socket.stat().st_mode & 0o777 == 0o600
    own_process.child.terminate()
    assert own_process.child.wait(10) == 0
    assert not own_process.socket.exists()


def test_second_process_on_the_same_socket_refuses(process: Process) -> None:
    second = subprocess.run(
        Process.command(process.socket), cwd=ROOT, capture_output=True, timeout=30, text=True
    )
    assert second.returncode == 2
    assert "another speech process" in second.stderr
    assert process.child.poll() is None


def test_process_ends_with_its_parent(socket: Path) -> None:
    program = (
        "import subprocess, sys, time;"
        "p = subprocess.Popen(sys.argv[1:]); print(p.pid, flush=True); time.sleep(60)"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", program, *Process.command(socket)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert parent.stdout is not None
        speech = int(parent.stdout.readline())
        wait_for(socket.exists)
    finally:
        parent.kill()
        parent.communicate()
    wait_for(lambda: not _runs(speech), 5)
    assert not socket.exists()


def _runs(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    return False


def test_folder_that_is_no_model_is_named_with_a_remedy(tmp_path: Path, socket: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "voicebot.speech", f"--socket={socket}", f"--model=zh={tmp_path}"],
        cwd=ROOT,
        capture_output=True,
        timeout=30,
        text=True,
    )
    assert done.returncode == 2
    assert "not a Vosk model folder ->" in done.stderr
    assert not socket.exists()


def test_nobody_there(socket: Path) -> None:
    with pytest.raises(SpeechLost):
        asyncio.run(SpeechClient.connect(socket))


def test_speech_begins_where_it_began(process: Process, say: Callable[[str, str], bytes]) -> None:
    audio = padded(say("不需要", "zh"), before_ms=800)

    async def run() -> SpeechEvent:
        async with connected(process.socket) as client:
            stream = await client.open("a", "zh")
            for at in range(0, len(audio), FRAME):
                stream.feed(16_000_000 + at // 2, audio[at : at + FRAME])
                await asyncio.sleep(0.004)
            return await until(stream, SpeechStarted)

    started = asyncio.run(run())
    assert isinstance(started, SpeechStarted)
    assert abs(started.position - 16_000_000 - 6400) <= 8 * 150
