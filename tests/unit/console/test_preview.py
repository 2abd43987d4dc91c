# SPDX-License-Identifier: GPL-3.0-or-later
"""A preview's sums: each contact once, each reason at each contact, duplicates as on the day."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from compliance.clock import RINGS_WITHIN_S
from compliance.facts import DialRequest, Number
from compliance.gate import recheck
from console.gate_view import reasons
from console.preview import Preview, judge
from tests.unit.compliance.builders import (
    NOW,
    allowed_request,
    attempt,
    consent,
    line,
    refusal,
    shipped_rulebook,
)
from tests.unit.compliance.test_gate_properties import requests

CN = shipped_rulebook()
LUNCH = NOW + timedelta(hours=2)  # noon in Shanghai
AFTERNOON = NOW + timedelta(hours=4, minutes=30)  # 14:30
HOUR, RINGS_WITHIN = timedelta(hours=1), timedelta(seconds=RINGS_WITHIN_S)


def number(ending: int) -> Number:
    return Number(f"+861390000{ending:04}")


def sums(*asked: DialRequest, at: datetime = NOW) -> Preview:
    """Judged with numbers of their own, unless two are the same request."""
    return judge(asked, CN, at)


def counts(found: Preview) -> tuple[int, int, int, int]:
    return found.contacts, found.now, found.later, found.refused


def by_rule(found: Preview) -> dict[str, tuple[int, int, int]]:
    return {rule: (c.first, c.refused, c.later) for rule, c in found.rules.items()}


def person(ending: int, **changes: object) -> DialRequest:
    return allowed_request(**{"contact__number": number(ending), **changes})


def test_every_contact_is_counted_once() -> None:
    found = sums(
        person(1),
        person(2, consents=()),
        person(3, attempts=(attempt(HOUR / 2),)),
        person(4, refusals=(refusal(timedelta(days=30)),)),
    )
    assert counts(found) == (4, 1, 1, 2)
    assert found.opens == NOW + HOUR / 2 + RINGS_WITHIN
    assert by_rule(found) == {
        "no_explicit_consent": (1, 1, 0),
        "over_call_cap": (0, 0, 1),
        "number_on_refusal_list": (0, 1, 0),
        "withdrawn_consent": (1, 1, 0),  # a refusal ends in time, a withdrawal does not
    }


def test_a_contact_with_several_reasons_has_one_first() -> None:
    found = sums(person(1, consents=(consent(preticked=True, purpose="survey"),)))
    assert by_rule(found) == {
        "preticked_or_vague_consent": (1, 1, 0),
        "consent_for_another_use": (0, 1, 0),
    }


def test_the_first_reason_is_one_that_lasts() -> None:
    """Outside hours and without consent: the hours are not why nobody will call."""
    found = sums(person(1, consents=()), at=LUNCH)
    assert counts(found) == (1, 0, 0, 1)
    assert by_rule(found) == {"no_explicit_consent": (1, 1, 0), "outside_calling_hours": (0, 1, 0)}


def test_outside_hours_all_wait_for_the_opening() -> None:
    found = sums(person(1), person(2), at=LUNCH)
    assert counts(found) == (2, 0, 2, 0)
    assert found.opens == AFTERNOON
    assert by_rule(found) == {"outside_calling_hours": (0, 0, 2)}


def test_the_second_of_two_equal_numbers_waits_for_its_cap() -> None:
    found = sums(person(1), person(1), person(2))
    assert counts(found) == (3, 2, 1, 0)
    assert by_rule(found) == {"over_call_cap": (0, 0, 1)}
    assert found.opens == NOW + HOUR + RINGS_WITHIN


def test_a_bad_line_is_no_reason_while_another_serves() -> None:
    good, bad = line(id="good"), line(id="bad", enabled=False)
    assert counts(sums(person(1, lines=(good, bad)))) == (1, 1, 0, 0)
    mixed = sums(person(1, lines=(good, bad), consents=()))
    assert by_rule(mixed) == {"no_explicit_consent": (1, 1, 0)}
    none_left = sums(person(1, lines=(bad,)))
    assert by_rule(none_left) == {"disabled_line": (1, 1, 0)}
    assert by_rule(sums(person(1, lines=()))) == {"no_usable_line": (1, 1, 0)}


def test_two_findings_of_one_rule_are_one_contact() -> None:
    lines = (line(id="a", enabled=False), line(id="b", enabled=False))
    assert by_rule(sums(person(1, lines=lines))) == {"disabled_line": (1, 1, 0)}


def test_under_a_stop_nobody_would_be_dialed() -> None:
    found = sums(person(1, stopped_at=NOW), person(2, stopped_at=NOW))
    assert counts(found) == (2, 0, 0, 2)
    assert found.stopped_at == NOW
    assert by_rule(found) == {"emergency_stop": (2, 2, 0)}


def test_progress_is_told_of_every_contact() -> None:
    told: list[int] = []
    judge([person(i) for i in range(5)], CN, NOW, told.append)
    assert told == [1, 2, 3, 4, 5]


def test_an_empty_list() -> None:
    assert asdict(sums()) == asdict(Preview(NOW))


@settings(max_examples=150)
@given(st.lists(requests(), max_size=5))
def test_the_sums_agree_with_the_gate(asked: list[DialRequest]) -> None:
    asked = [r.evolve(contact=r.contact.evolve(number=number(i))) for i, r in enumerate(asked)]
    found = judge(asked, CN, NOW)
    decisions = [recheck(r, CN, NOW) for r in asked]
    assert found.now == sum(d.permitted for d in decisions)
    assert found.now + found.later + found.refused == found.contacts == len(asked)
    assert sum(c.first for c in found.rules.values()) == found.refused
    for rule, count in found.rules.items():
        holding = sum(rule in {f.rule for f in reasons(d)} for d in decisions)
        assert count.refused + count.later == holding
        assert count.first <= count.refused
    assert (found.opens is not None) == (found.later > 0)
