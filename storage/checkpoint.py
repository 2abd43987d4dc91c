# SPDX-License-Identifier: GPL-3.0-or-later
"""Checkpoints of the ledger as C2SP signed notes (c2sp.org/tlog-checkpoint, /signed-note).

Three lines (origin, tree size, root in base64), a blank line, one Ed25519
signature line. Any tool that reads checkpoints of transparency logs reads these.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from compliance.errors import Corrupt
from compliance.facts import Evolve
from storage.keys import Keyring

_ED25519 = b"\x01"  # signature type of C2SP signed-note
_DASH = "\u2014"
_NAME = re.compile(r"[^\s+\x00-\x1f]+")
_SIZE = re.compile(r"0|[1-9][0-9]{0,18}")
_NOTE_BYTES_MAX = 1 << 20
_SIGNATURES_MAX = 100


@dataclass(frozen=True, slots=True)
class Checkpoint(Evolve):
    """A tree head: ``root`` is 32 bytes."""

    origin: str
    size: int
    root: bytes

    def text(self) -> str:
        """The signed text, its final newline included."""
        if not _NAME.fullmatch(self.origin) or self.size < 0 or len(self.root) != 32:
            raise ValueError("not a checkpoint")
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n"


@dataclass(frozen=True, slots=True)
class NoteSignature(Evolve):
    name: str
    key_id: bytes  # four bytes
    signature: bytes


@dataclass(frozen=True, slots=True)
class Note(Evolve):
    """A parsed, not yet verified note."""

    text: str
    checkpoint: Checkpoint
    signatures: tuple[NoteSignature, ...]

    def verify(self, name: str, public_key: bytes) -> bool:
        """Whether ``name``'s key signed: exactly its lines count, one bad one spoils the note."""
        ours = [
            s for s in self.signatures if s.name == name and s.key_id == key_id(name, public_key)
        ]
        verifier = Ed25519PublicKey.from_public_bytes(public_key)
        try:
            for signature in ours:
                verifier.verify(signature.signature, self.text.encode())
        except InvalidSignature:
            return False
        return bool(ours)


def key_id(name: str, public_key: bytes) -> bytes:
    """First four bytes of SHA-256(name, newline, type 0x01, public key)."""
    return hashlib.sha256(name.encode() + b"\n" + _ED25519 + public_key).digest()[:4]


def verifier_key(name: str, public_key: bytes) -> str:
    """The public key as one line, ``name+hash+base64``, as Go's note package prints it."""
    encoded = base64.b64encode(_ED25519 + public_key).decode()
    return f"{name}+{key_id(name, public_key).hex()}+{encoded}"


def sign_note(
    checkpoint: Checkpoint, name: str, keyring: Keyring, *, more: Sequence[str] = ()
) -> str:
    """The checkpoint as a note signed under ``name`` (by convention the origin).

    ``more``: extension lines (c2sp.org/tlog-checkpoint), signed as well.
    """
    if not _NAME.fullmatch(name):
        raise ValueError("a key name has no spaces and no plus sign")
    text = checkpoint.text() + "".join(f"{line}\n" for line in more)
    signed = key_id(name, keyring.public_key()) + keyring.sign(text.encode())
    return f"{text}\n{_DASH} {name} {base64.b64encode(signed).decode()}\n"


def parse_note(note: str) -> Note:
    """Parse; verifies nothing.

    Raises:
        Corrupt: not a checkpoint note; says what is wrong with it.
    """
    if len(note) > _NOTE_BYTES_MAX:
        raise Corrupt("a checkpoint note is too long")
    if any(c < " " and c != "\n" for c in note):
        raise Corrupt("a checkpoint note holds control characters")
    text, gap, tail = note.rpartition("\n\n")
    if not gap or not tail.endswith("\n"):
        raise Corrupt("a checkpoint note has no signature part")
    text += "\n"
    lines = tail[:-1].split("\n")
    if len(lines) > _SIGNATURES_MAX:
        raise Corrupt("a checkpoint note has too many signatures")
    return Note(text, _parse_text(text), tuple(_parse_signature(line) for line in lines))


def _parse_text(text: str) -> Checkpoint:
    lines = text[:-1].split("\n")
    if len(lines) < 3 or not all(lines):
        raise Corrupt("a checkpoint has fewer than three lines, or an empty one")
    if not _SIZE.fullmatch(lines[1]):
        raise Corrupt("a checkpoint's tree size is not a number")
    root = _decode(lines[2])
    if len(root) != 32:
        raise Corrupt("a checkpoint's root hash is not 32 bytes")
    return Checkpoint(lines[0], int(lines[1]), root)


def _parse_signature(line: str) -> NoteSignature:
    parts = line.split(" ")
    if len(parts) != 3 or parts[0] != _DASH or not _NAME.fullmatch(parts[1]):
        raise Corrupt("a checkpoint note has a malformed signature line")
    raw = _decode(parts[2])
    if len(raw) < 5:
        raise Corrupt("a checkpoint note has a short signature")
    return NoteSignature(parts[1], raw[:4], raw[4:])


def _decode(text: str) -> bytes:
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raw = b""
    # Unused bits of the last character must be zero: one note, one spelling.
    if base64.b64encode(raw).decode() != text:
        raise Corrupt("a checkpoint note has broken base64")
    return raw
