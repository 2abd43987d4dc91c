# SPDX-License-Identifier: GPL-3.0-or-later
"""Adopted law, imported calendars, trainings (G1, G3, T2, C2)."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest

from compliance.calendar import Calendar
from compliance.errors import AuthorisationDenied, BadInput, NotAllowed
from compliance.facts import Role
from dialer.policies import load_rulebook
from storage.case_tables import CaseRow
from storage.exams import ExamState
from tests.exams import adopt, pass_exam
from tests.storage_home import RULEBOOK, START, TestHome

STRICTER = load_rulebook(["cn_seed", "fr"])
NEW_YEAR = Calendar(
    "CN", 2027, frozenset({date(2027, 1, 1)}), frozenset(), frozenset({6, 7}), True, "notice"
)
DAY = timedelta(days=1)


# ---------------------------------------------------------------- adoption


def test_an_officer_adopts_and_the_ledger_says_what_was_before(home: TestHome) -> None:
    first = home.store.law.adopted()
    assert first is not None
    assert (first.number, first.rulebook) == (1, RULEBOOK.digest)
    made = adopt(home.store, home.actors["officer"], STRICTER)
    assert home.store.law.adopted() == made
    assert [a.number for a in home.store.law.adoptions()] == [2, 1]
    assert home.store.rulebooks.text(STRICTER.digest) == STRICTER.text
    assert home.ledger_kinds()[-1] == "rulebook.adopt"


@pytest.mark.parametrize("who", ["admin", "author", "operator", "auditor"])
def test_nobody_else_adopts(home: TestHome, who: str) -> None:
    with pytest.raises(NotAllowed):
        adopt(home.store, home.actors[who], STRICTER)
    with pytest.raises(NotAllowed):
        home.store.law.import_calendar(home.actors[who], NEW_YEAR)
    assert len(home.store.law.adoptions()) == 1


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"reason": " "}, "reason"),
        ({"reason": "x" * 201}, "reason"),
        ({"reason": "two\nlines"}, "reason"),
        ({"reason": "for 110101199003074514"}, "reason"),  # an identity card's number
        ({"text": b"{}"}, "rulebook"),
        ({"exam_days": -1}, "exam_days"),
        ({"exam_days": 367}, "exam_days"),
    ],
)
def test_what_cannot_be_adopted(home: TestHome, change: dict[str, Any], field: str) -> None:
    given = {"text": STRICTER.text, "reason": "because"} | change
    text = given.pop("text")
    with pytest.raises(BadInput) as caught:
        home.store.law.adopt(home.actors["officer"], STRICTER.digest, text, **given)
    assert caught.value.field == field
    assert len(home.store.law.adoptions()) == 1


def test_the_same_is_not_adopted_twice_but_changed_words_are(home: TestHome) -> None:
    officer = home.actors["officer"]
    with pytest.raises(BadInput, match="already"):
        adopt(home.store, officer, RULEBOOK)
    assert adopt(home.store, officer, RULEBOOK, "aa" * 32).number == 2


def test_law_adopted_between_gate_and_commit_denies_and_keeps_the_contact(home: TestHome) -> None:
    campaign = home.campaign()
    claim = home.claim(campaign)
    permit = home.permit(claim)
    adopt(home.store, home.actors["officer"], STRICTER)
    with pytest.raises(AuthorisationDenied, match="rulebook_not_adopted"):
        home.store.authorise(permit, claim, home.clock.wall())
    again = home.claim(campaign)
    assert again.request.standing.adopted_law == STRICTER.digest
    decision = home.refusal(again).decision  # the test's dialer still runs the old rulebook
    assert [f.rule for f in decision.refusing] == ["rulebook_not_adopted"]
    home.store.refuse(again, decision, home.clock.wall())
    home.clock.advance(301)
    assert home.claim(campaign).request.contact == claim.request.contact


def test_steering_tells_dialers_what_is_adopted(home: TestHome) -> None:
    campaign = home.campaign()
    assert home.store.steering(campaign).adopted_law == RULEBOOK.digest
    adopt(home.store, home.actors["officer"], STRICTER)
    assert home.store.steering(campaign).adopted_law == STRICTER.digest


def test_law_may_ask_everybody_for_the_exam_again(home: TestHome) -> None:
    home.store.law.adopt(
        home.actors["officer"], STRICTER.digest, STRICTER.text, reason="new", exam_days=14
    )
    home.clock.advance((13 * DAY).total_seconds())
    states = {one.state for one in home.store.exams.in_office()}
    assert states == {ExamState.ENDS_SOON}
    pass_exam(home.store, home.actors["operator"])
    home.clock.advance((2 * DAY).total_seconds())
    found = {one.name: one.state for one in home.store.exams.in_office()}
    assert found.pop("operator") is ExamState.VALID
    assert set(found.values()) == {ExamState.EXPIRED}


# ---------------------------------------------------------------- calendars


def test_an_imported_calendar_is_seen_whole(home: TestHome) -> None:
    home.store.law.import_calendar(home.actors["officer"], NEW_YEAR)
    [found] = home.store.law.calendars()
    assert found.calendar == NEW_YEAR
    assert (found.by, found.at) == (home.actors["officer"].id, START)
    assert home.ledger_kinds()[-1] == "calendar.import"


def test_replacing_a_calendar_needs_to_be_said_with_a_reason(home: TestHome) -> None:
    officer, law = home.actors["officer"], home.store.law
    with pytest.raises(BadInput, match="there is a calendar"):
        law.import_calendar(officer, NEW_YEAR, shipped=True)
    law.import_calendar(officer, NEW_YEAR)
    better = NEW_YEAR.evolve(holidays=frozenset({date(2027, 1, 1), date(2027, 1, 2)}))
    with pytest.raises(BadInput, match="there is a calendar"):
        law.import_calendar(officer, better)
    with pytest.raises(BadInput, match="say why"):
        law.import_calendar(officer, better, replace=True)
    with pytest.raises(BadInput, match="imported before"):
        law.import_calendar(officer, NEW_YEAR, replace=True, reason="again")
    assert [c.calendar for c in law.calendars()] == [NEW_YEAR]
    law.import_calendar(officer, better, replace=True, reason="the notice was corrected")
    [found] = law.calendars()
    assert (found.calendar, found.reason) == (better, "the notice was corrected")


# ---------------------------------------------------------------- trainings


def test_a_training_is_recorded_with_people_roles_case_and_material(home: TestHome) -> None:
    store, officer = home.store, home.actors["officer"]
    with home.engine.begin() as connection:
        connection.execute(
            CaseRow.__table__.insert().values(  # type: ignore[attr-defined]
                id="c" * 32, kind="other", subject="x", findings=[], opened_by=officer.id,
                opened_at=START, due=START + DAY,
            )
        )  # fmt: skip
    training = store.trainings.add(
        officer, "Refusals", START - DAY,
        people=["author"], roles=[Role.OPERATOR], case="c" * 32, material="ab" * 32,
    )  # fmt: skip
    [found] = store.trainings.trainings(home.actors["auditor"])
    assert found.id == training
    assert found.people == ("author", "operator")
    assert found.roles == {Role.AUTHOR, Role.OPERATOR}
    assert (found.case, found.material) == ("c" * 32, "ab" * 32)
    assert home.ledger_kinds()[-1] == "training.add"
    assert store.trainings.trainings(home.actors["operator"]) == [found]
    officers = home.store.trainings.trainings(home.actors["admin"])
    assert officers == [found]


def test_the_refresher_is_due_a_year_later_and_a_first_one_in_a_month(home: TestHome) -> None:
    trainings = home.store.trainings
    trainings.add(home.actors["officer"], "Refusals", START - DAY, roles=[Role.OPERATOR])
    due = {one.name: one for one in trainings.due()}
    registered = START - timedelta(days=30)
    assert due["author"].due == registered + timedelta(days=30)
    assert due["author"].overdue
    assert due["operator"].last == START - DAY
    assert due["operator"].due == START.replace(year=2027) - DAY
    assert not due["operator"].overdue
    home.clock.advance((due["operator"].due - START).total_seconds())
    assert {one.name: one for one in trainings.due()}["operator"].overdue


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"topic": ""}, "topic"),
        ({"held_at": START + DAY}, "date"),
        ({"people": ["nobody"]}, "person"),
        ({"people": []}, "person"),
        ({"case": "f" * 32}, "case"),
        ({"material": "slides.pdf"}, "material"),
    ],
)
def test_a_training_that_cannot_be_recorded(
    home: TestHome, change: dict[str, Any], field: str
) -> None:
    given: dict[str, Any] = {"topic": "x", "held_at": START, "people": ["author"]} | change
    with pytest.raises(BadInput) as caught:
        home.store.trainings.add(
            home.actors["officer"], given.pop("topic"), given.pop("held_at"), **given
        )
    assert caught.value.field == field
    assert home.store.trainings.trainings(home.actors["officer"]) == []


def test_who_left_is_neither_trained_nor_due(home: TestHome) -> None:
    home.store.people.disable_person(home.actors["admin"], home.actors["author"].id)
    with pytest.raises(BadInput, match="nobody in office"):
        home.store.trainings.add(home.actors["officer"], "x", START, people=["author"])
    assert "author" not in {one.name for one in home.store.trainings.due()}


@pytest.mark.parametrize("who", ["admin", "author", "operator", "auditor"])
def test_nobody_else_records_trainings(home: TestHome, who: str) -> None:
    with pytest.raises(NotAllowed):
        home.store.trainings.add(home.actors[who], "x", START, people=["author"])
