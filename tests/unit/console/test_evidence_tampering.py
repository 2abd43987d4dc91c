# SPDX-License-Identifier: GPL-3.0-or-later
"""Evidence packs in other hands: every change is found and named, and none crashes (P5)."""

from __future__ import annotations

import io
import itertools
import json
import random
import zipfile
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path

import pytest

from console import homes
from storage import ledger, packs, verify
from storage.keys import FileKeyring
from tests.console_home import ConsoleHome
from tests.packs import Members, Pack, dossier_of, export, forge, make, read, save


@pytest.fixture(scope="module")
def home(
    calls_template: ConsoleHome, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ConsoleHome]:
    folder = tmp_path_factory.mktemp("tampering")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(folder / "state"))
        yield calls_template.copy(folder / "home")


@pytest.fixture(scope="module")
def pack(home: ConsoleHome) -> Pack:
    return make(home, home.accepted)


@pytest.fixture(scope="module")
def other(home: ConsoleHome) -> Pack:
    """The evidence of another call of the same company."""
    return make(home, home.refused)


def faults(path: Path, key: str | None) -> list[tuple[str, str]]:
    report = verify.verify_pack(path, key)
    assert report.status == 1
    return [(fault.kind, fault.message) for fault in report.faults]


def kinds(path: Path, key: str | None) -> set[str]:
    return {kind for kind, _ in faults(path, key)}


def test_the_honest_pack_is_valid(pack: Pack, tmp_path: Path) -> None:
    report = verify.verify_pack(save(tmp_path / "p.zip", pack.data), pack.key)
    assert (report.status, report.faults) == (0, [])
    assert save(tmp_path / "q.zip", pack.members).read_bytes() == pack.data


# ---------------------------------------------------------------- bytes


def test_a_flipped_byte_of_any_member_is_found_and_the_member_named(
    pack: Pack, tmp_path: Path
) -> None:
    dice = random.Random(4)
    for name, data in pack.members.items():
        places = {0, len(data) // 2, len(data) - 1} | set(dice.choices(range(len(data)), k=5))
        for at in places:
            altered = bytearray(data)
            altered[at] ^= 1 << dice.randrange(8)
            path = save(tmp_path / "p.zip", {**pack.members, name: bytes(altered)})
            found = faults(path, pack.key)
            if name != "ledger.json":  # whose faults name entries and signatures
                assert name in " ".join(message for _, message in found), (name, at)


def test_a_flipped_byte_anywhere_in_the_file_is_found(pack: Pack, tmp_path: Path) -> None:
    dice = random.Random(5)
    with zipfile.ZipFile(io.BytesIO(pack.data)) as archive:
        heads = [info.header_offset for info in archive.infolist()]
    start = pack.data.index(b"PK\x01\x02")
    places = {at for head in heads[:3] for at in range(head, head + 45)}
    places |= set(range(start, start + 70)) | set(range(len(pack.data) - 22, len(pack.data)))
    places |= set(range(start, len(pack.data), 13)) | set(range(0, start, 997))
    for at in sorted(places):
        altered = bytearray(pack.data)
        altered[at] ^= 1 << dice.randrange(8)
        assert faults(save(tmp_path / "p.zip", bytes(altered)), pack.key), at


def test_every_byte_of_the_proofs_counts(pack: Pack, tmp_path: Path) -> None:
    """``ledger.json`` is in no manifest: it must prove itself, spaces and digits too."""
    raw = pack.members["ledger.json"]
    dice = random.Random(6)
    for at in range(0, len(raw), 61):
        altered = bytearray(raw)
        altered[at] ^= 1 << dice.randrange(7)
        save(tmp_path / "p.zip", {**pack.members, "ledger.json": bytes(altered)})
        assert faults(tmp_path / "p.zip", pack.key), at
    spaced = json.dumps(json.loads(raw)).encode()
    save(tmp_path / "p.zip", {**pack.members, "ledger.json": spaced})
    assert kinds(tmp_path / "p.zip", pack.key) == {"malformed"}


def test_a_cut_file_is_found(pack: Pack, tmp_path: Path) -> None:
    for length in (0, 1, 21, 22, 1000, len(pack.data) // 2, len(pack.data) - 1):
        assert faults(save(tmp_path / "p.zip", pack.data[:length]), pack.key), length


# ---------------------------------------------------------------- members


def test_any_member_removed_is_missed(pack: Pack, tmp_path: Path) -> None:
    for name in pack.members:
        rest = {other: data for other, data in pack.members.items() if other != name}
        found = faults(save(tmp_path / "p.zip", rest), pack.key)
        assert [kind for kind, _ in found] == ["missing"]
        assert name in found[0][1]


@pytest.mark.parametrize("name", ["extra.txt", "a", "recording2.wav", "Z.json"])
def test_a_member_added_is_named(pack: Pack, tmp_path: Path, name: str) -> None:
    found = faults(save(tmp_path / "p.zip", {**pack.members, name: b"more"}), pack.key)
    assert [kind for kind, _ in found] == ["added"]
    assert name in found[0][1]


def test_any_member_renamed_is_missed_and_named(pack: Pack, tmp_path: Path) -> None:
    for name in pack.members:
        renamed = {("x" + n if n == name else n): data for n, data in pack.members.items()}
        found = faults(save(tmp_path / "p.zip", renamed), pack.key)
        assert "missing" in {kind for kind, _ in found}, name


def test_two_members_that_changed_places_are_named(pack: Pack, tmp_path: Path) -> None:
    names = sorted(set(pack.members) - {"manifest.json", "ledger.json"})
    for one, two in itertools.pairwise(names):
        swapped = {**pack.members, one: pack.members[two], two: pack.members[one]}
        found = faults(save(tmp_path / "p.zip", swapped), pack.key)
        assert [kind for kind, _ in found] == ["swapped", "swapped"]
        assert one in found[0][1]
        assert two in found[0][1]


def test_any_member_of_another_pack_is_found(pack: Pack, other: Pack, tmp_path: Path) -> None:
    for name in set(pack.members) & set(other.members):
        if pack.members[name] != other.members[name]:
            mixed = {**pack.members, name: other.members[name]}
            assert faults(save(tmp_path / "p.zip", mixed), pack.key), name
    both = {name: other.members[name] for name in ("manifest.json", "ledger.json")}
    assert faults(save(tmp_path / "p.zip", {**pack.members, **both}), pack.key)


# ---------------------------------------------------------------- the ZIP file


def rezipped(members: Members, change: Callable[[zipfile.ZipFile], None] = lambda _: None) -> bytes:
    """As any ZIP program packs them."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
        change(archive)
    return out.getvalue()


def appended(data: bytes, name: str, content: bytes) -> bytes:
    out = io.BytesIO(data)
    with (
        zipfile.ZipFile(out, "a") as archive,
        pytest.warns() if name in read(data) else nullcontext(),
    ):
        archive.writestr(name, content)
    return out.getvalue()


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        (lambda d: d + b"\0", "container"),
        (lambda d: d + d[-22:], "container"),
        (lambda d: b"#!/bin/sh\n" + d, "container"),
        (lambda d: d[:-2] + b"\x05\0hello", "container"),  # a comment
        (lambda d: rezipped(read(d)), "container"),
        (lambda d: rezipped(dict(reversed(read(d).items()))), "container"),
        (lambda d: appended(d, "extra.txt", b"more"), "added"),
        (lambda d: appended(d, "transcript.json", b"[]"), "duplicated"),
        (lambda d: appended(d, "../evil.txt", b"more"), "added"),
        (lambda d: appended(d, "/etc/passwd", b"more"), "added"),
        (lambda d: appended(d, "C:\\evil.txt", b"more"), "added"),
        (lambda d: appended(d, "folder/", b""), "added"),
        (lambda d: appended(d, "录音.wav", b"more"), "added"),
        (lambda d: appended(d, "a\x1b[2Jb", b"more"), "added"),
        (lambda d: b"PK", "container"),
        (lambda d: b"not a zip at all", "container"),
    ],
)
def test_what_is_done_to_the_zip_file_is_found(
    pack: Pack, tmp_path: Path, change: Callable[[bytes], bytes], kind: str
) -> None:
    found = faults(save(tmp_path / "p.zip", change(pack.data)), pack.key)
    assert kind in {k for k, _ in found}
    assert all(message.isprintable() for _, message in found)


def test_members_that_claim_to_be_huge_cost_nothing(pack: Pack, tmp_path: Path) -> None:
    bomb = rezipped({**pack.members, "bomb.bin": bytes(50_000_000)})
    assert len(bomb) < 1_000_000
    assert "added" in kinds(save(tmp_path / "p.zip", bomb), pack.key)
    at = pack.data.index(b"PK\x01\x02")
    for field in (20, 24, 42):  # sizes and offset in the first directory row
        altered = bytearray(pack.data)
        altered[at + field : at + field + 4] = b"\xff\xff\xff\x7f"
        assert faults(save(tmp_path / "p.zip", bytes(altered)), pack.key)
    old, verify.PACK_BYTES_MAX = verify.PACK_BYTES_MAX, 300_000
    try:
        assert "altered" in kinds(save(tmp_path / "p.zip", bomb), pack.key)
        verify.PACK_BYTES_MAX = 1000
        with pytest.raises(verify.Unusable, match="larger"):
            verify.verify_pack(save(tmp_path / "p.zip", pack.data), pack.key)
    finally:
        verify.PACK_BYTES_MAX = old


def test_damaged_members_do_not_crash_the_verifier(pack: Pack, tmp_path: Path) -> None:
    deep = b"[" * 100_000 + b"]" * 100_000
    for name in ("ledger.json", "manifest.json"):
        for data in (b"", b"{}", b"[]", b"null", b"\xff\xfe", deep, b'{"members":1}', b"1" * 5000):
            path = save(tmp_path / "p.zip", {**pack.members, name: data})
            assert kinds(path, pack.key) <= {"malformed", "altered", "container"}


# ---------------------------------------------------------------- who signed


def test_a_wholly_signed_again_forgery_shows_by_its_key(pack: Pack, tmp_path: Path) -> None:
    forger = FileKeyring.create(tmp_path / "keys.json")
    words = pack.members["transcript.json"].replace(b"[", b"[ ", 1)
    forged = save(tmp_path / "p.zip", forge(pack.members, forger, words))
    alone = verify.verify_pack(forged)
    assert (alone.status, alone.faults) == (3, [])  # consistent in itself: only the key tells
    assert kinds(forged, pack.key) == {"wrong_key"}
    assert verify.verify_pack(forged, forger.fingerprint()).status == 0


# ---------------------------------------------------------------- the company itself


@pytest.mark.parametrize(
    ("member", "old", "new", "what"),
    [
        ("transcript.json", b"]]", b"] ]", "transcript.json"),
        ("keys.json", b"1", b"2", "keys.json"),
        ("call.json", b"2505", b"2999", "call.json"),
        ("request.json", b'"preticked":false', b'"preticked":true', "request.json"),
        ("decision.json", b'"passed":true', b'"passed":false', "decision.json"),
        ("rulebook.json", b'"verified":false', b'"verified":true', "rulebook.json"),
        ("script.yaml", b"", b"#", "script.yaml"),
        ("script.json", b'"approved_by":"', b'"approved_by":"0', "script.json"),
        ("consent.json", b'"number":"+86139', b'"number":"+86138', "consent.json"),
        ("consent.json", b'"preticked":false', b'"preticked":true', "consent.json"),
        ("line.json", b'"simulator"', b'"telecom"', "line.json"),
        ("recording.wav", b"\x08\x00", b"\xf8\xff", "recording.wav"),
    ],
)
def test_evidence_changed_before_it_was_exported_is_found(
    home: ConsoleHome, pack: Pack, tmp_path: Path, member: str, old: bytes, new: bytes, what: str
) -> None:
    """Whoever holds the signing key can name any members in a manifest; the entries that the
    call wrote when it took place still tell."""
    assert old in pack.members[member]
    kept = {n: d for n, d in pack.members.items() if n not in (packs.MANIFEST, packs.LEDGER)}
    kept[member] = kept[member].replace(old, new, 1)
    path = save(tmp_path / "p.zip", export(home, dossier_of(home, home.accepted), kept))
    found = faults(path, pack.key)
    assert {kind for kind, _ in found} == {"commitment"}
    assert what in " ".join(message for _, message in found)


def test_an_entry_left_out_shows_in_the_whole_ledger(
    home: ConsoleHome, other: Pack, tmp_path: Path
) -> None:
    """A pack alone cannot tell what its maker kept back."""
    dossier = dossier_of(home, home.refused)
    kept = {n: d for n, d in other.members.items() if n not in (packs.MANIFEST, packs.LEDGER)}
    entries = {e.index: e.kind for e in dossier.report.entries}
    left_out = next(index for index, kind in entries.items() if kind == "recording.begin")
    with homes.opened(home.root) as it:
        ledger.export(it.engine, tmp_path / "before.jsonl")
    export_lines = (tmp_path / "before.jsonl").read_text().splitlines()
    leaf = next(json.loads(line)["leaf"] for line in export_lines if f'"entry":{left_out},' in line)
    fewer = dossier.evolve(leaves=tuple(x for x in dossier.leaves if x != leaf))
    path = save(tmp_path / "p.zip", export(home, fewer, kept))
    with homes.opened(home.root) as it:
        ledger.export(it.engine, tmp_path / "ledger.jsonl")
    assert verify.verify_pack(path, other.key).status == 0
    report = verify.verify_pack(path, other.key, ledger=tmp_path / "ledger.jsonl")
    assert [(f.kind, f.index) for f in report.faults] == [("deleted", left_out)]
    honest = save(tmp_path / "q.zip", other.data)
    whole = verify.verify_pack(honest, other.key, ledger=tmp_path / "ledger.jsonl")
    assert whole.status == 0, whole.faults
    older = verify.verify_pack(path, other.key, ledger=tmp_path / "before.jsonl")
    assert {f.kind for f in older.faults} == {"truncated"}


def test_the_checkpoint_is_held_against_outside_ones(
    home: ConsoleHome, pack: Pack, tmp_path: Path
) -> None:
    path = save(tmp_path / "p.zip", pack.data)
    anchors = home.root / "anchors"
    report = verify.verify_pack(path, pack.key, [str(anchors)])
    assert report.status == 0
    size = json.loads(pack.members["ledger.json"])["checkpoint"].split("\n")[1]
    (mine,) = anchors.glob(f"checkpoint-*{size}.note")
    forked = tmp_path / mine.name
    rows = mine.read_text().split("\n")
    rows[2] = "A" * 43 + "="
    forked.write_text("\n".join(rows))
    assert "bad_signature" in {f.kind for f in verify.verify_pack(path, None, [str(forked)]).faults}
