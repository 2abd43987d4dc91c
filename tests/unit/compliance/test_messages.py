# SPDX-License-Identifier: GPL-3.0-or-later
"""Every message id of compliance has a sentence in both languages, with the same placeholders."""

from __future__ import annotations

import ast
import string

import pytest

from compliance import callcheck, disclosure, errors, gate, wording
from compliance.calendar import UnknownYear
from compliance.errors import CandorError
from compliance.gate import recheck
from compliance.rules import LINE_RULES, RULES
from tests.unit.compliance.builders import DATA, allowed_request
from tests.unit.compliance.test_rules import CASES, Case


def catalogue(language: str) -> dict[str, str]:
    """msgid -> msgstr of a PO file of single-line entries."""
    found: dict[str, str] = {}
    name = ""
    for text in (DATA / "messages" / f"{language}.po").read_text("utf-8").splitlines():
        if text.startswith("msgid "):
            name = ast.literal_eval(text.removeprefix("msgid "))
            assert name not in found, f"{name} twice"
        elif text.startswith("msgstr ") and name:
            found[name] = ast.literal_eval(text.removeprefix("msgstr "))
    return found


ZH, EN = catalogue("zh"), catalogue("en")


def used() -> set[str]:
    ids = {message for rule in (*RULES, *LINE_RULES) for message in rule.message_ids}
    ids |= {*gate.MESSAGE_IDS, *disclosure.MESSAGE_IDS, *wording.MESSAGE_IDS}
    ids |= {*callcheck.MESSAGE_IDS}
    for kind in (*vars(errors).values(), UnknownYear):
        if isinstance(kind, type) and issubclass(kind, CandorError):
            ids.add(kind.message_id)
    return ids


def placeholders(sentence: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(sentence) if name is not None}


def test_both_languages_have_exactly_the_ids_in_use() -> None:
    assert set(ZH) == used()
    assert set(EN) == used()


def test_every_sentence_says_something_in_its_own_language() -> None:
    assert all(ZH.values())
    assert all(EN.values())
    han = [name for name, text in ZH.items() if not any("\u4e00" <= c <= "\u9fff" for c in text)]
    assert han == []
    assert [name for name, text in EN.items() if any(c >= "\u4e00" for c in text)] == []


@pytest.mark.parametrize("name", sorted(EN))
def test_both_sentences_have_the_same_placeholders(name: str) -> None:
    assert placeholders(ZH[name]) == placeholders(EN[name])


@pytest.mark.parametrize("case", CASES, ids=str)
def test_every_refusal_fills_its_sentence_and_tells_no_number(case: Case) -> None:
    for finding in recheck(case.request, case.rulebook, case.at).refusing:
        for sentences in (ZH, EN):
            said = sentences[finding.message].format(**dict(finding.params))
            assert case.request.contact.number.e164 not in said
            assert "{" not in said


def test_a_passing_rule_says_what_it_forbids() -> None:
    for finding in recheck(allowed_request(), CASES[0].rulebook, CASES[0].at).findings:
        assert EN[finding.message].startswith("Forbids:")
        assert ZH[finding.message].startswith("禁止：")
