# SPDX-License-Identifier: GPL-3.0-or-later
"""The ledger's entries of destruction, copied to where the anchors lie (D14).

A restored backup brings back what was destroyed after it was made; this log, out of the
database's reach, says what that was. A line holds the entry as the ledger hashed it, and a
keyed digest over it and the line before: whoever lacks this home's keys can neither add nor
change nor drop a line between others. No personal data: entries name persons by commitment.
"""

from __future__ import annotations

import fcntl
import hmac
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from sqlalchemy import Engine, func, select

from compliance.errors import Corrupt, StorageAway
from compliance.facts import Evolve
from storage.database import READ_ONLY
from storage.keys import Keyring
from storage.ledger_tables import LedgerCheckpoint, LedgerLeaf, LedgerOutbox
from storage.objects import fsync_folder

FILE = "destructions.jsonl"
KINDS = ("destruction.begin", "destruction.record", "subject.erase")
_PURPOSE = "destruction.log"
_START = ""


@dataclass(frozen=True, slots=True)
class Destroyed(Evolve):
    """One line: the entry's place in its ledger, its kind and its body."""

    index: int
    kind: str
    body: dict[str, Any]


class DestructionLog:
    """The log in one folder. One instance a process; several processes may write in turns."""

    def __init__(self, engine: Engine, keyring: Keyring) -> None:
        self._engine = engine
        self._keyring = keyring
        self._seen: dict[Path, tuple[int, int, str]] = {}  # file: bytes, next index, last digest

    def catch_up(self, folder: Path) -> int:
        """Append what the ledger has and the log lacks; returns how many lines, durable.

        Only entries under a checkpoint that went outside: so the log never knows more of a
        ledger than its anchors do, and a restore that they do not notice has lost no line.

        Raises:
            StorageAway: the folder does not answer. Corrupt: the log was altered.
        """
        path = folder / FILE
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            with os.fdopen(descriptor, "r+b") as file:
                fcntl.flock(file, fcntl.LOCK_EX)
                return self._append(path, file)
        except OSError as error:
            raise StorageAway(f"the log of destructions fails: {error.strerror}") from error

    def _append(self, path: Path, file: BinaryIO) -> int:
        size = os.fstat(file.fileno()).st_size
        known = self._seen.get(path)
        if known is None or known[0] != size:
            lines, size, digest = _parse(self._keyring, file.read())
            file.truncate(size)  # what a kill left of a line
            known = (size, lines[-1].index + 1 if lines else 0, digest)
        _, start, digest = known
        with self._engine.connect().execution_options(**READ_ONLY) as connection:
            end = connection.scalar(select(func.max(LedgerCheckpoint.size))) or 0
            found = connection.execute(
                select(LedgerLeaf.index, LedgerOutbox.body)
                .join(LedgerOutbox, LedgerOutbox.id == LedgerLeaf.outbox_id)
                .where(
                    LedgerLeaf.index >= start,
                    LedgerLeaf.index < end,
                    LedgerOutbox.kind.in_(KINDS),
                )
                .order_by(LedgerLeaf.index)
            ).all()
        out = []
        for index, body in found:
            digest = _digest(self._keyring, digest, index, body)
            line = {"index": index, "entry": body.decode(), "mac": digest}
            out.append(json.dumps(line, ensure_ascii=False, separators=(",", ":")).encode() + b"\n")
        if out:
            file.seek(size)
            file.write(b"".join(out))
            file.flush()
            os.fsync(file.fileno())
            fsync_folder(path.parent)
        self._seen[path] = (size + sum(map(len, out)), max(start, end), digest)
        return len(out)


def read(keyring: Keyring, folder: Path) -> list[Destroyed]:
    """Every line of the logs in an anchor folder, its branches included; none is no fault.

    Raises:
        Corrupt: a line was altered, removed, or written with another home's keys.
    """
    found: list[Destroyed] = []
    for path in sorted(folder.glob(f"**/{FILE}")):
        found += _parse(keyring, path.read_bytes())[0]
    return found


def _parse(keyring: Keyring, data: bytes) -> tuple[list[Destroyed], int, str]:
    """The lines, the length of what is whole, and the last digest."""
    whole = data.rfind(b"\n") + 1
    found, digest = [], _START
    for number, raw in enumerate(data[:whole].splitlines(), 1):
        try:
            line = json.loads(raw)
            index, text, mac = int(line["index"]), str(line["entry"]), str(line["mac"])
            entry = json.loads(text)
            destroyed = Destroyed(index, str(entry["kind"]), dict(entry["body"]))
        except (ValueError, KeyError, TypeError):
            raise _altered(number) from None
        digest = _digest(keyring, digest, index, text.encode())
        if not hmac.compare_digest(digest, mac):
            raise _altered(number)
        found.append(destroyed)
    return found, whole, digest


def _digest(keyring: Keyring, before: str, index: int, entry: bytes) -> str:
    return keyring.blind(_PURPOSE, f"{before}:{index}:".encode() + entry).hex()


def _altered(line: int) -> Corrupt:
    return Corrupt(
        f"line {line} of the log of destructions was altered, or lines before it are missing",
        remedy="take the anchors from another copy",
    )
