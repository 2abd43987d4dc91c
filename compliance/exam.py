# SPDX-License-Identifier: GPL-3.0-or-later
"""The exam everybody passes before they work (G4): questions read strictly, drawn by a seed.

A bank arrives as a parsed mapping (``data/exam/*.yaml``). A draw follows from bank, roles and
seed alone, so that a sitting can be set up again years later and judged again.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from compliance.calendar import add_calendar_months
from compliance.canonical import digest, encode
from compliance.errors import BadInput
from compliance.evolve import Evolve
from compliance.facts import Role
from compliance.mapping import Fields

FORMAT = "candor-exam/1"
EDITION = 1
"""Passes of a lower edition no longer count. Raised when everybody must know something new."""
QUESTIONS = 20  # of a sitting
VALID_MONTHS = 12
ROLES = tuple(role for role in Role if role is not Role.SYSTEM)
EVERYBODY = "everybody"

_ID = re.compile(r"[a-z0-9][a-z0-9-]{1,39}")
_REQUIREMENT = re.compile(r"(D1[0-4]|D[1-9]|S1[0-4]|S[1-9]|C[1-7]|C4b|T[1-6]|V[1-4]|G[1-6]|P[1-7])")


@dataclass(frozen=True, slots=True)
class Question(Evolve):
    """One question. ``answers`` has the right one first; a draw shuffles them."""

    id: str
    roles: tuple[Role, ...]  # whom it concerns
    requirement: str
    text: str
    answers: tuple[str, ...]
    why: str  # shown after the end to whoever got it wrong
    source: str


@dataclass(frozen=True, slots=True)
class Bank(Evolve):
    """Every question in one language, with the hash a sitting is bound to."""

    language: str
    edition: int
    questions: tuple[Question, ...]
    digest: str = field(init=False)

    def __post_init__(self) -> None:
        content = [self.language, self.edition, self.questions]
        object.__setattr__(self, "digest", digest(encode(content)))

    def of(self, roles: Collection[Role]) -> tuple[Question, ...]:
        """The questions that concern somebody with these roles."""
        return tuple(q for q in self.questions if any(role in roles for role in q.roles))


@dataclass(frozen=True, slots=True)
class Drawn(Evolve):
    """A question as somebody sees it: ``answers`` in their order, ``right`` an index of it."""

    question: Question
    answers: tuple[str, ...]
    right: int


@dataclass(frozen=True, slots=True)
class Result(Evolve):
    """How a sitting went."""

    asked: int
    wrong: tuple[Drawn, ...]

    @property
    def passed(self) -> bool:
        """All of them right, nothing less (G4)."""
        return self.asked > 0 and not self.wrong

    @property
    def correct(self) -> int:
        return self.asked - len(self.wrong)


def parse_bank(data: Mapping[str, object]) -> Bank:
    """Read a bank strictly.

    Raises:
        PolicyError: unknown or missing key, wrong type, an edition of another program, a
            question twice, fewer than three or more than four answers, equal answers, or
            a role with too few questions for a sitting.
    """
    fields = Fields(data, "exam")
    fields.choice("format", (FORMAT,))
    language = fields.choice("language", ("zh", "en"))
    fields.where = f"exam {language}"
    edition = fields.integer("edition", low=1)
    if edition != EDITION:
        raise fields.error("edition", f"must be {EDITION}, as this program expects")
    questions = tuple(_question(part) for part in fields.sections("questions", empty=False))
    fields.finish()
    if len({q.id for q in questions}) != len(questions):
        raise fields.error("questions", "names a question twice")
    if len({q.text for q in questions}) != len(questions):
        raise fields.error("questions", "asks the same twice")
    bank = Bank(language, edition, questions)
    for role in ROLES:
        if len(bank.of([role])) < QUESTIONS:
            raise fields.error("questions", f"has fewer than {QUESTIONS} for the role {role}")
    return bank


def _question(part: Fields) -> Question:
    name = part.text("id")
    if not _ID.fullmatch(name):
        raise part.error("id", "is written in small letters, digits and dashes")
    roles = part.choices("roles", (EVERYBODY, *(str(role) for role in ROLES)), empty=False)
    if EVERYBODY in roles and len(roles) > 1:
        raise part.error("roles", f"{EVERYBODY} stands alone")
    requirement = part.text("requirement")
    if not _REQUIREMENT.fullmatch(requirement):
        raise part.error("requirement", f"{requirement!r} is no requirement")
    right, wrong = part.text("right"), part.texts("wrong")
    if not 2 <= len(wrong) <= 3:
        raise part.error("wrong", "must hold two or three answers")
    if right in wrong:
        raise part.error("wrong", "holds the right answer")
    question = Question(
        id=name,
        roles=ROLES if EVERYBODY in roles else tuple(Role(role) for role in roles),
        requirement=requirement,
        text=part.text("question"),
        answers=(right, *wrong),
        why=part.text("why"),
        source=part.text("source"),
    )
    part.finish()
    return question


def _rank(*parts: str) -> bytes:
    return hashlib.sha256("\0".join(parts).encode()).digest()


def draw(bank: Bank, roles: Collection[Role], seed: str) -> tuple[Drawn, ...]:
    """The questions of one sitting, and the order of each one's answers.

    Both follow from hashes of ``seed`` and the question's id, not from a random generator
    that another Python might run otherwise; banks of two languages give the same draw.
    """
    chosen = sorted(bank.of(roles), key=lambda q: _rank(seed, q.id))[:QUESTIONS]
    return tuple(_shuffled(question, seed) for question in chosen)


def _shuffled(question: Question, seed: str) -> Drawn:
    count = range(len(question.answers))
    order = sorted(count, key=lambda n: _rank(seed, question.id, str(n)))
    return Drawn(question, tuple(question.answers[n] for n in order), order.index(0))


def judge(drawn: Collection[Drawn], answers: Mapping[str, int]) -> Result:
    """How ``answers`` (question id to index, from 0, in the order drawn) do.

    Raises:
        BadInput: one is missing, out of range, or about a question that was not asked.
    """
    asked = {d.question.id: d for d in drawn}
    for name in answers:
        if name not in asked:
            raise BadInput("this question was not asked", field=f"answers.{name}")
    for name, one in asked.items():
        chosen = answers.get(name)
        if chosen is None:
            raise BadInput("is not answered", field=f"answers.{name}", remedy="answer every one")
        if isinstance(chosen, bool) or not 0 <= chosen < len(one.answers):
            raise BadInput(f"is none of its {len(one.answers)} answers", field=f"answers.{name}")
    wrong = tuple(one for name, one in asked.items() if answers[name] != one.right)
    return Result(len(asked), wrong)


def valid_until(passed_at: datetime) -> datetime:
    """When a pass ends."""
    return add_calendar_months(passed_at, VALID_MONTHS)
