# SPDX-License-Identifier: GPL-3.0-or-later
"""`candor ledger prove` and `candor ledger consistency`, and what the verifier makes of them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from compliance.facts import Role
from storage import merkle, verify
from storage.checkpoint import parse_note
from tests.console_home import ConsoleHome


@pytest.fixture
def auditor(calls: ConsoleHome) -> ConsoleHome:
    calls.sign_in(Role.AUDITOR)
    return calls


def key_of(home: ConsoleHome) -> str:
    return home.candor("ledger", "key").out.strip()


def test_one_entry_is_proven_alone(auditor: ConsoleHome, tmp_path: Path) -> None:
    auditor.candor("ledger", "checkpoint")
    shown = auditor.candor("calls", "show", auditor.accepted, "--json").data
    entry = shown["ledger"][0]
    file = tmp_path / "entry.tlog-proof"
    assert auditor.candor("ledger", "prove", str(entry["index"]), "-o", str(file)).code == 0
    key = key_of(auditor)
    assert verify.verify_inclusion(file, key).status == 0
    assert verify.verify_inclusion(file).status == 3
    assert verify.verify_inclusion(file, "0" * 64).status == 1
    assert auditor.candor("ledger", "verify", str(file), "--key", key).code == 0
    text = file.read_text()
    assert text.startswith("c2sp.org/tlog-proof@v1\nextra ")
    by_leaf = auditor.candor("ledger", "prove", shown["ledger_leaf"], "--json").data
    assert by_leaf["index"] == shown["ledger_index"]
    for at in range(0, len(text), 7):
        file.write_bytes(text.encode()[:at] + b"?" + text.encode()[at + 1 :])
        try:
            assert verify.verify_inclusion(file, key).status == 1, at
        except verify.Unusable:
            continue


def test_a_later_checkpoint_grew_from_an_earlier_one(auditor: ConsoleHome, tmp_path: Path) -> None:
    first = auditor.candor("ledger", "checkpoint", "--json").data["size"]
    (note,) = (auditor.root / "anchors").glob(f"*{first:020d}.note")
    kept = tmp_path / "kept.note"
    kept.write_bytes(note.read_bytes())
    for _ in range(3):
        auditor.candor("ledger", "checkpoint")
    key, grown = key_of(auditor), tmp_path / "grown.json"
    for old in (str(first), str(kept)):
        assert auditor.candor("ledger", "consistency", old, "-o", str(grown)).code == 0
        assert verify.verify_consistency(grown, key).status == 0
        assert verify.verify_consistency(grown).status == 3
    raw = grown.read_bytes()
    data = json.loads(raw)
    old, new = parse_note(data["old"]).checkpoint, parse_note(data["new"]).checkpoint
    assert (old.size, new.size) == (first, first + 3)
    for at in range(0, len(raw), 5):
        grown.write_bytes(raw[:at] + b"?" + raw[at + 1 :])
        try:
            assert verify.verify_consistency(grown, key).status == 1, at
        except verify.Unusable:
            continue
    kept.write_text(data["old"].replace(data["old"].split("\n")[2], "A" * 43 + "="))
    assert auditor.candor("ledger", "consistency", str(kept)).code == 1  # not of this ledger


def test_what_cannot_be_proven(auditor: ConsoleHome, tmp_path: Path) -> None:
    size = auditor.candor("ledger", "checkpoint", "--json").data["size"]
    for words in (
        ("prove", "999999"),
        ("prove", "nonsense"),
        ("prove", "f" * 64),
        ("prove", "1", "-o", str(tmp_path / "p.txt")),
        ("consistency", "7"),  # no checkpoint of this size
        ("consistency", "nonsense"),
        ("consistency", str(size), "3"),
        ("consistency", str(size), "-o", str(tmp_path / "p.txt")),
    ):
        assert auditor.candor("ledger", *words).code == 2, words


@pytest.mark.parametrize("size", [1, 2, 3, 5, 8, 13, 64, 100])
def test_the_verifier_s_own_proofs_agree_with_the_ledger_s(size: int) -> None:
    leaves = [merkle.leaf_hash(bytes([i])) for i in range(size)]
    root = merkle.root(leaves)
    for index in range(size):
        proof = merkle.inclusion_proof(leaves, index)
        assert verify.is_included(leaves[index], index, size, proof, root)
        assert not verify.is_included(leaves[index], index + 1, size, proof, root)
        assert not verify.is_included(leaves[index], index, size, [*proof, root], root)
    new = verify.Note("", "", size, root, ())
    for old_size in range(size + 1):
        old = verify.Note("", "", old_size, merkle.root(leaves[:old_size]), ())
        proof = merkle.consistency_proof(leaves, old_size)
        assert verify.is_prefix(old, new, proof)
        assert not verify.is_prefix(old, new, [*proof, root])
        if 0 < old_size < size:
            assert not verify.is_prefix(verify.Note("", "", old_size, bytes(32), ()), new, proof)
            assert not verify.is_prefix(new, old, proof)
