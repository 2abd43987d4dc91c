# SPDX-License-Identifier: GPL-3.0-or-later
"""The exam (G4): banks read strictly, draws that can be redone, 100 % or nothing."""

from __future__ import annotations

import functools
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from compliance import exam
from compliance.errors import BadInput, PolicyError
from compliance.exam import QUESTIONS, ROLES, Bank, draw, judge, parse_bank
from compliance.facts import Role
from tests.unit.compliance.builders import load

LANGUAGES = ("zh", "en")


@functools.cache
def bank(language: str) -> Bank:
    return parse_bank(load(f"exam/{language}.yaml"))


def right(drawn: tuple[exam.Drawn, ...]) -> dict[str, int]:
    return {one.question.id: one.right for one in drawn}


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_bank_is_whole(language: str) -> None:
    found = bank(language)
    assert len(found.questions) >= 60
    for question in found.questions:
        assert 3 <= len(question.answers) <= 4
        assert question.why
        assert question.source
        han = any("\u4e00" <= c <= "\u9fff" for c in question.text)
        assert han or language == "en"
    for role in ROLES:
        assert len(found.of([role])) >= 2 * QUESTIONS, "two draws should differ"


def test_both_languages_ask_the_same() -> None:
    def shape(language: str) -> list[tuple[object, ...]]:
        return [(q.id, q.roles, q.requirement, len(q.answers)) for q in bank(language).questions]

    assert shape("zh") == shape("en")
    assert bank("zh").digest != bank("en").digest


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_right_answer_is_not_told_by_its_length(language: str) -> None:
    questions = bank(language).questions
    longest = sum(max(q.answers, key=len) == q.answers[0] for q in questions)
    assert longest < 0.6 * len(questions)


def test_a_draw_follows_from_seed_roles_and_bank_alone() -> None:
    drawn = draw(bank("zh"), [Role.OPERATOR], "seed 1")
    assert len(drawn) == len({d.question.id for d in drawn}) == QUESTIONS
    assert drawn == draw(bank("zh"), [Role.OPERATOR], "seed 1")
    other = draw(bank("zh"), [Role.OPERATOR], "seed 2")
    assert {d.question.id for d in drawn} != {d.question.id for d in other}
    assert all(Role.OPERATOR in d.question.roles for d in drawn)
    english = draw(bank("en"), [Role.OPERATOR], "seed 1")
    assert right(drawn) == right(english)


def test_answers_are_shuffled() -> None:
    places = {d.right for d in draw(bank("zh"), ROLES, "seed 1")}
    assert places == {0, 1, 2, 3}
    for one in draw(bank("zh"), ROLES, "seed 1"):
        assert one.answers[one.right] == one.question.answers[0]
        assert sorted(one.answers) == sorted(one.question.answers)


def test_one_wrong_answer_is_not_passed() -> None:
    drawn = draw(bank("zh"), [Role.AUDITOR], "s")
    answers = right(drawn)
    assert judge(drawn, answers).passed
    answers[drawn[3].question.id] = (drawn[3].right + 1) % len(drawn[3].answers)
    result = judge(drawn, answers)
    assert not result.passed
    assert (result.correct, result.asked) == (QUESTIONS - 1, QUESTIONS)
    assert result.wrong == (drawn[3],)
    assert not judge((), {}).passed


@pytest.mark.parametrize("spoil", [
    lambda a: a.pop(next(iter(a))),
    lambda a: a.update({"not-asked": 0}),
    lambda a: a.update({next(iter(a)): 4}),
    lambda a: a.update({next(iter(a)): -1}),
    lambda a: a.update({next(iter(a)): True}),
])  # fmt: skip
def test_answers_that_cannot_be_judged_are_refused(spoil: Callable[[Any], Any]) -> None:
    drawn = draw(bank("zh"), [Role.AUTHOR], "s")
    answers = right(drawn)
    spoil(answers)
    with pytest.raises(BadInput, match="answers"):
        judge(drawn, answers)


def _first(**changes: Any) -> Callable[[dict[str, Any]], None]:
    return lambda data: data["questions"][0].update(changes)


@pytest.mark.parametrize(
    ("spoil", "key"),
    [
        (lambda d: d.update(edition=2), "edition"),
        (lambda d: d.update(language="fr"), "language"),
        (lambda d: d.update(more=1), "more"),
        (lambda d: d.update(questions=[]), "questions"),
        (lambda d: d.update(questions=d["questions"][:19]), "questions"),
        (lambda d: d["questions"].append(d["questions"][0]), "questions"),
        (_first(id="Über"), "questions[0].id"),
        (lambda d: d["questions"].append(d["questions"][0] | {"id": "other"}), "questions"),
        (_first(roles=["boss"]), "questions[0].roles"),
        (_first(roles=["everybody", "author"]), "questions[0].roles"),
        (_first(requirement="X1"), "questions[0].requirement"),
        (_first(wrong=["one"]), "questions[0].wrong"),
        (_first(wrong=["1", "2", "3", "4"]), "questions[0].wrong"),
        (_first(wrong=["no", "no"]), "questions[0].wrong"),
        (_first(right="a", wrong=["a", "b"]), "questions[0].wrong"),
        (_first(why=""), "questions[0].why"),
        (_first(hint="x"), "questions[0].hint"),
    ],
)
def test_a_broken_bank_is_refused_by_key(spoil: Callable[[Any], None], key: str) -> None:
    data = load("exam/en.yaml")
    spoil(data)
    with pytest.raises(PolicyError) as caught:
        parse_bank(data)
    assert caught.value.field == key


def test_a_pass_lasts_a_year() -> None:
    passed = datetime(2026, 11, 24, 2, 0, tzinfo=UTC)
    assert exam.valid_until(passed) == datetime(2027, 11, 24, 2, 0, tzinfo=UTC)
