# SPDX-License-Identifier: GPL-3.0-or-later
"""A no to calls of any kind is told from a no to this one; both end the call at once (S11, S12)."""

from __future__ import annotations

import pytest

from voicebot.intents import classify

EVERYTHING = [
    ("zh", "别再给我打任何电话"),
    ("zh", "以后不要打任何电话给我了"),
    ("zh", "永远不要再打给我"),
    ("zh", "你们再也别联系我"),
    ("zh", "我不接受任何推销电话"),
    ("zh", "任何电话都别打"),
    ("zh", "我拒绝一切推销"),
    ("en", "never call me again"),
    ("en", "don't ever call me"),
    ("en", "Please, never contact me again!"),
    ("en", "I don't want any calls of any kind"),
    ("en", "no more calls from anyone"),
]
THIS_ONE = [
    ("zh", "不需要"),
    ("zh", "别打了"),
    ("zh", "不要再打了"),
    ("zh", "我没兴趣"),
    ("zh", "别再打电话了"),
    ("en", "no thank you"),
    ("en", "stop calling me"),
    ("en", "don't call me again"),
    ("en", "I'm not interested"),
]
NO_REFUSAL = [
    ("zh", "好的可以"),
    ("zh", "任何时候都可以打给我"),
    ("zh", "你们是不是任何电话都打"),
    ("en", "yes please"),
    ("en", "you can call me any time"),
]


@pytest.mark.parametrize(("language", "words"), EVERYTHING)
def test_it_reaches_everything(language: str, words: str) -> None:
    found = classify(words, language)
    assert (found.refused, found.everything) == (True, True)


@pytest.mark.parametrize(("language", "words"), THIS_ONE)
def test_it_reaches_the_company(language: str, words: str) -> None:
    found = classify(words, language)
    assert (found.refused, found.everything) == (True, False)


@pytest.mark.parametrize(("language", "words"), NO_REFUSAL)
def test_what_is_no_refusal_reaches_nothing(language: str, words: str) -> None:
    assert not classify(words, language).everything
