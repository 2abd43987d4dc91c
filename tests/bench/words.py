# SPDX-License-Identifier: GPL-3.0-or-later
"""The wording check of a sentence, beside the plain scan over the same words."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

from compliance.wording import lint
from dialer.policies import word_check
from dialer.settings import PolicySettings
from tests.bench.figures import Figure, Sizes, timed
from tests.unit.voicebot import ordinary

_LENGTH = 200  # characters of a sentence
_BUILD = """
import time
from dialer.policies import word_check
from dialer.settings import PolicySettings
began = time.perf_counter()
word_check("zh", PolicySettings(industry="finance"))
print(time.perf_counter() - began)
"""


def measure(_folder: Path, _sizes: Sizes) -> list[Figure]:
    figures = []
    for language, texts in (("zh", ordinary.ZH), ("en", ordinary.EN)):
        words = word_check(language, PolicySettings(industry="finance"))
        whole = " ".join(texts)
        sentences = [whole[at : at + _LENGTH] for at in range(0, len(whole) - _LENGTH, _LENGTH)]
        fast, runs = _each_us(sentences, words.findings)
        plain = partial(lint, lexicon=words.lexicon, industry=words.industry)
        slow, _ = _each_us(sentences, plain)
        beside = f"plain scan of the same words {slow:,.0f} µs"
        figures.append(
            Figure(f"wording of {_LENGTH} characters, {language}", fast, "µs", runs, beside)
        )
    command = [sys.executable, "-c", _BUILD]
    built = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    figures.append(Figure("wording, first check of a process, zh", 1000 * float(built), "ms", 1))
    return figures


def _each_us(sentences: list[str], check: Callable[[str], object]) -> tuple[float, int]:
    """Microseconds for each sentence, after warm-up, and how many were checked."""
    rounds = max(1, 1000 // len(sentences))
    for sentence in sentences:
        check(sentence)
    with timed() as lap:
        for _ in range(rounds):
            for sentence in sentences:
                check(sentence)
    runs = rounds * len(sentences)
    return 1e6 * lap.seconds / runs, runs
