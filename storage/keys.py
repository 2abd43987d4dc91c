# SPDX-License-Identifier: GPL-3.0-or-later
"""Keys: what seals, looks up and signs, behind one small interface (D7, D9).

A :class:`Keyring` never gives its root keys away. A file keeps them today;
an HSM fits the same six questions. Four roots, each for one use:

* master keys (several, by key id; one is current): wrap data keys, derive column keys;
* index key: blind indexes. Not a master key, so that rotation leaves look-ups alone;
* refusal key: the refusal list's index. Outlives every purge (S12);
* signing key: Ed25519, for the ledger's checkpoints (P5).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import re
import secrets
import stat
from pathlib import Path
from typing import Any, Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from compliance.errors import BadInput, Corrupt, StorageError

KEY_BYTES = 32
KEY_ID_BYTES = 4
NONCE_BYTES = 12

_FORMAT = "candor-keyring"
_VERSION = 1
_WRAP_VERSION = 1
_PURPOSE = re.compile(r"[a-z][a-z0-9_.-]{0,63}")
# OWASP's scrypt level; the file states its own, bounded on opening so that a
# planted file cannot ask for all memory.
_SCRYPT_N, _SCRYPT_R, _SCRYPT_P = 2**17, 8, 1
_SCRYPT_N_MAX = 2**20


class Keyring(Protocol):
    """What may be asked of keys. Every method may be called from any thread."""

    def key_id(self) -> str:
        """Id of the current master key: 8 hex digits."""
        ...

    def derive(self, purpose: str, key_id: str | None = None) -> bytes:
        """A 32-byte data key for ``purpose`` from a master key (the current one by default).

        Raises:
            Corrupt: no master key has this id.
        """
        ...

    def wrap(self, key: bytes, context: bytes) -> bytes:
        """Seal a data key under the current master key, bound to ``context``."""
        ...

    def unwrap(self, wrapped: bytes, context: bytes) -> bytes:
        """Open what :meth:`wrap` made.

        Raises:
            Corrupt: altered, another context, or a master key this ring lacks.
        """
        ...

    def blind(self, purpose: str, value: bytes) -> bytes:
        """HMAC-SHA-256 of ``value`` under a key of ``purpose``'s own (32 bytes)."""
        ...

    def sign(self, data: bytes) -> bytes:
        """Ed25519 signature, 64 bytes (RFC 8032)."""
        ...

    def public_key(self) -> bytes:
        """The signing key's public half: 32 raw bytes."""
        ...

    def fingerprint(self) -> str:
        """``ed25519:`` and the SHA-256 of the public key as 64 hex digits."""
        ...


def hkdf_sha256(key: bytes, info: bytes, *, salt: bytes | None = None, length: int = 32) -> bytes:
    """HKDF (RFC 5869) with SHA-256."""
    return HKDF(algorithm=hashes.SHA256(), length=length, salt=salt, info=info).derive(key)


def length_prefixed(*parts: str | bytes) -> bytes:
    """Join parts unambiguously: each behind its length in bytes as four big-endian bytes."""
    encoded = [p.encode() if isinstance(p, str) else p for p in parts]
    return b"".join(len(p).to_bytes(4, "big") + p for p in encoded)


def fingerprint_of(public_key: bytes) -> str:
    """The fingerprint people compare (see :meth:`Keyring.fingerprint`)."""
    return "ed25519:" + hashlib.sha256(public_key).hexdigest()


class FileKeyring:
    """A keyring in one JSON file of mode 0600, sealed by a passphrase or plain.

    Immutable once opened, hence safe to share between threads.
    """

    def __init__(
        self,
        *,
        masters: dict[str, bytes],
        current: str,
        index: bytes,
        refusal: bytes,
        signing: bytes,
    ) -> None:
        self._current = current
        self._masters = masters
        self._index = index
        self._refusal = refusal
        self._signer = Ed25519PrivateKey.from_private_bytes(signing)
        self._public = self._signer.public_key().public_bytes_raw()
        self._derived: dict[tuple[str, str], bytes] = {}
        self._blinding: dict[str, bytes] = {}
        self._wrappers: dict[str, AESGCM] = {}

    def __repr__(self) -> str:
        return f"FileKeyring(current={self._current}, signer={self.fingerprint()})"

    # ------------------------------------------------------------ file

    @classmethod
    def create(cls, path: Path | str, passphrase: str | None = None) -> FileKeyring:
        """Make fresh keys and write them; an existing file is never overwritten.

        Raises:
            BadInput: the file is there already, or the passphrase is empty.
            StorageError: the file cannot be written.
        """
        path = Path(path)
        current = secrets.token_hex(KEY_ID_BYTES)
        secret = {
            "current": current,
            "masters": {current: _b64(os.urandom(KEY_BYTES))},
            "index": _b64(os.urandom(KEY_BYTES)),
            "refusal": _b64(os.urandom(KEY_BYTES)),
            "signing": _b64(os.urandom(KEY_BYTES)),
        }
        text = json.dumps(_enclose(secret, passphrase), indent=2, sort_keys=True) + "\n"
        _write_new(path, text.encode())
        return cls._from_secret(secret)

    @classmethod
    def open(cls, path: Path | str, passphrase: str | None = None) -> FileKeyring:
        """Read a key file.

        Raises:
            BadInput: missing, readable by others, another format, passphrase
                wrong or missing.
            Corrupt: the file is damaged.
        """
        path = Path(path)
        document = _parse(_read_private(path))
        return cls._from_secret(_disclose(document, passphrase))

    @classmethod
    def _from_secret(cls, secret: dict[str, Any]) -> FileKeyring:
        try:
            masters = {str(k): _key(v) for k, v in secret["masters"].items()}
            current = str(secret["current"])
            if current not in masters or any(not _is_key_id(k) for k in masters):
                raise ValueError("key id")
            return cls(
                masters=masters,
                current=current,
                index=_key(secret["index"]),
                refusal=_key(secret["refusal"]),
                signing=_key(secret["signing"]),
            )
        except (KeyError, TypeError, ValueError, AttributeError):
            raise _damaged() from None

    # ------------------------------------------------------------ keyring

    def key_id(self) -> str:
        return self._current

    def derive(self, purpose: str, key_id: str | None = None) -> bytes:
        key_id = self._current if key_id is None else key_id
        known = self._derived.get((purpose, key_id))
        if known is not None:
            return known
        master = self._masters.get(key_id)
        if master is None:
            raise Corrupt(
                f"sealed under master key {key_id[:8]!r}, which this key file lacks",
                remedy="open with the key file that was in use when it was sealed",
            )
        key = hkdf_sha256(master, b"candor/derive/1/" + _purpose(purpose))
        self._derived[purpose, key_id] = key
        return key

    def wrap(self, key: bytes, context: bytes) -> bytes:
        key_id = bytes.fromhex(self._current)
        nonce = os.urandom(NONCE_BYTES)
        head = bytes([_WRAP_VERSION]) + key_id
        return head + nonce + self._wrapper(self._current).encrypt(nonce, key, head + context)

    def unwrap(self, wrapped: bytes, context: bytes) -> bytes:
        head_bytes = 1 + KEY_ID_BYTES
        if len(wrapped) < head_bytes + NONCE_BYTES + 16 or wrapped[0] != _WRAP_VERSION:
            raise Corrupt("a wrapped key is cut short or of an unknown version")
        head, nonce = wrapped[:head_bytes], wrapped[head_bytes : head_bytes + NONCE_BYTES]
        try:
            return self._wrapper(head[1:].hex()).decrypt(
                nonce, wrapped[head_bytes + NONCE_BYTES :], head + context
            )
        except InvalidTag:
            raise Corrupt(
                "a wrapped key does not open: altered, or it belongs to something else",
                remedy="restore this row from a backup",
            ) from None

    def _wrapper(self, key_id: str) -> AESGCM:
        known = self._wrappers.get(key_id)
        if known is None:
            known = self._wrappers[key_id] = AESGCM(self.derive("wrap", key_id))
        return known

    def blind(self, purpose: str, value: bytes) -> bytes:
        key = self._blinding.get(purpose)
        if key is None:
            root = self._refusal if purpose == "refusal" else self._index
            key = hkdf_sha256(root, b"candor/blind/1/" + _purpose(purpose))
            self._blinding[purpose] = key
        return hmac.digest(key, value, "sha256")

    def sign(self, data: bytes) -> bytes:
        return self._signer.sign(data)

    def public_key(self) -> bytes:
        return self._public

    def fingerprint(self) -> str:
        return fingerprint_of(self._public)


# ---------------------------------------------------------------- the file's format


def _enclose(secret: dict[str, Any], passphrase: str | None) -> dict[str, Any]:
    document: dict[str, Any] = {"format": _FORMAT, "version": _VERSION}
    if passphrase is None:
        document["keys"] = secret
    else:
        if not passphrase:
            raise BadInput(
                "the passphrase is empty",
                field="passphrase",
                remedy="give a passphrase, or none at all for a plain key file",
            )
        salt, nonce = os.urandom(16), os.urandom(NONCE_BYTES)
        document["kdf"] = {
            "name": "scrypt",
            "n": _SCRYPT_N,
            "r": _SCRYPT_R,
            "p": _SCRYPT_P,
            "salt": _b64(salt),
        }
        document["nonce"] = _b64(nonce)
        sealer = AESGCM(_stretch(passphrase, salt, _SCRYPT_N, _SCRYPT_R, _SCRYPT_P))
        document["sealed"] = _b64(sealer.encrypt(nonce, _canonical(secret), _aad(document)))
    # Unkeyed: tells a damaged file from a wrong passphrase, and protects from nothing else.
    document["checksum"] = hashlib.sha256(_canonical(document)).hexdigest()
    return document


def _disclose(document: dict[str, Any], passphrase: str | None) -> dict[str, Any]:
    stated = document.pop("checksum", None)
    if stated != hashlib.sha256(_canonical(document)).hexdigest():
        raise _damaged()
    if "keys" in document:
        if passphrase is not None:
            raise BadInput(
                "this key file has no passphrase",
                field="passphrase",
                remedy="open it without one",
            )
        return dict(document["keys"])
    if passphrase is None:
        raise BadInput("this key file is sealed", field="passphrase", remedy="give its passphrase")
    try:
        kdf = document["kdf"]
        n, r, p = int(kdf["n"]), int(kdf["r"]), int(kdf["p"])
        salt, nonce = _unb64(kdf["salt"]), _unb64(document["nonce"])
        sealed = _unb64(document["sealed"])
        if kdf["name"] != "scrypt" or not (2 <= n <= _SCRYPT_N_MAX and r == 8 and 1 <= p <= 4):
            raise ValueError("scrypt parameters")
        opener = AESGCM(_stretch(passphrase, salt, n, r, p))
        plain = opener.decrypt(nonce, sealed, _aad(document))
        return dict(json.loads(plain))
    except InvalidTag:
        raise BadInput(
            "the passphrase does not open this key file",
            field="passphrase",
            remedy="type it again; without it the sealed data cannot be recovered",
        ) from None
    except (KeyError, TypeError, ValueError):
        raise _damaged() from None


def _stretch(passphrase: str, salt: bytes, n: int, r: int, p: int) -> bytes:
    return Scrypt(salt=salt, length=32, n=n, r=r, p=p).derive(passphrase.encode())


def _aad(document: dict[str, Any]) -> bytes:
    return _canonical({k: document[k] for k in ("format", "version", "kdf")})


def _canonical(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def _parse(raw: bytes) -> dict[str, Any]:
    try:
        document = json.loads(raw)
    except ValueError:
        raise _damaged() from None
    if not isinstance(document, dict) or document.get("format") != _FORMAT:
        raise BadInput("this is not a Candor key file", remedy="name the file `candor init` made")
    if document.get("version") != _VERSION:
        raise BadInput(
            f"key file version {document.get('version')!r} is not known here",
            remedy="upgrade Candor",
        )
    return document


def _damaged() -> Corrupt:
    return Corrupt("the key file is damaged", remedy="restore it from its backup")


def _read_private(path: Path) -> bytes:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        raise BadInput(
            f"no key file {path.name}", field="keys", remedy="run `candor init`, or restore it"
        ) from None
    except OSError as error:
        raise BadInput(
            f"key file {path.name} cannot be read: {error.strerror}", field="keys"
        ) from None
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(file.fileno())  # of the opened file: no race with a rename
        if not stat.S_ISREG(status.st_mode):
            raise BadInput(f"{path.name} is not a regular file", field="keys")
        if status.st_mode & 0o077:
            raise BadInput(
                f"key file {path.name} is open to other users "
                f"(mode {stat.S_IMODE(status.st_mode):04o})",
                field="keys",
                remedy=f"chmod 600 {path.name}",
            )
        return file.read()


def _write_new(path: Path, data: bytes) -> None:
    """Whole or not at all, and never over an existing file."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.link(draft, path)  # unlike rename, refuses an existing name
        finally:
            draft.unlink(missing_ok=True)
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except FileExistsError:
        raise BadInput(
            f"key file {path.name} exists already",
            field="keys",
            remedy="choose another home; keys are never overwritten",
        ) from None
    except OSError as error:
        raise StorageError(f"key file {path.name} cannot be written: {error.strerror}") from error


def _purpose(purpose: str) -> bytes:
    if not _PURPOSE.fullmatch(purpose):
        raise ValueError(f"not a key purpose: {purpose!r}")
    return purpose.encode()


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
