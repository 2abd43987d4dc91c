# SPDX-License-Identifier: GPL-3.0-or-later
"""Proofs about the ledger as files that stand alone (P5).

One entry is proven as a C2SP ``tlog-proof``, which any reader of transparency
logs checks; that a later checkpoint only added to an earlier one, as the JSON
of ``docs/formats/ledger.md``. ``verify.py`` checks both.
"""

from __future__ import annotations

import base64
import re

from sqlalchemy import Engine, Select, select
from sqlalchemy.orm import Session

from compliance.errors import BadInput, Corrupt, LedgerError
from storage import ledger
from storage.checkpoint import parse_note, verifier_key
from storage.database import READ_ONLY
from storage.ledger_tables import LedgerCheckpoint, LedgerHead, LedgerLeaf, LedgerOutbox
from storage.packs import canonical

CONSISTENCY_FORMAT = "candor-consistency/1"
_HEADER = "c2sp.org/tlog-proof@v1"
_INDEX = re.compile(r"0|[1-9][0-9]{0,17}")
_LEAF = re.compile(r"[0-9a-f]{64}")


def inclusion_proof(engine: Engine, entry: str) -> tuple[int, str]:
    """The entry's index, and the proof that it is in the first signed tree that holds it.

    ``entry`` is an index or a leaf hash in hex. The extra line holds the entry's bytes and
    the signer's key: neither is trusted before the proof and a fingerprint prove them.

    Raises:
        BadInput: no such entry.
        LedgerError: no checkpoint holds it yet.
    """
    with Session(engine.execution_options(**READ_ONLY)) as session:
        index = _index_of(session, entry)
        note = session.scalar(_notes().where(LedgerCheckpoint.size > index).limit(1))
        if note is None:
            raise LedgerError(
                f"no checkpoint holds entry {index} yet", remedy="run `candor ledger checkpoint`"
            )
        found = ledger.inclusion(session, index, parse_note(note).checkpoint.size)
        data = session.scalars(
            select(LedgerOutbox.body)
            .join(LedgerLeaf, LedgerLeaf.outbox_id == LedgerOutbox.id)
            .where(LedgerLeaf.index == index)
        ).one()
        extra = canonical({"entry": _b64(data), "key": _key(session)})
    lines = [_HEADER, f"extra {_b64(extra)}", f"index {index}", *map(_b64, found.proof)]
    return index, "\n".join(lines) + f"\n\n{note}"


def consistency_proof(engine: Engine, old: str, new: int | None = None) -> bytes:
    """That the tree of checkpoint ``new`` (else the newest) only added to that of ``old``.

    ``old`` is a tree size of a kept checkpoint, or the text of a note that somebody kept.

    Raises:
        BadInput: no such checkpoint, or the note is none or newer.
        LedgerError: this ledger did not grow from the note's tree.
    """
    with Session(engine.execution_options(**READ_ONLY)) as session:
        earlier = _note(session, int(old)) if _INDEX.fullmatch(old) else old
        newest = select(LedgerCheckpoint.size).order_by(LedgerCheckpoint.size.desc()).limit(1)
        size = new if new is not None else session.scalar(newest)
        later = _note(session, size or 0)
        try:
            was, now = parse_note(earlier).checkpoint, parse_note(later).checkpoint
        except Corrupt as error:
            raise BadInput(error.detail, field="OLD", remedy="give a checkpoint's note") from None
        if was.size > now.size:
            raise BadInput(
                f"the checkpoint of {was.size} entries is newer than that of {now.size}",
                field="OLD",
                remedy="run `candor ledger checkpoint`, or turn them round",
            )
        if was.size and ledger.inclusion(session, was.size - 1, was.size).root != was.root:
            raise LedgerError(
                f"this ledger's first {was.size} entries are not those of the note: it forked, or "
                "the note is of another ledger"
            )
        proof = ledger.consistency(session, was.size, now.size)
        document = {
            "format": CONSISTENCY_FORMAT,
            "key": _key(session),
            "old": earlier,
            "new": later,
            "proof": [_b64(node) for node in proof],
        }
    return canonical(document) + b"\n"


def _index_of(session: Session, entry: str) -> int:
    index: int | None = None
    if _LEAF.fullmatch(entry):
        index = ledger.index_of(session, entry)
    elif _INDEX.fullmatch(entry):
        known = select(LedgerLeaf.index).where(LedgerLeaf.index == int(entry))
        index = session.scalar(known)
    if index is None:
        raise BadInput(
            "the ledger has no such entry",
            field="ENTRY",
            remedy="give its index or its leaf hash; `candor calls show` lists those of a call",
        )
    return index


def _notes() -> Select[str]:
    return select(LedgerCheckpoint.note).order_by(LedgerCheckpoint.size)


def _note(session: Session, size: int) -> str:
    note = session.scalar(_notes().where(LedgerCheckpoint.size == size))
    if note is None:
        raise BadInput(
            f"there is no checkpoint of {size} entries",
            field="OLD or NEW",
            remedy="the anchor folder names those there are: checkpoint-SIZE.note",
        )
    return note


def _key(session: Session) -> str:
    head = session.execute(select(LedgerHead.origin, LedgerHead.public_key)).one()
    return verifier_key(head.origin, head.public_key)


def _b64(data: bytes) -> str:
    return base64.b64encode(data).decode()
