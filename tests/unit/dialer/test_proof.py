# SPDX-License-Identifier: GPL-3.0-or-later
"""The challenge a demo home puts to a line before it dials it."""

from __future__ import annotations

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from compliance.errors import ConfigError, LineUnproven
from dialer.proof import SimulatorKey

PRIVATE = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
KEY = SimulatorKey.load(
    PRIVATE.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
)
ADDRESS = "127.0.0.1:5062"


def proof(nonce: str, address: str, key: Ed25519PrivateKey = PRIVATE) -> str:
    signed = f"candor-sim-proof-v1\n{nonce}\n{address}\n".encode()
    return f"v1;{address};{base64.b64encode(key.sign(signed)).decode()}"


def test_a_true_proof_passes() -> None:
    KEY.check("ab", ADDRESS, proof("ab", ADDRESS))


def test_a_relayed_proof_names_another_address() -> None:
    with pytest.raises(LineUnproven, match="another address"):
        KEY.check("ab", "127.0.0.1:5999", proof("ab", ADDRESS))


def test_a_relay_cannot_rewrite_the_address() -> None:
    forged = proof("ab", ADDRESS).replace(ADDRESS, "127.0.0.1:5999")
    with pytest.raises(LineUnproven, match="not signed"):
        KEY.check("ab", "127.0.0.1:5999", forged)


def test_a_replayed_proof_fails() -> None:
    with pytest.raises(LineUnproven, match="not signed"):
        KEY.check("cd", ADDRESS, proof("ab", ADDRESS))


def test_another_key_fails() -> None:
    with pytest.raises(LineUnproven, match="not signed"):
        KEY.check("ab", ADDRESS, proof("ab", ADDRESS, Ed25519PrivateKey.generate()))


@pytest.mark.parametrize("value", ["", "v1", "v2;x;y", "v1;127.0.0.1:5062;", "v1;;###"])
def test_nonsense_fails(value: str) -> None:
    with pytest.raises(LineUnproven):
        KEY.check("ab", ADDRESS, value)


def test_a_file_that_is_no_key() -> None:
    with pytest.raises(ConfigError, match=r"sim\.pub"):
        SimulatorKey.load(b"hello")
