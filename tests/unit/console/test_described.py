# SPDX-License-Identifier: GPL-3.0-or-later
"""`candor gate try`: a described call and every rule, without home or database."""

from __future__ import annotations

import json
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from compliance.rules import LINE_RULES, RULES
from console.described import EXAMPLE
from tests.console_home import candor

Change = Callable[[dict[str, Any]], object]


def tried(file: Path, document: object, *options: str) -> tuple[int, dict[str, Any]]:
    file.write_text(document if isinstance(document, str) else json.dumps(document), "utf-8")
    ran = candor("gate", "try", str(file), "--json", *options)
    assert ran.code in (0, 1), ran.err
    return ran.code, json.loads(ran.out)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "call.json"


def changed(change: Change) -> dict[str, Any]:
    document = deepcopy(EXAMPLE)
    change(document)
    return document


def test_the_example_is_permitted_and_every_rule_was_asked(file: Path) -> None:
    code, said = tried(file, candor("gate", "try", "--example").out)
    assert (code, said["permitted"]) == (0, True)
    asked = [finding["rule"] for finding in said["findings"]]
    assert asked == [*(r.name for r in (*RULES, *LINE_RULES)), "no_usable_line"]


@pytest.mark.parametrize(
    ("rule", "change"),
    [
        ("outside_calling_hours", lambda d: d.update(at="2026-11-24T11:30:00+08:00")),
        ("on_a_day_off", lambda d: d.update(at="2026-10-01T10:00:00+08:00")),
        ("no_explicit_consent", lambda d: d.pop("consents")),
        ("preticked_or_vague_consent", lambda d: d["consents"][0].update(preticked=True)),
        ("over_call_cap", lambda d: d["attempts"][0].update(at="2026-11-24T10:00:00+08:00")),
        ("no_usable_line", lambda d: d.pop("lines")),
        ("undeclared_source", lambda d: d["contact"].pop("source")),
    ],
)
def test_what_is_missing_or_forbidden_is_refused_by_name(
    file: Path, rule: str, change: Change
) -> None:
    code, said = tried(file, changed(change))
    assert (code, said["permitted"]) == (1, False)
    assert rule in {finding["rule"] for finding in said["findings"] if not finding["passed"]}


def test_it_says_when_the_call_would_be_allowed(file: Path) -> None:
    _, said = tried(file, changed(lambda d: d.update(at="2026-11-24T11:30:00+08:00")))
    assert said["earliest"] == "2026-11-24T06:30:00+00:00"


def test_a_stricter_law_is_joined_to_the_first(file: Path) -> None:
    document = changed(lambda d: d.pop("profiles"))
    assert tried(file, document, "--profile", "cn_seed")[0] == 0
    code, said = tried(file, document, "--profile", "cn_seed", "--profile", "uk")
    assert code == 1
    refusing = {finding["rule"] for finding in said["findings"] if not finding["passed"]}
    assert "registry_not_looked_up" in refusing


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ("{", "is not JSON"),
        ("[]", "must be a JSON object"),
        ('{"a": 1}', "a: is not a field of the request"),
        (json.dumps(changed(lambda d: d.pop("script"))), "script: is missing"),
        (json.dumps(changed(lambda d: d.update(at=7))), "must be an ISO 8601 time"),
        (json.dumps(changed(lambda d: d.update(at="noon"))), "is no time"),
        (json.dumps(changed(lambda d: d.update(profiles="uk"))), "must be a list"),
        (json.dumps(changed(lambda d: d.update(profiles=["nowhere"]))), "nowhere"),
        (json.dumps(changed(lambda d: d["contact"].update(number="12"))), "phone:"),
    ],
)
def test_a_bad_description_is_told_by_field(document: str, words: str, file: Path) -> None:
    file.write_text(document, "utf-8")
    ran = candor("gate", "try", str(file))
    assert (ran.code, ran.out) == (2, "")
    assert words in ran.err
