# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.voicebot.utterances import cases
from voicebot.intents import Intent, classify

CASES = cases()


@pytest.mark.parametrize(("language", "text", "intent", "refused"), CASES)
def test_labelled_utterance(language: str, text: str, intent: str, refused: bool) -> None:
    result = classify(text, language)
    assert (result.intent.value, result.refused) == (intent, refused)


def test_table_is_large_enough() -> None:
    assert len({(language, text) for language, text, _, _ in CASES}) == len(CASES)
    assert len(CASES) >= 250


def test_spaces_and_punctuation_do_not_matter_in_mandarin() -> None:
    assert classify("好的， 不 用 了！", "zh") == classify("好的不用了", "zh")


def test_homophones_score_lower_than_the_phrase() -> None:
    assert classify("别打了", "zh").score > classify("憋打了", "zh").score > 0


def test_part_of_a_phrase_is_not_the_phrase() -> None:
    assert classify("需要", "zh").intent is Intent.YES
    assert classify("不需要", "zh").refused


def test_unknown_language_understands_nothing() -> None:
    assert classify("non merci", "fr").intent is Intent.UNKNOWN


_PREFIX = st.sampled_from(["", "喂", "嗯", "好的", "那个", "你好", "呃我"])
_CORE = st.sampled_from(
    ["不需要", "不用了", "别打了", "别再打电话了", "没兴趣", "我不想要", "拉黑"]
)
_SUFFIX = st.sampled_from(["", "谢谢", "再见", "了啊", "好吗", "拜拜"])


@given(_PREFIX, _CORE, _SUFFIX)
def test_politeness_around_a_refusal_keeps_it_a_refusal(
    prefix: str, core: str, suffix: str
) -> None:
    assert classify(prefix + core + suffix, "zh").refused


@given(st.text(), st.sampled_from(["zh", "en"]))
def test_any_text_is_classified_without_error(text: str, language: str) -> None:
    result = classify(text, language)
    assert 0.0 <= result.score <= 1.0
    assert result.refused <= (
        result.intent in (Intent.REFUSAL, Intent.ABUSE, Intent.COMPLAINT, Intent.WRONG_NUMBER)
    )
