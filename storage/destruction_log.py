# SPDX-License-Identifier: GPL-3.0-or-later
"""The ledger's entries of destruction, copied to where the anchors lie (D14).

A restored backup brings back what was destroyed after it was made; this log, out of the
database's reach, says what that was. A line holds the entry as the ledger hashed it, and a
keyed digest over it and the line before: whoever lacks this home's keys can neither add nor
change nor drop a line between others. Each checkpoint says how many lines there are and which
is the last, so that lines cut from the end are missed. No personal data: entries name persons
by commitment.
"""

from __future__ import annotations

import base64
import fcntl
import hmac
import json
import os
import re
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO

from sqlalchemy import Connection, Engine, func, select

from compliance.errors import Corrupt, StorageAway
from compliance.facts import Evolve
from storage.anchors import FolderAnchor
from storage.checkpoint import Checkpoint, parse_note
from storage.database import READ_ONLY
from storage.keys import Keyring
from storage.ledger_tables import LedgerCheckpoint, LedgerLeaf, LedgerOutbox
from storage.merkle import leaf_hash
from storage.objects import fsync_folder, make_folder

FILE = "destructions.jsonl"
KINDS = ("destruction.begin", "destruction.record", "subject.erase")
_PURPOSE = "destruction.log"
_START = ""
_LINE = re.compile(r"destructions (0|[1-9][0-9]{0,18}) ([A-Za-z0-9+/]{43}=)")


@dataclass(frozen=True, slots=True)
class Destroyed(Evolve):
    """One line: the entry's place in its ledger, its kind, time and body, its 32-byte leaf."""

    index: int
    kind: str
    at: datetime
    body: dict[str, Any]
    leaf: bytes


@dataclass(frozen=True, slots=True)
class Length(Evolve):
    """How many entries of destruction a checkpoint covers, and the leaf of the last."""

    count: int = 0
    leaf: bytes = bytes(32)

    def line(self) -> str:
        """As an extension line of the checkpoint's note."""
        return f"destructions {self.count} {base64.b64encode(self.leaf).decode()}"


def length_of(note: str) -> Length | None:
    """What a note says of the log; None: it says nothing, as one of an older version."""
    for line in parse_note(note).text.splitlines()[3:]:
        if match := _LINE.fullmatch(line):
            return Length(int(match[1]), base64.b64decode(match[2]))
    return None


class DestructionLog:
    """The log in one folder. One instance a process; several processes may write in turns."""

    def __init__(self, engine: Engine, keyring: Keyring) -> None:
        self._engine = engine
        self._keyring = keyring
        self._seen: dict[Path, tuple[int, int, str]] = {}  # file: bytes, next index, last digest

    def length(self, connection: Connection, size: int, last: str, before: Checkpoint) -> Length:
        """Of the log for the first ``size`` entries.

        ``last``: the note of the tree ``before``, so that only what came since is counted; "" or
        a note that is not ours counts from the start.
        """
        known, start = None, 0
        if last:
            note = parse_note(last)
            if note.checkpoint == before and note.verify(before.origin, self._keyring.public_key()):
                known = length_of(last)
        if known is not None:
            start = before.size
        more, newest = connection.execute(
            select(func.count(), func.max(LedgerLeaf.index))
            .join(LedgerOutbox, LedgerOutbox.id == LedgerLeaf.outbox_id)
            .where(LedgerLeaf.index >= start, LedgerLeaf.index < size, LedgerOutbox.kind.in_(KINDS))
        ).one()
        found = known or Length()
        if newest is None:
            return found
        leaf = connection.scalar(select(LedgerLeaf.leaf_hash).where(LedgerLeaf.index == newest))
        return Length(found.count + more, bytes(leaf or b""))

    def catch_up(self, folder: Path, *, size: int | None = None) -> int:
        """Append what the ledger has and the log lacks; returns how many lines, durable.

        Only the first ``size`` entries, else those under the last checkpoint. It runs before
        the checkpoint's note goes to ``folder``, so that no note speaks of a line that a crash
        kept from being written.

        Raises:
            StorageAway: the folder does not answer. Corrupt: the log was altered.
        """
        path = folder / FILE
        try:
            make_folder(folder)
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            with os.fdopen(descriptor, "r+b") as file:
                fcntl.flock(file, fcntl.LOCK_EX)
                return self._append(path, file, size)
        except OSError as error:
            raise StorageAway(f"the log of destructions fails: {error.strerror}") from error

    def _append(self, path: Path, file: BinaryIO, covered: int | None) -> int:
        size = os.fstat(file.fileno()).st_size
        known = self._seen.get(path)
        if known is None or known[0] != size:
            lines, size, digest = _parse(self._keyring, file.read())
            file.truncate(size)  # what a kill left of a line
            known = (size, lines[-1].index + 1 if lines else 0, digest)
        _, start, digest = known
        with self._engine.connect().execution_options(**READ_ONLY) as connection:
            end = covered
            if end is None:
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
        Corrupt: a line was altered, removed, or written with another home's keys; or a log is
            shorter than the newest checkpoint beside it says.
    """
    found: list[Destroyed] = []
    for place in [folder, *sorted(p for p in folder.glob("branch-*") if p.is_dir())]:
        path = place / FILE
        lines = _parse(keyring, path.read_bytes())[0] if path.is_file() else []
        _check_length(keyring, place, lines)
        found += lines
    return found


def _check_length(keyring: Keyring, place: Path, lines: list[Destroyed]) -> None:
    newest = FolderAnchor.newest(place)
    if newest is None:
        return
    note = parse_note(newest)
    if not note.verify(note.checkpoint.origin, keyring.public_key()):
        raise Corrupt(
            "the newest checkpoint of these anchors is not signed by this home's keys",
            remedy="name this home's anchors, or another copy of them",
        )
    told = length_of(newest)
    if told is None or not told.count:
        return
    missing = told.count - len(lines)
    if missing > 0 or lines[told.count - 1].leaf != told.leaf:
        raise Corrupt(
            f"the log of destructions has {len(lines)} lines, but the checkpoint of "
            f"{note.checkpoint.size} entries proves {told.count}: its end was cut or replaced",
            remedy="take the anchors from another copy; without the lines, what was destroyed "
            "would come back",
        )


def check_holds(keyring: Keyring, note: str | None, anchor: str, log: list[Destroyed]) -> None:
    """Whether ``log`` reaches as far as the note of another anchor says.

    Raises:
        Corrupt: it does not.
    """
    if note is None or not (told := length_of(note)) or not told.count:
        return
    seen = parse_note(note)
    if not seen.verify(seen.checkpoint.origin, keyring.public_key()):
        return  # whoever compares the trees refuses it
    if told.leaf not in {line.leaf for line in log}:
        raise Corrupt(
            f"{anchor} proves {told.count} entries of destruction up to its checkpoint of "
            f"{seen.checkpoint.size}, but the logs given do not reach that far: they were cut, or "
            "are old",
            remedy="give the newest anchors; without the lines, what was destroyed would come back",
        )


def done(connection: Connection) -> frozenset[bytes]:
    """Leaves of the destructions that this database itself went through."""
    query = select(LedgerOutbox.leaf_hash).where(LedgerOutbox.kind.in_(KINDS))
    return frozenset(bytes(leaf) for leaf in connection.scalars(query))


def beyond(connection: Connection, folder: Path, keyring: Keyring) -> bool:
    """Whether the log in ``folder`` holds a line that this database's ledger does not.

    So it is where the machine went down between a line and its checkpoint's note.
    """
    path = folder / FILE
    lines = _parse(keyring, path.read_bytes())[0] if path.is_file() else []
    if not lines:
        return False
    leaf = connection.scalar(
        select(LedgerLeaf.leaf_hash).where(LedgerLeaf.index == lines[-1].index)
    )
    return leaf != lines[-1].leaf


def _parse(keyring: Keyring, data: bytes) -> tuple[list[Destroyed], int, str]:
    """The lines, the length of what is whole, and the last digest."""
    whole = data.rfind(b"\n") + 1
    found, digest = [], _START
    for number, raw in enumerate(data[:whole].splitlines(), 1):
        try:
            line = json.loads(raw)
            index, text, mac = int(line["index"]), str(line["entry"]), str(line["mac"])
            entry = json.loads(text)
            leaf = leaf_hash(text.encode())
            at = datetime.fromisoformat(entry["at"])
            destroyed = Destroyed(index, str(entry["kind"]), at, dict(entry["body"]), leaf)
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
