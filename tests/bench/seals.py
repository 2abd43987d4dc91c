# SPDX-License-Identifier: GPL-3.0-or-later
"""Sealing sound as a call does, and opening it, beside ``openssl speed`` in the same run."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from storage.keys import FileKeyring
from storage.objects import FolderObjects
from storage.recordings import RecordingWriter, open_recording
from tests.bench.figures import Figure, Sizes, timed

_PIECE = 64_000  # bytes a track and write: eight seconds of A-law


_MEMORY = Path("/dev/shm")  # where syncing costs nothing


def measure(folder: Path, sizes: Sizes) -> list[Figure]:
    beside = _openssl()
    found = _seal("on disk, each chunk synced", folder, sizes, beside)
    if _MEMORY.is_dir() and os.access(_MEMORY, os.W_OK):
        with tempfile.TemporaryDirectory(dir=_MEMORY) as memory:
            found += _seal("in memory", Path(memory), sizes, beside)
    return found


def _seal(where: str, folder: Path, sizes: Sizes, beside: str) -> list[Figure]:
    keyring, objects = FileKeyring.create(folder / "keys.json"), FolderObjects(folder / "objects")
    pieces = sizes.sound_mb * 1_000_000 // (2 * _PIECE)
    sound = os.urandom(_PIECE)
    size = pieces * 2 * _PIECE / 1e6
    writer = RecordingWriter.create(
        objects, keyring, tenant="t", call_id="c", recording_id="0" * 32
    )
    with timed() as sealing:
        for _ in range(pieces):
            writer.write(sound, sound)
        sealed = writer.close(True)
    with timed() as opening:
        open_recording(objects, keyring, sealed)
    return [
        Figure(f"recording: sealed {where}", size / sealing.seconds, "MB/s", pieces, beside),
        Figure(f"recording: opened {where}", size / opening.seconds, "MB/s", pieces, beside),
    ]


def _openssl() -> str:
    if not shutil.which("openssl"):
        return ""
    command = ["openssl", "speed", "-seconds", "2", "-bytes", "16384", "-evp", "aes-256-gcm"]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found = re.findall(r"([0-9.]+)k\s*$", told, re.M)
    return f"{float(found[-1]) / 1000:,.0f} MB/s openssl speed" if found else ""
