# SPDX-License-Identifier: GPL-3.0-or-later
"""Both languages say the same things, and every outcome has words."""

from __future__ import annotations

import string

import pytest

from compliance.facts import Blame, Finding, Outcome
from compliance.profiles import PERIODS
from console.messages import LANGUAGES, finding_text, ids, text


def fields(template: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(template) if name}


def test_both_catalogues_hold_the_same_ids_and_placeholders() -> None:
    assert set(ids("zh")) == set(ids("en"))
    for message in ids("zh"):
        assert fields(text(message, "zh")) == fields(text(message, "en")), message


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_outcome_and_blame_has_words(language: str) -> None:
    for outcome in Outcome:
        assert text(f"outcome.{outcome}", language) != f"outcome.{outcome}"
    for blame in Blame:
        assert text(f"blame.{blame}", language) != f"blame.{blame}"


def test_a_finding_names_its_period_in_words() -> None:
    params = (("cap", "1"), ("per", "hour"), ("window", "rolling"), ("free", "10:00"))
    finding = Finding("over_call_cap", "C4", False, "rule.over_call_cap.reached", params)
    assert "每小时" in finding_text(finding, "zh")
    for per in PERIODS:
        for window in ("rolling", "calendar"):
            said = finding.evolve(params=(*params[:1], ("per", per), ("window", window), params[3]))
            assert not set(finding_text(said, "zh")) & set("abcdefghijklmnopqrstuvwxyz")


def test_placeholders_are_filled() -> None:
    assert "7" in text("demo.import", "en", accepted=7)


def test_an_unknown_id_shows_itself() -> None:
    assert text("no.such.id", "zh") == "no.such.id"
