# SPDX-License-Identifier: GPL-3.0-or-later
"""Forbidden words however they are disguised, no false alarm, and the same as the plain scan."""

from __future__ import annotations

import subprocess
import sys
import time
from functools import cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compliance.wording import INDUSTRIES, beside, lint, parse_lexicon
from dialer.policies import load_lexicon, word_check
from dialer.settings import PolicySettings
from tests.unit.compliance.test_wording import GRAMMAR, pack, shipped
from tests.unit.voicebot import ordinary
from tests.unit.voicebot.disguises import DISGUISES
from voicebot.words import WordCheck

SIGNS = " \u3000\u200b*-—·•.~_|#^=+/\\，。、…\u0301★♥"


@cache
def check(language: str, industry: str) -> WordCheck:
    return word_check(language, PolicySettings(industry=industry))


def terms(text: str, industry: str, language: str = "zh") -> set[str]:
    return {f.term for f in check(language, industry).findings(text)}


CASES = [
    (*place, written.strip(), term.strip())
    for place, lines in DISGUISES.items()
    for written, _, term in (case.rpartition("=") for case in lines.split(" ;"))
    if term.strip()
]


def test_there_are_enough_cases() -> None:
    assert len(CASES) >= 120
    assert len(set(ordinary.ZH)) >= 150
    assert len(set(ordinary.EN)) >= 150


@pytest.mark.parametrize(("language", "industry", "written", "term"), CASES)
def test_a_disguised_word_is_found(language: str, industry: str, written: str, term: str) -> None:
    assert term in terms(written, industry, language)
    around = f"您好，{written}，好吗" if language == "zh" else f"Well, {written}, okay?"
    assert term in terms(around, industry, language)


@pytest.mark.parametrize("industry", INDUSTRIES)
@pytest.mark.parametrize("language", ["zh", "en"])
def test_ordinary_sentences_pass(language: str, industry: str) -> None:
    words = check(language, industry)
    said = ordinary.ZH if language == "zh" else ordinary.EN
    wrong = {text: f.term for text in said for f in words.findings(text)}
    assert wrong == {}


def test_positions_are_those_of_the_text_as_written() -> None:
    text = "您好，本產品宝 本高·收益，並且無 風\u200b險。"
    hits = check("zh", "finance").findings(text)
    by_term = {f.term: f for f in hits}
    assert by_term["保本高收益"].written == "宝 本高·收益"
    assert by_term["无风险"].written == "無 風\u200b險"
    assert all(text[f.start : f.end] == f.written for f in hits)
    assert [f.start for f in hits] == sorted(f.start for f in hits)
    (hit, *_) = check("en", "finance").findings("It is gu@ranteed  returns!")
    assert hit.written == "gu@ranteed  returns"


@pytest.mark.parametrize(
    ("text", "industry"),
    [
        ("国家及地方的补贴", "general"),  # 国家级
        ("保证手艺", "finance"),  # 保证收益
        ("公元前的文物", "retail"),
        ("我去见过古迹", "finance"),  # two characters are never compared by sound
    ],
)
def test_harmless_homophones_pass(text: str, industry: str) -> None:
    assert terms(text, industry) == set()


def test_words_of_the_other_language_count_too() -> None:
    assert "riskfree" in terms("这款产品是 Risk-Free 的", "finance")
    assert "保本" in terms("This fund is 保*本.", "finance", "en")
    assert "无风险" in terms("It is 無風險, really", "finance", "en")
    assert terms("我们不会问您的 PIN code", "finance") == set()
    assert terms("这款产品并非 risk free", "finance") == set()


def test_a_homophone_of_an_honest_sentence_stays_honest() -> None:
    assert terms("我们不承诺宝证收益", "finance") == set()


# ---------------------------------------------------------------- for any text


def spoiled(data: st.DataObject, word: str) -> str:
    """``word`` with signs between its letters and some letters in full width."""
    out = []
    for i, letter in enumerate(word):
        if data.draw(st.booleans()) and "!" <= letter <= "~":
            letter = chr(ord(letter) + 0xFEE0)
        out.append(letter)
        if i < len(word) - 1:
            out.append(data.draw(st.text(st.sampled_from(SIGNS), max_size=2)))
    return "".join(out)


@pytest.mark.parametrize("language", ["zh", "en"])
@given(data=st.data())
def test_signs_and_width_never_hide_a_word(language: str, data: st.DataObject) -> None:
    industry = data.draw(st.sampled_from(INDUSTRIES))
    words = check(language, industry)
    term = data.draw(st.sampled_from([t for t in words.lexicon.terms if t.holds_in(industry)]))
    # A Latin word cut by nothing but signs still begins and ends where the text does.
    assert term.text in {f.term for f in words.findings(spoiled(data, term.text))}


PIECES = st.one_of(
    st.sampled_from([t.text for t in load_lexicon("zh").terms]),
    st.sampled_from(ordinary.ZH),
    st.sampled_from(["不", "，", "。", "不会", "請說", " ", "*", "no ", "100%", "是不是"]),
    st.text(max_size=3),
)


@given(pieces=st.lists(PIECES, max_size=6), industry=st.sampled_from(INDUSTRIES))
def test_all_that_the_plain_scan_finds_is_found(pieces: list[str], industry: str) -> None:
    text = "".join(pieces)
    words = check("zh", industry)
    plain = {(f.start, f.end, f.category) for f in lint(text, words.lexicon, industry)}
    # Folding to simplified characters may reveal an exception or denial the scan cannot see.
    if text.translate(_SIMPLE) == text:
        assert plain <= {(f.start, f.end, f.category) for f in words.findings(text)}


@given(pieces=st.lists(PIECES, min_size=2, max_size=6), industry=st.sampled_from(INDUSTRIES))
def test_cutting_a_text_into_sentences_finds_nothing_new(pieces: list[str], industry: str) -> None:
    words = check("zh", industry)
    whole = "。".join(pieces)
    found = {(f.start, f.end, f.category) for f in words.findings(whole)}
    at = 0
    for piece in pieces:
        for f in words.findings(piece):
            assert (f.start + at, f.end + at, f.category) in found or _pardoned(piece, f, whole)
        at += len(piece) + 1


def _pardoned(piece: str, finding: Any, whole: str) -> bool:
    """An exception may reach over the cut, and a Latin letter may make a word longer."""
    return finding.start == 0 or finding.end == len(piece) or finding.category == "sensitive_data"


@settings(max_examples=20)  # each builds an automaton
@given(
    own=st.lists(st.text(st.sampled_from("保本不高险风甲乙丙一"), min_size=1, max_size=4),
                 min_size=1, max_size=5, unique=True),
    pardon=st.sampled_from(["never", "denied", "negated"]),
    text=st.lists(PIECES, max_size=5).map("".join),
)  # fmt: skip
def test_adding_a_pack_never_removes_a_finding(own: list[str], pardon: str, text: str) -> None:
    own = [word for word in own if word.strip()]
    with_own = parse_lexicon(GRAMMAR, [*_SHIPPED, pack(*own, pardon=pardon)])
    more = WordCheck(beside(with_own, load_lexicon("en")), "finance")
    before = {(f.start, f.end, f.category) for f in check("zh", "finance").findings(text)}
    assert before <= {(f.start, f.end, f.category) for f in more.findings(text)}


_SHIPPED = shipped("zh")


class _Simple(dict[int, str]):
    def __missing__(self, point: int) -> str:
        import opencc

        self.converter = getattr(self, "converter", None) or opencc.OpenCC("t2s")
        self[point] = self.converter.convert(chr(point))
        return self[point]


_SIMPLE = _Simple()


# ---------------------------------------------------------------- cost


def test_a_long_sentence_takes_less_than_a_millisecond() -> None:
    text = "".join(ordinary.ZH)[:200]
    words = check("zh", "finance")
    best = 1.0
    for _ in range(60):  # the best of many: other work on the machine is not ours
        began = time.perf_counter()
        words.findings(text)
        best = min(best, time.perf_counter() - began)
    assert best < 0.001


def test_the_libraries_are_loaded_when_needed_only() -> None:
    code = "import voicebot.words, voicebot.intents, dialer.policies, sys\n"
    code += "print(sorted({'pypinyin', 'opencc', 'ahocorasick'} & set(sys.modules)))"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"
