# SPDX-License-Identifier: GPL-3.0-or-later
"""The key of one call: what was said, keyed and proven lives under it, as long as the recording.

A value is ``version (2) | nonce (12) | AES-256-GCM``; its additional data names version,
tenant, call and column. The key is random, wrapped under the master key and kept in a row of
its own, so that taking the row destroys them all at once (D14, P4).
"""

from __future__ import annotations

import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy import select
from sqlalchemy.orm import Session

from compliance.errors import Corrupt
from storage.context import Context
from storage.dialects import insert_or_ignore
from storage.keys import KEY_BYTES, NONCE_BYTES, length_prefixed
from storage.retention_tables import CallKey

VERSION = 2  # a column sealed by storage.pii begins with 1
_TAG_BYTES = 16


def key_context(tenant: str, attempt: str) -> bytes:
    """What a call's wrapped key is bound to."""
    return length_prefixed("candor/call", bytes([VERSION]), tenant, attempt)


def seal(context: Context, session: Session, attempt: str, column: str, text: str) -> bytes:
    """Seal one value of a call; its key is made with its first value."""
    nonce = os.urandom(NONCE_BYTES)
    cipher = AESGCM(_key(context, session, attempt, make=True))
    aad = _additional_data(context.tenant, attempt, column)
    return bytes([VERSION]) + nonce + cipher.encrypt(nonce, text.encode(), aad)


def unseal(context: Context, session: Session, attempt: str, column: str, sealed: bytes) -> str:
    """Open what :func:`seal` made for this call and column.

    Raises:
        Corrupt: altered, of another call or column, or its key was destroyed.
    """
    where = f"attempts.{column}"
    if sealed[:1] == b"\x01":  # before calls had keys of their own
        return context.unseal(sealed, "attempts", column, attempt)
    if len(sealed) < 1 + NONCE_BYTES + _TAG_BYTES or sealed[0] != VERSION:
        raise Corrupt(f"{where}: a sealed value is cut short or of an unknown version")
    nonce = sealed[1 : 1 + NONCE_BYTES]
    cipher = AESGCM(_key(context, session, attempt, make=False))
    aad = _additional_data(context.tenant, attempt, column)
    try:
        return cipher.decrypt(nonce, sealed[1 + NONCE_BYTES :], aad).decode()
    except InvalidTag:
        raise Corrupt(
            f"{where}: a sealed value does not open: altered, or moved from another call",
            remedy="restore the row from a backup",
        ) from None


def _additional_data(tenant: str, attempt: str, column: str) -> bytes:
    return length_prefixed("candor/call", bytes([VERSION]), tenant, attempt, column)


def _key(context: Context, session: Session, attempt: str, *, make: bool) -> bytes:
    bound = key_context(context.tenant, attempt)
    held = select(CallKey.wrapped_key).where(CallKey.attempt == attempt)
    wrapped = session.scalar(held)
    if wrapped is None and make:
        fresh = context.keyring.wrap(os.urandom(KEY_BYTES), bound)
        insert_or_ignore(session, CallKey, attempt=attempt, wrapped_key=fresh)
        wrapped = session.scalar(held)
    if wrapped is None:
        raise Corrupt("the key of this call is gone", remedy="look for its destruction record")
    return context.keyring.unwrap(wrapped, bound)
