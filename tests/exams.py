# SPDX-License-Identifier: GPL-3.0-or-later
"""People who pass the exam, and law that is adopted, by the ways everybody has."""

from __future__ import annotations

from compliance.facts import Actor
from compliance.rulebook import Rulebook
from console import exam_bank
from storage.law import Adoption
from storage.store import Store


def pass_exam(store: Store, *people: Actor) -> None:
    """Each sits the exam and has every answer right."""
    bank = exam_bank.load("zh")
    for person in people:
        sitting = store.exams.begin(person, bank)
        answers = {one.question.id: one.right for one in sitting.questions}
        assert store.exams.hand_in(person, sitting.id, bank, answers).valid_until is not None


def adopt(store: Store, officer: Actor, rulebook: Rulebook, wording: str = "") -> Adoption:
    text = rulebook.text
    return store.law.adopt(officer, rulebook.digest, text, reason="first adoption", wording=wording)
