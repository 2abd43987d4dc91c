# SPDX-License-Identifier: GPL-3.0-or-later
"""What is the HSM's own: where its keys are, other processes, lost sessions, what it refuses."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from compliance.errors import BadInput, ConfigError, Corrupt, StorageAway
from storage.key_sources import KeyKind, KeySource
from tests import hsm

if why := hsm.why_not():
    pytest.skip(why, allow_module_level=True)

import pkcs11
from pkcs11 import Attribute

from storage import keys_pkcs11
from storage.keys_pkcs11 import RECHECK_S, Pkcs11Keyring
from storage.pkcs11_token import Device


@pytest.fixture
def token() -> hsm.Token:
    return hsm.token()


@pytest.fixture
def ring(token: hsm.Token) -> Pkcs11Keyring:
    return Pkcs11Keyring.create(token.module, token.label, token.pin)


def objects(token: hsm.Token) -> list[Any]:
    """Every object of a token."""
    device = Device.of(token.module, token.label, token.pin)
    return device.call(lambda session: list(session.get_objects()))


def elsewhere(token: hsm.Token, code: str) -> str:
    """Runs ``code`` with a ``ring`` of this token in another process; what it printed."""
    program = (
        "import sys; from storage.keys_pkcs11 import Pkcs11Keyring\n"
        f"ring = Pkcs11Keyring.open(*sys.argv[1:])\n{code}"
    )
    command = [sys.executable, "-c", program, token.module, token.label, token.pin]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_no_root_key_ever_leaves_the_token(token: hsm.Token, ring: Pkcs11Keyring) -> None:
    ring.add_master("0a0b0c0d")
    secret = [o for o in objects(token) if not isinstance(o, pkcs11.PublicKey)]
    assert len(secret) == 2 * 2 + 2 + 1  # two masters of two halves, two indexes, the signer
    for key in secret:
        assert key[Attribute.TOKEN]
        assert key[Attribute.PRIVATE]
        assert key[Attribute.SENSITIVE]
        assert key[Attribute.ALWAYS_SENSITIVE]
        assert not key[Attribute.EXTRACTABLE]
        assert key[Attribute.NEVER_EXTRACTABLE]
        assert not key[Attribute.DERIVE]
        if isinstance(key, pkcs11.SecretKey):
            assert not key[Attribute.WRAP]
            assert not key[Attribute.UNWRAP]
        with pytest.raises(pkcs11.AttributeSensitive):
            key[Attribute.VALUE]


def test_a_running_ring_takes_up_what_another_process_made(token: hsm.Token) -> None:
    now = [0.0]
    Pkcs11Keyring.create(token.module, token.label, token.pin)
    running = Pkcs11Keyring.open(*(token.module, token.label, token.pin), monotonic=lambda: now[0])
    old = running.key_id()
    add = "ring.add_master('0a0b0c0d'); print(ring.wrap(bytes(32), b'c').hex())"
    theirs = bytes.fromhex(elsewhere(token, add))
    assert running.key_id() == old
    assert running.unwrap(theirs, b"c") == bytes(32)  # at once
    now[0] += RECHECK_S
    assert running.key_id() == "0a0b0c0d"
    mine = running.wrap(bytes(32), b"c")
    elsewhere(
        token, f"ring.remove_master('{old}'); ring.unwrap(bytes.fromhex('{mine.hex()}'), b'c')"
    )
    assert running.key_ids() == ("0a0b0c0d",)


def test_a_key_another_process_removed_is_named(token: hsm.Token, ring: Pkcs11Keyring) -> None:
    old = ring.key_id()
    wrapped = ring.wrap(bytes(32), b"c")
    elsewhere(token, f"ring.add_master('0a0b0c0d'); ring.remove_master('{old}')")
    with pytest.raises(Corrupt, match=old):
        ring.unwrap(wrapped, b"c")  # by a handle that means nothing any more
    with pytest.raises(Corrupt, match=old):
        ring.derive("never-asked", old)


def test_a_lost_session_is_opened_again(token: hsm.Token, ring: Pkcs11Keyring) -> None:
    wrapped, index = ring.wrap(bytes(32), b"c"), ring.blind("number", b"n")
    device = Device.of(token.module, token.label, token.pin)
    device._session.close()  # as when a network HSM restarts
    assert ring.unwrap(wrapped, b"c") == bytes(32)
    device._session.close()
    assert ring.blind("number", b"n") == index
    assert device.logins == 3


def test_a_token_that_is_away(
    token: hsm.Token, ring: Pkcs11Keyring, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrapped = ring.wrap(bytes(32), b"c")

    def away(*_: object) -> bytes:
        raise pkcs11.DeviceError

    monkeypatch.setattr(keys_pkcs11, "_gcm", away)
    monkeypatch.setattr(keys_pkcs11, "_hmac", away)
    for ask in (
        lambda: ring.unwrap(wrapped, b"c"),  # not called altered: nobody could look
        lambda: ring.wrap(bytes(32), b"c"),
        lambda: ring.blind("number", b"n"),
        lambda: ring.derive("column"),
    ):
        with pytest.raises(StorageAway, match="does not answer"):
            ask()


def test_a_token_that_lacks_a_mechanism(token: hsm.Token, monkeypatch: pytest.MonkeyPatch) -> None:
    lacking = (*keys_pkcs11.NEEDED, pkcs11.Mechanism.BLOWFISH_CBC)
    monkeypatch.setattr(keys_pkcs11, "NEEDED", lacking)
    with pytest.raises(BadInput, match="cannot do BLOWFISH_CBC"):
        Pkcs11Keyring.create(token.module, token.label, token.pin)
    assert not objects(token)


def test_a_creation_that_fails_leaves_nothing(
    token: hsm.Token, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> list[Any]:
        raise pkcs11.DeviceMemory

    with monkeypatch.context() as full:
        full.setattr(keys_pkcs11, "_make_master", fail)
        with pytest.raises(StorageAway):
            Pkcs11Keyring.create(token.module, token.label, token.pin)
    assert not objects(token)
    Pkcs11Keyring.create(token.module, token.label, token.pin)


def test_a_token_that_knows_the_curve_by_name_only(
    token: hsm.Token, monkeypatch: pytest.MonkeyPatch
) -> None:
    unknown = bytes.fromhex("06032b6599")
    monkeypatch.setattr(keys_pkcs11, "_ED25519", (unknown, keys_pkcs11._ED25519[1]))
    assert len(Pkcs11Keyring.create(token.module, token.label, token.pin).sign(b"")) == 64


@pytest.mark.parametrize("head", [b"\x04\x20", b"\x03\x21\x00", b""])
def test_public_keys_as_tokens_write_them(head: bytes) -> None:
    point = bytes(range(32))
    assert keys_pkcs11._raw_point(head + point) == point
    with pytest.raises(Corrupt, match="Ed25519"):
        keys_pkcs11._raw_point(head + point + b"\0")


def test_what_settings_may_get_wrong(token: hsm.Token, tmp_path: Path) -> None:
    source = KeySource(KeyKind.PKCS11, tmp_path / "none", token.module, token.label)
    with pytest.raises(BadInput, match="holds no keys of a home"):
        source.open(token.pin)
    with pytest.raises(ConfigError, match="no token"):
        source.evolve(token="another").open(token.pin)
    (tmp_path / "text.so").write_text("no library")
    for wrong in (tmp_path / "text.so", tmp_path / "missing.so"):
        with pytest.raises(ConfigError, match="PKCS#11 library"):
            source.evolve(module=str(wrong)).open(token.pin)


def test_a_wrong_pin_in_a_process_of_its_own(token: hsm.Token, ring: Pkcs11Keyring) -> None:
    program = (
        "import sys; from storage.keys_pkcs11 import Pkcs11Keyring\n"
        "Pkcs11Keyring.open(*sys.argv[1:])"
    )
    command = [sys.executable, "-c", program, token.module, token.label, "0000"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "BadInput: PIN: the token does not take this PIN" in done.stderr
    assert "0000" not in done.stderr


def test_no_prepared_key_and_no_older_one(ring: Pkcs11Keyring) -> None:
    old = ring.key_id()
    with pytest.raises(BadInput, match="no prepared key"):
        ring.add_master("0a0b0c0d", use=False)
    ring.add_master("0a0b0c0d")
    with pytest.raises(BadInput, match="newest"):
        ring.use_master(old)


def test_without_the_package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "storage.keys_pkcs11", None)
    with pytest.raises(ConfigError, match="python-pkcs11"):
        KeySource(KeyKind.PKCS11, tmp_path, "x.so", "t").open("1")
