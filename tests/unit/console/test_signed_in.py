# SPDX-License-Identifier: GPL-3.0-or-later
"""Nothing is theatre: no command does anything for somebody who did not sign in (T2, D9).

Every documented command is typed as its example says, in a home where nobody is signed in.
"""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from sqlalchemy import func, select

from console import homes
from storage.base import Base
from tests.console_home import CAMPAIGN, ConsoleHome
from tests.unit.console.test_commands import COMMANDS, DOCUMENT

# They work on files and packages, say how the home is, or are how one signs in.
OPEN = {
    "init": "makes a home",
    "login": "signs in",
    "demo": "makes a home of its own",
    "sim": "simulated callees; no home",
    "doctor": "says what is missing before anybody can sign in; changes nothing",
    "models install": "files of this machine",
    "models list": "files of this machine",
    "keys new": "prints a fresh keyring; no home",
    "db status": "must work where the schema does not fit",
    "db upgrade": "must work where the schema does not fit; the ledger says so",
    "restore": "makes a home of a backup",
    "script lint": "reads a file",
    "wording check": "reads a text, keeps nothing",
    "wording packs": "the words of this program and of the home's folder",
    "gate try": "a described call; no home",
    "ledger key": "prints a public key: what an auditor holds a pack against",
    "ledger verify": "of files; of a home it asks who",
    "retention run": "from cron with --scheduled; by hand it asks who",
    "backup": "from cron with --scheduled; by hand it asks who",
}


def examples() -> dict[str, str]:
    """What is typed after ``candor``, by command."""
    found: dict[str, str] = {}
    for line in DOCUMENT.splitlines():
        cells = [cell.strip() for cell in line.split(" | ")]
        if not line.startswith("| `candor ") or len(cells) != 3:
            continue
        typed = re.findall(r"`candor (.+?)`", cells[2].replace(r"\|", "|"))
        if typed:
            for name in re.findall(r"`candor ([a-z -]+)`", cells[0]):
                found[name] = typed[0]
    return found


EXAMPLES = examples()
ASKING = sorted(set(COMMANDS) - set(OPEN))


def test_every_command_has_an_example_to_type() -> None:
    assert set(ASKING) <= set(EXAMPLES), sorted(set(ASKING) - set(EXAMPLES))
    assert set(OPEN) <= set(COMMANDS)


def counts(home: ConsoleHome) -> dict[str, int]:
    with homes.opened(home.root) as it, it.engine.connect() as connection:
        return {
            table.name: connection.scalar(select(func.count()).select_from(table)) or 0
            for table in Base.metadata.sorted_tables
        }


@pytest.mark.parametrize("name", ASKING)
def test_nobody_signed_in_changes_nothing(
    name: str, calls: ConsoleHome, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = shlex.split(EXAMPLES[name].partition(" | ")[0])
    if not EXAMPLES[name].startswith(name):  # the example shows another of the row's commands
        words = [*name.split(), *words[len(name.split()) :]]
    monkeypatch.chdir(tmp_path)
    for word in words:
        if re.fullmatch(r"[\w/.-]+\.\w{2,5}", word) and not word.startswith("/"):
            Path(word).touch()
    words = [CAMPAIGN if word == "autumn" else word for word in words]
    before = counts(calls)
    ran = calls.candor(*words)
    assert ran.code == 3, (words, ran)
    assert "candor login" in ran.err
    assert ran.out == ""
    assert counts(calls) == before
