# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

import storage.keys
from compliance.errors import BadInput, Corrupt, StorageError
from storage.keys import FileKeyring, fingerprint_of, hkdf_sha256, length_prefixed


@pytest.fixture
def cheap_scrypt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage.keys, "_SCRYPT_N", 2**10)


def test_same_keys_after_opening(tmp_path: Path) -> None:
    made = FileKeyring.create(tmp_path / "keys.json")
    opened = FileKeyring.open(tmp_path / "keys.json")
    assert opened.public_key() == made.public_key()
    assert opened.key_id() == made.key_id()
    assert opened.blind("number", b"x") == made.blind("number", b"x")
    assert opened.unwrap(made.wrap(bytes(32), b"here"), b"here") == bytes(32)


def test_file_is_private_and_holds_no_derived_key(tmp_path: Path) -> None:
    FileKeyring.create(tmp_path / "keys.json")
    assert stat.S_IMODE((tmp_path / "keys.json").stat().st_mode) == 0o600
    assert [p.name for p in tmp_path.iterdir()] == ["keys.json"]


def test_never_overwrites(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    FileKeyring.create(path)
    before = path.read_bytes()
    with pytest.raises(BadInput, match="exists already"):
        FileKeyring.create(path)
    assert path.read_bytes() == before


def test_missing_folder_is_a_storage_error(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="cannot be written"):
        FileKeyring.create(tmp_path / "none" / "keys.json")


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="candor init"):
        FileKeyring.open(tmp_path / "keys.json")


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o601])
def test_refuses_a_file_open_to_others(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "keys.json"
    FileKeyring.create(path)
    path.chmod(mode)
    with pytest.raises(BadInput, match="chmod 600"):
        FileKeyring.open(path)


def test_passphrase_seals(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    made = FileKeyring.create(path, "correct horse")
    assert "masters" not in path.read_text()
    assert FileKeyring.open(path, "correct horse").fingerprint() == made.fingerprint()
    with pytest.raises(BadInput, match="passphrase does not open"):
        FileKeyring.open(path, "wrong horse")
    with pytest.raises(BadInput, match="sealed"):
        FileKeyring.open(path)


@pytest.mark.usefixtures("cheap_scrypt")
def test_passphrase_for_a_plain_file_and_empty_passphrase(tmp_path: Path) -> None:
    FileKeyring.create(tmp_path / "plain.json")
    with pytest.raises(BadInput, match="no passphrase"):
        FileKeyring.open(tmp_path / "plain.json", "x")
    with pytest.raises(BadInput, match="empty"):
        FileKeyring.create(tmp_path / "other.json", "")


@pytest.mark.usefixtures("cheap_scrypt")
@pytest.mark.parametrize("passphrase", [None, "secret"])
def test_every_damaged_byte_is_refused(tmp_path: Path, passphrase: str | None) -> None:
    path = tmp_path / "keys.json"
    FileKeyring.create(path, passphrase)
    whole = path.read_bytes()
    for at in range(0, len(whole) - 1, 7):
        altered = bytearray(whole)
        altered[at] ^= 0x01
        if altered[at : at + 1].isspace() and whole[at : at + 1].isspace():
            continue
        path.write_bytes(altered)
        with pytest.raises((Corrupt, BadInput)):
            FileKeyring.open(path, passphrase)
    path.write_bytes(whole[:-40])
    with pytest.raises(Corrupt, match="damaged"):
        FileKeyring.open(path, passphrase)


def test_other_documents_and_newer_versions(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    FileKeyring.create(path)
    document = json.loads(path.read_text())
    path.write_text(json.dumps(document | {"version": 2}))
    with pytest.raises(BadInput, match="upgrade"):
        FileKeyring.open(path)
    path.write_text("{}")
    with pytest.raises(BadInput, match="not a Candor key file"):
        FileKeyring.open(path)


def test_wrap_binds_context_and_detects_every_flip(tmp_path: Path) -> None:
    ring = FileKeyring.create(tmp_path / "keys.json")
    wrapped = ring.wrap(b"k" * 32, b"a")
    assert wrapped != ring.wrap(b"k" * 32, b"a")
    with pytest.raises(Corrupt):
        ring.unwrap(wrapped, b"b")
    for at in range(len(wrapped)):
        altered = bytearray(wrapped)
        altered[at] ^= 0x80
        with pytest.raises(Corrupt):
            ring.unwrap(bytes(altered), b"a")
    with pytest.raises(Corrupt, match="cut short"):
        ring.unwrap(wrapped[:20], b"a")


def test_another_ring_names_the_missing_master(tmp_path: Path) -> None:
    ring = FileKeyring.create(tmp_path / "a.json")
    other = FileKeyring.create(tmp_path / "b.json")
    with pytest.raises(Corrupt, match=ring.key_id()):
        other.unwrap(ring.wrap(bytes(32), b""), b"")


def test_purposes_have_separate_keys_and_refusals_a_root_of_their_own(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    ring = FileKeyring.create(path)
    indexes = [ring.blind(p, b"+8613800000000") for p in ("number", "refusal", "arm")]
    assert len(set(indexes)) == 3
    document = json.loads(path.read_text())
    roots = document["keys"]
    assert len({roots["index"], roots["refusal"], roots["signing"]}) == 3
    assert len(ring.derive("column")) == 32
    assert ring.derive("column") != ring.derive("wrap")
    with pytest.raises(ValueError, match="purpose"):
        ring.blind("Not A Purpose", b"")


def test_signature_and_fingerprint(tmp_path: Path) -> None:
    ring = FileKeyring.create(tmp_path / "keys.json")
    Ed25519PublicKey.from_public_bytes(ring.public_key()).verify(ring.sign(b"data"), b"data")
    assert ring.fingerprint() == fingerprint_of(ring.public_key())
    assert ring.fingerprint().startswith("ed25519:")
    assert len(ring.fingerprint()) == 8 + 64


def test_repr_holds_no_secret(tmp_path: Path) -> None:
    ring = FileKeyring.create(tmp_path / "keys.json")
    document = json.loads((tmp_path / "keys.json").read_text())
    for secret in (*document["keys"]["masters"].values(), document["keys"]["signing"]):
        assert secret not in repr(ring)


def test_hkdf_matches_rfc_5869_case_1() -> None:
    okm = hkdf_sha256(
        bytes([0x0B] * 22),
        bytes.fromhex("f0f1f2f3f4f5f6f7f8f9"),
        salt=bytes.fromhex("000102030405060708090a0b0c"),
        length=42,
    )
    assert okm.hex() == (
        "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865"
    )


def test_length_prefixes_are_unambiguous() -> None:
    assert length_prefixed("ab", "c") != length_prefixed("a", "bc")
    assert length_prefixed("ab") != length_prefixed("ab", "")
