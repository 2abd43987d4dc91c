# SPDX-License-Identifier: GPL-3.0-or-later
"""Our own numbers on both databases: the daily cap, rest, cases, figures (C4b)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text

from compliance.errors import AuthorisationDenied, BadInput, NotAllowed
from compliance.facts import Outcome
from compliance.own_numbers import State
from storage.number_care import CaseState, Figures
from storage.store import Caps
from tests.storage_home import LINE, START, TestHome

NUMBER = "+864008887686"
TWO = Caps(own_per_day=2)


def campaign_over(home: TestHome, *caller_ids: str, people: int = 8) -> tuple[str, list[str]]:
    """A running campaign over a line for each of ``caller_ids``; (id, line ids)."""
    lines = [LINE.evolve(id=f"own{n}", caller_id=shown) for n, shown in enumerate(caller_ids)]
    phones = [f"1390000{n:04d}" for n in range(people)]
    return home.campaign(phones, name="own", lines=lines), [line.id for line in lines]


def until(home: TestHome, at: datetime) -> None:
    home.clock.advance((at - home.clock.wall()).total_seconds())


def dial(home: TestHome, campaign: str, caps: Caps | None = None, **record: Any) -> str:
    """One call, over at once; its line."""
    claim = home.claim(campaign)
    attempt = home.store.authorise(home.permit(claim), claim, home.clock.wall(), caps)
    home.store.finish(claim, home.record(claim, line=attempt.line, **record), None)
    home.clock.advance(1)
    return attempt.line


BLOCKED: dict[str, Any] = {
    "outcome": Outcome.REJECTED,
    "sip_status": 603,
    "answered_at": None,
    "ended_at": START,
    "invited_at": START,
    "transcript": (),
    "keys": (),
    "duration_ms": 0,
    "disclosed_ms": None,
    "notice_ms": None,
}


def figures(home: TestHome, number: str = NUMBER) -> Figures:
    return next(f for f in home.store.own_numbers.figures() if f.number == number)


def kinds(home: TestHome, start: str) -> list[str]:
    return [kind for kind in home.ledger_kinds() if kind.startswith(start)]


def test_two_spellings_of_one_number_share_its_cap_and_the_next_line_takes_over(
    home: TestHome,
) -> None:
    campaign, _ = campaign_over(home, "400-888-7686", "+864008887686", "010 5555 0000", people=5)
    assert [dial(home, campaign, TWO) for _ in range(4)] == ["own0", "own0", "own2", "own2"]
    claim = home.claim(campaign)
    own = {line.id: line.own_number for line in claim.request.lines}
    assert [own[f"own{n}"].calls for n in range(3)] == [2, 2, 2]  # type: ignore[union-attr]
    with pytest.raises(AuthorisationDenied, match="own_number_over_cap"):
        home.store.authorise(home.permit(claim), claim, home.clock.wall(), TWO)
    # Put off until the first call is 24 hours old, and not a moment longer.
    until(home, START + timedelta(hours=24, microseconds=-1))
    assert home.store.claim(campaign, worker="w", now=home.clock.wall()) is None
    until(home, START + timedelta(hours=24))
    assert dial(home, campaign, TWO) == "own0"


def test_a_call_counts_for_24_hours_and_a_clock_that_ran_ahead_makes_no_room(
    home: TestHome,
) -> None:
    campaign, _ = campaign_over(home, NUMBER)
    dial(home, campaign, TWO)
    dial(home, campaign, TWO)
    with home.engine.begin() as connection:
        connection.execute(text("UPDATE attempts SET at = :at"), {"at": _param(home, 2)})
    claim = home.claim(campaign)
    with pytest.raises(AuthorisationDenied, match="own_number_over_cap"):
        home.store.authorise(home.permit(claim), claim, home.clock.wall(), TWO)


def _param(home: TestHome, days: int) -> Any:
    at = START + timedelta(days=days)
    return at if home.engine.dialect.name == "postgresql" else at.strftime("%Y-%m-%d %H:%M:%S.%f")


def test_the_gate_of_the_default_profile_refuses_a_full_number_and_puts_the_contact_off(
    home: TestHome,
) -> None:
    campaign, _ = campaign_over(home, NUMBER)
    home.store.own_numbers.limit(home.actors["officer"], "400 888 7686", 1)
    dial(home, campaign)
    claim = home.claim(campaign)
    refusal = home.refusal(claim)
    assert {f.rule for f in refusal.decision.refusing} == {
        "own_number_over_cap",
        "no_usable_line",
    }
    assert refusal.decision.line_at == START + timedelta(hours=24)
    home.store.refuse(claim, refusal.decision, home.clock.wall())
    before = home.store.campaigns.campaign_counts(campaign).targets
    assert sum(n for state, n in before.items() if state == "refused") == 0
    # A wider limit lets the contacts that were put off come at once.
    home.store.own_numbers.limit(home.actors["officer"], NUMBER, None)
    assert dial(home, campaign) == "own0"


def test_a_number_that_fails_suddenly_rests_gets_a_case_and_comes_back_on_trial(
    home: TestHome,
) -> None:
    campaign, _ = campaign_over(home, NUMBER, people=40)
    for _ in range(6):
        dial(home, campaign)
    for _ in range(9):
        dial(home, campaign, **BLOCKED)
    assert home.store.own_numbers.watch(24) == []
    dial(home, campaign, **BLOCKED)
    assert home.store.own_numbers.watch(24) == [NUMBER]
    assert home.store.own_numbers.watch(24) == []  # once
    now, found = home.clock.wall(), figures(home)
    assert found.state(now) == "resting"
    assert found.rest_until == now + timedelta(hours=24)
    assert (found.calls, found.ended, found.answered, found.failed) == (16, 16, 6, 10)
    assert found.case is not None
    assert found.case.figures["in_a_row"] == 10
    assert found.case.due == now + timedelta(hours=24)
    assert kinds(home, "number") == ["number.suspect", "number_case.open"]
    refusal = home.refusal(home.claim(campaign))
    assert {f.rule for f in refusal.decision.refusing} == {"own_number_resting", "no_usable_line"}

    # A day later it is used again, on trial: ten calls are enough, and it rests twice as long.
    until(home, now + timedelta(hours=24))
    home.store.settle_expired(home.clock.wall())
    assert figures(home).state(home.clock.wall()) == "trial"
    for place in range(10):
        dial(home, campaign, **(BLOCKED if place % 2 else {}))
    assert home.store.own_numbers.watch(24) == [NUMBER]
    again = figures(home)
    assert again.rest_until == home.clock.wall() + timedelta(hours=48)
    assert again.case is not None
    assert again.case.id == found.case.id  # one case, not two
    assert kinds(home, "number_case") == ["number_case.open"]


def test_a_number_that_does_well_on_trial_is_as_any_other_again(home: TestHome) -> None:
    campaign, _ = campaign_over(home, NUMBER, people=40)
    for _ in range(10):
        dial(home, campaign, **BLOCKED)
    home.store.own_numbers.watch(24)
    home.store.own_numbers.release(home.actors["officer"], NUMBER, "carrier says: wrong filter")
    assert figures(home).case is None
    assert figures(home).state(home.clock.wall()) == "trial"
    for _ in range(20):
        dial(home, campaign)
    assert home.store.own_numbers.watch(24) == []
    found = figures(home)
    assert (found.state(home.clock.wall()), found.judgement) == ("in_use", State.WELL)
    assert kinds(home, "number") == [
        "number.suspect",
        "number_case.open",
        "number.release",
        "number_case.step",
        "number.well",
    ]


def test_the_case_goes_from_step_to_step_with_deadlines_and_sealed_notes(home: TestHome) -> None:
    campaign_over(home, NUMBER)
    numbers, operator = home.store.own_numbers, home.actors["operator"]
    now = home.clock.wall()
    numbers.rest(operator, NUMBER, now + timedelta(hours=1), "callees report a fraud label")
    case = figures(home).case
    assert case is not None
    assert case.overdue(now + timedelta(hours=24))
    assert not case.overdue(now + timedelta(hours=23, minutes=59))
    home.clock.advance(60)
    now = home.clock.wall()
    numbers.step(operator, NUMBER, CaseState.CARRIER_CONTACTED, "asked for a review")
    contacted = figures(home).case
    assert contacted is not None
    assert (contacted.state, contacted.due) == (
        CaseState.CARRIER_CONTACTED,
        now + timedelta(days=5),
    )
    home.clock.advance(60)
    numbers.step(operator, NUMBER, CaseState.ABANDONED, "the carrier keeps it blocked")
    assert figures(home).case is None
    assert figures(home).state(now + timedelta(days=3650)) == "abandoned"
    notes = numbers.notes(home.actors["auditor"], case.id)
    assert [(n.state, n.text) for n in notes] == [
        (CaseState.OPEN, "callees report a fraud label"),
        (CaseState.CARRIER_CONTACTED, "asked for a review"),
        (CaseState.ABANDONED, "the carrier keeps it blocked"),
    ]
    assert home.ledger_kinds()[-1] == "pii.read"
    with home.engine.connect() as connection:
        sealed = connection.execute(text("SELECT text_sealed FROM number_case_notes")).scalars()
        assert not any(b"carrier" in bytes(value) for value in sealed)
    assert [c.state for c in numbers.cases(NUMBER)] == [CaseState.ABANDONED]


IMPOSSIBLE: Sequence[tuple[str, tuple[Any, ...], str]] = [
    ("rest", ("+864000000000", START + timedelta(days=1)), "no line shows"),
    ("rest", (NUMBER, START - timedelta(seconds=1)), "ends after now"),
    ("release", (NUMBER, "why"), "does not rest"),
    ("limit", (NUMBER, 0), "1 to 100,000"),
    ("step", (NUMBER, CaseState.CARRIER_CONTACTED, "x"), "no open case"),
    ("step", (NUMBER, CaseState.RELEASED, "x"), "goes on to"),
    ("notes", ("nothing",), "no such case"),
]


def test_what_cannot_be_is_refused_and_nothing_is_written(home: TestHome) -> None:
    campaign_over(home, NUMBER)
    numbers, officer = home.store.own_numbers, home.actors["officer"]
    before = len(home.ledger_kinds())
    for what, arguments, told in IMPOSSIBLE:
        with pytest.raises(BadInput, match=told):
            getattr(numbers, what)(officer, *arguments)
    assert len(home.ledger_kinds()) == before

    # A note says something and holds no card number; without it the release does not happen.
    end = home.clock.wall() + timedelta(hours=1)
    numbers.rest(officer, NUMBER, end)
    numbers.rest(officer, NUMBER, end, "first")
    for note in ("", "  ", "x" * 4001, "card 4111 1111 1111 1111"):
        with pytest.raises(BadInput, match="note"):
            numbers.release(officer, NUMBER, note)
        assert figures(home).state(home.clock.wall()) == "resting"


def test_who_may_not(home: TestHome) -> None:
    campaign_over(home, NUMBER)
    numbers, tomorrow = home.store.own_numbers, START + timedelta(days=1)
    for who in ("author", "auditor", "operator"):
        actor = home.actors[who]
        with pytest.raises(NotAllowed):
            numbers.release(actor, NUMBER, "x")
        with pytest.raises(NotAllowed):
            numbers.limit(actor, NUMBER, 5)
        if who != "operator":
            with pytest.raises(NotAllowed):
                numbers.rest(actor, NUMBER, tomorrow)
            with pytest.raises(NotAllowed):
                numbers.step(actor, NUMBER, CaseState.ABANDONED, "x")
