# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compliance.facts import Speaker
from voicebot.answer import Answer, judge
from voicebot.transcript import Caught, Said, lines

TEXT = "一二三四五六七八九十"


def said(played: int, samples: int = 8000, position: int = 800) -> Said:
    return Said(TEXT, "question", position, played, (0, samples), played < samples)


def test_whole_prompt() -> None:
    (line,) = lines([said(9600)])
    assert (line.text, line.start_ms, line.end_ms) == (TEXT, 100, 1100)
    assert line.interrupted_at_ms is None


def test_half_a_prompt_is_half_its_letters() -> None:
    (line,) = lines([said(4000)])
    assert (line.text, line.interrupted_at_ms) == ("一二三四五", 600)


def test_prompt_cut_before_its_first_sound_was_not_said() -> None:
    assert lines([said(0)]) == ()


def test_lines_are_in_the_order_they_began() -> None:
    found = lines([said(8000, position=8000), Caught("喂", 100, 500, 0.91239)])
    assert [line.speaker for line in found] == [Speaker.CALLEE, Speaker.BOT]
    assert found[0].confidence == 0.912


@given(st.integers(0, 12000), st.integers(1, 8000))
def test_more_sent_never_means_less_heard(played: int, samples: int) -> None:
    shorter = lines([said(played, samples)])
    longer = lines([said(played + 200, samples)])
    assert len(shorter[0].text if shorter else "") <= len(longer[0].text if longer else "")
    for line in (*shorter, *longer):
        assert TEXT.startswith(line.text)
        assert line.start_ms <= line.end_ms


@pytest.mark.parametrize(
    ("text", "language", "answer"),
    [
        ("您拨打的用户已关机", "zh", Answer.ANNOUNCEMENT),
        ("对不起您拨打的号码是空号", "zh", Answer.ANNOUNCEMENT),
        ("您所拨打的电话正在通话中", "zh", Answer.ANNOUNCEMENT),
        ("暂时 无法 接通", "zh", Answer.ANNOUNCEMENT),
        ("请在嘀声后留言", "zh", Answer.MACHINE),
        ("我是语音助手", "zh", Answer.MACHINE),
        ("喂你好", "zh", Answer.PERSON),
        ("我现在不方便", "zh", Answer.PERSON),
        ("", "zh", Answer.UNCERTAIN),
        ("please leave a message after the tone", "en", Answer.MACHINE),
        ("you have reached the voicemail of", "en", Answer.MACHINE),
        ("the number you dialed is not in service", "en", Answer.ANNOUNCEMENT),
        ("hello who is this", "en", Answer.PERSON),
        ("bonjour", "fr", Answer.UNCERTAIN),
    ],
)
def test_who_answered(text: str, language: str, answer: Answer) -> None:
    assert judge(text, language) is answer
