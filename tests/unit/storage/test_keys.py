# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import base64
import errno
import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

import storage.key_document
from compliance.errors import BadInput, Corrupt, StorageError
from storage.key_sources import Asked, KeyKind, KeySource
from storage.keys import (
    RECHECK_S,
    FileKeyring,
    hkdf_sha256,
    length_prefixed,
)
from storage.keys_environment import VARIABLE, new_document


@pytest.fixture
def cheap_scrypt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage.key_document, "_SCRYPT_N", 2**10)


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
    with pytest.raises(BadInput, match="not a Candor keyring"):
        FileKeyring.open(path)


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


# ---------------------------------------------------------------- other processes


class Ticks:
    """A monotonic clock moved by hand."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def two_rings(path: Path, passphrase: str | None = None) -> tuple[FileKeyring, FileKeyring, Ticks]:
    """One that runs and one that rotates, as two processes have them."""
    ticks = Ticks()
    FileKeyring.create(path, passphrase)
    running = FileKeyring.open(path, passphrase, monotonic=ticks)
    return running, FileKeyring.open(path, passphrase), ticks


@pytest.mark.usefixtures("cheap_scrypt")
@pytest.mark.parametrize("passphrase", [None, "secret"])
def test_a_running_ring_takes_up_what_another_process_made(
    tmp_path: Path, passphrase: str | None
) -> None:
    running, other, ticks = two_rings(tmp_path / "keys.json", passphrase)
    old = running.key_id()
    other.add_master("0a0b0c0d")
    assert running.unwrap(other.wrap(bytes(32), b"c"), b"c") == bytes(32)  # at once
    other.add_master("0a0b0c0e")
    assert running.key_id() == "0a0b0c0d"  # sealing: within a second
    ticks.now += RECHECK_S
    assert running.key_id() == "0a0b0c0e"
    other.remove_master(old)
    ticks.now += RECHECK_S
    assert running.key_ids() == ("0a0b0c0d", "0a0b0c0e")


def test_a_prepared_key_opens_everywhere_before_anybody_seals_under_it(tmp_path: Path) -> None:
    running, other, ticks = two_rings(tmp_path / "keys.json")
    old = running.key_id()
    other.add_master("0a0b0c0d", use=False)
    ticks.now += RECHECK_S
    assert (running.key_id(), running.prepared()) == (old, "0a0b0c0d")
    with pytest.raises(BadInput, match="prepared already"):
        other.add_master("0a0b0c0e")
    other.use_master("0a0b0c0d")
    ticks.now += RECHECK_S
    assert (running.key_id(), running.prepared()) == ("0a0b0c0d", None)
    assert FileKeyring.open(tmp_path / "keys.json").prepared() is None


def test_a_ring_whose_file_is_gone_goes_on_with_the_keys_it_has(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    running, other, ticks = two_rings(path)
    wrapped = running.wrap(bytes(32), b"c")
    other.add_master("0a0b0c0d")
    newer = other.wrap(bytes(32), b"c")
    kept = path.rename(tmp_path / "elsewhere.json")
    ticks.now += RECHECK_S
    assert running.unwrap(wrapped, b"c") == bytes(32)
    with pytest.raises(BadInput, match="no key file"):
        running.unwrap(newer, b"c")
    kept.rename(path)
    assert running.unwrap(newer, b"c") == bytes(32)


@pytest.mark.usefixtures("cheap_scrypt")
def test_a_changed_passphrase(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    running, other, ticks = two_rings(path, "first")
    wrapped = running.wrap(bytes(32), b"c")
    other.change_passphrase("second")
    other.add_master("0a0b0c0d")
    ticks.now += RECHECK_S
    assert running.unwrap(wrapped, b"c") == bytes(32)
    with pytest.raises(StorageError, match="passphrase has changed"):
        running.unwrap(other.wrap(bytes(32), b"c"), b"c")
    with pytest.raises(BadInput, match="does not open"):
        FileKeyring.open(path, "first")
    assert FileKeyring.open(path, "second").key_id() == "0a0b0c0d"
    other.change_passphrase(None)
    assert not FileKeyring.is_sealed(path)
    assert FileKeyring.open(path).unwrap(wrapped, b"c") == bytes(32)


def test_another_homes_key_file_is_not_taken_up(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    running, _, ticks = two_rings(path)
    mine = running.key_id()
    other = FileKeyring.create(tmp_path / "other.json")
    theirs = other.key_ids()
    (tmp_path / "other.json").replace(path)
    ticks.now += RECHECK_S
    assert running.key_id() == mine
    with pytest.raises(Corrupt, match="another home"):
        running.unwrap(other.wrap(bytes(32), b"c"), b"c")
    with pytest.raises(Corrupt, match="another home"):
        running.add_master("0a0b0c0d")
    assert FileKeyring.open(path).key_ids() == theirs


_ADD = """
import sys
from storage.keys import FileKeyring
ring = FileKeyring.open(sys.argv[1])
for key_id in sys.argv[2:]:
    ring.add_master(key_id)
"""


def test_processes_that_add_keys_at_once_lose_none(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    first = FileKeyring.create(path).key_id()
    ids = [[f"{process:02x}{number:06x}" for number in range(10)] for process in range(3)]
    running = [subprocess.Popen([sys.executable, "-c", _ADD, path, *mine]) for mine in ids]
    assert [process.wait(30) for process in running] == [0, 0, 0]
    assert set(FileKeyring.open(path).key_ids()) == {first, *ids[0], *ids[1], *ids[2]}
    assert [p.name for p in tmp_path.iterdir()] == ["keys.json"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_key_that_cannot_be_written_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "keys.json"
    ring = FileKeyring.create(path)
    before, key_id = path.read_bytes(), ring.key_id()

    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as disk:
        disk.setattr(os, "fsync", full)
        with pytest.raises(StorageError, match="cannot be written"):
            ring.add_master("0a0b0c0d")
    assert ring.key_ids() == (key_id,)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["keys.json"]


# ---------------------------------------------------------------- the environment


@pytest.mark.parametrize("text", ["", "not base64!", "e30=", new_document()[:-40]])
def test_a_variable_that_is_no_keyring(text: str) -> None:
    with pytest.raises((BadInput, Corrupt)) as caught:
        KeySource(KeyKind.ENVIRONMENT, Path("none")).open(None, {VARIABLE: text})
    assert not text or text not in str(caught.value)


def test_a_key_file_in_base64_is_a_variable(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    ring = FileKeyring.create(path)
    text = base64.encodebytes(path.read_bytes()).decode()  # in lines, as base64(1) writes it
    source = KeySource(KeyKind.ENVIRONMENT, path)
    assert source.asks({VARIABLE: text}) is Asked.NOTHING
    assert source.open(None, {VARIABLE: text}).fingerprint() == ring.fingerprint()
