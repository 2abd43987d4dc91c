# SPDX-License-Identifier: GPL-3.0-or-later
"""Anchors: where checkpoints also go, outside the database's reach (P5).

Whoever rolls the database back cannot roll back what lies here: a folder on
another disk or mount, or a bucket with Object Lock (``anchors_s3``).
"""

from __future__ import annotations

import os
import re
import secrets
from pathlib import Path
from typing import Protocol

from compliance.errors import LedgerError, StorageAway
from storage.objects import fsync_folder, make_folder, synced_draft

_FILE = re.compile(r"checkpoint-([0-9]{20})\.note")
_BRANCH = re.compile(r"branch-([0-9]{4})")


class Anchor(Protocol):
    """Keeps checkpoint notes for ever; never replaces one."""

    @property
    def name(self) -> str:
        """For messages: no path, no secret."""
        ...

    def write(self, size: int, note: str) -> None:
        """Keep the note of a tree of ``size`` entries, durable when this returns.

        Raises:
            StorageAway: the anchor cannot be reached just now.
            LedgerError: it holds another note for this size: the ledger forked.
        """
        ...

    def latest(self) -> str | None:
        """The note of the largest tree of the newest branch, or None."""
        ...

    def forks(self) -> list[str]:
        """The first note of each branch: a restored backup went on from there."""
        ...

    def fork(self, size: int, note: str) -> None:
        """Begin a branch with ``note``, which must say what it leaves behind; whole or not."""
        ...

    @property
    def beside(self) -> Path | None:
        """A folder for what lies beside the notes of the newest branch; None: there is none."""
        ...


class FolderAnchor:
    """Notes as ``checkpoint-<size>.note`` in a folder, made if missing unless ``must_exist``.

    One that must exist is away when it is not there: nothing is written under the mount point of
    a disk that is not mounted.

    A home restored from an older backup goes on in a branch, a folder ``branch-0001`` inside
    (docs/decisions/0013-backup.md). What was anchored before stays for everybody to see.
    """

    def __init__(self, path: Path | str, *, must_exist: bool = False) -> None:
        self._path = Path(path)
        self._must_exist = must_exist

    @property
    def name(self) -> str:
        # Of several folders most are called the same: the folder above tells them apart.
        return f"folder {'/'.join(self._path.parts[-2 if self._must_exist else -1 :])}"

    def write(self, size: int, note: str) -> None:
        try:
            folder = self.beside
            make_folder(folder)
            target = folder / f"checkpoint-{size:020d}.note"
            self.keep(target, note.encode())
        except FileExistsError:
            if target.read_bytes() != note.encode():
                raise LedgerError(
                    f"{self.name} holds another checkpoint for {size} entries: the ledger forked",
                    remedy="stop dialing and compare both with the independent verifier",
                ) from None
        except OSError as error:
            raise StorageAway(f"{self.name} cannot be written: {error.strerror}") from error

    @staticmethod
    def keep(target: Path, data: bytes) -> None:
        """Write a file durably, whole or not at all; FileExistsError where there is one."""
        with synced_draft(target, data) as draft:
            os.link(draft, target)  # never replaces what an earlier writer anchored

    def _check_there(self) -> None:
        """Raises StorageAway if the folder must exist and does not."""
        if self._must_exist and not self._path.is_dir():
            raise StorageAway(
                f"{self.name} is not there", remedy="mount its disk, or make the folder"
            )

    def latest(self) -> str | None:
        try:
            return self.newest(self.beside)
        except OSError as error:
            raise StorageAway(f"{self.name} cannot be read: {error.strerror}") from error

    @staticmethod
    def newest(folder: Path) -> str | None:
        """The note of the largest tree that lies in ``folder`` itself, or None."""
        try:
            names = _notes(folder)
            return (folder / names[-1]).read_bytes().decode() if names else None
        except FileNotFoundError:
            return None
        except UnicodeDecodeError:
            raise LedgerError(f"the last checkpoint in folder {folder.name} is damaged") from None

    @property
    def beside(self) -> Path:
        self._check_there()
        branches = self._branches()
        return branches[-1] if branches else self._path

    def forks(self) -> list[str]:
        self._check_there()
        try:
            found = [(branch / _notes(branch)[0]).read_bytes() for branch in self._branches()]
            return [note.decode() for note in found]
        except (IndexError, UnicodeDecodeError):
            raise LedgerError(f"a branch in {self.name} is damaged") from None
        except OSError as error:
            raise StorageAway(f"{self.name} cannot be read: {error.strerror}") from error

    def fork(self, size: int, note: str) -> None:
        self._check_there()
        number = len(self._branches()) + 1
        draft = self._path / f".branch-{secrets.token_hex(4)}"
        try:
            draft.mkdir(mode=0o700, parents=True)
            FolderAnchor(draft).write(size, note)
            draft.rename(self._path / f"branch-{number:04d}")
            fsync_folder(self._path)
        except OSError as error:
            raise StorageAway(f"{self.name} cannot be written: {error.strerror}") from error

    def _branches(self) -> list[Path]:
        try:
            return sorted(p for p in self._path.iterdir() if _BRANCH.fullmatch(p.name))
        except FileNotFoundError:
            return []


def _notes(folder: Path) -> list[str]:
    return sorted(name for name in os.listdir(folder) if _FILE.fullmatch(name))
