# SPDX-License-Identifier: GPL-3.0-or-later
"""Keys held by this process, whatever brought them: derivation, wrapping, blinding, signing.

A ring's state is replaced as a whole and never changed, so that threads share it
without a lock.
"""

from __future__ import annotations

import functools
import hashlib
import hmac
import os
import re
from collections.abc import Callable
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from compliance.errors import BadInput, Corrupt
from compliance.facts import Evolve
from storage.key_document import KEY_BYTES, KEY_ID_BYTES, NONCE_BYTES, Secrets

_WRAP_VERSION = 1
_WRAP_HEAD = 1 + KEY_ID_BYTES
_PURPOSE = re.compile(r"[a-z][a-z0-9_.-]{0,63}")


def hkdf_sha256(key: bytes, info: bytes, *, salt: bytes | None = None, length: int = 32) -> bytes:
    """HKDF (RFC 5869) with SHA-256."""
    return HKDF(algorithm=hashes.SHA256(), length=length, salt=salt, info=info).derive(key)


def length_prefixed(*parts: str | bytes) -> bytes:
    """Join parts unambiguously: each behind its length in bytes as four big-endian bytes."""
    joined = b""
    for part in parts:
        encoded = part.encode() if isinstance(part, str) else part
        joined += len(encoded).to_bytes(4, "big") + encoded
    return joined


def fingerprint_of(public_key: bytes) -> str:
    """The fingerprint people compare (see :meth:`Keyring.fingerprint`)."""
    return "ed25519:" + hashlib.sha256(public_key).hexdigest()


def purpose_bytes(purpose: str) -> bytes:
    """The purpose as part of a derivation. ValueError: not a purpose's name."""
    if not _PURPOSE.fullmatch(purpose):
        raise ValueError(f"not a key purpose: {purpose!r}")
    return purpose.encode()


# ---------------------------------------------------------------- wrapped keys


def wrapped_head(key_id: str) -> bytes:
    """What a wrapped key begins with; part of its additional data."""
    return bytes([_WRAP_VERSION]) + bytes.fromhex(key_id)


def split_wrapped(wrapped: bytes) -> tuple[str, bytes, bytes, bytes]:
    """(key id, head, nonce, sealed) of a wrapped key; Corrupt if it cannot be one."""
    if len(wrapped) < _WRAP_HEAD + NONCE_BYTES + 16 or wrapped[0] != _WRAP_VERSION:
        raise Corrupt("a wrapped key is cut short or of an unknown version")
    head, rest = wrapped[:_WRAP_HEAD], wrapped[_WRAP_HEAD:]
    return head[1:].hex(), head, rest[:NONCE_BYTES], rest[NONCE_BYTES:]


def does_not_open() -> Corrupt:
    return Corrupt(
        "a wrapped key does not open: altered, or it belongs to something else",
        remedy="restore this row from a backup",
    )


def lacks(key_id: str) -> Corrupt:
    return Corrupt(
        f"sealed under master key {key_id[:8]!r}, which this keyring lacks",
        remedy="open with the keys that were in use when it was sealed",
    )


# ---------------------------------------------------------------- keys in memory


class _Masters:
    """One state of a ring: never changed, only replaced, so that threads need no lock."""

    def __init__(self, keys: Secrets) -> None:
        self.keys = keys
        self._derived: dict[tuple[str, str], bytes] = {}
        self._wrappers: dict[str, AESGCM] = {}

    def derive(self, purpose: str, key_id: str) -> bytes:
        known = self._derived.get((purpose, key_id))
        if known is None:
            info = b"candor/derive/1/" + purpose_bytes(purpose)
            known = self._derived[purpose, key_id] = hkdf_sha256(self.keys.masters[key_id], info)
        return known

    def wrapper(self, key_id: str) -> AESGCM:
        known = self._wrappers.get(key_id)
        if known is None:
            known = self._wrappers[key_id] = AESGCM(self.derive("wrap", key_id))
        return known


def blinded(key: bytes, value: bytes) -> bytes:
    """HMAC-SHA-256; beginning one with its key costs more than ending it with a number."""
    keyed = _keyed(key).copy()
    keyed.update(value)
    return keyed.digest()


@functools.lru_cache(maxsize=16)
def _keyed(key: bytes) -> hmac.HMAC:
    return hmac.new(key, digestmod="sha256")


@dataclass(frozen=True, slots=True)
class LentKeys(Evolve):
    """One derived key to seal with and one to blind with: no root key, so nothing else opens."""

    current: str  # id of the master key
    sealing: str
    sealing_key: bytes = field(repr=False)
    blinding: str
    blinding_key: bytes = field(repr=False)

    def key_id(self) -> str:
        return self.current

    def derive(self, purpose: str, key_id: str | None = None) -> bytes:
        if purpose != self.sealing or key_id not in (None, self.current):
            raise lacks(key_id or self.current)
        return self.sealing_key

    def blind(self, purpose: str, value: bytes) -> bytes:
        if purpose != self.blinding:
            raise ValueError(f"no key was lent for {purpose!r}")
        return blinded(self.blinding_key, value)


class MemoryKeyring:
    """Keys held by this process alone; where they come from is the subclasses' matter."""

    def __init__(self, keys: Secrets) -> None:
        self._masters = _Masters(keys)
        self._signer = Ed25519PrivateKey.from_private_bytes(keys.signing)
        self._public = self._signer.public_key().public_bytes_raw()
        self._blinding: dict[str, bytes] = {}

    def __repr__(self) -> str:
        current = self._masters.keys.current
        return f"{type(self).__name__}(current={current}, signer={self.fingerprint()})"

    # What a subclass knows better.

    def _renew(self) -> None:
        """Learn what another process changed, if that is possible. Called before sealing."""

    def _look_again(self) -> None:
        """The same at once, because a value names a master key that is not known here."""

    def _change(self, change: Callable[[Secrets], Secrets]) -> None:
        """Change the keys, durably where they are kept, then here."""
        self._set(change(self._masters.keys))

    def _set(self, keys: Secrets) -> None:
        self._masters = _Masters(keys)

    # ------------------------------------------------------------ use

    def key_id(self) -> str:
        self._renew()
        return self._masters.keys.current

    def key_ids(self) -> tuple[str, ...]:
        self._look_again()
        return tuple(sorted(self._masters.keys.masters))

    def prepared(self) -> str | None:
        self._renew()
        return self._masters.keys.prepared

    def derive(self, purpose: str, key_id: str | None = None) -> bytes:
        key_id = self.key_id() if key_id is None else key_id
        return self._holding(key_id).derive(purpose, key_id)

    def wrap(self, key: bytes, context: bytes) -> bytes:
        key_id = self.key_id()
        head, nonce = wrapped_head(key_id), os.urandom(NONCE_BYTES)
        wrapper = self._holding(key_id).wrapper(key_id)
        return head + nonce + wrapper.encrypt(nonce, key, head + context)

    def unwrap(self, wrapped: bytes, context: bytes) -> bytes:
        key_id, head, nonce, sealed = split_wrapped(wrapped)
        try:
            return self._holding(key_id).wrapper(key_id).decrypt(nonce, sealed, head + context)
        except InvalidTag:
            raise does_not_open() from None

    def _holding(self, key_id: str) -> _Masters:
        """A state that has this master key."""
        masters = self._masters
        if key_id not in masters.keys.masters:
            self._look_again()
            masters = self._masters
            if key_id not in masters.keys.masters:
                raise lacks(key_id)
        return masters

    def blind(self, purpose: str, value: bytes) -> bytes:
        return blinded(self._blinding_key(purpose), value)

    def _blinding_key(self, purpose: str) -> bytes:
        key = self._blinding.get(purpose)
        if key is None:
            keys = self._masters.keys
            root = keys.refusal if purpose == "refusal" else keys.index
            key = hkdf_sha256(root, b"candor/blind/1/" + purpose_bytes(purpose))
            self._blinding[purpose] = key
        return key

    def lend(self, sealing: str, blinding: str) -> LentKeys:
        """What a second process of this program needs for these two purposes, and no more."""
        key_id = self.key_id()
        derived = self.derive(sealing, key_id)
        return LentKeys(key_id, sealing, derived, blinding, self._blinding_key(blinding))

    def sign(self, data: bytes) -> bytes:
        return self._signer.sign(data)

    def public_key(self) -> bytes:
        return self._public

    def fingerprint(self) -> str:
        return fingerprint_of(self._public)

    # ------------------------------------------------------------ rotation

    def add_master(self, key_id: str, *, use: bool = True) -> None:
        def change(keys: Secrets) -> Secrets:
            if key_id in keys.masters:
                raise BadInput("there is a master key of this id", field="key")
            if keys.prepared is not None:
                raise BadInput(
                    f"master key {keys.prepared} is prepared already",
                    field="key",
                    remedy="make that one current first",
                )
            masters = keys.masters | {key_id: os.urandom(KEY_BYTES)}
            if use:
                return keys.evolve(masters=masters, current=key_id)
            return keys.evolve(masters=masters, prepared=key_id)

        self._change(change)

    def use_master(self, key_id: str) -> None:
        def change(keys: Secrets) -> Secrets:
            if key_id not in keys.masters:
                raise no_such_key(key_id)
            prepared = None if keys.prepared == key_id else keys.prepared
            return keys.evolve(current=key_id, prepared=prepared)

        self._change(change)

    def remove_master(self, key_id: str) -> None:
        def change(keys: Secrets) -> Secrets:
            if key_id not in keys.masters:
                raise no_such_key(key_id)
            if key_id == keys.current:
                raise is_current(key_id)
            masters = {k: v for k, v in keys.masters.items() if k != key_id}
            prepared = None if keys.prepared == key_id else keys.prepared
            return keys.evolve(masters=masters, prepared=prepared)

        self._change(change)


def no_such_key(key_id: str) -> BadInput:
    return BadInput(
        f"there is no master key {key_id[:8]!r}", field="key", remedy="candor keys list shows them"
    )


def is_current(key_id: str) -> BadInput:
    return BadInput(
        f"master key {key_id} is the current one",
        field="key",
        remedy="make another one current first: candor keys rotate",
    )
