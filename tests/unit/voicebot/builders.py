# SPDX-License-Identifier: GPL-3.0-or-later
"""A synthesizer of tones, and scripts rendered with it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import numpy as np

from compliance.clock import VirtualClock
from dialer.policies import word_check
from dialer.settings import PolicySettings
from voicebot.prompts import PromptCache, RenderedScript, render_script
from voicebot.script import load
from voicebot.words import WordCheck

EXAMPLES = Path(__file__).parents[3] / "examples" / "demo"


class ToneSynthesizer:
    """130 ms of tone a letter at 22050 Hz between 100 ms silences; implements ``Synthesizer``."""

    id = "tone"

    def __init__(self) -> None:
        self.calls: list[str] = []

    def synthesize(self, text: str, voice: str, rate: int) -> Iterable[tuple[bytes, int]]:
        self.calls.append(text)
        count = int(22050 * 0.13 * len(text))
        tone = 3000 * np.sin(2 * np.pi * 300 * np.arange(count) / 22050)
        silence = np.zeros(2205)
        audio = np.concatenate([silence, tone, silence]).astype("<i2").tobytes()
        yield audio[:20000], 22050
        yield audio[20000:], 22050


def rendered(language: str = "zh") -> RenderedScript:
    return render_script(
        load(EXAMPLES / f"script.{language}.yaml"), PromptCache(None, ToneSynthesizer())
    )


@cache
def words(language: str = "zh", industry: str = "finance") -> WordCheck:
    return word_check(language, PolicySettings(industry=industry))


def clock() -> VirtualClock:
    return VirtualClock(datetime(2026, 11, 24, 2, 0, tzinfo=UTC))
