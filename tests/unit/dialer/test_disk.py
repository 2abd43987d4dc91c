# SPDX-License-Identifier: GPL-3.0-or-later
"""A disk without room, and one that fails (experiments 5 and 6)."""

from __future__ import annotations

import asyncio
import errno
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from compliance.errors import StorageError
from dialer.disk import Disk
from dialer.recorder import CallRecorder
from dialer.writer import Writer
from storage import recordings
from storage.objects import FolderObjects
from storage.tracks import TrackWriter
from tests.storage_home import TENANT, TestHome

SECOND = np.full(8000, 3000, "<i2").tobytes()


@contextmanager
def no_room(file_bytes: int) -> Iterator[None]:
    """No file of this process grows beyond so many bytes: the write fails as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (file_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_holds_calls_until_there_is_room(tmp_path: Path) -> None:
    disk = Disk(tmp_path)
    assert not disk.full()
    disk.failed(OSError(errno.ENOSPC, "no space left"))
    with no_room(1000):
        assert disk.full()
        assert disk.full()
    assert not disk.full()
    assert not disk.broken
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_fails_is_not_believed_again(tmp_path: Path) -> None:
    disk = Disk(tmp_path)
    disk.failed(OSError(errno.EIO, "input/output error"))
    assert disk.broken


def test_no_folder_is_no_room(tmp_path: Path) -> None:
    assert Disk(tmp_path / "gone").full()


@pytest.mark.parametrize("databases", ["sqlite"], indirect=True)
def test_a_recording_that_breaks_off_says_so_and_its_prefix_opens(home: TestHome) -> None:
    claim, attempt = home.attempt()
    objects = FolderObjects(home.path / "objects")

    async def record() -> CallRecorder:
        writer = Writer()

        async def keep(opening: recordings.RecordingOpening) -> None:
            home.store.open_recording_row(attempt.id, opening)

        recorder = CallRecorder(writer, home.keyring, keep, objects.root, TENANT, attempt.id)
        await recorder.open()
        for _ in range(3):
            recorder.feed(SECOND, SECOND)
        await recorder._flush()
        assert not recorder.failed.is_set()
        with no_room(25_000):
            recorder.feed(SECOND * 3, SECOND * 3)
            await asyncio.wait_for(recorder.failed.wait(), 5)  # the flusher met it by itself
        recorder.feed(SECOND * 60, SECOND * 60)
        assert not recorder._heard  # nothing piles up
        assert await recorder.close(keep_callee=True) is None
        writer.close()
        return recorder

    recorder = asyncio.run(record())
    assert isinstance(recorder.cause, OSError)
    assert recorder.cause.errno == errno.EFBIG
    home.store.finish(claim, home.record(claim, violations=("S6",)), None)
    (opening,) = home.store.unsealed_recordings()
    sealed = recordings.recover(objects, home.keyring, opening, keep_callee=False)
    _, bot = recordings.open_recording(objects, home.keyring, sealed)
    assert len(bot) >= 16_384
    assert np.abs(bot.astype(int)).min() > 2500


def test_what_was_not_synced_is_never_called_saved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_descriptor: int) -> None:
        raise OSError(errno.EIO, "input/output error")

    track = TrackWriter(tmp_path / "t", bytes(32), b"context")
    track.write(bytes(9000))
    monkeypatch.setattr("storage.tracks.os.fsync", broken)
    with pytest.raises(StorageError) as caught:
        track.write(bytes(9000))
    monkeypatch.undo()
    disk = Disk(tmp_path)
    disk.failed(caught.value.__cause__)
    assert disk.broken
    for again in (lambda: track.write(b"x"), track.close):
        with pytest.raises(StorageError, match="failed before"):
            again()
