# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import hashlib
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from compliance.errors import ScriptError, SpeechError
from tests.unit.voicebot.builders import EXAMPLES, ToneSynthesizer
from voicebot.normalise import number_zh, speakable
from voicebot.prompts import (
    PAUSE_MS,
    START_LATENCY_MS,
    TAIL_MS,
    PromptCache,
    render_script,
    shape,
)
from voicebot.script import load
from voicebot.tts import PyttsxSynthesizer

SCRIPT = load(EXAMPLES / "script.zh.yaml")


def tone(level: float, silence_ms: int = 300, rate: int = 22050) -> bytes:
    wave = level * 32767 * np.sin(2 * np.pi * 440 * np.arange(rate) / rate)
    quiet = np.zeros(rate * silence_ms // 1000)
    return np.concatenate([quiet, wave, quiet]).astype("<i2").tobytes()


@pytest.mark.parametrize("level", [0.01, 0.1, 0.99])
def test_shaping_trims_levels_and_never_clips(level: float) -> None:
    pcm = np.frombuffer(shape([(tone(level), 22050)]), "<i2").astype(float) / 32768
    assert abs(len(pcm) - 8000) <= 160
    assert 20 * np.log10(np.sqrt(np.mean(pcm**2))) == pytest.approx(-20, abs=0.3)
    assert np.abs(pcm).max() < 0.98


def test_peaky_audio_is_not_clipped_to_reach_the_level() -> None:
    spikes = np.full(22050, 30, dtype="<i2")
    spikes[::2000] = 32000
    pcm = np.abs(np.frombuffer(shape([(spikes.tobytes(), 22050)]), "<i2").astype(int))
    assert pcm.max() <= 32767 * 0.98


@pytest.mark.parametrize(
    "chunks", [[], [(bytes(44100), 22050)], [(b"\1\0", 8000), (b"\1\0", 16000)]]
)
def test_no_audio_is_an_error(chunks: list[tuple[bytes, int]]) -> None:
    with pytest.raises(SpeechError):
        shape(chunks)


def test_rendering_measures_the_disclosure_and_pauses_between_prompts() -> None:
    rendered = render_script(SCRIPT, PromptCache(None, ToneSynthesizer()))
    disclosure = rendered.prompts["disclosure"]
    assert rendered.disclosure_end_ms == START_LATENCY_MS + disclosure.audible[1] // 8
    assert disclosure.samples - disclosure.audible[1] == 8 * PAUSE_MS
    farewell = rendered.prompts["line.refusal"]
    assert farewell.samples - farewell.audible[1] == 8 * TAIL_MS
    assert not any(disclosure.pcm[2 * disclosure.audible[1] :])


def test_cache_is_read_back_and_repairs_damage(tmp_path: Path) -> None:
    first, second, third = ToneSynthesizer(), ToneSynthesizer(), ToneSynthesizer()
    rendered = render_script(SCRIPT, PromptCache(tmp_path, first))
    assert render_script(SCRIPT, PromptCache(tmp_path, second)) == rendered
    assert second.calls == []
    files = sorted(tmp_path.iterdir())
    assert len(files) == len(set(first.calls))
    files[0].write_bytes(files[0].read_bytes()[:-2])
    assert render_script(SCRIPT, PromptCache(tmp_path, third)) == rendered
    assert len(third.calls) == 1


def test_contact_values_never_reach_the_disk(tmp_path: Path) -> None:
    prompts = tuple(
        p.evolve(text="{name}您好。") if p.id == "node.ask" else p for p in SCRIPT.prompts
    )
    script = SCRIPT.evolve(prompts=prompts)
    synthesizer = ToneSynthesizer()
    cache = PromptCache(tmp_path, synthesizer)
    rendered = render_script(script, cache, {"name": "甲乙丙"})
    assert rendered.prompts["node.ask"].text == "甲乙丙您好。"
    private = [c for c in synthesizer.calls if "甲乙丙" in c]
    assert len(private) == 1
    assert len(list(tmp_path.iterdir())) == len(set(synthesizer.calls)) - 1
    other = render_script(script, cache, {"name": "丁"})
    assert other.audio_digest == rendered.audio_digest  # approval covers the words, not the names
    with pytest.raises(ScriptError, match="name"):
        render_script(script, cache, {})
    shared = render_script(script, cache)  # as it is approved: without any contact
    assert (shared.get("node.ask"), shared.audio_digest) == (None, rendered.audio_digest)


def test_audio_digest_follows_the_audio() -> None:
    class Louder(ToneSynthesizer):
        def synthesize(self, text: str, voice: str, rate: int) -> Iterable[tuple[bytes, int]]:
            return super().synthesize(text + "。", voice, rate)

    plain = render_script(SCRIPT, PromptCache(None, ToneSynthesizer()))
    longer = render_script(SCRIPT, PromptCache(None, Louder()))
    assert plain.script_digest == longer.script_digest
    assert plain.audio_digest != longer.audio_digest


# ---------------------------------------------------------------- the real synthesizer


@pytest.fixture(scope="module")
def synthesizer() -> Iterable[PyttsxSynthesizer]:
    with PyttsxSynthesizer() as made:
        yield made


@pytest.mark.parametrize("language", ["zh", "en"])
def test_demo_scripts_speak_in_time(language: str, synthesizer: PyttsxSynthesizer) -> None:
    rendered = render_script(
        load(EXAMPLES / f"script.{language}.yaml"), PromptCache(None, synthesizer)
    )
    assert rendered.disclosure_end_ms <= 2700  # S1 with room for the network
    assert rendered.opening_ms <= 16_000
    assert rendered.prompts["line.refusal"].samples <= 8 * 900 * (1 if language == "zh" else 1.2)


def test_same_words_give_the_same_audio_on_a_busy_machine(
    synthesizer: PyttsxSynthesizer,
) -> None:
    """The sign-off binds to bytes (G5); pyttsx3's driver used to move them under load."""
    spin = [sys.executable, "-c", "while True: pass"]
    busy = [subprocess.Popen(spin) for _ in range(4)]
    try:
        with PyttsxSynthesizer() as other:
            for text in ("好的，再见。", "您好，我是机器人，星辰公司的。"):
                digests = {
                    hashlib.sha256(pcm).hexdigest()
                    for engine in (synthesizer, other)
                    for _ in range(6)
                    for pcm, _rate in engine.synthesize(text, "sit/cmn", 240)
                }
                assert len(digests) == 1
    finally:
        for process in busy:
            process.kill()
            process.wait()


def test_rate_is_obeyed_from_the_first_prompt_on() -> None:
    with PyttsxSynthesizer() as fresh:
        ((fast, rate),) = fresh.synthesize("这次来电是介绍会员服务。", "sit/cmn", 260)
        ((slow, _),) = fresh.synthesize("这次来电是介绍会员服务。", "sit/cmn", 130)
    assert rate == 22050
    assert 1.7 < len(slow) / len(fast) < 2.3


def test_unknown_voice_is_an_error_and_the_next_prompt_works(
    synthesizer: PyttsxSynthesizer,
) -> None:
    with pytest.raises(SpeechError, match="voice"):
        synthesizer.synthesize("好", "no/such-voice", 200)
    assert synthesizer.synthesize("好", "sit/cmn", 200)


def test_killed_synthesizer_comes_back(synthesizer: PyttsxSynthesizer) -> None:
    synthesizer.synthesize("好", "sit/cmn", 200)
    assert synthesizer._child is not None
    synthesizer._child.kill()
    synthesizer._child.wait()
    assert synthesizer.synthesize("好", "sit/cmn", 200)


# ---------------------------------------------------------------- numbers


@pytest.mark.parametrize(
    ("written", "spoken"),
    [
        ("0", "零"), ("10", "十"), ("12", "十二"), ("20", "二十"), ("101", "一百零一"),
        ("110", "一百一十"), ("1000", "一千"), ("1010", "一千零一十"), ("10000", "一万"),
        ("10203", "一万零二百零三"), ("100000", "十万"), ("2000000", "二百万"),
        ("100000001", "一亿零一"), ("120050", "十二万零五十"),
    ],
)  # fmt: skip
def test_numbers_in_mandarin(written: str, spoken: str) -> None:
    assert number_zh(written) == spoken


@pytest.mark.parametrize(
    ("written", "spoken"),
    [
        ("2026年11月24日", "二零二六年十一月二十四日"),
        ("2026-11-24", "二零二六年十一月二十四日"),
        ("请拨13912345678", "请拨幺三九幺二三四五六七八"),
        ("热线400-123-4567", "热线四零零幺二三四五六七"),
        ("客服10086", "客服幺零零八六"),
        ("¥2,000,000", "二百万元"),
        ("￥3.50", "三点五零元"),
        ("12%", "百分之十二"),
        ("气温-5度", "气温负五度"),
        ("3/4", "四分之三"),
        ("12:30见", "十二点三十分见"),
        ("9:05", "九点零五分"),
        ("2次", "两次"),
        ("12次", "十二次"),
        ("没有数字<b>", "没有数字b"),
    ],
)
def test_figures_in_mandarin(written: str, spoken: str) -> None:
    assert speakable(written, "zh") == spoken


@pytest.mark.parametrize(
    ("written", "spoken"),
    [
        ("call 555 123 4567", "call 5, 5, 5, 1, 2, 3, 4, 5, 6, 7"),
        ("$12.50", "12 dollars and 50 cents"),
        ("$1,200", "1200 dollars"),
        ("5%", "5 percent"),
        ("you & me", "you and me"),
    ],
)
def test_figures_in_english(written: str, spoken: str) -> None:
    assert speakable(written, "en") == spoken


@given(st.text(alphabet="0123456789.,:/-%¥￥元年月日次点 您", max_size=30))
def test_no_digit_is_left_in_mandarin(text: str) -> None:
    assert not any(c in "0123456789" for c in speakable(text, "zh"))
