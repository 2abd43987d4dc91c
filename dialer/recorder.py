# SPDX-License-Identifier: GPL-3.0-or-later
"""Carries both channels of a live call to the sealed recording (S4, S6, P5).

Audio is A-law encoded as it arrives and written on the disk's thread about
twice a second. The wrapped keys are durable before the first chunk is on
disk, so that the prefix left by a killed process can be opened.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import Awaitable, Callable
from pathlib import Path

import numpy as np
import structlog

from compliance.errors import StorageError
from dialer.writer import Writer
from storage.g711 import linear_to_alaw
from storage.keys import Keyring
from storage.objects import FolderObjects
from storage.recordings import RecordingOpening, RecordingWriter, SealedRecording

log = structlog.get_logger("dialer.recorder")

_FLUSH_S = 0.5


class CallRecorder:
    """One call's recording; ``feed`` takes int16 8 kHz audio of both channels in step."""

    def __init__(
        self,
        writer: Writer,
        keyring: Keyring,
        keep: Callable[[RecordingOpening], Awaitable[object]],
        objects: Path,
        tenant: str,
        attempt_id: str,
    ) -> None:
        """``keep`` makes the wrapped keys durable."""
        self._writer = writer
        self._keyring = keyring
        self._keep = keep
        self._objects = objects
        self._tenant = tenant
        self._attempt = attempt_id
        self._heard = bytearray()
        self._sent = bytearray()
        self.failed = asyncio.Event()  # from now on nothing of this call is recorded
        self.cause: BaseException | None = None
        self._file: RecordingWriter | None = None
        self._flusher: asyncio.Task[None] | None = None

    def feed(self, heard: bytes, sent: bytes) -> None:
        """Take what was heard from and sent to the callee in the same interval."""
        if self.failed.is_set():
            return
        self._heard += linear_to_alaw(np.frombuffer(heard, "<i2"))
        self._sent += linear_to_alaw(np.frombuffer(sent, "<i2"))

    async def open(self) -> None:
        """Make keys and files; called once, when the call is answered."""
        try:
            file = await self._writer.run(self._open)
            await self._keep(file.opening)
        except StorageError as error:
            self._fail(error)
            return
        self._file = file
        self._flusher = asyncio.create_task(self._flush_regularly(), name="recorder")

    def _open(self) -> RecordingWriter:
        return RecordingWriter.create(
            FolderObjects(self._objects),
            self._keyring,
            tenant=self._tenant,
            call_id=self._attempt,
            recording_id=secrets.token_hex(16),
        )

    async def _flush_regularly(self) -> None:
        while not self.failed.is_set():
            await asyncio.sleep(_FLUSH_S)
            await self._flush()

    async def _flush(self) -> None:
        if self._file is None or not self._heard:
            return
        heard, sent = bytes(self._heard), bytes(self._sent)
        self._heard.clear()
        self._sent.clear()
        try:
            await self._writer.run(self._file.write, heard, sent)
        except StorageError as error:
            self._fail(error)

    def _fail(self, error: StorageError) -> None:
        """The prefix on disk is all there is; it is sealed later like that of a killed process."""
        if not self.failed.is_set():
            log.error("recording broke off", action="recording.lost", cause=type(error).__name__)
            self.cause = error.__cause__ or error
            self.failed.set()
        self._heard.clear()
        self._sent.clear()

    async def close(self, *, keep_callee: bool) -> SealedRecording | None:
        """Write the rest and seal; the callee's track is shredded unless ``keep_callee`` (S4).

        None where the recording ``failed``.
        """
        await self._stop_flusher()
        if self._file is None:
            return None
        await self._flush()
        file, self._file = self._file, None
        if not self.failed.is_set():
            try:
                return await self._writer.run(file.close, keep_callee)
            except StorageError as error:
                self._fail(error)
        file.abandon()
        return None

    async def _stop_flusher(self) -> None:
        if self._flusher is not None:
            self._flusher.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._flusher
            self._flusher = None

    def abandon(self) -> None:
        """The call broke off: leave the sealed prefix as a killed process would."""
        if self._flusher is not None:
            self._flusher.cancel()
        self._file = None
