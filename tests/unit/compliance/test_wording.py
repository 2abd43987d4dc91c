# SPDX-License-Identifier: GPL-3.0-or-later
"""Forbidden words are found however they are written, and ordinary sentences pass."""

from __future__ import annotations

from typing import Any

import pytest

from compliance.errors import PolicyError
from compliance.wording import CATEGORIES, INDUSTRIES, Lexicon, lint, normalise, parse_lexicon
from tests.unit.compliance.builders import DATA, load


def shipped(language: str) -> list[dict[str, Any]]:
    return [load(f"lexicon/{p.name}") for p in sorted(DATA.glob(f"lexicon/{language}.*.yaml"))]


def pack(*words: str, name: str = "own", **changes: Any) -> dict[str, Any]:
    """A pack of one group."""
    group = {
        "category": "risk_word",
        "requirement": "S9",
        "industries": ["general"],
        "source": "house rule 7",
        "words": list(words),
        **changes,
    }
    return {
        "format": "candor-lexicon/2",
        "language": "zh",
        "pack": name,
        "version": "1",
        "groups": [group],
    }


GRAMMAR = load("lexicon/zh.yaml")
ZH = parse_lexicon(GRAMMAR, shipped("zh"))
EN = parse_lexicon(load("lexicon/en.yaml"), shipped("en"))


def found(text: str, industry: str = "general", lexicon: Lexicon = ZH) -> set[tuple[str, str]]:
    return {(f.requirement, f.term) for f in lint(text, lexicon, industry)}


@pytest.mark.parametrize(
    ("text", "industry", "expected"),
    [
        ("您好，我是星辰公司的客服代表", "general", ("S2", "客服代表")),
        ("我是您的专员", "retail", ("S2", "专员")),
        ("这款产品保 本*高—收益", "finance", ("S8", "保本高收益")),
        ("绝对无\u3000风\u200b险", "finance", ("S8", "无风险")),
        ("我们荐股很准", "finance", ("S14", "荐股")),
        ("贷款套现", "finance", ("S14", "套现")),
        ("课程保过", "education", ("S14", "保过")),
        ("毕业包就业", "education", ("S14", "包就业")),
        ("就业率很高", "education", ("S8", "就业率")),
        ("这不是诈骗", "general", ("S9", "诈骗")),
        ("百分之百有效", "general", ("S7", "百分之百")),
        ("您信什么宗教", "general", ("S13", "宗教")),
        ("请说出您的银行卡号", "general", ("D6", "银行卡号")),
        ("请不要挂机，请报一下验证码。", "general", ("D6", "验证码")),
    ],
)
def test_mandarin(text: str, industry: str, expected: tuple[str, str]) -> None:
    assert expected in found(text, industry)


@pytest.mark.parametrize(
    ("text", "industry", "expected"),
    [
        ("There is no risk at all", "finance", ("S8", "norisk")),
        ("NO-RISK offer", "finance", ("S8", "norisk")),
        ("I am a real person.", "general", ("S2", "iamarealperson")),
        ("Please tell me your PIN code", "general", ("D6", "pincode")),
        ("A guaranteed pass!", "education", ("S14", "guaranteedpass")),
    ],
)
def test_english(text: str, industry: str, expected: tuple[str, str]) -> None:
    assert expected in found(text, industry, EN)


@pytest.mark.parametrize(
    ("text", "lexicon"),
    [
        ("您好，我是智能客服机器人，星辰公司的。", ZH),
        ("不需要请按一，或者直接说不需要；需要人工请说转人工。", ZH),
        ("我们不会询问您的密码和银行卡号。", ZH),
        ("会员每月有两次免费咨询，一共100次。", ZH),
        ("她在学密码学。", ZH),
        ("The casino risks closing.", EN),  # "casino risk" holds n-o-r-i-s-k
        ("We will never ask for your password.", EN),
        ("The scampi are fresh.", EN),
        ("This call takes about one minute.", EN),
        ("You have 100 points.", EN),
    ],
)
@pytest.mark.parametrize("industry", INDUSTRIES)
def test_ordinary_sentences_pass(text: str, lexicon: Lexicon, industry: str) -> None:
    assert found(text, industry, lexicon) == set()


def test_an_industrys_words_hold_in_that_industry_only() -> None:
    assert ("S14", "保过") in found("保过", "education")
    assert found("保过", "finance") == set()


def test_the_position_is_that_of_the_text_as_written() -> None:
    text = "您好，这是保 本 产品"
    [hit] = lint(text, ZH, "finance")
    assert text[hit.start : hit.end] == hit.written == "保 本"
    assert hit.as_finding().params == (("term", "保本"), ("start", "5"), ("end", "8"))
    assert not hit.as_finding().passed
    assert hit.message in {f"wording.{c}" for c in CATEGORIES}


def test_a_negation_holds_within_its_clause_only() -> None:
    assert found("不会收费，请说密码") == {("D6", "密码")}
    assert found("请勿透露密码") == set()


def test_normal_form_keeps_positions() -> None:
    normal = normalise("Ａ①㍿ b")
    assert normal.text == "a1株式会社b"
    assert normal.origin == (0, 1, 2, 2, 2, 2, 4)


def test_an_unknown_industry_is_not_guessed() -> None:
    with pytest.raises(ValueError, match="industry"):
        lint("保本", ZH, "banking")


@pytest.mark.parametrize(("lexicon", "least"), [(ZH, 800), (EN, 500)])
def test_every_word_has_a_requirement_and_a_source(lexicon: Lexicon, least: int) -> None:
    assert len({term.text for term in lexicon.terms}) >= least
    assert {term.category for term in lexicon.terms} == set(CATEGORIES)
    assert all(len(term.source) > 5 for term in lexicon.terms)
    assert {industry for term in lexicon.terms for industry in term.industries} == set(INDUSTRIES)


@pytest.mark.parametrize("lexicon", [ZH, EN])
def test_every_word_is_found_alone_in_its_industries(lexicon: Lexicon) -> None:
    for term in lexicon.terms:
        for industry in term.industries:
            assert term.text in {f.term for f in lint(term.text, lexicon, industry)}, term.text


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("这款产品不保本。", set()),
        ("我们不承诺保本，也从不荐股", set()),
        ("产品没有风险", {"没有风险"}),
        ("产品不是没有风险", set()),
        ("是不是保本", {"保本"}),
        ("不得不保本", {"保本"}),
        ("不，保本", {"保本"}),  # another clause
        ("并非零风险", set()),
        ("这不是诈骗", {"诈骗"}),  # a risk word is never pardoned
    ],
)
def test_what_is_denied_right_before_it_is_honest(text: str, terms: set[str]) -> None:
    assert {term for _, term in found(text, "finance")} == terms


@pytest.mark.parametrize(
    ("text", "caught"),
    [
        ("验证码请勿告诉任何人", False),
        ("如有人索要验证码，请勿提供", False),
        ("验证码，您说一下", True),
        ("您不会有损失只需要把验证码发给我", True),
        ("不要挂机把验证码报一下", True),
    ],
)
def test_a_warning_is_no_demand(text: str, caught: bool) -> None:
    assert bool(found(text)) is caught


def test_a_pack_adds_words_and_names_itself() -> None:
    lexicon = parse_lexicon(GRAMMAR, [*shipped("zh"), pack("星辰必赚")])
    (hit,) = [f for f in lint("星辰必赚", lexicon, "retail") if f.pack == "own"]
    assert (hit.requirement, hit.source) == ("S9", "house rule 7")
    assert lexicon.digest != ZH.digest
    assert [p.name for p in lexicon.packs][-1] == "own"


def test_a_laxer_entry_of_a_pack_changes_nothing() -> None:
    lax = pack("诈骗", pardon="denied", industries=["retail"])
    lexicon = parse_lexicon(GRAMMAR, [*shipped("zh"), lax])
    assert found("这不是诈骗", "general", lexicon) == found("这不是诈骗")


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"exceptions": ["!"]}, "exceptions"),
        ({"robot_words": []}, "robot_words"),
        ({"extra": 1}, "extra"),
        ({"format": "candor-lexicon/1"}, "format"),
    ],
)
def test_a_broken_grammar_is_refused(change: dict[str, object], field: str) -> None:
    with pytest.raises(PolicyError) as caught:
        parse_lexicon({**GRAMMAR, **change}, shipped("zh"))
    assert caught.value.field == field


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"category": "x"}, "groups[0].category"),
        ({"requirement": "S8"}, "groups[0].requirement"),  # of another category
        ({"industries": ["bank"]}, "groups[0].industries"),
        ({"words": ["!"]}, "groups[0].words"),
        ({"words": []}, "groups[0].words"),
        ({"source": ""}, "groups[0].source"),
        ({"pardon": "always"}, "groups[0].pardon"),
        ({"extra": 1}, "groups[0].extra"),
    ],
)
def test_a_broken_group_is_refused(change: dict[str, Any], field: str) -> None:
    with pytest.raises(PolicyError) as caught:
        parse_lexicon(GRAMMAR, [pack("甲乙", **change)])
    assert caught.value.field == field


@pytest.mark.parametrize(
    ("packs", "field"),
    [
        ([], "packs"),
        ([pack("甲乙"), pack("丙丁")], "packs"),
        ([{**pack("甲乙"), "exceptions": ["诈骗"]}], "exceptions"),  # a pack cannot pardon
        ([{**pack("甲乙"), "language": "en"}], "language"),
        ([{**pack("甲乙"), "groups": []}], "groups"),
    ],
)
def test_a_broken_pack_is_refused(packs: list[dict[str, object]], field: str) -> None:
    with pytest.raises(PolicyError) as caught:
        parse_lexicon(GRAMMAR, packs)
    assert caught.value.field == field
