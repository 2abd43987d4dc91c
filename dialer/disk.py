# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether recordings can be written: no call is placed that could not be recorded (S6)."""

from __future__ import annotations

import errno
import os
import secrets
import shutil
import time
from pathlib import Path

_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})  # it may come back
_LEAST_FREE = 64 * 1024 * 1024  # bytes; a call takes one a minute
_WEIGH_S = 5.0
_PROBE = bytes(64 * 1024)


class Disk:
    """The place of the recordings, as one dialer process knows it.

    A full disk holds new calls until there is room again. Any other failure of a write or
    fsync is final: what the disk says after it is not to be believed (experiment 6).
    """

    def __init__(
        self, folder: Path, spool_bytes: int | None = None, journal: Path | None = None
    ) -> None:
        """``spool_bytes``: how much may wait in ``folder`` for a store elsewhere. ``journal``:
        another place where a call must be able to write."""
        self._folder = folder
        self._places = (folder,) if journal is None else (folder, journal)
        self._spool_bytes = spool_bytes
        self._weighed = 0.0
        self._heavy = False
        self._full = False
        self.broken = False

    def failed(self, cause: BaseException | None) -> None:
        """A recording could not be written."""
        if isinstance(cause, OSError) and cause.errno not in _ROOM:
            self.broken = True
        else:
            self._full = True

    def full(self) -> bool:
        """Whether to hold new calls; looks again, and writes where a write failed before."""
        try:
            for place in self._places:
                if shutil.disk_usage(place).free < _LEAST_FREE:
                    return True
                if self._full:
                    _probe(place)
        except OSError:
            return True
        self._full = False
        return False

    def spool_full(self) -> bool:
        """Whether so much waits for the store that no further call may be recorded."""
        if self._spool_bytes is None:
            return False
        if time.monotonic() - self._weighed >= _WEIGH_S:
            self._heavy = sum(map(_size, self._folder.rglob("*"))) > self._spool_bytes
            self._weighed = time.monotonic()
        return self._heavy


def _probe(folder: Path) -> None:
    path = folder / f".probe-{secrets.token_hex(4)}"
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            left = memoryview(_PROBE)
            while left:  # a disk that is almost full takes a part and says so next time
                left = left[os.write(descriptor, left) :]
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    finally:
        path.unlink(missing_ok=True)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size if path.is_file() else 0
    except OSError:
        return 0  # carried away meanwhile
