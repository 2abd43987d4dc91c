# SPDX-License-Identifier: GPL-3.0-or-later
"""Sealed files on their way to a store elsewhere (experiment 8).

A call never waits for the network: its recording is finished in a local folder, the spool,
and carried to the store afterwards. While the store is away the spool grows, up to its limit;
then no further call is placed. What lies in it is sealed as it will be in the store.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from compliance.errors import BadInput, Corrupt
from compliance.facts import Evolve
from storage.objects import FolderObjects, Objects


@dataclass(frozen=True, slots=True)
class Waiting(Evolve):
    """What has not reached the store yet."""

    objects: int
    bytes: int


class SpooledObjects:
    """Objects in ``remote``, or on their way there in ``local``."""

    def __init__(self, local: FolderObjects, remote: Objects) -> None:
        self._local, self._remote = local, remote

    # ------------------------------------------------------------ as any store of objects

    def put(self, name: str, source: Path) -> None:
        self._local.put(name, source)

    def open(self, name: str) -> BinaryIO:
        try:
            return self._local.open(name)
        except Corrupt:  # it has been carried away, perhaps this very moment
            return self._remote.open(name)

    def delete(self, name: str) -> bool:
        with self._alone():
            # The store first: when it is away, the local file still says that something is owed.
            there = self._remote.delete(name)
            return self._local.delete(name) or there

    def exists(self, name: str) -> bool:
        return self._local.exists(name) or self._remote.exists(name)

    def names(self) -> Iterator[str]:
        return iter(sorted({*self._local.names(), *self._remote.names()}))

    def part_path(self, name: str) -> Path:
        return self._local.part_path(name)

    def commit(self, name: str) -> None:
        self._local.commit(name)

    def unfinished(self) -> Iterator[str]:
        return self._local.unfinished()

    # ------------------------------------------------------------ the way there

    def waiting(self) -> Waiting:
        sizes = [size for name in self._local.names() if (size := self._size(name)) is not None]
        return Waiting(len(sizes), sum(sizes))

    def reachable(self) -> None:
        """Raises StorageError unless the store answers."""
        self._remote.exists("0" * 32)

    def forward(self) -> int:
        """Carry everything that waits to the store; returns how many objects went.

        May be killed at any point and run again, also by several processes at once.

        Raises:
            StorageAway: the store does not answer. StorageError: it refuses; nothing is lost.
        """
        moved = 0
        for name in self._local.names():
            moved += self._carry(name)
        return moved

    def _carry(self, name: str) -> bool:
        with self._alone():
            if not self._local.exists(name):  # destroyed, or carried by another process
                return False
            try:
                self._remote.put(name, self._local.path(name))
            except BadInput:  # killed after the store's answer
                if not self._same(name):
                    raise
            return self._local.delete(name)

    def _same(self, name: str) -> bool:
        with self._local.open(name) as here, self._remote.open(name) as there:
            mine = hashlib.sha256(here.read()).digest()
            return hashlib.sha256(there.read()).digest() == mine

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Nobody else carries or destroys: what is destroyed must not arrive afterwards."""
        descriptor = os.open(self._local.root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)  # the kernel drops it with the process
            yield
        finally:
            os.close(descriptor)

    def _size(self, name: str) -> int | None:
        try:
            return self._local.path(name).stat().st_size
        except FileNotFoundError:
            return None
