# SPDX-License-Identifier: GPL-3.0-or-later
"""Which voice variants are trained on and which are kept for measuring."""

from __future__ import annotations

import json
import random
from pathlib import Path

from .corpus import Corpus
from .espeak import Voice, variants

_LISTS: dict[str, list[str]] = json.loads(
    Path(__file__).with_name("voices.json").read_text(encoding="utf-8")
)
HELD_OUT = tuple(_LISTS["held_out"])
SIMULATOR = tuple(_LISTS["simulator"])
EXCLUDED = tuple(_LISTS["excluded"])

_PLAIN_SHARE = 0.08  # of the training utterances: the voice the platform itself speaks with


def trained() -> list[str]:
    """Variants the models are trained on: all that are neither held out nor excluded."""
    return [name for name in variants() if name not in HELD_OUT and name not in EXCLUDED]


def training_voice(corpus: Corpus, rng: random.Random) -> Voice:
    """A random way to speak, never with a held-out variant."""
    rate = rng.choice([110, 125, 135, 150, 160, 170, 180, 190, 200, 210, 225, 240])
    gap = rng.choice([0, 0, 0, 0, 1, 3])
    if rng.random() < _PLAIN_SHARE:
        return Voice(corpus.plain_voice, rate, rng.choice([40, 50, 60]), 50, gap)
    name = f"{rng.choice(corpus.voices)}+{rng.choice(trained())}"
    pitch = rng.choice([20, 30, 40, 50, 60, 70, 80])
    return Voice(name, rate, pitch, rng.choice([30, 50, 70]), gap)


def test_voice(corpus: Corpus, rng: random.Random) -> Voice:
    """A random way to speak with a held-out variant."""
    name = f"{corpus.plain_voice}+{rng.choice(HELD_OUT)}"
    rate = rng.choice([130, 145, 160, 175, 190, 200])
    return Voice(name, rate, rng.choice([35, 50, 65]), rng.choice([40, 50, 60]))
