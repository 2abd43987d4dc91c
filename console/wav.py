# SPDX-License-Identifier: GPL-3.0-or-later
"""Opened audio as a WAV file that says of itself what it is.

Stereo, 8 kHz, PCM16: callee left, bot right. A ``LIST INFO`` chunk (RIFF MCI
1991) holds the call's id, why it was opened, the label of the robot's synthetic
voice and, of a demo home, the word DEMO: it stays with the audio whatever the file
is called.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import struct
from pathlib import Path

import numpy as np

from compliance.errors import BadInput, StorageError
from storage import labels
from storage.g711 import SAMPLE_RATE_HZ, Pcm

_CHANNELS, _WIDTH = 2, 2


def stereo(callee: Pcm | None, bot: Pcm, *, comment: str, title: str, label: str) -> bytes:
    """The file's bytes; ``label`` is that of ``storage.labels``.

    The shorter side is filled with silence, a missing one is silent.
    """
    left = np.zeros(0, np.int16) if callee is None else callee
    frames = np.zeros((max(len(left), len(bot)), _CHANNELS), "<i2")
    frames[: len(left), 0] = left
    frames[: len(bot), 1] = bot
    block = _CHANNELS * _WIDTH
    form = struct.pack(
        "<HHIIHH", 1, _CHANNELS, SAMPLE_RATE_HZ, SAMPLE_RATE_HZ * block, block, 8 * _WIDTH
    )
    info = b"INFO" + b"".join(
        _chunk(name, text.encode("ascii", "replace") + b"\0")
        for name, text in (
            (b"ICMT", comment),
            (b"INAM", title),
            (b"ISFT", "Candor"),
            (labels.KEY.encode(), label),
        )
    )
    body = _chunk(b"fmt ", form) + _chunk(b"LIST", info) + _chunk(b"data", frames.tobytes())
    return _chunk(b"RIFF", b"WAVE" + body)


def _chunk(name: bytes, data: bytes) -> bytes:
    return name + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2)


def check_target(path: Path, *, force: bool, option: str = "--wav") -> None:
    """Whether a file may be written there, asked before anything is opened.

    Raises:
        BadInput: it exists, is a folder, or its folder does not.
    """
    if path.is_dir():
        raise BadInput(f"{path} is a folder", field=option, remedy="name a file in it")
    if not path.parent.is_dir():
        raise BadInput(f"there is no folder {path.parent}", field=option, remedy="make it first")
    if path.exists() and not force:
        raise _exists(path, option)


def save(path: Path, data: bytes, *, force: bool, option: str = "--wav") -> None:
    """Write the file with mode 0600, whole or not at all.

    Raises:
        BadInput: it exists and ``force`` was not given.
        StorageError: it cannot be written; nothing is left of it.
    """
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        try:
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            with os.fdopen(os.open(draft, flags, 0o600), "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            if force:
                draft.replace(path)
            else:
                os.link(draft, path)  # unlike rename, refuses an existing name
        finally:
            with contextlib.suppress(FileNotFoundError):
                draft.unlink()
    except FileExistsError:
        raise _exists(path, option) from None
    except OSError as error:
        raise StorageError(f"{path} cannot be written: {error.strerror}") from None


def _exists(path: Path, option: str) -> BadInput:
    return BadInput(
        f"{path} exists already", field=option, remedy="name another file, or give --force"
    )
