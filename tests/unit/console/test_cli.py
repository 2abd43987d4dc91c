# SPDX-License-Identifier: GPL-3.0-or-later
"""The command line: one clear message, the right exit code, nothing half-made."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from compliance.facts import HomeKind, Role
from console.homes import create, opened


def candor(*words: str, stdin: str = "", state: Path | None = None) -> tuple[int, str, str]:
    env = dict(os.environ)
    if state is not None:
        env["XDG_STATE_HOME"] = str(state)
    done = subprocess.run(
        [sys.executable, "-m", "console.cli", *words],
        input=stdin,
        capture_output=True,
        text=True,
        timeout=60,
        env=env,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("cli") / "home"
    create(root, kind=HomeKind.PRODUCTION, company="星辰公司", tenant="t")
    with opened(root) as it:
        it.store.people.add_person(None, "root", "correct horse battery", [Role.ADMIN])
    return root


def test_help_lists_the_commands() -> None:
    code, out, _ = candor("--help")
    assert code == 0
    for command in ("init", "login", "contacts", "script", "campaign", "dial", "ledger", "demo"):
        assert command in out


def test_no_home_is_one_line_with_the_remedy(tmp_path: Path) -> None:
    code, out, err = candor("calls", "list", "x", "--home", str(tmp_path / "none"))
    assert (code, out) == (2, "")
    assert "candor init" in err
    assert "Traceback" not in err


def test_a_typo_in_the_settings_is_named(home: Path, tmp_path: Path) -> None:
    (tmp_path / "candor.toml").write_text("schema = 1\n[dial]\nmax_call = 3\n")
    code, _, err = candor("calls", "list", "x", "--home", str(tmp_path))
    assert code == 2
    assert "dial.max_call" in err


def test_signing_in_and_out_of_turn(home: Path, tmp_path: Path) -> None:
    code, _, err = candor("calls", "list", "x", "--home", str(home), state=tmp_path)
    assert code == 3
    assert "candor login" in err
    code, _, err = candor("login", "root", "--home", str(home), stdin="wrong\n", state=tmp_path)
    assert code == 3
    code, out, _ = candor(
        "login", "root", "--home", str(home), stdin="correct horse battery\n", state=tmp_path
    )
    assert code == 0
    assert "administrator" in out
    code, _, err = candor("calls", "list", "nothing", "--home", str(home), state=tmp_path)
    assert code == 2
    assert "Traceback" not in err
    # An administrator imports nobody: that is the operator's work (D9).
    people = tmp_path / "people.csv"
    people.write_text("name,phone\n")
    code, _, err = candor(
        "contacts", "import", str(people), "--source", "own_crm", "--batch", "b",
        "--home", str(home), state=tmp_path,
    )  # fmt: skip
    assert code == 3


def test_a_home_is_not_made_over_another(home: Path) -> None:
    code, _, err = candor("init", "--home", str(home), "--company", "x")
    assert code == 2
    assert "not empty" in err


def test_a_foreign_folder_is_not_taken_for_a_demo(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("x")
    code, _, err = candor("demo", "--home", str(tmp_path))
    assert code == 2
    assert "left alone" in err
    assert (tmp_path / "precious").exists()


def test_a_ledger_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "x").write_text(json.dumps({}))
    code, _, _ = candor("ledger", "verify", str(tmp_path / "x"))
    assert code == 2
