# SPDX-License-Identifier: GPL-3.0-or-later
"""Long numbers are struck from what people said; everything else stays as it was."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compliance.facts import Speaker
from voicebot.redaction import STRUCK, strike
from voicebot.transcript import Caught, lines


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("我的卡号是六二一二三四五六七八九零一二三二", "我的卡号是" + STRUCK * 16),
        ("六二一二 三四五六 七八九零 一二三二", "●●●● ●●●● ●●●● ●●●●"),
        ("6212 3456 7890 1232 好吗", "●●●● ●●●● ●●●● ●●●● 好吗"),
        ("６２１２３４５６", "●●●●●●●●"),
        ("身份证幺幺零幺零幺一九九零零三零七八八八叉", "身份证" + STRUCK * 17 + "八叉"[1:]),
        ("验证码是八三五二零一", "验证码是●●●●●●"),
        ("四幺三五嗯六八零二", "●●●●嗯●●●●"),
        ("it is four one two three um double five six seven", "it is ● ● ● ● um ● ● ● ●"),
        ("forty two twelve thirty three", "●● ● ●● ●● ●"),
        ("oh seven seven triple nine", "● ● ● ● ●"),
    ],
)
def test_a_long_number_is_struck(said: str, kept: str) -> None:
    assert strike([said]) == [kept]


@pytest.mark.parametrize(
    "said",
    [
        "二零二六年十二月",
        "一百二十三万四千五百六十七",
        "明天下午三点到五点",
        "我要一二三四号",
        "我的电话是一三九零零零零零一零一",
        "打 139 0000 0101 找我",
        "in two thousand and five",
        "one or two of them at ten",
        "someone phoned at nine",
        "",
    ],
)
def test_other_numbers_stay(said: str) -> None:
    assert strike([said]) == [said]


def test_a_number_in_several_utterances_is_one_number() -> None:
    assert strike(["卡号是六二一二", "三四五六", "好了"]) == ["卡号是●●●●", "●●●●", "好了"]
    assert strike(["一", "是的", "二"]) == ["一", "是的", "二"]
    assert strike([]) == []


def test_the_transcript_says_that_something_was_struck() -> None:
    said = [
        Caught("卡号六二一二三四五六", 0, 8000, 0.9, ("D6",)),
        Caught("您的编号是四四五五六六", 9000, 16_000, 0.9, (), Speaker.AGENT),
        Caught("七八九零一二三二", 17_000, 24_000, 0.9),
        Caught("好的", 25_000, 26_000, 0.9),
    ]
    made = lines(said)
    assert [line.text for line in made] == ["卡号●●●●●●●●", "您的编号是●●●●●●", "●●●●●●●●", "好的"]
    assert [line.flags for line in made] == [("D6",), ("D6",), ("D6",), ()]
    assert [line.start_ms for line in made] == [0, 1125, 2125, 3125]


@given(
    before=st.text("您好请说卡号 ，", max_size=8),
    digits=st.text("零幺一二三四五六七八九0123456789", min_size=12, max_size=19),
    cuts=st.sets(st.integers(1, 11), max_size=4),
)
def test_no_digit_of_a_card_is_left_however_it_is_cut(
    before: str, digits: str, cuts: set[int]
) -> None:
    places = [0, *sorted(cuts), len(digits)]
    parts = [digits[a:b] for a, b in pairwise(places)]
    struck = strike([before + parts[0], *parts[1:]])
    number = "".join("1" if d == "幺" else d for d in digits)
    if not (number.startswith("86") and len(digits) == 13):
        assert "".join(struck) == before + STRUCK * len(digits)
    assert len(struck) == len(parts)
