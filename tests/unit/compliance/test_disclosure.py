# SPDX-License-Identifier: GPL-3.0-or-later
"""Robot word first and in time, then purpose, notice and way out, on what was really heard."""

from __future__ import annotations

import pytest

from compliance.disclosure import check_script_order, check_transcript, robot_word_first
from compliance.facts import Speaker, TranscriptLine

GOOD = (
    ("disclosure", "您好，我是机器人，星辰公司的。", 0, 2600),
    ("purpose", "这次来电是介绍会员服务，大约一分钟。", 2700, 5500),
    ("recording_notice", "为保障服务质量，本次通话会录音。", 5600, 8000),
    ("way_out", "不需要请按一，需要人工请说转人工。", 8100, 11000),
    ("question", "请问您需要吗？", 11100, 12500),
)
ORDER = ("disclosure", "purpose", "recording_notice", "way_out")


def call(*parts: tuple[str, str, int, int]) -> list[TranscriptLine]:
    lines = [TranscriptLine(Speaker.BOT, text, s, e, mark=mark) for mark, text, s, e in parts]
    return [*lines, TranscriptLine(Speaker.CALLEE, "嗯", 1000, 1200)]


def faults(lines: list[TranscriptLine], **options: object) -> set[tuple[str, str]]:
    findings = check_transcript(lines, **options)  # type: ignore[arg-type]
    assert [f.params[0][1] for f in findings] == list(ORDER)
    return {
        (f.requirement, f.message.removeprefix("disclosure.")) for f in findings if not f.passed
    }


def changed(mark: str, text: str = "", **times: int) -> list[TranscriptLine]:
    return [
        line.evolve(**({"text": text} if text else {}), **times) if line.mark == mark else line
        for line in call(*GOOD)
    ]


def test_a_good_opening_passes() -> None:
    assert faults(call(*GOOD), company="星辰公司") == set()


@pytest.mark.parametrize(
    ("lines", "fault"),
    [
        (call(*GOOD[1:]), ("S1", "missing")),
        (changed("disclosure", end_ms=3001), ("S1", "late")),
        (changed("disclosure", "您好，这里是星辰公司智能客服机器人。"), ("S1", "no_robot_word")),
        (changed("disclosure", "您好，我是机器人。"), ("S1", "no_company")),
        (changed("disclosure", interrupted_at_ms=900), ("S1", "cut_off")),
        (changed("disclosure", start_ms=12600, end_ms=13000), ("S1", "not_first")),
        (changed("purpose", "这次来电是介绍会员服务。"), ("S3", "no_length")),
        (changed("recording_notice", "为保障服务质量。"), ("S4", "no_notice")),
        (changed("recording_notice", interrupted_at_ms=6000), ("S4", "cut_off")),
        (changed("way_out", "需要人工请说转人工。"), ("S10", "no_key")),
        (changed("way_out", "不需要请按10键或按1键。"), ("S10", "no_person")),
        (changed("way_out", start_ms=12600, end_ms=13000), ("S10", "out_of_order")),
        (call(*GOOD[:3], GOOD[4]), ("S10", "missing")),
        (call(*GOOD[:2], GOOD[4], *GOOD[3:4]), ("S4", "missing")),
    ],
)
def test_each_fault_is_named(lines: list[TranscriptLine], fault: tuple[str, str]) -> None:
    assert fault in faults(lines, company="星辰公司")


def test_three_seconds_are_still_in_time() -> None:
    assert faults(changed("disclosure", end_ms=3000)) == set()


def test_a_disclosure_of_two_lines_is_one() -> None:
    lines = call(
        ("disclosure", "您好，我是机器人。", 0, 1500),
        ("disclosure", "星辰公司的。", 1500, 2900),
        *GOOD[1:],
    )
    assert faults(lines, company="星辰公司") == set()


def test_what_a_refusal_cut_short_is_no_fault_but_what_was_said_wrongly_is() -> None:
    refused = [*call(*GOOD[:2]), TranscriptLine(Speaker.BOT, "再见", 5900, 6300, mark="farewell")]
    assert faults(refused, cut_short=True) == set()
    assert faults(refused) == {("S4", "missing"), ("S10", "missing")}
    over_it = [line.evolve(interrupted_at_ms=1200) for line in call(GOOD[0])]
    assert faults(over_it, cut_short=True) == set()
    skipped = call(GOOD[0], GOOD[2])
    assert faults([line.evolve(end_ms=4000) if line.mark == "disclosure" else line
                   for line in skipped], cut_short=True) >= {("S1", "late")}  # fmt: skip


def test_silence_from_the_bot_is_four_faults() -> None:
    callee = [TranscriptLine(Speaker.CALLEE, "喂", 0, 300)]
    assert faults(callee) == {(r, "missing") for r in ("S1", "S3", "S4", "S10")}


@pytest.mark.parametrize(
    ("text", "language", "first"),
    [
        ("您好，我是智能客服机器人，星辰公司的。", "zh", True),
        ("喂，您好！机器人来电。", "zh", True),
        ("你好，我是ＡＩ，星辰公司的。", "zh", True),
        ("您好，这里是星辰公司智能客服机器人", "zh", False),
        ("您好，我是星辰公司的，我是机器人", "zh", False),
        ("我是客服", "zh", False),
        ("", "zh", False),
        ("Hello, this is a robot calling from Star Company.", "en", True),
        ("Good morning. This is an automated call.", "en", True),
        ("Hello, this is Star Company with an automated call.", "en", False),
        ("Hi, this is Robotics Limited.", "en", False),
        ("Bonjour, je suis un robot", "fr", False),
    ],
)
def test_robot_word_first(text: str, language: str, first: bool) -> None:
    assert robot_word_first(text, language) is first


@pytest.mark.parametrize(
    ("sections", "wrong"),
    [
        (ORDER, set()),
        ((*ORDER, "question"), set()),
        (("purpose", "disclosure", "recording_notice", "way_out"), {"S1", "S3"}),
        (("disclosure", "question", "purpose", "recording_notice", "way_out"), {"S3", "S4", "S10"}),
        (ORDER[:3], {"S10"}),
        ((), {"S1", "S3", "S4", "S10"}),
    ],
)
def test_script_order(sections: tuple[str, ...], wrong: set[str]) -> None:
    assert {f.requirement for f in check_script_order(sections) if not f.passed} == wrong
