# SPDX-License-Identifier: GPL-3.0-or-later
"""The proof of being the simulator: an Ed25519 signature over a nonce and our own socket.

The signed address is the one this process has bound, never one taken from the request, so a
proxy on another socket that forwards the challenge comes back with the wrong address.
"""

import base64
import binascii
import os
import re
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)

from sip_sim.errors import KeyFileError

_NONCE = re.compile(r"[0-9a-fA-F]{16,256}\Z")


def signed_bytes(nonce: str, address: str) -> bytes:
    """What is signed; the address is `ip:port`."""
    return f"candor-sim-proof-v1\n{nonce}\n{address}\n".encode()


def prove(key: Ed25519PrivateKey, nonce: str, address: str) -> str | None:
    """Value of the proof header, None for a nonce that is not 16 to 256 hex digits."""
    if not _NONCE.match(nonce):
        return None
    signature = base64.b64encode(key.sign(signed_bytes(nonce, address))).decode()
    return f"v1;{address};{signature}"


def verify(key: Ed25519PublicKey, nonce: str, header: str) -> str | None:
    """The proven `ip:port` of a proof header, None when the proof does not hold."""
    version, _, rest = header.partition(";")
    address, _, signature = rest.rpartition(";")
    if version != "v1" or not _NONCE.match(nonce):
        return None
    try:
        key.verify(base64.b64decode(signature, validate=True), signed_bytes(nonce, address))
    except (InvalidSignature, binascii.Error, ValueError):
        return None
    return address


def generate(folder: Path) -> tuple[Path, Path]:
    """Write a new sim.key (PKCS8 PEM, mode 0600) and sim.pub; an existing key is an error."""
    private, public = folder / "sim.key", folder / "sim.pub"
    key = Ed25519PrivateKey.generate()
    secret = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    shared = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with open(os.open(private, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(secret)
        public.write_bytes(shared)
    except FileExistsError:
        raise KeyFileError(f"{private} exists: delete it first or choose another --out") from None
    except OSError as error:
        raise KeyFileError(
            f"cannot write keys to {folder} ({error.strerror}): choose another --out"
        ) from None
    return private, public


def load(path: Path) -> Ed25519PrivateKey:
    """Read a private key file; KeyFileError says what to do when it is none."""
    key: object
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    except OSError as error:
        raise KeyFileError(
            f"cannot read key {path} ({error.strerror}): make one with `sip_sim keygen --out DIR`"
        ) from None
    except (ValueError, TypeError):
        key = None  # reported below
    if not isinstance(key, Ed25519PrivateKey):
        raise KeyFileError(
            f"{path} is no Ed25519 private key in PEM: make one with `sip_sim keygen --out DIR`"
        )
    return key
