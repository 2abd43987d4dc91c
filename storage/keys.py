# SPDX-License-Identifier: GPL-3.0-or-later
"""Keys: what seals, looks up and signs, behind one small interface (D7, D9).

A :class:`Keyring` never gives its root keys away. They live in a file (here),
in the environment (``keys_environment``) or in an HSM (``keys_pkcs11``); one
suite of tests runs against all three. Four roots, each for one use:

* master keys (several, by key id; one is current): wrap data keys, derive column keys;
* index key: blind indexes. Not a master key, so that rotation leaves look-ups alone;
* refusal key: the refusal list's index. Outlives every purge (S12);
* signing key: Ed25519, for the ledger's checkpoints (P5).

Master keys are rotated while others run: a ring learns by itself what another
process added or made current (``storage.rotation``).
"""

from __future__ import annotations

import fcntl
import os
import secrets
import stat
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol, Self

from compliance.errors import BadInput, Corrupt, StorageError
from storage import key_document
from storage.key_document import KEY_BYTES, KEY_ID_BYTES, NONCE_BYTES, Lock, Secrets
from storage.keys_memory import MemoryKeyring, fingerprint_of, hkdf_sha256, length_prefixed

__all__ = [
    "KEY_BYTES",
    "KEY_ID_BYTES",
    "NONCE_BYTES",
    "FileKeyring",
    "Keyring",
    "fingerprint_of",
    "hkdf_sha256",
    "length_prefixed",
]

RECHECK_S = 1.0
"""How soon a running process seals under a master key that another one made current."""


class Keyring(Protocol):
    """What may be asked of keys. Every method may be called from any thread."""

    def key_id(self) -> str:
        """Id of the current master key: 8 hex digits. New values are sealed under it."""
        ...

    def key_ids(self) -> tuple[str, ...]:
        """Every master key held at this very moment, also by what another process changed."""
        ...

    def prepared(self) -> str | None:
        """A master key that is held but that nobody seals under yet."""
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

    # ------------------------------------------------------------ rotation

    def add_master(self, key_id: str, *, use: bool = True) -> None:
        """Make a master key of this id: current, or with ``use=False`` only prepared.

        Raises:
            BadInput: an id that is taken, or another key is prepared already.
            StorageError: it cannot be kept; nothing has changed.
        """
        ...

    def use_master(self, key_id: str) -> None:
        """Make a master key that is held the current one. Harmless when repeated.

        Raises:
            BadInput: no such key.
        """
        ...

    def remove_master(self, key_id: str) -> None:
        """Destroy a master key: what it sealed can never be opened again.

        Raises:
            BadInput: no such key, or it is the current one.
        """
        ...


# ---------------------------------------------------------------- keys in a file


class FileKeyring(MemoryKeyring):
    """A keyring in one JSON file of mode 0600, sealed by a passphrase or plain.

    The file is looked at again when it has changed: at most every second while
    sealing, and at once when a value names a master key this ring lacks.
    """

    def __init__(
        self,
        keys: Secrets,
        path: Path,
        lock: Lock | None,
        seen: tuple[int, ...],
        monotonic: Callable[[], float],
    ) -> None:
        super().__init__(keys)
        self._path = path
        self._lock = lock
        self._seen = seen
        self._monotonic = monotonic
        self._looked = monotonic()
        self._one = threading.Lock()

    @classmethod
    def create(cls, path: Path | str, passphrase: str | None = None) -> Self:
        """Make fresh keys and write them; an existing file is never overwritten.

        Raises:
            BadInput: the file is there already, or the passphrase is empty.
            StorageError: the file cannot be written.
        """
        path = Path(path)
        keys, lock = key_document.fresh(), key_document.lock_with(passphrase)
        seen = _write_new(path, key_document.write(keys, lock))
        return cls(keys, path, lock, seen, time.monotonic)

    @classmethod
    def open(
        cls,
        path: Path | str,
        passphrase: str | None = None,
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> Self:
        """Read a key file.

        Raises:
            BadInput: missing, readable by others, another format, passphrase
                wrong or missing.
            Corrupt: the file is damaged.
        """
        path = Path(path)
        raw, seen = _read_private(path)
        keys, lock = key_document.read(raw, passphrase)
        return cls(keys, path, lock, seen, monotonic)

    @staticmethod
    def is_sealed(path: Path | str) -> bool:
        """Whether the file asks for a passphrase; raises as :meth:`open` does."""
        return key_document.is_sealed(_read_private(Path(path))[0])

    def change_passphrase(self, passphrase: str | None) -> None:
        """Seal the file under another passphrase, or with None leave it plain.

        A running process keeps the keys it has, but cannot read the file again.

        Raises:
            BadInput: the passphrase is empty.
        """
        lock = key_document.lock_with(passphrase)
        with self._locked() as keys:
            self._write(keys, lock)

    def _renew(self) -> None:
        now = self._monotonic()
        if now - self._looked < RECHECK_S:
            return
        self._looked = now
        try:
            self._look_again()
        except (BadInput, StorageError):
            # The keys already open go on serving; a value they cannot open will say so.
            return

    def _look_again(self) -> None:
        with self._one:
            if _identity_of(self._path) == self._seen:
                return
            self._take(*_read_private(self._path))

    def _take(self, raw: bytes, seen: tuple[int, ...]) -> None:
        try:
            keys, lock = key_document.read(raw, lock=self._lock)
        except BadInput as error:
            if error.field != "passphrase":
                raise
            raise StorageError(
                "the key file's passphrase has changed", remedy="start this process again"
            ) from None
        mine = self._masters.keys
        roots = (keys.index, keys.refusal, keys.signing)
        if roots != (mine.index, mine.refusal, mine.signing):
            raise Corrupt(
                "the key file has been replaced by that of another home",
                remedy="put this home's key file back",
            )
        self._set(keys)
        self._lock, self._seen = lock, seen

    def _change(self, change: Callable[[Secrets], Secrets]) -> None:
        with self._locked() as keys:
            self._write(change(keys), self._lock)

    @contextmanager
    def _locked(self) -> Iterator[Secrets]:
        """The file's newest keys, with nobody else changing them meanwhile."""
        with self._one, _folder_lock(self._path.parent):
            self._take(*_read_private(self._path))
            yield self._masters.keys

    def _write(self, keys: Secrets, lock: Lock | None) -> None:
        seen = _replace(self._path, key_document.write(keys, lock))
        self._set(keys)
        self._lock, self._seen = lock, seen


def _identity(status: os.stat_result) -> tuple[int, ...]:
    return (status.st_dev, status.st_ino, status.st_mtime_ns, status.st_size)


def _identity_of(path: Path) -> tuple[int, ...] | None:
    try:
        return _identity(path.stat())
    except OSError:
        return None  # reading it says what is wrong


def _read_private(path: Path) -> tuple[bytes, tuple[int, ...]]:
    """The bytes of a key file, and which state of it they are."""
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
        return file.read(), _identity(status)


@contextmanager
def _folder_lock(folder: Path) -> Iterator[None]:
    """One process at a time changes the key file of a folder; the kernel drops the lock."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _draft(path: Path, data: bytes) -> Path:
    """``data``, durable, in a private file beside ``path``."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    descriptor = os.open(draft, flags, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
    return draft


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _write_new(path: Path, data: bytes) -> tuple[int, ...]:
    """Whole or not at all, and never over an existing file."""
    try:
        draft = _draft(path, data)
        try:
            seen = _identity(draft.stat())
            os.link(draft, path)  # unlike rename, refuses an existing name
        finally:
            draft.unlink(missing_ok=True)
        _sync(path.parent)
    except FileExistsError:
        raise BadInput(
            f"key file {path.name} exists already",
            field="keys",
            remedy="choose another home; keys are never overwritten",
        ) from None
    except OSError as error:
        raise _unwritten(path, error) from error
    return seen


def _replace(path: Path, data: bytes) -> tuple[int, ...]:
    """Put a new state of the file in the place of the old one, whole or not at all."""
    try:
        draft = _draft(path, data)
        try:
            seen = _identity(draft.stat())
            draft.replace(path)
        finally:
            draft.unlink(missing_ok=True)
        _sync(path.parent)
    except OSError as error:
        raise _unwritten(path, error) from error
    return seen


def _unwritten(path: Path, error: OSError) -> StorageError:
    return StorageError(f"key file {path.name} cannot be written: {error.strerror}")
