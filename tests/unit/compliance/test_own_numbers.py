# SPDX-License-Identifier: GPL-3.0-or-later
"""When a number of ours seems blocked: what counts, and from which share on (C4b)."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compliance.gate import earliest, recheck
from compliance.own_numbers import (
    LONGEST_REST,
    NumberCall,
    OwnNumber,
    State,
    judge,
    looks_blocked,
    rest,
)
from compliance.profiles import Profile, parse_profile
from compliance.rulebook import combine
from tests.unit.compliance.builders import NOW, allowed_request, line, profile_data, rulebook_with

GOOD = NumberCall(NOW, "accepted", 200, rang=True, answered=True)
BAD = NumberCall(NOW, "rejected", 603, waited_ms=300)


def unanswered(outcome: str, status: int, waited_ms: int, **more: object) -> NumberCall:
    return NumberCall(NOW, outcome, status, waited_ms=waited_ms, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("call", "sign"),
    [
        (GOOD, False),
        (unanswered("rejected", 403, 200), True),
        (unanswered("rejected", 403, 20_000, rang=True), True),  # no person says "forbidden"
        (unanswered("rejected", 608, 200), True),
        (unanswered("rejected", 603, 900), True),
        (unanswered("rejected", 603, 2_000, rang=True), True),  # quicker than anybody looks
        (unanswered("rejected", 603, 9_000, rang=True), False),  # somebody declined
        (unanswered("busy", 486, 400), True),
        (unanswered("busy", 486, 3_000), False),
        (unanswered("unavailable", 480, 2_999), True),
        (unanswered("unavailable", 480, 15_000, rang=True), False),
        (unanswered("unavailable", 480, 9_000, announcement="unreachable"), True),
        (unanswered("busy", 486, 9_000, announcement="engaged"), True),
        (unanswered("invalid_number", 404, 300, announcement="vacant"), None),
        (unanswered("unavailable", 480, 300, announcement="suspended"), None),
        (unanswered("invalid_number", 404, 300), None),
        (unanswered("line_failed", 503, 100), None),  # the line's doing: T4
        (unanswered("cancelled", 487, 100), None),
        (unanswered("no_answer", 487, 30_000, rang=True), False),
        (NumberCall(NOW, ""), None),
        (NumberCall(NOW, "unknown"), None),
        (NumberCall(NOW, "refused", 200, rang=True, answered=True), False),
    ],
)
def test_what_a_call_says_of_the_number(call: NumberCall, sign: bool | None) -> None:
    assert looks_blocked(call) is sign


def calls(pattern: str, *, minutes: float = 1.0) -> list[NumberCall]:
    """Newest first; x failed as a blocked number does, . did not."""
    ago = timedelta(minutes=minutes)
    return [(BAD if c == "x" else GOOD).evolve(at=NOW - ago * i) for i, c in enumerate(pattern)]


@pytest.mark.parametrize(
    ("pattern", "state"),
    [
        ("", State.UNSURE),
        ("x" * 9, State.UNSURE),  # too few
        ("x" * 10, State.SUSPECTED),  # ten in a row
        ("x" * 9 + ".", State.UNSURE),
        (".x" * 10, State.SUSPECTED),  # half of twenty
        (".x" * 9 + ".", State.UNSURE),  # nineteen calls
        ("." * 11 + "x" * 9, State.UNSURE),  # 45 %
        ("." * 15 + "x" * 5, State.WELL),  # 25 %
        ("." * 14 + "x" * 6, State.UNSURE),
        ("." * 30 + "x" * 30, State.WELL),  # it was bad, and is not any more
        # What is usual for the number counts: 40 % before, so 80 % are asked for.
        (".x" * 15 + "xx..." * 40, State.UNSURE),
        ("xxxx." * 6 + "xx..." * 40, State.SUSPECTED),
        # 60 % before: no share is beyond suspicion.
        ("x" * 27 + "..." + "xxx.." * 40, State.SUSPECTED),
        ("x" * 26 + "...." + "xxx.." * 40, State.UNSURE),
    ],
)
def test_from_which_share_on_it_is_suspected(pattern: str, state: State) -> None:
    assert judge(calls(pattern)).state is state


def test_calls_before_the_end_of_its_rest_are_not_held_against_a_number() -> None:
    rested = calls("." * 5 + "x" * 30)
    assert judge(rested).state is State.SUSPECTED
    found = judge(rested, since=NOW - timedelta(minutes=4), on_trial=True)
    assert (found.state, found.calls, found.failures) == (State.UNSURE, 5, 0)


def test_on_trial_ten_calls_are_enough() -> None:
    again = calls("x.x.x.x.x.")
    assert judge(again).state is State.UNSURE
    assert judge(again, since=NOW - timedelta(hours=1), on_trial=True).state is State.SUSPECTED


@given(st.text("x.", max_size=260), st.booleans())
def test_one_more_good_call_never_makes_a_number_suspect(pattern: str, trial: bool) -> None:
    before = judge(calls(pattern), on_trial=trial)
    after = judge(calls("." + pattern), on_trial=trial)
    if before.state is State.WELL:
        assert after.state is not State.SUSPECTED
    assert 0 <= after.failures <= after.calls <= 30


@given(st.text("x.", min_size=30, max_size=260))
def test_suspected_and_well_are_far_apart(pattern: str) -> None:
    """No one call turns a number from well to suspected: it would flicker."""
    found = judge(calls(pattern))
    after = judge(calls("x" + pattern))
    if found.state is State.WELL and found.baseline < 0.25:
        assert after.state is not State.SUSPECTED or after.in_a_row >= 10


def test_each_rest_that_did_not_help_is_followed_by_one_twice_as_long() -> None:
    assert [rest(24, n) / timedelta(hours=24) for n in (0, 1, 2)] == [1, 2, 4]
    assert rest(24, 3) == rest(24, 1_000) == LONGEST_REST


# ---------------------------------------------------------------- the gate

FULL = OwnNumber("+861055550000", calls=200, oldest=NOW - timedelta(hours=23, minutes=30))
RESTS = OwnNumber("+861055550000", calls=0, rest_until=NOW + timedelta(minutes=45))
ROOM = OwnNumber("+861055551111", calls=199, oldest=NOW - timedelta(hours=5))


def test_another_line_whose_number_has_room_carries_the_call() -> None:
    lines = (
        line(id="full", own_number=FULL),
        line(id="rests", own_number=RESTS),
        line(id="room", own_number=ROOM),
    )
    decision = recheck(allowed_request(lines=lines), rulebook_with(), NOW)
    assert decision.permitted
    assert decision.lines == ("room",)
    assert {(f.rule, f.line) for f in decision.refusing} == {
        ("own_number_over_cap", "full"),
        ("own_number_resting", "rests"),
    }


def test_with_every_number_full_the_gate_says_when_the_first_has_room() -> None:
    lines = (line(id="full", own_number=FULL), line(id="rests", own_number=RESTS))
    request = allowed_request(lines=lines)
    decision = recheck(request, rulebook_with(), NOW)
    assert not decision.permitted
    assert decision.line_at == NOW + timedelta(minutes=30)
    assert earliest(request, rulebook_with(), NOW) == NOW + timedelta(minutes=30)


def test_a_line_that_time_does_not_mend_says_nothing_of_when() -> None:
    lines = (line(id="full", own_number=FULL, enabled=False), line(id="off", enabled=False))
    decision = recheck(allowed_request(lines=lines), rulebook_with(), NOW)
    assert decision.line_at is None
    assert earliest(allowed_request(lines=lines), rulebook_with(), NOW) is None


@pytest.mark.parametrize(
    ("own", "asked", "permitted"),
    [
        (None, None, True),  # no profile asks
        (None, 200, False),
        (OwnNumber("n", 199), 200, True),
        (OwnNumber("n", 200), 200, False),
        (OwnNumber("n", 10, day_cap=10), None, False),
        (OwnNumber("n", 10, day_cap=300), 10, False),  # its own cap never widens
        (OwnNumber("n", 9, day_cap=300), 10, True),
        (OwnNumber("n", 0, rest_until=NOW + timedelta(microseconds=1)), None, False),
        (OwnNumber("n", 0, rest_until=NOW), 200, True),
    ],
)
def test_cap_and_rest(own: OwnNumber | None, asked: int | None, permitted: bool) -> None:
    section = None if asked is None else {"calls_per_day": asked, "rest_hours": 24}
    book = rulebook_with(own_numbers=section)
    request = allowed_request(line__own_number=own)
    assert recheck(request, book, NOW).permitted is permitted


def test_every_profile_for_real_calls_asks_for_a_cap() -> None:
    for name in ("cn_seed", "us_federal", "us_fl", "uk", "fr", "demo"):
        assert profile_data(name)["own_numbers"] == {"calls_per_day": 200, "rest_hours": 24}
    assert "own_numbers" not in profile_data("lab")


def test_the_strictest_of_several_profiles_counts() -> None:
    def read(ident: str, calls: int, hours: int) -> Profile:
        section = {"calls_per_day": calls, "rest_hours": hours}
        return parse_profile(profile_data(id=ident, own_numbers=section))

    none = parse_profile(profile_data(id="c", own_numbers=None))
    policy = combine([read("a", 100, 12), read("b", 300, 48), none])
    assert policy.own_numbers is not None
    assert (policy.own_numbers.calls_per_day, policy.own_numbers.rest_hours) == (100, 48)
    assert combine([none]).own_numbers is None
