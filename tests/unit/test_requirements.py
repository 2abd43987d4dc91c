# SPDX-License-Identifier: GPL-3.0-or-later
"""docs/requirements.md names every requirement, and rules, commands and files that exist."""

from __future__ import annotations

import re
from pathlib import Path

from compliance.rules import LINE_RULES, RULES
from tests.unit.console.test_commands import COMMANDS

ROOT = Path(__file__).resolve().parents[2]
DOCUMENT = (ROOT / "docs" / "requirements.md").read_text("utf-8")
ROWS = {row[1]: row[0] for row in re.finditer(r"^\| ([A-Z]\d+b?) \|.*$", DOCUMENT, re.M)}
LAST = {"D": 14, "S": 14, "C": 7, "T": 6, "V": 4, "G": 6, "P": 7}
RULE_NAMES = {rule.name for rule in (*RULES, *LINE_RULES)}


def test_every_requirement_has_its_row() -> None:
    every = {f"{letter}{n}" for letter, last in LAST.items() for n in range(1, last + 1)}
    assert set(ROWS) == every | {"C4b"}


def test_every_rule_command_and_file_named_exists() -> None:
    for name in re.findall(r"`candor ([a-z -]+)`", DOCUMENT):
        assert name in COMMANDS, name
    for path in re.findall(r"`([a-z]+/[a-z_]+\.py)`", DOCUMENT):
        assert (ROOT / path).is_file(), path
    for row in ROWS.values():
        for gate in re.findall(r"Gate ((?:`[a-z0-9_]+`(?:, )?)+)", row):
            for rule in re.findall(r"`([a-z0-9_]+)`", gate):
                assert rule in RULE_NAMES, rule


def test_every_rule_of_the_gate_keeps_a_requirement_that_is_asked() -> None:
    for rule in (*RULES, *LINE_RULES):
        assert rule.requirement in ROWS, rule.name


def test_every_requirement_is_tested_by_name() -> None:
    """Where one fails, a search for its id finds the test that held it."""
    text = "\n".join(
        path.read_text("utf-8")
        for path in (ROOT / "tests").rglob("*.py")
        if path.name != "test_requirements.py"
    )
    untested = {
        found
        for found, row in ROWS.items()
        if not re.search(rf"\b{found}\b", text) and "**Open" not in row
    }
    assert not untested, sorted(untested)
