# SPDX-License-Identifier: GPL-3.0-or-later
"""The verifiable ledger: every change leaves an entry nobody can alter unnoticed (T2, P5).

``append`` writes into the caller's transaction: the change and its entry
commit together. Entries are chained per node; the sequencer gives them their
place in one Merkle tree (RFC 6962). The bytes hashed are the bytes stored,
never serialised again. Entries hold no personal data: what must be provable
goes in as a keyed commitment. Format: ``docs/formats/ledger.md``.
"""

from __future__ import annotations

import base64
import functools
import hmac
import json
import os
import re
import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from json.encoder import encode_basestring
from pathlib import Path
from typing import Any, cast

from sqlalchemy import Engine, Table, bindparam, func, select, update
from sqlalchemy.orm import Session

from compliance.errors import BadInput, LedgerError, StorageError
from compliance.facts import Evolve
from storage.anchors import Anchor, FolderAnchor
from storage.checkpoint import verifier_key
from storage.database import READ_ONLY
from storage.dialects import insert_many, insert_or_ignore, run
from storage.ledger_tables import (
    LedgerChain,
    LedgerCheckpoint,
    LedgerHead,
    LedgerLeaf,
    LedgerOutbox,
    LedgerSequenced,
    LedgerSubtree,
)
from storage.merkle import (
    consistency_ranges,
    inclusion_ranges,
    leaf_hash,
    node_hash,
    nodes_over,
)
from storage.objects import fsync_folder
from storage.sequencer import SUBTREE_BITS, Sequencer, lag, verify_start

__all__ = [
    "Anchor",
    "Body",
    "Entry",
    "FolderAnchor",
    "Inclusion",
    "LedgerCheckpoint",
    "LedgerLeaf",
    "LedgerOutbox",
    "Sequencer",
    "append",
    "append_all",
    "commit_to",
    "commit_with",
    "consistency",
    "export",
    "inclusion",
    "index_of",
    "lag",
    "verify_commitment",
    "verify_start",
]

Body = Mapping[str, str | int | bool | Sequence[object] | None]

_NODE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_KIND = re.compile(r"[a-z][a-z0-9_.]{0,63}")
_KEY = re.compile(r"[a-z][a-z0-9_]{0,63}")
# A last line of defence against a telephone number written as it is (D8).
_TELEPHONE = re.compile(r"\+[0-9]{7,15}|(86)?1[3-9][0-9]{9}|(sips?|tel):.*")
_INT_MAX = 2**53 - 1  # beyond it JSON readers disagree
_START = bytes(32)


# ---------------------------------------------------------------- append


@dataclass(frozen=True, slots=True)
class Entry(Evolve):
    """One entry to be appended; see :func:`append` for what ``body`` may hold."""

    kind: str
    actor: str
    at: datetime
    body: Body


# Built once: building statements would cost more than running them.
_CHAIN, _OUTBOX = cast(Table, LedgerChain.__table__), cast(Table, LedgerOutbox.__table__)
_TAIL = (
    select(_CHAIN.c.seq, _CHAIN.c.leaf_hash)
    .where(_CHAIN.c.node == bindparam("of_node"))
    .with_for_update()
)
_MOVE = (
    update(_CHAIN)
    .where(_CHAIN.c.node == bindparam("of_node"))
    .values(seq=bindparam("to_seq"), leaf_hash=bindparam("to_hash"))
)
_OUTBOX_COLUMNS = ("node", "node_seq", "prev_hash", "leaf_hash", "kind", "body", "at")


def append(session: Session, *, node: str, kind: str, actor: str, at: datetime, body: Body) -> str:
    """Write one entry in the caller's transaction; returns its leaf hash as 64 hex digits.

    ``body`` maps names to strings, integers, booleans, None or lists of those
    (lists may nest). The index follows when the sequencer has run.

    Raises:
        BadInput: a value of another type, a naive time, or a telephone number.
    """
    return append_all(session, node=node, entries=[Entry(kind, actor, at, body)])[0]


def append_all(session: Session, *, node: str, entries: Iterable[Entry]) -> list[str]:
    """Write several entries at once, in order, as :func:`append` does one; none or all."""
    if not _NODE.fullmatch(node):
        raise BadInput("not a node name", field="ledger")
    connection = session.connection()
    tail = run(connection, _TAIL, of_node=node).one_or_none()
    if tail is None:
        insert_or_ignore(connection, LedgerChain, node=node, seq=0, leaf_hash=_START)
        insert_or_ignore(connection, LedgerSequenced, node=node, seq=0, leaf_hash=_START)
        tail = run(connection, _TAIL, of_node=node).one()
    seq, prev = int(tail.seq), bytes(tail.leaf_hash)
    rows: list[tuple[object, ...]] = []
    leaves: list[str] = []
    for entry in entries:
        seq += 1
        data = _encode(node, seq, prev, entry)
        leaf = leaf_hash(data)
        rows.append((node, seq, prev, leaf, entry.kind, data, entry.at))
        leaves.append(leaf.hex())
        prev = leaf
    if rows:
        insert_many(connection, _OUTBOX, _OUTBOX_COLUMNS, rows)
        run(connection, _MOVE, of_node=node, to_seq=seq, to_hash=prev)
    return leaves


def _encode(node: str, seq: int, prev: bytes, entry: Entry) -> bytes:
    """The entry's bytes: JSON whose keys are sorted, without spaces."""
    _named(entry.kind, _KIND, "not an entry kind")
    body = ",".join([f'"{key}":{_value(key, entry.body[key])}' for key in sorted(entry.body)])
    return (
        f'{{"actor":{_value("actor", entry.actor)},"at":"{_written(entry.at)}","body":{{{body}}},'
        f'"kind":"{entry.kind}","node":"{node}","prev":"{prev.hex()}","seq":{seq},"v":1}}'
    ).encode()


def _value(key: str, value: object) -> str:
    """A value of an entry as JSON, as ``json.dumps`` writes it with ``ensure_ascii=False``."""
    _named(key, _KEY, "not a field name of a ledger entry")
    if isinstance(value, str):
        if _TELEPHONE.fullmatch(value):
            raise BadInput(
                "a ledger entry never holds a telephone number",
                field=key,
                remedy="store a commitment (ledger.commit_to)",
            )
        return encode_basestring(value)
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        if abs(value) > _INT_MAX:
            raise BadInput("a ledger entry's integers stay within 53 bits", field=key)
        return str(int(value))
    if isinstance(value, list | tuple):
        return f"[{','.join([_value(key, item) for item in value])}]"
    raise BadInput(
        f"a ledger entry cannot hold a {type(value).__name__}",
        field=key,
        remedy="use text, integers, booleans, None or lists of them",
    )


@functools.lru_cache(maxsize=16)
def _written(at: datetime) -> str:
    if at.tzinfo is None:
        raise BadInput("an entry's time needs a time zone", field="at")
    return at.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


@functools.lru_cache(maxsize=1024)
def _named(name: str, pattern: re.Pattern[str], otherwise: str) -> None:
    if not pattern.fullmatch(name):
        raise BadInput(otherwise, field="ledger")


def commit_to(value: bytes) -> tuple[str, str]:
    """Commit to personal data: (commitment, key), both as 64 hex digits.

    The commitment goes into an entry; the key stays beside the record and dies
    with it, which unlinks the entry. A plain hash of a number can be enumerated.
    """
    key = secrets.token_bytes(32)
    return hmac.digest(key, value, "sha256").hex(), key.hex()


def commit_with(key: str, value: bytes) -> str:
    """One more commitment under a key of :func:`commit_to`; mark the value so that the
    two cannot be taken for one another."""
    return hmac.digest(bytes.fromhex(key), value, "sha256").hex()


def verify_commitment(value: bytes, commitment: str, key: str) -> bool:
    """Whether ``commitment`` was made of ``value`` with ``key``."""
    computed = hmac.digest(bytes.fromhex(key), value, "sha256")
    return hmac.compare_digest(computed.hex(), commitment)


# ---------------------------------------------------------------- look-ups and proofs


@dataclass(frozen=True, slots=True)
class Inclusion(Evolve):
    """Proof that an entry is in the tree of ``size`` entries; hashes are 32 bytes."""

    index: int
    size: int
    leaf_hash: bytes
    proof: tuple[bytes, ...]
    root: bytes
    note: str = ""  # the checkpoint of this size, when there is one


def index_of(session: Session, leaf_hash: str) -> int | None:
    """The entry's index in the tree, or None while it waits for the sequencer."""
    return session.execute(
        select(LedgerLeaf.index).where(LedgerLeaf.leaf_hash == bytes.fromhex(leaf_hash))
    ).scalar_one_or_none()


def inclusion(session: Session, index: int, size: int | None = None) -> Inclusion:
    """Prove entry ``index``: in the tree of ``size``, else of the first checkpoint holding it,
    else of the newest tree.

    Raises:
        LedgerError: the tree has no such entry or no such size.
    """
    newest = _newest(session)
    if size is None:
        size = session.execute(
            select(func.min(LedgerCheckpoint.size)).where(LedgerCheckpoint.size > index)
        ).scalar_one_or_none()
    size = newest if size is None else size
    if not 0 <= index < size <= newest:
        raise LedgerError(f"the tree of {newest} entries cannot prove entry {index} at {size}")
    found = run(session.connection(), _NOTE, of_size=size).one_or_none()
    tiles = _Tiles(session, size)
    proof = tuple(_subtree(tiles, *r) for r in inclusion_ranges(index, size))
    leaf = _subtree(tiles, index, index + 1)
    return Inclusion(index, size, leaf, proof, _subtree(tiles, 0, size), found[0] if found else "")


def consistency(session: Session, old: int, new: int) -> tuple[bytes, ...]:
    """RFC 9162 proof that the tree of ``old`` entries is a prefix of that of ``new``."""
    newest = _newest(session)
    if not 0 <= old <= new <= newest:
        raise LedgerError(f"the tree of {newest} entries has no proof from {old} to {new}")
    tiles = _Tiles(session, new)
    return tuple(_subtree(tiles, *r) for r in consistency_ranges(old, new))


def _newest(session: Session) -> int:
    head = run(session.connection(), _SIZE).one_or_none()
    return int(head[0]) if head else 0


def _subtree(tiles: _Tiles, start: int, stop: int) -> bytes:
    """Root over the leaves [start, stop), as the proofs need them: ``start`` is a multiple of
    the largest power of two in their number."""
    nodes: list[bytes] = []
    at = start
    while at < stop:
        bits = (stop - at).bit_length() - 1
        nodes.append(tiles.node(bits, at >> bits))
        at += 1 << bits
    root = nodes[-1]
    for left in reversed(nodes[:-1]):
        root = node_hash(left, root)
    return root


_SIZE = select(LedgerHead.size)
_NOTE = select(LedgerCheckpoint.note).where(LedgerCheckpoint.size == bindparam("of_size"))
_LEAVES = (
    select(LedgerLeaf.leaf_hash)
    .where(LedgerLeaf.index >= bindparam("first"), LedgerLeaf.index < bindparam("stop"))
    .order_by(LedgerLeaf.index)
)
_SUBTREES = (
    select(LedgerSubtree.hash)
    .where(
        LedgerSubtree.level == bindparam("of_level"),
        LedgerSubtree.index >= bindparam("first"),
        LedgerSubtree.index < bindparam("stop"),
    )
    .order_by(LedgerSubtree.index)
)
_TILES_KEPT = 64  # 256 hashes and the nodes over them take 30 kB


class _Tiles:
    """Nodes of the tree of ``size``, read 256 at a time: a proof needs one or two tiles of each
    level. Those of a session are kept for its next proof; they never change."""

    def __init__(self, session: Session, size: int) -> None:
        self._connection = session.connection()
        self._size = size
        self._kept: dict[tuple[int, int, int], list[list[bytes]]]
        self._kept = session.info.setdefault("ledger.tiles", {})

    def node(self, bits: int, index: int) -> bytes:
        """Root over the 2^``bits`` leaves from ``index`` * 2^``bits`` on.

        Raises:
            LedgerError: a hash of its tile is missing.
        """
        level = bits // SUBTREE_BITS * SUBTREE_BITS
        height = bits - level
        tile, place = divmod(index, 1 << (SUBTREE_BITS - height))
        first = tile << SUBTREE_BITS
        stop = min(first + (1 << SUBTREE_BITS), self._size >> level)
        heights = self._kept.get((level, first, stop))
        if heights is None:
            if len(self._kept) >= _TILES_KEPT:
                del self._kept[next(iter(self._kept))]
            heights = self._kept[level, first, stop] = self._tile(level, first, stop)
        return heights[height][place]

    def _tile(self, level: int, first: int, stop: int) -> list[list[bytes]]:
        """The tile's hashes and all whole nodes over them, by height."""
        if level == 0:
            rows = run(self._connection, _LEAVES, first=first, stop=stop).all()
        else:
            rows = run(self._connection, _SUBTREES, first=first, stop=stop, of_level=level).all()
        if len(rows) != stop - first:
            raise LedgerError(f"hashes of the ledger under entry {first << level} are missing")
        heights = [[bytes(row[0]) for row in rows]]
        while len(below := heights[-1]) > 1:
            heights.append(nodes_over(below[: len(below) // 2 * 2]))
        return heights


# ---------------------------------------------------------------- export


def export(engine: Engine, path: Path | str) -> int:
    """Write the sequenced ledger as one JSON-lines file for ``verify.py``; returns the entries.

    Whole or not at all: an existing file is replaced once the new one is durable.
    """
    path = Path(path)
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with draft.open("x", encoding="utf-8", newline="\n") as file:
            entries = 0
            for line in _export_lines(engine):
                entries += "entry" in line
                file.write(json.dumps(line, sort_keys=True, separators=(",", ":")) + "\n")
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
        fsync_folder(path.parent)
    except OSError as error:
        raise StorageError(f"the ledger cannot be exported: {error.strerror}") from error
    finally:
        draft.unlink(missing_ok=True)
    return entries


def _export_lines(engine: Engine) -> Iterator[dict[str, Any]]:
    with engine.connect().execution_options(**READ_ONLY) as connection:
        head = connection.execute(select(*LedgerHead.__table__.c)).one_or_none()
        if head is None:
            raise LedgerError("the ledger has no entry yet", remedy="run the sequencer first")
        yield {
            "candor_ledger": 1,
            "key": verifier_key(head.origin, head.public_key),
            "origin": head.origin,
            "size": head.size,
        }
        query = (
            select(
                LedgerLeaf.index,
                LedgerLeaf.leaf_hash,
                LedgerOutbox.node,
                LedgerOutbox.node_seq,
                LedgerOutbox.prev_hash,
                LedgerOutbox.body,
            )
            .outerjoin(LedgerOutbox, LedgerOutbox.id == LedgerLeaf.outbox_id)
            .where(LedgerLeaf.index < head.size)
            .order_by(LedgerLeaf.index)
        )
        entries = 0
        with connection.execution_options(yield_per=5_000).execute(query) as rows:
            for row in rows:
                if row.body is None:
                    raise LedgerError(f"the bytes of entry {row.index} are gone from the database")
                entries += 1
                yield {
                    "entry": row.index,
                    "leaf": row.leaf_hash.hex(),
                    "node": row.node,
                    "seq": row.node_seq,
                    "prev": row.prev_hash.hex(),
                    "bytes": base64.b64encode(row.body).decode(),
                }
        checkpoints = 0
        kept = (
            select(LedgerCheckpoint.size, LedgerCheckpoint.note, LedgerCheckpoint.at)
            .where(LedgerCheckpoint.size <= head.size)
            .order_by(LedgerCheckpoint.size)
        )
        for size, note, at in connection.execute(kept):
            checkpoints += 1
            yield {"checkpoint": size, "note": note, "at": at.isoformat()}
        yield {"end": {"checkpoints": checkpoints, "entries": entries}}
