# SPDX-License-Identifier: GPL-3.0-or-later
"""Every command is documented, has an example, and prints data for programs too."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from compliance.facts import Role
from console.cli import app
from tests.console_home import CAMPAIGN, ConsoleHome, candor

DOCUMENT = (Path(__file__).parents[3] / "docs" / "commands.md").read_text("utf-8")
# These print a sentence or a file, or hand over to another program.
NO_DATA = {
    "init", "login", "dial", "demo", "sim", "person add", "script submit", "script approve",
    "lines add", "campaign create", "campaign start", "campaign pause", "campaign stop",
    "agents add", "agents on", "agents off", "callbacks close", "ledger export", "ledger key",
    "models install", "keys new", "keys passphrase", "keys retire",
    "hold lift", "audit answer", "duty close", "calls note",
    "complaint assign", "complaint answer", "complaint remedy", "complaint close", "case note",
    "case close", "campaign purpose",
    "papers open", "papers withdraw", "partners add", "purposes add", "purposes end",
    "suppliers add", "suppliers assign", "suppliers note", "assessment confirm",
    "numbers rest", "numbers release", "numbers limit", "numbers case",
}  # fmt: skip


def registered(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    inner = getattr(command, "commands", None)
    if not inner:
        yield " ".join(path), command
        return
    for name, sub in inner.items():
        yield from registered(sub, (*path, name))


COMMANDS = dict(registered(get_command(app)))


def test_the_commands_are_found() -> None:
    assert {"init", "dial", "replay", "doctor", "campaign status", "ledger verify"} <= set(COMMANDS)


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_is_documented_and_has_an_example(name: str) -> None:
    assert f"`candor {name}`" in DOCUMENT
    if name != "sim":
        assert f"Example: candor {name.split()[0]}" in COMMANDS[name].help


def test_every_documented_command_exists() -> None:
    for written in re.findall(r"^\| `candor ([a-z -]+)`", DOCUMENT, re.M):
        assert written in COMMANDS, written


@pytest.mark.parametrize("name", sorted(set(COMMANDS) - NO_DATA))
def test_what_prints_data_prints_it_as_json_too(name: str) -> None:
    assert any("--json" in parameter.opts for parameter in COMMANDS[name].params)


@pytest.mark.parametrize("name", sorted(set(COMMANDS) - {"sim"}))  # whose help is its own
def test_help_leaves_with_zero(name: str) -> None:
    ran = candor(*name.split(), "--help")
    assert (ran.code, ran.err) == (0, "")
    assert "--home" in ran.out or name in {"demo", "keys new", "gate try"}


def test_unknown_words_are_told_with_exit_code_two() -> None:
    for words in (("calls", "lst"), ("campaign", "status", "x", "--jsn"), ("nonsense",)):
        ran = candor(*words)
        assert ran.code == 2
        assert "Traceback" not in ran.err


def test_person_name_is_short_for_person_add() -> None:
    ran = candor("person", "li", "--help")
    assert ran.code == 0
    assert "--role" in ran.out


# ---------------------------------------------------------------- lists


def test_nobody_signed_in_sees_nothing(calls: ConsoleHome) -> None:
    for words in (
        ("calls", "list", CAMPAIGN),
        ("calls", "show", calls.accepted),
        ("campaign", "list"),
        ("campaign", "status", CAMPAIGN),
        ("lines", "list"),
        ("script", "list"),
        ("person", "list"),
        ("ledger", "checkpoint"),
        ("ledger", "verify"),
        ("replay", calls.accepted, "--reason", "audit"),
    ):
        ran = calls.candor(*words)
        assert (ran.code, ran.out) == (3, ""), words
        assert "candor login" in ran.err


def test_people_are_listed_for_those_who_answer_for_them(calls: ConsoleHome) -> None:
    calls.sign_in(Role.COMPLIANCE)
    listed = calls.candor("person", "list", "--json").data
    assert {tuple(person["roles"]) for person in listed} == {(str(role),) for role in calls.people}
    assert "auditor" in calls.candor("person", "list").out
    calls.sign_in(Role.OPERATOR)
    assert calls.candor("person", "list").code == 3


def test_lines_with_their_papers(calls: ConsoleHome) -> None:
    calls.language("en")
    calls.sign_in(Role.OPERATOR)
    (line,) = calls.candor("lines", "list", "--json").data
    assert (line["line"], line["enabled"], line["missing"]) == ("simulator", True, [])
    paper = line["papers"]["plaintext"]
    assert (paper["days_left"], paper["needed"]) == (10, True)
    assert line["papers"]["whitelist"] == {"until": None, "days_left": None, "needed": False}
    assert "(10 days)" in calls.candor("lines", "list").out


def test_calls_of_every_campaign_are_listed_where_none_is_named(calls: ConsoleHome) -> None:
    calls.sign_in(Role.OPERATOR)
    whole = calls.candor("calls", "list", "--json").data
    assert whole == calls.candor("calls", "list", CAMPAIGN, "--json").data != []
    asked = {"id", "campaign", "contact", "line", "outcome", "blame", "sip_status", "answered_at"}
    asked |= {"disclosed_ms", "refused", "transferred", "duration_ms", "recording"}
    assert all(asked | {"ledger_index", "feedback"} <= set(call) for call in whole)


def test_a_checkpoint_on_request(calls: ConsoleHome) -> None:
    calls.sign_in(Role.AUDITOR)
    before = len(calls.kinds())
    first = calls.candor("ledger", "checkpoint", "--json").data
    assert first["size"] == before + 1  # the request itself
    assert re.fullmatch("[0-9a-f]{64}", first["root"])
    assert first["anchors_behind"] == []
    assert len(list((calls.root / "anchors").glob("*.note"))) == 1
    assert str(first["size"] + 1) in calls.candor("ledger", "checkpoint").out
    calls.sign_in(Role.AUTHOR)
    assert calls.candor("ledger", "checkpoint").code == 3


def test_the_homes_own_ledger_is_verified_with_its_recordings(
    calls: ConsoleHome, capfd: pytest.CaptureFixture[str]
) -> None:
    calls.sign_in(Role.AUDITOR)
    assert calls.candor("ledger", "verify").code == 0
    told = capfd.readouterr().out
    assert told.startswith("VALID")
    assert "7 sealed objects compared" in told
    assert calls.candor("ledger", "verify", "--json").code == 0
    victim = next(p for p in (calls.root / "objects").rglob("*") if p.is_file())
    victim.write_bytes(victim.read_bytes()[:-1])
    assert calls.candor("ledger", "verify").code == 1
    assert "altered" in capfd.readouterr().out
