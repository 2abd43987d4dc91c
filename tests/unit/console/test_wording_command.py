# SPDX-License-Identifier: GPL-3.0-or-later
"""`candor wording`: the check as an auditor asks for it, and a home's own packs."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from console.cli import run
from tests.unit.compliance.test_wording import pack


def checked(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = run(["wording", *arguments])
    out, err = capsys.readouterr()
    return code, out, err


@pytest.fixture
def nowhere(tmp_path: Path) -> tuple[str, str]:
    return "--home", str(tmp_path / "no-home")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A folder with settings is all it needs of a home."""
    folder = tmp_path / "home"
    (folder / "packs").mkdir(parents=True)
    (folder / "candor.toml").write_text(
        'schema = 1\nlanguage = "en"\n[policy]\nindustry = "finance"\nwording = "packs"\n'
    )
    return folder


def put(home: Path, **changes: Any) -> None:
    data = {**pack("星辰必赚"), **changes}
    (home / "packs" / "own.yaml").write_text(yaml.safe_dump(data, allow_unicode=True), "utf-8")


def test_a_finding_has_place_requirement_and_source(
    capsys: pytest.CaptureFixture[str], nowhere: tuple[str, str]
) -> None:
    text = "您好。\n这款產品無 風險"
    code, out, _ = checked(capsys, "check", text, "--industry", "finance", *nowhere)
    assert code == 1
    assert "2:5" in out
    assert "無 風險" in out
    assert "S8" in out
    assert "广告法" in out


def test_as_json_it_names_every_pack(
    capsys: pytest.CaptureFixture[str], nowhere: tuple[str, str]
) -> None:
    code, out, _ = checked(
        capsys, "check", "宝本高收益", "--industry", "finance", "--json", *nowhere
    )
    told = json.loads(out)
    assert (code, told["ok"], told["language"]) == (1, False, "zh")
    assert {"保本高收益", "高收益"} <= {f["term"] for f in told["findings"]}
    assert {p["name"] for p in told["packs"]} >= {"zh.general", "zh.finance"}
    assert all(len(p["digest"]) == 64 and p["version"] for p in told["packs"])


def test_it_reads_standard_input(
    capsys: pytest.CaptureFixture[str], nowhere: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("We are open on working days.\n"))
    code, out, _ = checked(capsys, "check", *nowhere)
    assert (code, "nothing found" in out) == (0, True)
    monkeypatch.setattr("sys.stdin", io.StringIO("There is no risk at all.\n"))
    assert checked(capsys, "check", "-", "--industry", "finance", *nowhere)[0] == 1


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("check", "x", "--industry", "bank"), "industry"),
        (("check", "x", "--language", "fr"), "--language"),
        (("packs", "--language", "klingon"), "--language"),
    ],
)
def test_what_is_unknown_is_not_guessed(
    capsys: pytest.CaptureFixture[str],
    nowhere: tuple[str, str],
    arguments: tuple[str, ...],
    named: str,
) -> None:
    code, _, err = checked(capsys, *arguments, *nowhere)
    assert code == 2
    assert named in err


def test_a_homes_pack_adds_words_and_shows_its_digest(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    put(home)
    where = ("--home", str(home))
    code, out, _ = checked(capsys, "check", "星辰必賺", "--json", *where)
    (finding,) = json.loads(out)["findings"]
    assert (code, finding["pack"], finding["source"]) == (1, "own", "house rule 7")
    code, out, _ = checked(capsys, "packs", *where)
    assert (code, "own" in out, "zh.finance" in out) == (0, True, True)
    assert checked(capsys, "check", "保本", *where)[0] == 1  # its industry holds too


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"exceptions": ["保本"]}, "exceptions"),
        ({"pack": "zh.finance"}, "zh.finance"),
        ({"language": "fr"}, "own.yaml"),
        ({"groups": []}, "groups"),
    ],
)
def test_a_pack_that_would_do_more_than_add_words_stops_the_check(
    home: Path, capsys: pytest.CaptureFixture[str], changes: dict[str, Any], named: str
) -> None:
    put(home, **changes)
    code, out, err = checked(capsys, "check", "您好", "--home", str(home))
    assert (code, out) == (2, "")
    assert named in err


def test_a_folder_that_is_not_there_stops_the_check(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (home / "packs").rmdir()
    code, _, err = checked(capsys, "check", "您好", "--home", str(home))
    assert (code, "policy.wording" in err) == (2, True)
    (home / "packs").mkdir()
    (home / "packs" / "broken.yaml").write_text("groups: [\n")
    code, _, err = checked(capsys, "check", "您好", "--home", str(home))
    assert (code, "broken.yaml" in err) == (2, True)
