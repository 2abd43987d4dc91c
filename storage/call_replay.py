# SPDX-License-Identifier: GPL-3.0-or-later
"""Bringing the call journals of dead processes into the database (experiment 7).

Done before anything is settled, so that a guess never stands where the truth is on disk.
"""

from __future__ import annotations

import fcntl
import os
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from compliance.facts import Evolve
from storage.call_entries import from_text, may_pass, take
from storage.call_journal import SUFFIX, Seal, read, set_aside
from storage.objects import fsync_folder
from storage.store import Store

Step = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Replayed(Evolve):
    """What was brought into the database, and what it did not take."""

    records: int = 0
    aside: int = 0

    def __add__(self, other: Replayed) -> Replayed:
        return Replayed(self.records + other.records, self.aside + other.aside)


class Replay:
    """Moves what dead processes of this home left; safe to call from any thread."""

    def __init__(self, folder: Path, store: Store, step: Step = lambda _: None) -> None:
        """``step`` is told of each record that is in, and of each file before it goes."""
        self._folder = folder
        self._store = store
        self._step = step
        self._one = threading.Lock()

    def run(self) -> Replayed:
        """Each file whose process is dead, in order, then gone. May be killed at any moment.

        Raises:
            StorageError: the database does not answer; the records stay where they are.
        """
        done = Replayed()
        with self._one:
            for path in sorted(self._folder.glob(f"*{SUFFIX}")):
                done += self._move(path)
        return done

    def _move(self, path: Path) -> Replayed:
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return Replayed()  # its process left this moment
        try:
            with suppress(BlockingIOError):
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if path.exists():  # else another one moved it, or its process left
                    return self._take(path)
            return Replayed()  # alive: it moves its own
        finally:
            os.close(descriptor)

    def _take(self, path: Path) -> Replayed:
        data = path.read_bytes()
        reading = read(data)
        seal = Seal(self._store.keyring, self._store.tenant, path.stem)
        records = aside = 0
        for frame in reading.frames:
            try:
                take(self._store, from_text(frame.kind, seal.open(frame)))
                records += 1
                self._step("record")
            except Exception as error:
                if may_pass(error):
                    raise
                set_aside(path, frame.raw)
                aside += 1
        if reading.damaged and not aside:
            set_aside(path, data)
            aside = 1
        self._step("file")
        path.unlink()
        fsync_folder(path.parent)
        return Replayed(records, aside)
