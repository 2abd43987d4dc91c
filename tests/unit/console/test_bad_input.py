# SPDX-License-Identifier: GPL-3.0-or-later
"""What people get wrong: one clear line with the remedy, an exit code, nothing half-written."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

import voicebot
from compliance.facts import HomeKind, Role
from console import homes
from storage.contact_rows import COLUMNS
from storage.keys import FileKeyring
from tests.console_home import CAMPAIGN, ConsoleHome, Ran, candor
from tests.homes import demo_run
from tests.storage_home import row, write_csv

GOOD_SCRIPT = Path(__file__).parents[3] / "examples" / "demo" / "script.zh.yaml"


def told(ran: Ran, code: int, *words: str) -> None:
    """One line on the error side that says all of ``words``, and nothing else."""
    assert ran.code == code, (ran.out, ran.err)
    assert ran.out == ""
    assert ran.err.count("\n") == 1, ran.err
    assert "Traceback" not in ran.err
    assert "->" in ran.err, "no remedy"
    for word in words:
        assert word in ran.err, ran.err


def state(home: ConsoleHome) -> dict[str, int]:
    """Rows of every table: nothing may be added or lost."""
    with homes.opened(home.root) as it, it.engine.connect() as connection:
        tables = connection.exec_driver_sql("SELECT name FROM sqlite_master WHERE type = 'table'")
        return {
            name: connection.exec_driver_sql(f'SELECT count(*) FROM "{name}"').scalar() or 0
            for (name,) in tables.all()
        }


@pytest.fixture
def taken() -> Iterator[int]:
    """A UDP port somebody else listens on."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.1", 0))
        yield int(other.getsockname()[1])


# ---------------------------------------------------------------- contacts


def bring_in(home: ConsoleHome, path: Path) -> Ran:
    return home.candor(
        "contacts", "import", str(path), "--source", "web_form", "--batch", "new"
    )  # fmt: skip


def test_a_missing_column(calls: ConsoleHome, tmp_path: Path) -> None:
    calls.sign_in(Role.OPERATOR)
    path = tmp_path / "people.csv"
    write_csv(path, [row("13900000001")], [c for c in COLUMNS if c != "consent_at"])
    before = state(calls)
    told(bring_in(calls, path), 2, "header", "'consent_at' is missing", "these are needed")
    assert state(calls) == before


@pytest.mark.parametrize(
    ("cells", "words"),
    [
        ({"phone": "12345"}, ("row 2", "phone", "country code")),
        ({"phone": "13900000001", "timezone": "Asia/Peking"}, ("row 2", "timezone", "IANA")),
    ],
    ids=["bad number", "unknown time zone"],
)
def test_no_row_that_can_be_used(
    calls: ConsoleHome, tmp_path: Path, cells: dict[str, str], words: tuple[str, ...]
) -> None:
    calls.sign_in(Role.OPERATOR)
    path = tmp_path / "people.csv"
    write_csv(path, [row(**({"phone": ""} | cells))])
    before = state(calls)
    told(bring_in(calls, path), 2, *words, "people.rejects.csv")
    assert state(calls) == before
    assert "12345" not in (tmp_path / "people.rejects.csv").read_text("utf-8")


def test_one_bad_row_among_good_ones(calls: ConsoleHome, tmp_path: Path) -> None:
    """The good ones are in, the exit code says that the file was not."""
    calls.language("en")
    calls.sign_in(Role.OPERATOR)
    path = tmp_path / "people.csv"
    write_csv(path, [row("13900000001"), row("12345"), row("13900000003", timezone="Mars/One")])
    ran = bring_in(calls, path)
    assert (ran.code, ran.err) == (1, "")
    assert "1 accepted, 0 duplicates, 2 rejected" in ran.out
    assert "row 3: phone: is a short code: write it with its country code" in ran.out
    assert "row 4: timezone" in ran.out
    assert "people.rejects.csv" in ran.out
    assert "12345" not in ran.out


# ---------------------------------------------------------------- scripts


def test_a_script_without_disclosure(calls: ConsoleHome, tmp_path: Path) -> None:
    calls.sign_in(Role.AUTHOR)
    lines = GOOD_SCRIPT.read_text("utf-8").splitlines()
    path = tmp_path / "script.yaml"
    path.write_text("\n".join(li for li in lines if "disclosure:" not in li), "utf-8")
    before = state(calls)
    told(calls.candor("script", "submit", str(path)), 2, "opening.disclosure", "write the words")
    assert state(calls) == before
    ran = calls.candor("script", "lint", str(path))
    assert (ran.code, ran.err) == (1, "")
    assert "opening.disclosure: format" in ran.out


@pytest.mark.parametrize("content", [None, b"\xff\xfe"], ids=["no file", "no text"])
def test_a_script_that_cannot_be_read(
    calls: ConsoleHome, tmp_path: Path, content: bytes | None
) -> None:
    path = tmp_path / "script.yaml"
    if content is not None:
        path.write_bytes(content)
    for word in ("lint", "submit"):
        ran = calls.candor("script", word, str(path))
        assert (ran.code, ran.out) == (2, "")
        assert "script.yaml" in ran.err


def test_an_industry_nobody_knows(calls: ConsoleHome) -> None:
    calls.sign_in(Role.AUTHOR)
    settings = calls.root / "candor.toml"
    settings.write_text(settings.read_text("utf-8") + 'industry = "finanse"\n', "utf-8")
    ran = calls.candor("script", "submit", str(GOOD_SCRIPT))
    told(ran, 2, "policy.industry", "finanse", "finance")


# ---------------------------------------------------------------- keys and settings


def test_a_wrong_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path / "home"
    homes.create(
        root, kind=HomeKind.PRODUCTION, company="x", tenant="t", passphrase="correct horse"
    )
    monkeypatch.setenv("CANDOR_PASSPHRASE", "wrong horse")
    words = ("ledger", "key", "--home", str(root))
    told(candor(*words), 2, "passphrase does not open", "CANDOR_PASSPHRASE")
    monkeypatch.delenv("CANDOR_PASSPHRASE")
    told(candor(*words), 2, "sealed", "CANDOR_PASSPHRASE")
    monkeypatch.setenv("CANDOR_PASSPHRASE", "correct horse")
    assert candor(*words).code == 0


def test_somebody_elses_key(calls: ConsoleHome, tmp_path: Path) -> None:
    keys = calls.root / "keys" / "master.json"
    keys.unlink()
    FileKeyring.create(keys)
    calls_before = (calls.root / "candor.db").read_bytes()
    ran = calls.candor("ledger", "checkpoint")
    assert ran.code in (1, 3)
    assert "Traceback" not in ran.err
    assert ran.err.count("\n") == 1
    assert (calls.root / "candor.db").read_bytes() == calls_before


def test_a_typo_in_the_settings(calls: ConsoleHome) -> None:
    calls.sign_in(Role.OPERATOR)
    settings = calls.root / "candor.toml"
    good = settings.read_text("utf-8")
    for bad, words in (
        (good.replace("max_calls", "max_call"), ("dial.max_call", "unknown key")),
        (good.replace("processes = 1", "processes = 0"), ("dial.processes",)),
        (good.replace("[dial]", "[dial"), ("candor.toml", "line")),
    ):
        settings.write_text(bad, "utf-8")
        for words_of_command in (("calls", "list", CAMPAIGN), ("dial", CAMPAIGN)):
            told(calls.candor(*words_of_command), 2, *words)


def test_a_policy_nobody_wrote(calls: ConsoleHome) -> None:
    calls.sign_in(Role.OPERATOR)
    settings = calls.root / "candor.toml"
    settings.write_text(settings.read_text("utf-8").replace('"demo"', '"dmeo"'), "utf-8")
    before = state(calls)
    told(calls.candor("dial", CAMPAIGN), 2, "dmeo", "known: ")
    assert state(calls) == before


# ---------------------------------------------------------------- ports, lines, models


def test_the_simulators_port_is_in_use(tmp_path: Path, taken: int) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "console.cli", "sim", "serve", "--listen", f"127.0.0.1:{taken}",
         "--records", str(tmp_path / "records")],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (2, "")
    assert f"127.0.0.1:{taken}" in done.stderr
    assert "choose another --listen" in done.stderr
    assert done.stderr.count("\n") == 1


def test_the_dialers_port_is_in_use(calls: ConsoleHome, taken: int) -> None:
    calls.sign_in(Role.OPERATOR)
    assert calls.candor("campaign", "pause", CAMPAIGN).code == 0
    settings = calls.root / "candor.toml"
    text = settings.read_text("utf-8").replace("[sip]", f"[sip]\nsip_port = {taken}")
    settings.write_text(text, "utf-8")
    before = state(calls)
    told(calls.candor("dial", CAMPAIGN), 2, "sip.sip_port", str(taken), "in use", "another port")
    assert state(calls) == before  # not even started
    assert calls.candor("campaign", "status", CAMPAIGN, "--json").data["state"] == "paused"


def test_an_address_of_another_machine(calls: ConsoleHome) -> None:
    calls.sign_in(Role.OPERATOR)
    settings = calls.root / "candor.toml"
    text = settings.read_text("utf-8").replace('host = "127.0.0.1"', 'host = "203.0.113.9"')
    settings.write_text(text, "utf-8")
    told(calls.candor("dial", CAMPAIGN), 2, "sip.host", "203.0.113.9", "this machine")


def test_a_folder_that_is_no_model(calls: ConsoleHome, tmp_path: Path) -> None:
    (tmp_path / "model" / "am").mkdir(parents=True)
    ran = calls.candor("models", "install", str(tmp_path / "model"))
    told(ran, 2, "no Vosk model", "am/final.mdl", "am/, conf/ and graph/")
    assert not list((calls.root / "models").iterdir())


def test_settings_that_name_no_model(calls: ConsoleHome) -> None:
    calls.sign_in(Role.OPERATOR)
    settings = calls.root / "candor.toml"
    text = settings.read_text("utf-8") + '\n[speech.models]\nzh = "big-one"\n'
    settings.write_text(text, "utf-8")
    before = state(calls)
    told(calls.candor("dial", CAMPAIGN), 2, "speech.models.zh", "big-one", "models install")
    assert state(calls) == before
    (listed,) = [m for m in calls.candor("models", "list", "--json").data if m["name"] == "big-one"]
    assert listed["used_for"] == ["zh"]
    assert "am/final.mdl" in listed["missing"]


def test_a_model_of_the_home_hides_a_shipped_one(calls: ConsoleHome) -> None:
    shipped = Path(voicebot.__path__[0]) / "models" / "zh-demo"
    shutil.copytree(shipped, calls.root / "models" / "zh-demo")
    listed = {m["name"]: m for m in calls.candor("models", "list", "--json").data}
    assert listed["zh-demo"] == {
        "name": "zh-demo", "language": "zh", "shipped": False, "used_for": ["zh"], "missing": [],
    }  # fmt: skip
    assert listed["en-demo"]["shipped"] is True


async def _dial_a_silent_line(folder: Path) -> subprocess.CompletedProcess[str]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    async with demo_run(folder, ["101"], address=address) as run:
        token = run.it.store.people.issue_session(run.staff.operator, timedelta(hours=1))
        homes.remember(run.it.home.root, token)
        return await asyncio.to_thread(
            subprocess.run,
            [sys.executable, "-m", "console.cli", "dial", "demo", "--home",
             str(run.it.home.root)],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )  # fmt: skip


def test_a_line_that_does_not_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    done = asyncio.run(_dial_a_silent_line(tmp_path))
    assert done.returncode == 1, (done.stdout, done.stderr)
    assert "no call got through (line simulator" in done.stderr
    assert "candor lines list" in done.stderr
    assert done.stderr.count("\n") == 1


# ---------------------------------------------------------------- a home that is not made


@pytest.mark.parametrize(
    ("words", "typed", "cause"),
    [
        (("--company", "x"), "root\nshort\n", "at least 8 characters"),
        (("--company", "x", "--tenant", "No Spaces"), "root\ncorrect horse\n", "tenant"),
        (("--company", "x", "--language", "fr"), "root\ncorrect horse\n", "language"),
        (("--company", "  "), "root\ncorrect horse\n", "company"),
        ((), "", "--company"),
    ],
    ids=["password", "tenant", "language", "blank company", "no company"],
)
def test_a_home_is_made_whole_or_not_at_all(
    tmp_path: Path, words: tuple[str, ...], typed: str, cause: str
) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "console.cli", "init", "--home", str(tmp_path / "home"), *words],
        input=typed,
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "PYTHONWARNINGS": "ignore"},  # a hidden prompt without a terminal
        check=False,
    )
    assert done.returncode == 2, (done.stdout, done.stderr)
    assert cause in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "home").exists()
