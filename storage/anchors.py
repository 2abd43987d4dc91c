# SPDX-License-Identifier: GPL-3.0-or-later
"""Anchors: where checkpoints also go, outside the database's reach (P5).

Whoever rolls the database back cannot roll back what lies here. A folder on
another disk or mount today; object-lock buckets and time stamps fit the same
interface.
"""

from __future__ import annotations

import os
import re
import secrets
from pathlib import Path
from typing import Protocol

from compliance.errors import LedgerError, StorageAway
from storage.objects import fsync_folder

_FILE = re.compile(r"checkpoint-([0-9]{20})\.note")


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
        """The note of the largest tree, or None."""
        ...


class FolderAnchor:
    """Notes as ``checkpoint-<size>.note`` in a folder, made if missing."""

    def __init__(self, path: Path | str) -> None:
        self._path = Path(path)

    @property
    def name(self) -> str:
        return f"folder {self._path.name}"

    def write(self, size: int, note: str) -> None:
        target = self._path / f"checkpoint-{size:020d}.note"
        draft = self._path / f".{target.name}.{secrets.token_hex(4)}"
        try:
            self._path.mkdir(mode=0o700, parents=True, exist_ok=True)
            try:
                with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as f:
                    f.write(note.encode())
                    f.flush()
                    os.fsync(f.fileno())
                os.link(draft, target)  # never replaces what an earlier writer anchored
            finally:
                draft.unlink(missing_ok=True)
            fsync_folder(self._path)
        except FileExistsError:
            if target.read_bytes() != note.encode():
                raise LedgerError(
                    f"{self.name} holds another checkpoint for {size} entries: the ledger forked",
                    remedy="stop dialing and compare both with the independent verifier",
                ) from None
        except OSError as error:
            raise StorageAway(f"{self.name} cannot be written: {error.strerror}") from error

    def latest(self) -> str | None:
        try:
            names = sorted(n for n in os.listdir(self._path) if _FILE.fullmatch(n))
            return (self._path / names[-1]).read_bytes().decode() if names else None
        except FileNotFoundError:
            return None
        except UnicodeDecodeError:
            raise LedgerError(f"the last checkpoint in {self.name} is damaged") from None
        except OSError as error:
            raise StorageAway(f"{self.name} cannot be read: {error.strerror}") from error
