# SPDX-License-Identifier: GPL-3.0-or-later
"""Sitting the exam, and that nobody works without it (G4)."""

from __future__ import annotations

import ast
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

import storage
from compliance import exam
from compliance.errors import BadInput, NotAllowed
from compliance.facts import Actor, HomeKind, Role, SourceKind
from console import exam_bank
from storage.context import Context
from storage.exam_rows import WITHOUT_EXAM
from storage.exams import ExamState, Sitting
from storage.stops import StopReason
from tests.exams import pass_exam
from tests.storage_home import PASSWORD, START, TENANT, TestHome, row, write_csv

BANK = exam_bank.load("zh")
YEAR = timedelta(days=365)


def right(sitting: Sitting) -> dict[str, int]:
    return {one.question.id: one.right for one in sitting.questions}


def wrong(sitting: Sitting) -> dict[str, int]:
    answers = right(sitting)
    first = sitting.questions[0]
    return answers | {first.question.id: (first.right + 1) % len(first.answers)}


def newcomer(home: TestHome, *roles: Role, name: str = "new") -> Actor:
    person = home.store.people.add_person(home.actors["admin"], name, PASSWORD, roles)
    return Actor(person, name, frozenset(roles), TENANT)


def state(home: TestHome, name: str) -> ExamState:
    [one] = [s for s in home.store.exams.in_office() if s.name == name]
    return one.state


# ---------------------------------------------------------------- sitting it


def test_all_right_is_passed_for_a_year_and_can_be_redone_from_the_ledger(home: TestHome) -> None:
    who = newcomer(home, Role.OPERATOR)
    assert state(home, "new") is ExamState.NEVER
    sitting = home.store.exams.begin(who, BANK)
    done = home.store.exams.hand_in(who, sitting.id, BANK, right(sitting))
    assert done.valid_until == exam.valid_until(START)
    assert state(home, "new") is ExamState.VALID
    assert home.ledger_kinds()[-2:] == ["exam.begin", "exam.hand_in"]
    again = exam.draw(BANK, [Role.OPERATOR], sitting.seed)
    assert again == sitting.questions
    assert sitting.bank == BANK.digest


def test_one_wrong_answer_fails_and_the_next_draw_is_another(home: TestHome) -> None:
    who = newcomer(home, Role.AUDITOR)
    first = home.store.exams.begin(who, BANK)
    done = home.store.exams.hand_in(who, first.id, BANK, wrong(first))
    assert done.valid_until is None
    assert [one.question.id for one in done.result.wrong] == [first.questions[0].question.id]
    assert state(home, "new") is ExamState.FAILED
    second = home.store.exams.begin(who, BANK)
    assert set(right(second)) != set(right(first))
    with pytest.raises(BadInput, match="handed in before"):
        home.store.exams.hand_in(who, first.id, BANK, right(first))


def test_a_sitting_is_handed_in_by_its_person_in_time_and_once(home: TestHome) -> None:
    who, store = newcomer(home, Role.AUTHOR), home.store
    old = store.exams.begin(who, BANK)
    with pytest.raises(NotAllowed, match="another person's"):
        store.exams.hand_in(home.actors["author"], old.id, BANK, right(old))
    with pytest.raises(BadInput, match="no such sitting"):
        store.exams.hand_in(who, "f" * 32, BANK, right(old))
    with pytest.raises(BadInput, match="questions changed"):
        store.exams.hand_in(who, old.id, exam_bank.load("en"), right(old))
    home.clock.advance(1)
    new = store.exams.begin(who, BANK)
    with pytest.raises(BadInput, match="newer draw"):
        store.exams.hand_in(who, old.id, BANK, right(old))
    home.clock.advance(2 * 3600 + 1)
    with pytest.raises(BadInput, match="two hours"):
        store.exams.hand_in(who, new.id, BANK, right(new))
    assert state(home, "new") is ExamState.NEVER


def test_answers_that_cannot_be_judged_cost_no_sitting(home: TestHome) -> None:
    who = newcomer(home, Role.OPERATOR)
    sitting = home.store.exams.begin(who, BANK)
    with pytest.raises(BadInput, match="not answered"):
        home.store.exams.hand_in(who, sitting.id, BANK, {})
    assert home.store.exams.hand_in(who, sitting.id, BANK, right(sitting)).valid_until


def test_a_pass_ends_to_the_second(home: TestHome) -> None:
    who = newcomer(home, Role.OPERATOR)
    pass_exam(home.store, who)
    until = exam.valid_until(START)
    home.clock.advance((until - START).total_seconds() - 1)
    assert state(home, "new") is ExamState.ENDS_SOON
    home.store.campaigns.log_run(who, _campaign(home), "begin")
    home.clock.advance(1)
    assert state(home, "new") is ExamState.EXPIRED
    with pytest.raises(NotAllowed, match="valid exam"):
        home.store.campaigns.log_run(who, _campaign(home), "begin")
    pass_exam(home.store, who)
    assert state(home, "new") is ExamState.VALID


def _campaign(home: TestHome) -> str:
    known = home.store.campaigns.campaigns()
    if not known:
        pass_exam(home.store, *home.actors.values())
        return home.campaign()
    return known[0][0]


def test_a_pass_counts_for_the_roles_it_was_taken_with(home: TestHome) -> None:
    who = newcomer(home, Role.OPERATOR)
    pass_exam(home.store, who)
    with home.engine.begin() as connection:
        connection.execute(
            text("UPDATE people SET roles = 'auditor,operator' WHERE id = :id"), {"id": who.id}
        )
    assert state(home, "new") is ExamState.EXPIRED
    sitting = home.store.exams.begin(who, BANK)
    asked = {role for one in sitting.questions for role in one.question.roles}
    assert {Role.OPERATOR, Role.AUDITOR} <= asked


def test_a_pass_of_an_earlier_edition_counts_no_more(
    home: TestHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert state(home, "operator") is ExamState.VALID
    monkeypatch.setattr("storage.exam_rows.EDITION", exam.EDITION + 1)
    assert state(home, "operator") is ExamState.EXPIRED


def test_everybody_sees_their_own_and_those_who_oversee_see_all(home: TestHome) -> None:
    everybody = {one.name for one in home.store.exams.standings(home.actors["auditor"])}
    assert everybody == set(home.actors)
    own = home.store.exams.standings(home.actors["operator"])
    assert [one.name for one in own] == ["operator"]


# ---------------------------------------------------------------- no work without it


def kinds() -> dict[str, Path]:
    """Every kind of work the store asks permission for, where it is written as it is."""
    found: dict[str, Path] = {}
    for path in sorted(Path(storage.__path__[0]).glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and node.func.attr == "require"
                and len(node.args) > 1
                and isinstance(node.args[1], ast.Constant)
            ):
                found[str(node.args[1].value)] = path
    return found


def test_the_table_of_exceptions_names_kinds_that_are_there() -> None:
    source = "\n".join(
        path.read_text("utf-8")
        for path in Path(storage.__path__[0]).glob("*.py")
        if path.name != "exam_rows.py"
    )
    written = {kind for kind in WITHOUT_EXAM if f'"{kind}"' in source}
    steered = {f"campaign.{event}" for event in ("pause", "stop")}
    runs = {f"run.{event}" for event in ("drain", "abort", "end")}
    assert written | steered | runs == WITHOUT_EXAM


def test_every_kind_of_work_but_the_exceptions_needs_the_exam(home: TestHome) -> None:
    everything = tuple(exam.ROLES)
    who = newcomer(home, *everything)
    context = Context(home.engine, home.keyring, node="node1", clock=home.clock)
    asked = {*kinds(), "run.begin", "work.of_tomorrow", *WITHOUT_EXAM}
    assert len(asked) > 30
    refused, remedies = set(), set()
    for kind in sorted(asked):
        try:
            context.require(who, kind, *everything)
        except NotAllowed as error:
            refused.add(kind)
            remedies.add(error.remedy)
    assert refused == asked - WITHOUT_EXAM
    assert remedies == {"candor exam take"}
    pass_exam(home.store, who)
    for kind in sorted(asked):
        context.require(who, kind, *everything)


WORK: dict[str, tuple[Role, Callable[[TestHome, Actor], object]]] = {
    "launch": (Role.OPERATOR, lambda h, a: h.store.campaigns.start(a, h.campaign(start=False))),
    "import": (
        Role.OPERATOR,
        lambda h, a: h.store.contacts.import_file(
            _file(h), actor=a, source=SourceKind.OWN_CRM, batch="b"
        ),
    ),
    "approve": (Role.COMPLIANCE, lambda h, a: h.store.scripts.approve(a, h.submit())),
    "write": (Role.AUTHOR, lambda h, a: h.store.scripts.submit(
        a, "x", "您好", flow_digest="0" * 64, audio_digest="0" * 64, disclosure_end_ms=2000.0
    )),
    "adopt": (
        Role.COMPLIANCE,
        lambda h, a: h.store.law.adopt(a, "0" * 64, b"", reason="x"),
    ),
    "lift": (Role.ADMIN, lambda h, a: h.store.stops.lift(a)),
    "train": (
        Role.COMPLIANCE,
        lambda h, a: h.store.trainings.add(a, "x", START, people=["operator"]),
    ),
}  # fmt: skip


def _file(home: TestHome) -> Path:
    path = home.path / "people.csv"
    write_csv(path, [row("13900000009")])
    return path


@pytest.mark.parametrize("what", sorted(WORK))
def test_who_has_not_passed_does_not_work(home: TestHome, what: str) -> None:
    role, work = WORK[what]
    who = newcomer(home, role)
    with pytest.raises(NotAllowed, match="valid exam"):
        work(home, who)
    assert home.ledger_kinds()[-1] == "access.refuse"


def test_setting_up_and_stopping_need_no_exam(home: TestHome) -> None:
    admin = newcomer(home, Role.ADMIN)
    home.store.people.add_person(admin, "another", PASSWORD, [Role.AUTHOR])
    operator = newcomer(home, Role.OPERATOR, name="stopper")
    campaign = home.campaign()
    home.store.campaigns.pause(operator, campaign)
    assert home.store.stops.stop(operator, StopReason.DRILL)


def test_a_lab_home_asks_nobody(home_of: Callable[[HomeKind], TestHome]) -> None:
    home = home_of(HomeKind.LAB)
    who = newcomer(home, Role.AUTHOR)
    home.store.scripts.submit(
        who, "x", "您好", flow_digest="0" * 64, audio_digest="0" * 64, disclosure_end_ms=2000.0
    )


# ---------------------------------------------------------------- what the gate learns


def test_a_claim_brings_exams_and_adopted_law_along(home: TestHome) -> None:
    standing = home.claim(home.campaign()).request.standing
    passed = exam.valid_until(START - timedelta(days=30))
    assert (standing.launcher_exam_until, standing.officer_exam_until) == (passed, passed)
    adopted = home.store.law.adopted()
    assert adopted is not None
    assert standing.adopted_law == adopted.rulebook


def test_a_contact_refused_for_a_lapsed_exam_is_put_off_and_not_used_up(home: TestHome) -> None:
    campaign = home.campaign()
    claim = home.claim(campaign)
    lapsed = claim.request.standing.evolve(launcher_exam_until=START)
    lapsed_claim = claim.evolve(request=claim.request.evolve(standing=lapsed))
    decision = home.refusal(lapsed_claim).decision
    assert [f.rule for f in decision.refusing] == ["untrained_launcher"]
    home.store.refuse(claim, decision, START)
    home.clock.advance(301)
    assert home.claim(campaign).request.contact == claim.request.contact
