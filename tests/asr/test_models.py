# SPDX-License-Identifier: GPL-3.0-or-later
"""The model folders: size, calibration, origin."""

from __future__ import annotations

import hashlib
import json
import tomllib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
MODELS = ROOT / "voicebot" / "models"
VOICES = ROOT / "tools" / "asr_demo_model" / "voices.json"
LARGEST = 5_000_000  # bytes
pytestmark = pytest.mark.parametrize("language", ["zh", "en"])


def provenance(language: str) -> dict[str, Any]:
    text = (MODELS / f"{language}-demo" / "provenance.json").read_text(encoding="utf-8")
    facts: dict[str, Any] = json.loads(text)
    return facts


def test_size(language: str) -> None:
    files = [p for p in (MODELS / f"{language}-demo").rglob("*") if p.is_file()]
    assert 1_000_000 < sum(path.stat().st_size for path in files) <= LARGEST


def test_calibration(language: str) -> None:
    text = (MODELS / f"{language}-demo" / "calibration.toml").read_text(encoding="utf-8")
    values = tomllib.loads(text)
    confidences = [
        values.pop(name) for name in ("min_confidence", "refusal_confidence", "partial_confidence")
    ]
    assert all(isinstance(value, float) and 0 < value < 1 for value in confidences)
    assert confidences == sorted(confidences)
    assert values == {
        "schema": 1,
        "language": language,
        "sample_rate": 8000,
        "joiner": {"zh": "", "en": " "}[language],
        "ignore": ["[unk]"],
    }


def test_no_held_out_voice_was_trained_on(language: str) -> None:
    lists = json.loads(VOICES.read_text(encoding="utf-8"))
    facts = provenance(language)
    assert facts["voices_trained_on"]
    assert not set(facts["voices_trained_on"]) & set(lists["held_out"])
    assert set(facts["voices_held_out"]) == set(lists["held_out"])
    assert set(lists["simulator"]) <= set(lists["held_out"])


def test_files_are_the_ones_built(language: str) -> None:
    for name, digest in provenance(language)["sha256"].items():
        content = (MODELS / f"{language}-demo" / name).read_bytes()
        assert hashlib.sha256(content).hexdigest() == digest, name


def test_card_says_what_the_model_is_for(language: str) -> None:
    card = (MODELS / f"{language}-demo" / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert "says nothing about human speech" in card
    assert "candor models install" in card
