# SPDX-License-Identifier: GPL-3.0-or-later
"""Which runs of the dialer are alive on this machine, told by locks the kernel drops for us.

Each ``candor dial`` holds a lock on a file of its own in the home's ``run`` folder. A
file whose lock is free belongs to a run that died: its leases need not wait for their time.
"""

from __future__ import annotations

import fcntl
import os
import secrets
from pathlib import Path

_PREFIX, _SUFFIX = "dial-", ".lock"


class Run:
    """One supervisor's life. ``id`` is part of the names of its processes and leases."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(mode=0o700, exist_ok=True)
        self.id = secrets.token_hex(4)
        self._path = folder / f"{_PREFIX}{self.id}{_SUFFIX}"
        self._file = os.open(self._path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600)
        # Not inherited by the processes it starts: they may outlive it.
        fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def close(self, *, settled: bool = True) -> None:
        """The run is over; unless ``settled``, the next one finds what it left open."""
        if settled:
            self._path.unlink(missing_ok=True)
        os.close(self._file)


def dead_runs(folder: Path) -> list[str]:
    """Ids of runs that ended without closing; forget them with :func:`bury`."""
    found = []
    for path in sorted(folder.glob(f"{_PREFIX}*{_SUFFIX}")):
        try:
            file = os.open(path, os.O_RDWR)
        except FileNotFoundError:
            continue  # it closed just now
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            found.append(path.name.removeprefix(_PREFIX).removesuffix(_SUFFIX))
        except BlockingIOError:
            pass  # alive
        finally:
            os.close(file)
    return found


def bury(folder: Path, run: str) -> None:
    """What the dead run left is settled."""
    (folder / f"{_PREFIX}{run}{_SUFFIX}").unlink(missing_ok=True)
