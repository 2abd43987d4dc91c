# SPDX-License-Identifier: GPL-3.0-or-later
"""A dialer's side of the speech process: one connection, one stream a call."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

from compliance.errors import SpeechError, SpeechLost
from voicebot.hearing import Behind, SpeechEvent, SpeechFailed, SpeechGone
from voicebot.line import to_samples
from voicebot.speech_wire import (
    BadFrame,
    Frame,
    Kind,
    pack,
    pack_audio,
    pack_json,
    read_frame,
    unpack_event,
    unpack_position,
)

CONNECT_S = 2.0
MAX_UNSENT = 128 * 1024  # bytes; beyond it audio is dropped rather than queued
LOST_MS = 4000  # of audio given but not heard: the process hangs
MAX_EVENTS = 1000


class RemoteStream:
    """One call's stream; implements :class:`voicebot.hearing.SpeechStream`.

    ``dropped`` counts samples that could not be handed over.
    """

    def __init__(self, connection: _Connection, number: int) -> None:
        self.dropped = 0
        self.behind_ms = 0
        self._connection: _Connection | None = connection
        self._number = number
        self._events: asyncio.Queue[SpeechEvent] = asyncio.Queue(MAX_EVENTS)
        self._gone = False
        self._progress: int | None = None

    def feed(self, position: int, pcm: bytes) -> None:
        connection = self._connection
        if connection is None:
            self.dropped += len(pcm) // 2
            return
        if self._progress is None:
            self._progress = position
        if position - self._progress > to_samples(LOST_MS):
            connection.forget(self._number)
            self.lose()
            return
        if not connection.send(pack_audio(self._number, position, pcm)):
            self.dropped += len(pcm) // 2

    async def next_event(self) -> SpeechEvent:
        if self._gone and self._events.empty():
            await asyncio.sleep(0)  # whoever asks on and on must not stop the loop
            return SpeechGone()
        return await self._events.get()

    def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.forget(self._number)
            connection.send(pack(Kind.CLOSE, self._number))

    def lose(self) -> None:
        """The process went away or hangs: ``SpeechGone`` from now on."""
        if self._gone:
            return
        self._gone = True
        self._connection = None
        if self._events.full():
            self._events.get_nowait()
        self._events.put_nowait(SpeechGone())

    def receive(self, frame: Frame) -> None:
        """A frame for this stream arrived."""
        if frame.kind is Kind.PROGRESS:
            self._progress = unpack_position(frame.body)
            return
        event = unpack_event(frame.body)
        match event:
            case Behind(backlog_ms):
                self.behind_ms = backlog_ms
            case SpeechFailed():
                self.behind_ms = 0
        if self._events.full():  # nobody reads: this call's conversation is over or stuck
            self.close()
            self.lose()
            return
        self._events.put_nowait(event)


class SpeechClient:
    """Connects to one speech process, again after it was restarted."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection: _Connection | None = None
        self._lock = asyncio.Lock()

    @classmethod
    async def connect(cls, path: Path | str) -> SpeechClient:
        """Connect now.

        Raises:
            SpeechLost: nothing answers there.
        """
        client = cls(Path(path))
        await client._connected()
        return client

    @property
    def behind(self) -> bool:
        """Does the recognizer lag behind any of this client's calls? Then dial less."""
        return self._connection is not None and self._connection.behind

    @property
    def alive(self) -> bool:
        """Is there a connection?"""
        return self._connection is not None and not self._connection.lost

    async def open(self, call_id: str, language: str) -> RemoteStream:
        """A stream for one call, on a new connection if the old one was lost.

        Raises:
            SpeechLost: nothing answers; the call must do without a recognizer.
        """
        connection = await self._connected()
        return connection.open(call_id, language)

    async def close(self) -> None:
        """Close the connection; open streams report ``SpeechGone``."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()

    async def _connected(self) -> _Connection:
        async with self._lock:
            if self._connection is None or self._connection.lost:
                if self._connection is not None:
                    await self._connection.close()
                    self._connection = None
                self._connection = await _Connection.make(self._path)
            return self._connection


class _Connection:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.lost = False
        self._reader = reader
        self._writer = writer
        self._streams: dict[int, RemoteStream] = {}
        self._last = 0
        self._task = asyncio.create_task(self._read())

    @classmethod
    async def make(cls, path: Path) -> _Connection:
        try:
            async with asyncio.timeout(CONNECT_S):
                reader, writer = await asyncio.open_unix_connection(str(path))
        except (OSError, TimeoutError) as e:
            raise SpeechLost(f"no speech process answers ({type(e).__name__})") from None
        return cls(reader, writer)

    @property
    def behind(self) -> bool:
        return any(s.behind_ms for s in self._streams.values())

    def open(self, call_id: str, language: str) -> RemoteStream:
        self._last += 1
        stream = RemoteStream(self, self._last)
        self._streams[self._last] = stream
        body = {"call": call_id, "language": language}
        if not self.send(pack_json(Kind.OPEN, self._last, body)):
            del self._streams[self._last]
            raise SpeechLost("the speech process does not read")
        return stream

    def forget(self, number: int) -> None:
        self._streams.pop(number, None)

    def send(self, data: bytes) -> bool:
        """Hand ``data`` to the socket; ``False``: lost or stuck, nothing was taken."""
        if self.lost or self._writer.transport.get_write_buffer_size() > MAX_UNSENT:
            return False
        self._writer.write(data)
        return True

    async def close(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        self._lose()

    async def _read(self) -> None:
        try:
            while (frame := await read_frame(self._reader)) is not None:
                stream = self._streams.get(frame.stream)
                if stream is not None:
                    stream.receive(frame)
        except (BadFrame, SpeechError):
            pass  # what talks like this is no speech process: drop the connection
        finally:
            self._lose()

    def _lose(self) -> None:
        if self.lost:
            return
        self.lost = True
        for stream in tuple(self._streams.values()):
            stream.lose()
        self._streams.clear()
        with contextlib.suppress(OSError, RuntimeError):
            self._writer.transport.abort()
