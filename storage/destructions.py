# SPDX-License-Identifier: GPL-3.0-or-later
"""The written record of a destruction: time, method, operator, what by commitment (D14)."""

from __future__ import annotations

import enum
import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import insert
from sqlalchemy.orm import Session

from compliance.facts import Evolve
from storage import ledger
from storage.context import Context
from storage.keys import Keyring
from storage.models import Destruction

KIND = "destruction.record"  # of the ledger entry


class Method(enum.StrEnum):
    """How something was destroyed."""

    DELETE_ROWS = "delete_rows"
    SHRED = "shred_keys_delete_objects"
    FORGET = "forget_key_delete_object"  # the key was never used again: the call was live


class Why(enum.StrEnum):
    """Why something was destroyed."""

    TERM_OVER = "term_over"  # a recording's minimum and its grace (S6)
    CYCLE_OVER = "cycle_over"  # the campaigns of a contact ended (D13)
    REFUSED = "refused"  # the person said no (D13)
    LIST_OVER = "list_over"  # the refusal's own term (S12)
    NO_NOTICE = "no_notice"  # the recording notice was not completed (S4)
    NEVER_WRITTEN = "never_written"  # killed before the track's first byte was safe
    REQUEST = "request"  # the person asked (PIPL art. 47)
    BY_HAND = "by_hand"  # a compliance officer, after the minimum


@dataclass(frozen=True, slots=True)
class Record(Evolve):
    """One destruction. ``number_index`` commits to the person; nothing leads back to them."""

    id: str
    at: datetime
    by: str  # actor id
    method: str
    reason: str
    what: Mapping[str, int]  # rows by table
    number_index: bytes | None = field(default=None, repr=False)
    attempt: str | None = None
    objects: Sequence[Sequence[str]] = ()  # [name, sealed SHA-256] each
    contacts: Sequence[str] = ()  # ids of contacts


def commitment(keyring: Keyring, record: str, number_index: bytes) -> str:
    """Names the person a record is about, to whoever has this home's keys.

    A random key beside the record, as the ledger's other commitments have, would let the
    number be guessed from the record alone: then nothing would have been destroyed.
    """
    key = keyring.blind("destruction", record.encode())
    return hmac.digest(key, number_index, "sha256").hex()


def hide(keyring: Keyring, record: str, refusal_index: bytes) -> str:
    """The keyed hash of a withdrawn number, so that only this home's keys can read it."""
    pad = keyring.blind("destruction.refusal", record.encode())
    return bytes(a ^ b for a, b in zip(refusal_index, pad, strict=True)).hex()


def reveal(keyring: Keyring, record: str, hidden: str) -> bytes:
    """What :func:`hide` hid."""
    return bytes.fromhex(hide(keyring, record, bytes.fromhex(hidden)))


def write(context: Context, session: Session, records: Sequence[Record]) -> None:
    """Records and their ledger entries, in the transaction of what they are about."""
    entries = []
    rows: list[dict[str, Any]] = []
    for record in records:
        sealed = (
            commitment(context.keyring, record.id, record.number_index)
            if record.number_index is not None
            else ""
        )
        body: dict[str, Any] = {
            "record": record.id,
            "method": str(record.method),
            "reason": str(record.reason),
            "what": [[table, count] for table, count in sorted(record.what.items())],
            "commitment": sealed,
        }
        if record.attempt:
            body["attempt"] = record.attempt
        if record.objects:
            body["destroyed"] = [name for name, _ in record.objects]
        if record.contacts:
            body["contacts"] = list(record.contacts)
        entries.append(ledger.Entry(KIND, record.by, record.at, body))
        rows.append(
            {
                "id": record.id,
                "at": record.at,
                "by": record.by,
                "method": str(record.method),
                "reason": str(record.reason),
                "what": dict(record.what),
                "commitment": sealed,
                "commitment_key": "",  # derived from the home's keys: see commitment()
                "attempt": record.attempt,
                "objects": [list(pair) for pair in record.objects],
                "contacts": list(record.contacts),
            }
        )
    leaves = ledger.append_all(session, node=context.node, entries=entries)
    for row, leaf in zip(rows, leaves, strict=True):
        row["leaf"] = bytes.fromhex(leaf)
    if rows:
        session.execute(insert(Destruction), rows)
