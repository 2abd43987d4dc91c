# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compliance.errors import Corrupt
from storage.checkpoint import Checkpoint, key_id, parse_note, sign_note, verifier_key
from storage.keys import FileKeyring

# The worked example of c2sp.org/tlog-checkpoint, and a key of Go's note package.
C2SP_NOTE = """example.com/behind-the-sofa
20852163
CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=

\u2014 example.com/behind-the-sofa \
Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=
"""
GO_SUMDB = "sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8"


@pytest.fixture(scope="module")
def ring(tmp_path_factory: pytest.TempPathFactory) -> FileKeyring:
    return FileKeyring.create(tmp_path_factory.mktemp("keys") / "keys.json")


def test_parses_the_specification_s_example() -> None:
    note = parse_note(C2SP_NOTE)
    assert note.checkpoint.origin == "example.com/behind-the-sofa"
    assert note.checkpoint.size == 20852163
    assert note.text == note.checkpoint.text()
    assert note.signatures[0].key_id == bytes.fromhex("033de0ae")
    assert len(note.signatures[0].signature) == 64


def test_key_id_is_that_of_a_published_key() -> None:
    import base64

    name, stated, encoded = GO_SUMDB.split("+", 2)
    public = base64.b64decode(encoded)[1:]
    assert key_id(name, public).hex() == stated
    assert verifier_key(name, public) == GO_SUMDB


@given(size=st.integers(min_value=0, max_value=2**62), root=st.binary(min_size=32, max_size=32))
def test_signed_note_verifies(ring: FileKeyring, size: int, root: bytes) -> None:
    checkpoint = Checkpoint("candor.example/ledger", size, root)
    note = parse_note(sign_note(checkpoint, checkpoint.origin, ring))
    assert note.checkpoint == checkpoint
    assert note.verify(checkpoint.origin, ring.public_key())


def test_any_altered_character_is_found(ring: FileKeyring) -> None:
    origin = "candor.example/ledger"
    note = sign_note(Checkpoint(origin, 42, bytes(range(32))), origin, ring)
    for at in range(len(note)):
        altered = note[:at] + ("B" if note[at] == "A" else "A") + note[at + 1 :]
        try:
            assert not parse_note(altered).verify(origin, ring.public_key()), at
        except Corrupt:
            continue


def test_unknown_signatures_are_ignored_but_do_not_count(ring: FileKeyring, tmp_path: Path) -> None:
    other = FileKeyring.create(tmp_path / "other.json")
    checkpoint = Checkpoint("candor.example/ledger", 1, bytes(32))
    ours = sign_note(checkpoint, checkpoint.origin, ring)
    theirs = sign_note(checkpoint, checkpoint.origin, other)
    both = parse_note(theirs + ours.rpartition("\n\n")[2])
    assert both.verify(checkpoint.origin, ring.public_key())
    assert both.verify(checkpoint.origin, other.public_key())
    assert not parse_note(theirs).verify(checkpoint.origin, ring.public_key())
    assert not parse_note(ours).verify("another.example", ring.public_key())


@pytest.mark.parametrize(
    ("note", "said"),
    [
        ("", "no signature"),
        (C2SP_NOTE[:-1], "no signature"),
        (C2SP_NOTE.replace("20852163", "020852163"), "not a number"),
        (C2SP_NOTE.replace("20852163", "-1"), "not a number"),
        (C2SP_NOTE.replace("CsUYapGG", ""), "32 bytes"),
        (C2SP_NOTE.replace("CsUYapGG", "CsUY*pGG"), "base64"),
        (C2SP_NOTE.replace("\u2014", "--"), "malformed"),
        (C2SP_NOTE.replace("20852163\n", "20852163\r\n"), "control"),
        (C2SP_NOTE.replace("20852163\n", ""), "fewer"),
        ("x" * (1 << 21), "too long"),
    ],
)
def test_malformed_notes_are_named(note: str, said: str) -> None:
    with pytest.raises(Corrupt, match=said):
        parse_note(note)


@pytest.mark.parametrize("origin", ["", "two words", "a+b", "a\nb"])
def test_origin_cannot_break_the_format(ring: FileKeyring, origin: str) -> None:
    with pytest.raises(ValueError, match=r"checkpoint|key name"):
        sign_note(Checkpoint(origin, 0, bytes(32)), origin, ring)
