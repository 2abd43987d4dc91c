# SPDX-License-Identifier: GPL-3.0-or-later
"""`candor evidence` and `candor report`, as people type them (P4, P5, T3)."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pyrage
import pytest
from sqlalchemy import text

from compliance.facts import Role
from console import homes
from storage import verify
from tests.console_home import CAMPAIGN, ConsoleHome, Ran
from tests.packs import body, read

REPORT_FORMS = ("report.en.html", "report.zh.html", "report.json", "README.txt")


@pytest.fixture
def auditor(calls: ConsoleHome) -> ConsoleHome:
    calls.sign_in(Role.AUDITOR)
    return calls


def export(home: ConsoleHome, call: str, path: Path, *more: str) -> Ran:
    return home.candor("evidence", call[:8], "--reason", "dispute", "-o", str(path), *more)


def fingerprint(home: ConsoleHome) -> str:
    return home.candor("ledger", "key").out.strip()


def stranger(folder: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Python alone, nothing in the environment, the verifier copied."""
    script = folder / "verify.py"
    script.write_bytes(Path(verify.__file__).read_bytes())
    return subprocess.run(
        [sys.executable, "-I", "-S", str(script), *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        env={},
    )


def test_a_pack_is_checked_by_python_alone(auditor: ConsoleHome, tmp_path: Path) -> None:
    pack = tmp_path / "pack.zip"
    told = export(auditor, auditor.accepted, pack, "--json").data
    assert told["call"] == auditor.accepted
    assert told["demo"] is True
    assert set(told["members"]) == set(read(pack.read_bytes()))
    assert pack.stat().st_mode & 0o777 == 0o600
    assert sorted(p.name for p in tmp_path.iterdir()) == ["home", "pack.zip", "state"]
    away = tmp_path / "away"
    away.mkdir()
    key = fingerprint(auditor)
    (away / "key.txt").write_text(key + "\n")
    for given in (key, away / "key.txt"):
        good = stranger(away, pack, "--key", given)
        assert good.returncode == 0, good.stdout + good.stderr
        assert good.stdout.startswith("VALID")
    unproven = stranger(away, pack, "--json")
    assert unproven.returncode == 3
    report = json.loads(unproven.stdout)
    assert report["result"] == "consistent, signer unproven"
    assert report["call"] == auditor.accepted
    assert set(report["bound"]) == {
        "home", "request", "decision", "rulebook", "permission", "number", "consent", "line",
        "script", "sign-off", "transcript", "keys pressed", "record", "sound of the callee",
        "sound of the bot", "papers",
    }  # fmt: skip
    wrong = stranger(away, pack, "--key", "ed25519:" + "0" * 64)
    assert wrong.returncode == 1
    assert "FAULT wrong_key" in wrong.stdout


def test_the_papers_of_line_supplier_and_purpose_are_in_the_pack(
    auditor: ConsoleHome, tmp_path: Path
) -> None:
    assert export(auditor, auditor.accepted, tmp_path / "p.zip").code == 0
    members = read((tmp_path / "p.zip").read_bytes())
    filed = json.loads(members["papers.json"])
    assert {(p["owner_kind"], p["kind"]) for p in filed} == {
        ("supplier", "licence"),
        ("supplier", "certificate"),
        ("supplier", "contract"),
        ("purpose", "assessment"),
    }
    assert all(len(p["sha256"]) == 64 for p in filed)
    assert json.loads(members["line.json"])["supplier"]["licence"] == "B24"


def test_opening_is_in_the_ledger_before_the_pack_is(auditor: ConsoleHome, tmp_path: Path) -> None:
    assert export(auditor, auditor.accepted, tmp_path / "p.zip").code == 0
    kinds = auditor.kinds()
    assert kinds[-2:] == ["evidence.open", "evidence.export"]
    members = read((tmp_path / "p.zip").read_bytes())
    assert body(members, "evidence.open")["reason"] == "dispute"


def test_who_may_not_and_what_cannot_be_exported(calls: ConsoleHome, tmp_path: Path) -> None:
    pack = tmp_path / "p.zip"
    calls.sign_in(Role.OPERATOR)
    assert export(calls, calls.accepted, pack).code == 3
    assert calls.kinds()[-1] == "access.refuse"
    calls.sign_in(Role.AUDITOR)
    before = calls.kinds()
    for call, words in (
        (calls.stopped, ("--reason", "dispute")),  # refused by the gate
        (calls.live, ("--reason", "dispute")),
        ("ffffffff", ("--reason", "dispute")),
        (calls.accepted, ()),  # no reason, and no terminal to ask on
        (calls.accepted, ("--reason", "curiosity")),
        (calls.accepted, ("--reason", "dispute", "--seal-to", "age1nobody")),
        (calls.accepted, ("--reason", "dispute", "-o", str(tmp_path / "pack.tar"))),
        (calls.accepted, ("--reason", "dispute", "-o", str(tmp_path / "no" / "p.zip"))),
    ):
        ran = calls.candor("evidence", call, "-o", str(pack), *words)
        assert ran.code == 2, (words, ran)
    assert calls.kinds() == before
    assert not pack.exists()
    pack.write_text("mine")
    assert export(calls, calls.accepted, pack).code == 2
    assert pack.read_text() == "mine"
    assert export(calls, calls.accepted, pack, "--force").code == 0


def test_everything_of_a_demo_home_says_so(auditor: ConsoleHome, tmp_path: Path) -> None:
    assert export(auditor, auditor.accepted, tmp_path / "p.zip").code == 0
    members = read((tmp_path / "p.zip").read_bytes())
    for name in ("report.en.html", "report.zh.html", "README.txt", "recording.wav"):
        assert b"DEMO" in members[name], name
    assert json.loads(members["report.json"])["demo"] is True
    assert json.loads(members["manifest.json"])["home"] == "demo"
    assert body(members, "home.init")["home"] == "demo"
    report = verify.verify_pack(tmp_path / "p.zip")
    assert any(note.startswith("DEMO") for note in report.notes)


def test_people_read_masked_names_and_the_proof_has_the_number(
    auditor: ConsoleHome, tmp_path: Path
) -> None:
    assert export(auditor, auditor.accepted, tmp_path / "p.zip").code == 0
    members = read((tmp_path / "p.zip").read_bytes())
    number = json.loads(members["consent.json"])["number"]
    assert number.startswith("+86139")
    for name in (*REPORT_FORMS, "ledger.json", "manifest.json"):
        assert number.encode() not in members[name], name
        assert number[3:].encode() not in members[name], name


def test_a_callee_whose_sound_was_destroyed(auditor: ConsoleHome, tmp_path: Path) -> None:
    assert export(auditor, auditor.refused, tmp_path / "p.zip").code == 0
    report = verify.verify_pack(tmp_path / "p.zip", fingerprint(auditor))
    assert report.status == 0
    assert "sound of the bot" in report.bound
    assert "sound of the callee" not in report.bound
    assert report.objects == 1


def test_a_recording_sealed_to_an_auditor(auditor: ConsoleHome, tmp_path: Path) -> None:
    mine, pack = pyrage.x25519.Identity.generate(), tmp_path / "p.zip"
    (tmp_path / "auditor.pub").write_text(f"# public key\n{mine.to_public()}\n")
    told = export(auditor, auditor.accepted, pack, "--seal-to", str(tmp_path / "auditor.pub"))
    assert told.code == 0, told.err
    members = read(pack.read_bytes())
    assert "recording.wav" not in members
    key = fingerprint(auditor)
    closed = verify.verify_pack(pack, key)
    assert closed.status == 0
    assert any("sealed to" in note for note in closed.notes)
    opened = tmp_path / "recording.wav"
    opened.write_bytes(pyrage.decrypt(members["recording.wav.age"], [mine]))
    heard = verify.verify_pack(pack, key, recording=opened)
    assert heard.status == 0
    assert heard.objects == 2
    opened.write_bytes(opened.read_bytes()[:-2] + b"\x08\x00")
    other = verify.verify_pack(pack, key, recording=opened)
    assert [fault.kind for fault in other.faults] == ["altered"]


def test_a_call_that_a_crash_ended(auditor: ConsoleHome, tmp_path: Path) -> None:
    with homes.opened(auditor.root) as it:
        settled = it.store.settle_expired(it.clock.wall() + timedelta(hours=2))
    assert settled == [auditor.live]
    assert export(auditor, auditor.live, tmp_path / "p.zip").code == 0
    report = verify.verify_pack(tmp_path / "p.zip", fingerprint(auditor))
    assert report.status == 0, report.faults
    assert "outcome" in report.bound
    assert "call.json is fixed by this export, by no entry of the call" in report.notes
    page = auditor.candor("report", auditor.live, "-o", str(tmp_path / "r.html"))
    assert page.code == 0, page.err
    assert "意外终止" in (tmp_path / "r.html").read_text("utf-8")
    assert auditor.candor("report", auditor.live, "--json").data["call"]["crashed"] is True


# ---------------------------------------------------------------- records that were changed


def change(home: ConsoleHome, statement: str) -> None:
    with homes.opened(home.root) as it, it.engine.begin() as connection:
        connection.execute(text(statement), {"call": home.accepted})


@pytest.mark.parametrize(
    ("statement", "member"),
    [
        ("UPDATE attempts SET disclosed_ms = 2999 WHERE id = :call", "call.json"),
        ("UPDATE attempts SET outcome = 'refused' WHERE id = :call", "call.json"),
        ("UPDATE attempts SET transcript_key = number_key WHERE id = :call", "transcript.json"),
        ("UPDATE scripts SET text = text || ' '", "script.yaml"),
        (
            "UPDATE attempts SET decision = replace(decision, 'D3', 'D4') WHERE id = :call",
            "decision.json",
        ),
    ],
)
def test_a_database_changed_behind_the_ledger_gives_no_pack(
    auditor: ConsoleHome, tmp_path: Path, statement: str, member: str
) -> None:
    change(auditor, statement)
    ran = export(auditor, auditor.accepted, tmp_path / "p.zip")
    assert ran.code == 1
    assert f"{member} is not what" in " ".join(ran.err.split())
    assert not (tmp_path / "p.zip").exists()


def test_a_damaged_recording_does_not_keep_back_the_rest(
    auditor: ConsoleHome, tmp_path: Path
) -> None:
    for path in (auditor.root / "objects").glob("*/*"):
        path.write_bytes(path.read_bytes()[:-1] + b"\0")
    ran = export(auditor, auditor.accepted, tmp_path / "p.zip")
    assert ran.code == 1
    assert "--without-recording" in " ".join(ran.err.split())
    assert export(auditor, auditor.accepted, tmp_path / "p.zip", "--without-recording").code == 0
    report = verify.verify_pack(tmp_path / "p.zip", fingerprint(auditor))
    assert report.status == 0
    assert "not in this pack: the recording that an entry fixes" in report.notes


# ---------------------------------------------------------------- the report


def test_a_report_without_a_reason_holds_no_words(calls: ConsoleHome, tmp_path: Path) -> None:
    calls.sign_in(Role.OPERATOR)
    before = calls.kinds()
    told = calls.candor("report", calls.accepted[:8], "--json").data
    assert told["content"] is None
    assert told["keys"] is None
    assert told["call"]["number"].count("*") == 4
    assert told["ledger"]
    assert calls.kinds() == before
    page = tmp_path / "call.html"
    assert calls.candor("report", calls.accepted, "-o", str(page), "--language", "en").code == 0
    shown = page.read_text("utf-8")
    assert "What was said is sealed" in shown
    assert "DEMO" in shown
    assert page.stat().st_mode & 0o777 == 0o600
    assert calls.candor("report", calls.accepted, "-o", str(page)).code == 2
    assert calls.candor("report", calls.accepted, "--reason", "quality", "--json").code == 3


def test_a_report_with_a_reason_holds_the_words_and_is_written_down(
    auditor: ConsoleHome, tmp_path: Path
) -> None:
    told = auditor.candor("report", auditor.accepted, "--reason", "quality", "--json").data
    assert auditor.kinds()[-1] == "pii.read"
    said = [line["text"] for line in told["content"]]
    assert said
    page = tmp_path / "call.html"
    words = ("report", auditor.accepted, "--reason", "quality", "-o", str(page))
    assert auditor.candor(*words).code == 0
    shown = page.read_text("utf-8")
    for line in said:
        assert line in shown
    for outside in ("http:", "https:", "<script", "@import", "url("):
        assert outside not in shown


def test_there_is_a_report_for_every_ended_call_and_none_for_a_live_one(
    auditor: ConsoleHome,
) -> None:
    rows = auditor.candor("calls", "list", CAMPAIGN, "--json").data
    ended = [row["id"] for row in rows if row["outcome"] not in ("", "gate_refused")]
    assert len(ended) == 2
    for call in ended:
        assert auditor.candor("report", call, "--json").code == 0
    assert auditor.candor("report", auditor.live, "--json").code == 2
    assert auditor.candor("report", auditor.stopped, "--json").code == 2
