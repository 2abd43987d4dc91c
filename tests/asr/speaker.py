# SPDX-License-Identifier: GPL-3.0-or-later
"""Speaks the test utterances: ``python -m tests.asr.speaker zh FILE.npz``.

A process of its own, because libespeak keeps its state in globals and may crash.
"""

from __future__ import annotations

import random
import sys
from pathlib import Path

import numpy as np

from tools.asr_demo_model.augment import Channel, coloured_noise, g711, rms, transmit
from tools.asr_demo_model.corpus import Corpus, load
from tools.asr_demo_model.espeak import Espeak, Voice
from tools.asr_demo_model.nonspeech import cadence, dtmf, special_information
from tools.asr_demo_model.synthesis import at_8khz
from tools.asr_demo_model.voices import HELD_OUT

CONDITIONS = {"clean": ("none", 0.0), "20dB": ("white", 20.0)}
ANNOUNCEMENTS = {
    "zh": {
        "关机": "您拨打的电话已关机",
        "空号": "您拨打的号码是空号请核对后再拨",
        "停机": "您拨打的电话已停机",
        "通话中": "您拨打的用户正在通话中请稍后再拨",
        "无法接通": "您拨打的用户暂时无法接通",
        "服务区": "您拨打的用户不在服务区",
        "留言": "您好我现在不方便接听电话请在嘀声后留言",
    },
    "en": {
        "not in service": "the number you have dialed is not in service",
        "powered off": "the subscriber you have dialed is powered off",
        "not available": "the person you are calling is not available",
        "line is busy": "the line is busy please try again later",
        "leave a message": "please leave a message after the tone",
    },
}
DIGITS = {
    "zh": ["一二三四", "五六七八", "九零幺三", "八六二零"],
    "en": ["one two three", "four five six", "seven eight nine", "zero three one"],
}


def _texts(corpus: Corpus, rng: random.Random) -> dict[str, list[str]]:
    groups = rng.sample(corpus.groups, 50)
    refusals = [
        corpus.text(words)
        for words, intent in corpus.phrases.items()
        if intent == "refusal" and corpus.is_refusal(corpus.text(words))
    ]
    return {
        "phrases": [corpus.text(rng.choice(variants)) for _, variants in groups],
        "refusals": rng.sample(refusals, 40),
        "foreign": list(corpus.foreign[:40]),
        "announcements": list(ANNOUNCEMENTS[corpus.language].values()) * 3,
        "digits": DIGITS[corpus.language] * 3,
    }


def _sounds(rng: random.Random) -> list[np.ndarray]:
    count = 5 * 8000
    sounds = [cadence(name, count) for name in ("ringback-cn", "busy-cn", "ringback-us", "busy-us")]
    sounds += [cadence("congestion-cn", count), special_information(count), dtmf(10, rng)]
    sounds += [coloured_noise(kind, count, rng) for kind in ("white", "pink")]
    heard = [g711(sound / rms(sound) * 1500, "a") for sound in sounds]
    return [*heard, np.zeros(count, np.int16)]


def main(language: str, path: Path) -> None:
    """Write the samples of every set as ``set/condition/index/text``."""
    rng = random.Random(2024)
    corpus, espeak = load(language), Espeak()
    arrays = {f"sounds/clean/{k}/": sound for k, sound in enumerate(_sounds(rng))}
    for kind, texts in _texts(corpus, rng).items():
        for index, text in enumerate(texts):
            variant = HELD_OUT[index % len(HELD_OUT)]
            rate = rng.choice([130, 150, 170, 190, 200])
            voice = Voice(f"{corpus.plain_voice}+{variant}", rate, rng.choice([40, 50, 60]))
            audio = at_8khz(espeak.speak(text, voice), espeak.sample_rate)
            for condition, (noise, snr) in CONDITIONS.items():
                if condition != "clean" and (kind in ("announcements", "digits") or index % 2):
                    continue  # half of the sentences, to keep the test short
                channel = Channel(0.3, 0.6, noise, snr, -20.0, False, rng.choice("ua"))
                samples = transmit(audio, channel, [], rng)
                arrays[f"{kind}/{condition}/{index}/{text}"] = samples
    np.savez(path, allow_pickle=False, **arrays)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
