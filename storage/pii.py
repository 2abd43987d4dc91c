# SPDX-License-Identifier: GPL-3.0-or-later
"""Sealed columns and blind indexes for personal data (D7, D8, S12).

A sealed value is ``version (1) | key id (4) | nonce (12) | AES-256-GCM``; its
additional data names tenant, table, column, row and version, so that a value
moved to another place does not open. Equality is looked up through a keyed
hash of the normalised number; the refusal list has a key of its own.

Nonces are random: one column key stays far below 2^32 values (NIST SP
800-38D), and rotation of the master key gives a new one.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Mapping, Sequence
from typing import Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from compliance.errors import Corrupt
from compliance.facts import Number
from storage.keys import KEY_ID_BYTES, NONCE_BYTES, Keyring, length_prefixed

VERSION = 1
_HEAD = bytes([VERSION])
COLUMN, NUMBER = "column", "number"  # what the keys are for
_HEAD_BYTES = 1 + KEY_ID_BYTES
_TAG_BYTES = 16


class SealingKeys(Protocol):
    """Of a :class:`Keyring`, what sealing and looking up ask for."""

    def key_id(self) -> str: ...

    def derive(self, purpose: str, key_id: str | None = None) -> bytes: ...

    def blind(self, purpose: str, value: bytes) -> bytes: ...


@functools.lru_cache(maxsize=256)
def _column(tenant: str, table: str, column: str) -> bytes:
    return length_prefixed("candor/column", bytes([VERSION]), tenant, table, column)


def _additional_data(tenant: str, table: str, column: str, row: str) -> bytes:
    name = row.encode()
    return _column(tenant, table, column) + len(name).to_bytes(4, "big") + name


@functools.lru_cache(maxsize=16)
def _cipher(key: bytes) -> AESGCM:
    """Setting a key up costs more than sealing a name with it."""
    return AESGCM(key)


def seal(
    keyring: Keyring, plaintext: str, *, tenant: str, table: str, column: str, row: str
) -> bytes:
    """Seal one value for one place; two seals of the same value differ."""
    sealed = seal_columns(keyring, {column: [plaintext]}, tenant=tenant, table=table, rows=[row])
    return sealed[0][0]


def seal_columns(
    keyring: SealingKeys,
    plaintexts: Mapping[str, Sequence[str]],
    *,
    tenant: str,
    table: str,
    rows: Sequence[str],
) -> list[list[bytes]]:
    """:func:`seal` for columns of many rows at once, column by column as ``plaintexts`` names
    them, all under one master key."""
    key_id = keyring.key_id()
    head = _HEAD + bytes.fromhex(key_id)
    encrypt = _cipher(keyring.derive(COLUMN, key_id)).encrypt
    names = [len(name).to_bytes(4, "big") + name for name in map(str.encode, rows)]
    columns = []
    for column, values in plaintexts.items():
        begin = head + _column(tenant, table, column)
        noise = os.urandom(NONCE_BYTES * len(rows))
        nonces = [noise[at : at + NONCE_BYTES] for at in range(0, len(noise), NONCE_BYTES)]
        columns.append(
            [
                head + nonce + encrypt(nonce, value.encode(), begin + name)
                for value, nonce, name in zip(values, nonces, names, strict=True)
            ]
        )
    return columns


def unseal(
    keyring: Keyring, sealed: bytes, *, tenant: str, table: str, column: str, row: str
) -> str:
    """Open what :func:`seal` made for this very place.

    Raises:
        Corrupt: altered, moved from another tenant, table, column or row, or
            sealed under a master key this ring lacks. Never names the value.
    """
    where = f"{table}.{column}"
    if len(sealed) < _HEAD_BYTES + NONCE_BYTES + _TAG_BYTES or sealed[0] != VERSION:
        raise Corrupt(f"{where}: a sealed value is cut short or of an unknown version")
    head = sealed[:_HEAD_BYTES]
    nonce = sealed[_HEAD_BYTES : _HEAD_BYTES + NONCE_BYTES]
    opener = _cipher(keyring.derive(COLUMN, head[1:].hex()))
    aad = _additional_data(tenant, table, column, row)
    try:
        return opener.decrypt(nonce, sealed[_HEAD_BYTES + NONCE_BYTES :], head + aad).decode()
    except InvalidTag:
        raise Corrupt(
            f"{where}: a sealed value does not open: altered, or moved from another row",
            remedy="restore the row from a backup",
        ) from None


def sealed_under(sealed: bytes) -> str:
    """Id of the master key that a sealed value or a wrapped key names; empty: it names none."""
    return sealed[1:_HEAD_BYTES].hex() if len(sealed) >= _HEAD_BYTES else ""


def number_index(keyring: SealingKeys, number: Number) -> bytes:
    """Blind index of a number for contacts, caps and attempts (32 bytes)."""
    return keyring.blind(NUMBER, number.e164.encode())


def refusal_index(keyring: Keyring, number: Number) -> bytes:
    """Blind index of a number for the refusal list, under the key that outlives purges (S12)."""
    return keyring.blind("refusal", number.e164.encode())
