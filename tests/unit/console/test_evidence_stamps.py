# SPDX-License-Identifier: GPL-3.0-or-later
"""Time stamps where others check them: in evidence packs, and beside copied checkpoints (P5)."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from compliance.facts import Role
from console import evidence_pack, homes
from storage import verify
from storage.checkpoint import Checkpoint, sign_note
from storage.store import AccessReason
from storage.verify import Report
from tests.console_home import ConsoleHome
from tests.packs import Members, Pack, dossier_of, export, make, read, save
from tests.tsa import authority, make_authority

DOING = ("manifest.json", "ledger.json")


@pytest.fixture(scope="module")
def tsa(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """Address and root certificate of a running authority."""
    folder = tmp_path_factory.mktemp("tsa") / "authority"
    make_authority(folder)
    with authority(folder) as url:
        yield url, folder / "root.pem"


@pytest.fixture(scope="module")
def home(
    calls_template: ConsoleHome, tsa: tuple[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ConsoleHome]:
    folder = tmp_path_factory.mktemp("stamps")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(folder / "state"))
        home = calls_template.copy(folder / "home")
        home.language("en")
        settings = home.root / "candor.toml"
        section = f'\n[timestamps]\nurl = "{tsa[0]}"\ncertificate = "{tsa[1]}"\n'
        settings.write_text(settings.read_text() + section)
        yield home


@pytest.fixture(scope="module")
def pack(home: ConsoleHome) -> Pack:
    return make(home, home.accepted)


@pytest.fixture(scope="module")
def later(home: ConsoleHome, pack: Pack) -> Path:
    """A stamp of the same authority on a later checkpoint."""
    home.sign_in(Role.AUDITOR)
    return Path(home.candor("ledger", "stamp", "--json").data["file"])


def faults(path: Path, key: str) -> list[tuple[str, str]]:
    report = verify.verify_pack(path, key)
    assert report.status == 1
    return [(fault.kind, fault.message) for fault in report.faults]


def members_of(pack: Pack) -> Members:
    return {name: data for name, data in pack.members.items() if name not in DOING}


# ---------------------------------------------------------------- the pack


def test_a_pack_holds_a_stamp_that_openssl_and_the_verifier_read_alike(
    pack: Pack, tsa: tuple[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = save(tmp_path / "p.zip", pack.data)
    report = verify.verify_pack(path, pack.key)
    assert (report.status, report.stamps) == (0, 1)
    assert 0 < report.stamped < report.entries  # its own export came after the stamp
    assert verify.main([str(path), "--key", pack.key]) == 0
    out = capsys.readouterr().out
    assert f"{report.stamped} entries were there at {report.stamped_at}, as claimed" in out
    assert "openssl ts -verify -in stamp.tsr -data stamp.note" in out
    for name in ("stamp.tsr", "stamp.note", "stamp.pem"):
        (tmp_path / name).write_bytes(pack.members[name])
    told = subprocess.run(
        ["openssl", "ts", "-reply", "-text", "-in", tmp_path / "stamp.tsr"],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    assert report.stamped_at[11:19] in told
    checked = subprocess.run(
        ["openssl", "ts", "-verify", "-in", "stamp.tsr", "-data", "stamp.note",
         "-CAfile", tsa[1]],
        capture_output=True, text=True, check=False, cwd=tmp_path,
    )  # fmt: skip
    assert "Verification: OK" in checked.stdout + checked.stderr
    assert pack.members["stamp.pem"] == tsa[1].read_bytes()
    listed = {row["name"] for row in json.loads(pack.members["manifest.json"])["members"]}
    assert {"stamp.tsr", "stamp.note", "stamp.pem"} <= listed
    for page in ("report.en.html", "report.zh.html"):
        assert report.stamped_at in pack.members[page].decode()
    assert b"openssl ts -verify" in pack.members["README.txt"]


def test_the_first_stamp_that_covers_the_call_is_taken(
    home: ConsoleHome, pack: Pack, later: Path
) -> None:
    stamps = len(list((home.root / "anchors").glob("*.tsr")))
    (home.root.parent / f"{home.accepted[:8]}.zip").unlink()
    again = make(home, home.accepted)
    assert again.members["stamp.tsr"] == pack.members["stamp.tsr"]
    assert again.members["stamp.tsr"] != later.read_bytes()
    assert len(list((home.root / "anchors").glob("*.tsr"))) == stamps  # nobody was asked


def test_an_authority_that_is_away_holds_no_evidence_up(
    calls: ConsoleHome, tsa: tuple[str, Path], tmp_path: Path
) -> None:
    calls.language("en")
    settings = calls.root / "candor.toml"
    section = f'\n[timestamps]\nurl = "http://127.0.0.1:9"\ncertificate = "{tsa[1]}"\n'
    settings.write_text(settings.read_text() + section)
    path = tmp_path / "p.zip"
    with homes.opened(calls.root) as it:
        actor = calls.people[Role.AUDITOR]
        written = evidence_pack.write(it, actor, calls.accepted, AccessReason.AUDIT, path)
        key = it.keyring.fingerprint()
    assert written.stamped_at == ""
    assert "no time stamp in this pack: the time-stamping authority does not answer" in (
        " ".join(written.notes)
    )
    report = verify.verify_pack(path, key)
    assert (report.status, report.stamps) == (0, 0)
    assert "stamp.tsr" not in read(path.read_bytes())


# ---------------------------------------------------------------- a pack in other hands


@pytest.mark.parametrize("name", ["stamp.tsr", "stamp.note", "stamp.pem"])
def test_a_stamp_that_was_removed_is_missed(pack: Pack, tmp_path: Path, name: str) -> None:
    rest = {other: data for other, data in pack.members.items() if other != name}
    assert faults(save(tmp_path / "p.zip", rest), pack.key) == [("missing", f"{name} was removed")]


def test_every_byte_of_the_stamp_counts(pack: Pack, tmp_path: Path) -> None:
    dice = random.Random(3161)
    reply = pack.members["stamp.tsr"]
    for at in {0, len(reply) - 1} | set(dice.choices(range(len(reply)), k=30)):
        altered = bytearray(reply)
        altered[at] ^= 1 << dice.randrange(8)
        save(tmp_path / "p.zip", {**pack.members, "stamp.tsr": bytes(altered)})
        assert faults(tmp_path / "p.zip", pack.key) == [("altered", "stamp.tsr was altered")]


def test_the_stamp_of_another_checkpoint_is_found(
    home: ConsoleHome, pack: Pack, later: Path, tmp_path: Path
) -> None:
    other = later.read_bytes()
    save(tmp_path / "p.zip", {**pack.members, "stamp.tsr": other})
    assert faults(tmp_path / "p.zip", pack.key) == [("altered", "stamp.tsr was altered")]
    # The company itself, which can list any member in a manifest of its own.
    members = members_of(pack)
    size = int(members["stamp.note"].split(b"\n")[1])
    dossier = dossier_of(home, home.accepted)
    for forged in (other, other[:-1], b"", b"\x30\x03\x02\x01\x00", members["stamp.note"]):
        data = export(home, dossier, {**members, "stamp.tsr": forged}, size)
        found = faults(save(tmp_path / "p.zip", data), pack.key)
        assert [kind for kind, _ in found] == ["stamp"], forged[:8]
        assert "stamp.tsr" in found[0][1]
    data = export(home, dossier, members, size)
    assert verify.verify_pack(save(tmp_path / "p.zip", data), pack.key).status == 0


def test_a_stamp_without_its_proof_or_its_note_is_told(
    home: ConsoleHome, pack: Pack, tmp_path: Path
) -> None:
    members, dossier = members_of(pack), dossier_of(home, home.accepted)
    size = int(members["stamp.note"].split(b"\n")[1])
    for name in ("stamp.note", "stamp.tsr"):
        rest = {other: data for other, data in members.items() if other != name}
        data = export(home, dossier, rest, size)
        assert [k for k, _ in faults(save(tmp_path / "p.zip", data), pack.key)] == ["stamp"]
    data = export(home, dossier, members)  # no proof that the tree grew from the stamped one
    assert [k for k, _ in faults(save(tmp_path / "p.zip", data), pack.key)] == ["stamp"]
    proof = json.loads(pack.members["ledger.json"])
    assert proof["stamped"]
    proof["stamped"][0], proof["stamped"][-1] = proof["stamped"][-1], proof["stamped"][0]
    cut = verify.canonical({**proof, "stamped": proof["stamped"][1:]})
    save(tmp_path / "p.zip", {**pack.members, "ledger.json": cut})
    assert [k for k, _ in faults(tmp_path / "p.zip", pack.key)] == ["forked"]


def test_a_stamped_checkpoint_of_another_tree_is_found(
    home: ConsoleHome, pack: Pack, later: Path, tmp_path: Path
) -> None:
    """Whoever signs can have anything stamped; it must be of the tree the pack's grew from."""
    members = members_of(pack)
    lines = members["stamp.note"].decode().split("\n")
    with homes.opened(home.root) as it:
        note = sign_note(Checkpoint(lines[0], int(lines[1]), bytes(32)), lines[0], it.keyring)
    forged = {**members, "stamp.note": note.encode()}
    data = export(home, dossier_of(home, home.accepted), forged, int(lines[1]))
    found = faults(save(tmp_path / "p.zip", data), pack.key)
    assert [kind for kind, _ in found] == ["forked", "stamp"]


# ---------------------------------------------------------------- beside copied checkpoints


@pytest.fixture
def copied(home: ConsoleHome, later: Path, tmp_path: Path) -> tuple[Path, Path, str]:
    """An export, a copy of the anchor folder, and the key: what an auditor has."""
    home.sign_in(Role.AUDITOR)
    export = tmp_path / "ledger.jsonl"
    assert home.candor("ledger", "export", str(export)).code == 0
    shutil.copytree(home.root / "anchors", tmp_path / "anchors")
    return export, tmp_path / "anchors", home.candor("ledger", "key").out.split()[0]


def checked(copied: tuple[Path, Path, str]) -> Report:
    export, anchors, key = copied
    return verify.verify(export, key, [str(anchors)])


def test_stamps_beside_checkpoints_are_counted(
    home: ConsoleHome, copied: tuple[Path, Path, str], capsys: pytest.CaptureFixture[str]
) -> None:
    report = checked(copied)
    stamps = sorted(copied[1].glob("*.tsr"))
    assert (report.status, report.stamps) == (0, len(stamps))
    assert report.stamped_at == verify.read_stamp(stamps[-1].read_bytes())[1]
    assert report.stamped == int(stamps[-1].stem.rpartition("-")[2])
    export, anchors, key = copied
    assert verify.main([str(export), "--key", key, "--checkpoint", str(anchors)]) == 0
    assert f"{len(stamps)} checkpoints, the newest at {report.stamped_at}, as claimed" in (
        capsys.readouterr().out
    )
    one = stamps[0].with_suffix(".note")
    assert verify.verify(export, key, [str(one)]).stamps == 1


def test_a_stamp_of_another_checkpoint_fails_the_ledger(
    home: ConsoleHome, copied: tuple[Path, Path, str]
) -> None:
    first, *_, last = sorted(copied[1].glob("*.tsr"))
    whole = last.read_bytes()
    for data, told in (
        (first.read_bytes(), "is the time stamp of something else"),
        (whole[: len(whole) // 2], "is not a time stamp"),
    ):
        last.write_bytes(data)
        found = [(fault.kind, fault.message) for fault in checked(copied).faults]
        assert found == [("stamp", f"{last.name} {told}")]
    last.write_bytes(whole)
    last.with_suffix(".note").unlink()
    assert [f.message for f in checked(copied).faults] == [
        f"{last.name} has no checkpoint beside it"
    ]
    mine = home.root / "anchors" / first.name
    before = mine.read_bytes()
    mine.write_bytes(whole)
    ran = home.candor("ledger", "verify")
    mine.write_bytes(before)
    assert ran.code == 1


def test_whatever_bytes_lie_there_are_no_crash(pack: Pack) -> None:
    dice = random.Random(9)
    reply = pack.members["stamp.tsr"]
    for _ in range(3000):
        altered = bytearray(reply[: dice.randrange(400)] + reply[dice.randrange(400) :])
        for _ in range(dice.randrange(4)):
            altered[dice.randrange(min(200, len(altered)))] = dice.randrange(256)
        report = Report()
        verify.check_stamp(report, "x.tsr", bytes(altered), pack.members["stamp.note"], 1)
        assert len(report.faults) + report.stamps == 1
