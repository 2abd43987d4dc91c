# SPDX-License-Identifier: GPL-3.0-or-later
"""The keyring document: one JSON object, sealed by a passphrase or plain.

It is the content of a key file, and, in base64, of ``CANDOR_KEYRING``. The
passphrase is stretched once (scrypt); the result is kept in memory, so that a
document another process rewrote opens again without asking.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import os
import re
import secrets
from dataclasses import dataclass, field
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from compliance.errors import BadInput, Corrupt
from compliance.facts import Evolve

KEY_BYTES = 32
KEY_ID_BYTES = 4
NONCE_BYTES = 12

_FORMAT = "candor-keyring"
_VERSION = 1
# OWASP's scrypt level; the document states its own, bounded on opening so that a
# planted one cannot ask for all memory.
_SCRYPT_N, _SCRYPT_R, _SCRYPT_P = 2**17, 8, 1
_SCRYPT_N_MAX = 2**20


@dataclass(frozen=True, slots=True)
class Secrets(Evolve):
    """Every root key of a home. ``prepared`` is a master nobody seals under yet."""

    masters: dict[str, bytes] = field(repr=False)
    current: str
    index: bytes = field(repr=False)
    refusal: bytes = field(repr=False)
    signing: bytes = field(repr=False)
    prepared: str | None = None


@dataclass(frozen=True, slots=True)
class Lock(Evolve):
    """A stretched passphrase and how it was stretched."""

    kdf: dict[str, Any]
    key: bytes = field(repr=False)


def new_key_id() -> str:
    """8 random hex digits."""
    return secrets.token_hex(KEY_ID_BYTES)


def fresh() -> Secrets:
    """New random keys for a new home."""
    current = new_key_id()
    return Secrets(
        masters={current: os.urandom(KEY_BYTES)},
        current=current,
        index=os.urandom(KEY_BYTES),
        refusal=os.urandom(KEY_BYTES),
        signing=os.urandom(KEY_BYTES),
    )


def lock_with(passphrase: str | None) -> Lock | None:
    """A lock of this passphrase with a salt of its own; None for a plain document.

    Raises:
        BadInput: the passphrase is empty.
    """
    if passphrase is None:
        return None
    if not passphrase:
        raise BadInput(
            "the passphrase is empty",
            field="passphrase",
            remedy="give a passphrase, or none at all for a plain keyring",
        )
    salt = os.urandom(16)
    kdf = {"name": "scrypt", "n": _SCRYPT_N, "r": _SCRYPT_R, "p": _SCRYPT_P, "salt": _b64(salt)}
    return Lock(kdf, _stretch(passphrase, salt, _SCRYPT_N, _SCRYPT_R, _SCRYPT_P))


def write(keys: Secrets, lock: Lock | None) -> bytes:
    """The document of ``keys`` as indented JSON."""
    secret: dict[str, Any] = {
        "current": keys.current,
        "masters": {key_id: _b64(key) for key_id, key in keys.masters.items()},
        "index": _b64(keys.index),
        "refusal": _b64(keys.refusal),
        "signing": _b64(keys.signing),
    }
    if keys.prepared is not None:
        secret["prepared"] = keys.prepared
    document: dict[str, Any] = {"format": _FORMAT, "version": _VERSION}
    if lock is None:
        document["keys"] = secret
    else:
        nonce = os.urandom(NONCE_BYTES)
        document["kdf"] = lock.kdf
        document["nonce"] = _b64(nonce)
        sealer = AESGCM(lock.key)
        document["sealed"] = _b64(sealer.encrypt(nonce, _canonical(secret), _aad(document)))
    # Unkeyed: tells a damaged file from a wrong passphrase, and protects from nothing else.
    document["checksum"] = hashlib.sha256(_canonical(document)).hexdigest()
    return (json.dumps(document, indent=2, sort_keys=True) + "\n").encode()


def is_sealed(raw: bytes) -> bool:
    """Whether a document asks for a passphrase.

    Raises:
        BadInput: not a keyring document. Corrupt: damaged.
    """
    return "keys" not in _parse(raw)


def read(
    raw: bytes, passphrase: str | None = None, lock: Lock | None = None
) -> tuple[Secrets, Lock | None]:
    """The keys in a document, and the lock that opened it.

    ``lock`` is tried before ``passphrase``: it opens a document that was rewritten
    under the same passphrase.

    Raises:
        BadInput: another format, passphrase wrong, missing or not asked for.
        Corrupt: the document is damaged.
    """
    document = _parse(raw)
    if "keys" in document:
        if passphrase is not None:
            raise BadInput(
                "this keyring has no passphrase",
                field="passphrase",
                remedy="open it without one",
            )
        return _secrets(document["keys"]), None
    try:
        kdf = document["kdf"]
        n, r, p = int(kdf["n"]), int(kdf["r"]), int(kdf["p"])
        salt, nonce = _unb64(kdf["salt"]), _unb64(document["nonce"])
        sealed = _unb64(document["sealed"])
        if kdf["name"] != "scrypt" or not (2 <= n <= _SCRYPT_N_MAX and r == 8 and 1 <= p <= 4):
            raise ValueError("scrypt parameters")
        if lock is None or lock.kdf != kdf:
            if passphrase is None:
                raise BadInput(
                    "this keyring is sealed", field="passphrase", remedy="give its passphrase"
                )
            lock = Lock(kdf, _stretch(passphrase, salt, n, r, p))
        plain = AESGCM(lock.key).decrypt(nonce, sealed, _aad(document))
        return _secrets(dict(json.loads(plain))), lock
    except InvalidTag:
        raise BadInput(
            "the passphrase does not open this keyring",
            field="passphrase",
            remedy="type it again; without it the sealed data cannot be recovered",
        ) from None
    except (KeyError, TypeError, ValueError):
        raise damaged() from None


def to_text(raw: bytes) -> str:
    """A document as one line of base64, for an environment variable."""
    return _b64(raw)


def from_text(text: str) -> bytes:
    """The document behind one line of base64; white space in it is let pass.

    Raises:
        BadInput: not base64.
    """
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError):
        raise BadInput(
            "is not base64 of a keyring document",
            field="CANDOR_KEYRING",
            remedy="make one with `candor keys new`",
        ) from None


def damaged() -> Corrupt:
    return Corrupt("the keyring is damaged", remedy="restore it from its backup")


def _secrets(secret: dict[str, Any]) -> Secrets:
    try:
        masters = {str(k): _key(v) for k, v in secret["masters"].items()}
        current, prepared = str(secret["current"]), secret.get("prepared")
        if current not in masters or any(not _is_key_id(k) for k in masters):
            raise ValueError("key id")
        if prepared is not None and (prepared not in masters or prepared == current):
            raise ValueError("prepared key")
        return Secrets(
            masters=masters,
            current=current,
            index=_key(secret["index"]),
            refusal=_key(secret["refusal"]),
            signing=_key(secret["signing"]),
            prepared=prepared,
        )
    except (KeyError, TypeError, ValueError, AttributeError):
        raise damaged() from None


def _parse(raw: bytes) -> dict[str, Any]:
    """The document without its checksum, which has been compared."""
    try:
        document = json.loads(raw)
    except ValueError:
        raise damaged() from None
    if not isinstance(document, dict) or document.get("format") != _FORMAT:
        raise BadInput(
            "this is not a Candor keyring",
            remedy="give the file `candor init` made, or what `candor keys new` printed",
        )
    if document.get("version") != _VERSION:
        raise BadInput(
            f"keyring version {document.get('version')!r} is not known here",
            remedy="upgrade Candor",
        )
    stated = document.pop("checksum", None)
    if stated != hashlib.sha256(_canonical(document)).hexdigest():
        raise damaged()
    return document


def _stretch(passphrase: str, salt: bytes, n: int, r: int, p: int) -> bytes:
    return Scrypt(salt=salt, length=32, n=n, r=r, p=p).derive(passphrase.encode())


def _aad(document: dict[str, Any]) -> bytes:
    return _canonical({k: document[k] for k in ("format", "version", "kdf")})


def _canonical(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def _is_key_id(text: str) -> bool:
    return re.fullmatch(r"[0-9a-f]{8}", text) is not None


def _key(text: object) -> bytes:
    raw = _unb64(text)
    if len(raw) != KEY_BYTES:
        raise ValueError("key length")
    return raw


def _b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _unb64(text: object) -> bytes:
    if not isinstance(text, str):
        raise ValueError("not base64")
    return base64.b64decode(text, validate=True)
