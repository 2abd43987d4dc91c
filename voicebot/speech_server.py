# SPDX-License-Identifier: GPL-3.0-or-later
"""The speech process: models loaded once, many calls' audio in, speech events out.

One asyncio loop moves frames; worker threads decode (Vosk and onnxruntime release the
interpreter lock). Every queue is bounded: a call that falls behind by a second says so and
the dialer dials less; past four seconds its oldest audio is dropped.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import os
import resource
import signal
import socket
import sys
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from compliance.errors import CandorError, ConfigError, SpeechError
from voicebot.asr import Calibration, VoskModel
from voicebot.ear import Ear
from voicebot.hearing import Behind, SpeechEvent, SpeechFailed, SpeechReady
from voicebot.line import to_ms, to_samples
from voicebot.speech_wire import (
    BadFrame,
    Frame,
    Kind,
    pack_event,
    pack_progress,
    read_frame,
    unpack_audio,
    unpack_json,
)
from voicebot.vad import SileroModel

BEHIND_MS = 1000
DROP_MS = 4000
TURN_MS = 500  # audio one call may decode before others get their turn
PROGRESS_MS = 500
MAX_STREAMS = 256  # of one connection
MAX_UNREAD = 1 << 20  # bytes of events a dialer may leave unread
PARENT_CHECK_S = 1.0

MakeEar = Callable[[], Ear]

_log = logging.getLogger(__name__)


class SpeechServer:
    """Serves the streams of any number of dialer processes."""

    def __init__(self, languages: dict[str, tuple[Calibration, MakeEar]], threads: int) -> None:
        self._languages = languages
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="decode")

    async def serve(self, path: Path, stop: asyncio.Event) -> None:
        """Listen on ``path`` (mode 0600) until ``stop`` is set."""
        _clear_stale(path)
        previous = os.umask(0o177)
        try:
            server = await asyncio.start_unix_server(self._connected, str(path))
        finally:
            os.umask(previous)
        try:
            await stop.wait()
        finally:
            server.close()
            with contextlib.suppress(OSError):
                path.unlink()
            self._pool.shutdown(wait=False, cancel_futures=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = _Connection(self._languages, self._pool, writer)
        try:
            while (frame := await read_frame(reader)) is not None:
                connection.handle(frame)
        except BadFrame as e:
            _log.warning("connection closed: %s", e.detail, extra={"action": "bad_frame"})
        except asyncio.CancelledError:
            pass  # the process is ending
        finally:
            connection.close()
            writer.close()


class _Connection:
    def __init__(
        self,
        languages: dict[str, tuple[Calibration, MakeEar]],
        pool: ThreadPoolExecutor,
        writer: asyncio.StreamWriter,
    ) -> None:
        self._languages = languages
        self._pool = pool
        self._writer = writer
        self._streams: dict[int, _Stream] = {}

    def handle(self, frame: Frame) -> None:
        match frame.kind:
            case Kind.OPEN:
                self._open(frame)
            case Kind.AUDIO:
                stream = self._streams.get(frame.stream)
                if stream is not None:  # audio may still arrive after a failure
                    stream.audio(*unpack_audio(frame.body))
            case Kind.CLOSE:
                stream = self._streams.pop(frame.stream, None)
                if stream is not None:
                    stream.closed = True
            case _:
                raise BadFrame("a frame only this side sends")

    def close(self) -> None:
        for stream in self._streams.values():
            stream.closed = True
        self._streams.clear()

    def send(self, data: bytes) -> None:
        if self._writer.is_closing():
            return
        self._writer.write(data)
        if self._writer.transport.get_write_buffer_size() > MAX_UNREAD:
            _log.warning("dialer does not read", extra={"action": "peer_stuck"})
            self._writer.transport.abort()

    def _open(self, frame: Frame) -> None:
        language = unpack_json(frame.body).get("language")
        if frame.stream in self._streams:
            raise BadFrame("a stream is opened twice")
        found = self._languages.get(language) if isinstance(language, str) else None
        if found is None or len(self._streams) >= MAX_STREAMS:
            reason = "no model for this language" if found is None else "too many streams"
            self.send(pack_event(frame.stream, SpeechFailed(reason)))
            return
        calibration, make_ear = found
        self._streams[frame.stream] = _Stream(frame.stream, make_ear, self._pool, self.send)
        self.send(
            pack_event(
                frame.stream,
                SpeechReady(
                    calibration.language,
                    calibration.joiner,
                    calibration.refusal_confidence,
                    calibration.partial_confidence,
                ),
            )
        )


class _Stream:
    """One call: a bounded queue before an :class:`Ear` on the worker threads."""

    def __init__(
        self,
        number: int,
        make_ear: MakeEar,
        pool: ThreadPoolExecutor,
        send: Callable[[bytes], None],
    ) -> None:
        self.closed = False
        self._number = number
        self._make_ear = make_ear
        self._ear: Ear | None = None
        self._pool = pool
        self._send = send
        self._queue: deque[tuple[int, bytes]] = deque()
        self._backlog = 0  # samples in the queue
        self._dropped = 0
        self._behind = False
        self._working = False
        self._progress = 0

    def audio(self, position: int, pcm: bytes) -> None:
        self._queue.append((position, pcm))
        self._backlog += len(pcm) // 2
        while self._backlog > to_samples(DROP_MS):
            _, old = self._queue.popleft()
            self._backlog -= len(old) // 2
            self._dropped += len(old) // 2
        if self._backlog > to_samples(BEHIND_MS) and not self._behind:
            self._behind = True
            self._report(Behind(to_ms(self._backlog), to_ms(self._dropped)))
        if not self._working:
            self._start()

    def _start(self) -> None:
        batch: list[tuple[int, bytes]] = []
        samples = 0
        while self._queue and samples < to_samples(TURN_MS):
            batch.append(self._queue.popleft())
            samples += len(batch[-1][1]) // 2
        self._working = True
        future = asyncio.get_running_loop().run_in_executor(self._pool, self._hear, batch)
        future.add_done_callback(lambda done: self._heard(done, batch, samples))

    def _hear(self, batch: list[tuple[int, bytes]]) -> list[SpeechEvent]:
        """On a worker thread; one batch of a stream at a time."""
        if self.closed:
            return []
        if self._ear is None:
            self._ear = self._make_ear()
        return [event for position, pcm in batch for event in self._ear.take(position, pcm)]

    def _heard(
        self,
        done: asyncio.Future[list[SpeechEvent]],
        batch: list[tuple[int, bytes]],
        samples: int,
    ) -> None:
        self._working = False
        self._backlog -= samples
        if self.closed or done.cancelled():
            return
        error = done.exception()
        if error is not None:
            self.closed = True
            self._queue.clear()
            _log.error("decoding failed: %s", type(error).__name__, extra={"action": "decode"})
            self._report(SpeechFailed(type(error).__name__))
            return
        for event in done.result():
            self._report(event)
        position = batch[-1][0] + len(batch[-1][1]) // 2
        if position - self._progress >= to_samples(PROGRESS_MS):
            self._progress = position
            self._send(pack_progress(self._number, position))
        if self._behind and self._backlog < to_samples(BEHIND_MS) // 2:
            self._behind = False
            self._report(Behind(0, to_ms(self._dropped)))
        if self._queue:
            self._start()

    def _report(self, event: SpeechEvent) -> None:
        self._send(pack_event(self._number, event))


# ---------------------------------------------------------------- the process


def main(argv: list[str] | None = None) -> int:
    """``python -m voicebot.speech --socket PATH --model zh=DIR --model en=DIR``."""
    parser = argparse.ArgumentParser(prog="python -m voicebot.speech")
    parser.add_argument("--socket", type=Path, required=True)
    parser.add_argument("--model", action="append", required=True, metavar="LANGUAGE=FOLDER")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--parent", type=int, default=os.getppid(), help="end when it is gone")
    options = parser.parse_args(argv)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a dump would hold voices (D8)
    logging.basicConfig(stream=sys.stderr, format="%(levelname)s %(message)s")
    try:
        server = SpeechServer(_load(options.model), max(1, options.threads))
        asyncio.run(_run(server, options.socket, options.parent))
    except CandorError as e:
        print(e, file=sys.stderr)
        return 2
    finally:
        sys.stderr.flush()
    # A decoder thread may be deep in native code: do not wait for it.
    os._exit(0)


def _load(models: list[str]) -> dict[str, tuple[Calibration, MakeEar]]:
    silero = SileroModel()
    languages: dict[str, tuple[Calibration, MakeEar]] = {}
    for item in models:
        language, _, folder = item.partition("=")
        if not folder:
            raise ConfigError("is not LANGUAGE=FOLDER", field="--model", remedy="write zh=FOLDER")
        model = VoskModel(Path(folder), language)
        languages[language] = (model.calibration, _ear_maker(silero, model))
    return languages


def _ear_maker(silero: SileroModel, model: VoskModel) -> MakeEar:
    return lambda: Ear(silero.detector, model.recognizer())


async def _run(server: SpeechServer, path: Path, parent: int) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    watcher = asyncio.create_task(_watch_parent(parent, stop))
    try:
        await server.serve(path, stop)
    finally:
        watcher.cancel()


async def _watch_parent(parent: int, stop: asyncio.Event) -> None:
    """An orphan would hold models in memory for nobody."""
    while os.getppid() == parent:
        await asyncio.sleep(PARENT_CHECK_S)
    stop.set()


def _clear_stale(path: Path) -> None:
    """Remove the socket a killed process left; never one that is being served."""
    if len(os.fsencode(path)) > 100:
        raise ConfigError("is too long for a socket", field="--socket", remedy="use a shorter path")
    probe = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    with contextlib.closing(probe):
        try:
            probe.connect(str(path))
        except FileNotFoundError:
            return
        except OSError:
            with contextlib.suppress(FileNotFoundError):
                path.unlink()
            return
    raise SpeechError("another speech process serves this socket", remedy="stop it first")
