# SPDX-License-Identifier: GPL-3.0-or-later
"""The comparison of both sides' records must find every way in which they can differ."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from compliance.facts import AgentLegRecord, Blame, CallRecord, Outcome
from console.join import Bridged, Witnessed, join, join_legs

AT = datetime(2026, 11, 24, 2, tzinfo=UTC)
GOOD = Witnessed(2510.0, 0.99, 1.0, 17.0, 2.0)


def ours(**changes: Any) -> CallRecord:
    call = CallRecord(
        "a1",
        Outcome.ACCEPTED,
        Blame.CALLEE,
        "line",
        sip_call_id="c1",
        sip_status=200,
        answered_at=AT,
        disclosed_ms=2500,
        notice_ms=8000,
        recording="r1",
    )
    return call.evolve(**changes)


def theirs(**changes: Any) -> dict[str, Any]:
    record = {
        "call_id": "c1",
        "answered": {"wall": AT.isoformat(), "mono_ns": 1},
        "final_status": 200,
        "refused_at_ms": None,
        "bye_after_refusal_ms": None,
        "said": [{"text": "好的，可以", "means": "agrees"}],
        "bye_by": "bot",
        "violations": [],
    }
    return {**record, **changes}


def faults(call: CallRecord, record: dict[str, Any], seen: Witnessed | None = GOOD) -> list[str]:
    witnessed = {} if seen is None else {"c1": seen}
    return [fault for entry in join([call], [record], witnessed) for fault in entry.faults]


def test_agreement_has_no_fault() -> None:
    assert not faults(ours(), theirs())


def test_an_invite_only_one_side_knows_of() -> None:
    alone = join([ours(sip_call_id="other")], [theirs()], {})
    assert [len(entry.faults) for entry in alone] == [1, 1]


REFUSED = {"refused_at_ms": 2600.0, "bye_after_refusal_ms": 900.0}


@pytest.mark.parametrize(
    ("call", "record", "seen", "says"),
    [
        ({"disclosed_ms": 3001}, {}, GOOD, "after 3.0 s"),
        ({}, {}, Witnessed(2561.0, 1.0, 1.0), "differ by 61"),
        ({"disclosed_ms": 2990}, {}, Witnessed(3010.0, 1.0, 1.0), "callee heard"),
        ({}, {}, Witnessed(None, 1.0, 1.0), "not found"),
        ({"disclosed_ms": None}, {}, GOOD, "never completed"),
        ({}, {}, Witnessed(2510.0, 1.0, 0.8), "bot channel correlates"),
        ({}, {}, Witnessed(2510.0, 0.8, 1.0), "callee channel correlates"),
        ({}, {}, Witnessed(2510.0, None, 1.0), "callee channel could not"),
        ({}, {}, Witnessed(2510.0, 1.0, 1.0, 0.0, 500.0), "off the callee"),
        ({}, {}, Witnessed(2510.0, 1.0, 1.0, 500.0, 0.0), "off its clock"),
        ({}, {}, None, "not found"),
        ({"recording": ""}, {}, GOOD, "no recording"),
        ({}, {"answered": None, "final_status": 486}, GOOD, "disagree"),
        ({"violations": ("S1",)}, {}, GOOD, "violation of S1"),
        ({}, {"said": []}, GOOD, "it is no_decision"),
        ({"outcome": Outcome.NO_DECISION}, {}, GOOD, "it is accepted"),
        ({"ended_by": "bot"}, {"bye_by": "callee"}, GOOD, "hung up by bot here, by callee"),
        ({"transferred": True}, {}, GOOD, "connected to a person on one side"),
        ({"callback": True}, {}, GOOD, "callback ticket"),
        ({"announcement": "vacant"}, {}, GOOD, "announcement: vacant here, none"),
        ({}, {"violations": ["media after BYE"]}, GOOD, "media after BYE"),
        ({}, REFUSED, GOOD, "did not notice"),
        ({"refused": True}, {}, GOOD, "did not make"),
        (
            {"refused": True},
            {"refused_at_ms": 1.0, "bye_after_refusal_ms": 2001.0},
            GOOD,
            "2001 ms after",
        ),
        ({"refused": True}, {"refused_at_ms": 1.0}, GOOD, "never got a BYE"),
    ],
)
def test_every_difference_is_found(
    call: dict[str, Any], record: dict[str, Any], seen: Witnessed | None, says: str
) -> None:
    found = faults(ours(**call), theirs(**record), seen)
    assert any(says in fault for fault in found), found


def test_different_status_of_an_unanswered_call() -> None:
    call = ours(answered_at=None, sip_status=486, outcome=Outcome.BUSY)
    found = faults(call, theirs(answered=None, final_status=603, said=[]), None)
    assert found == [
        "final SIP status: 486 here, 603 at the callee",
        "we say busy; going by what the callee did it is rejected",
    ]


def test_a_shredded_callee_track_is_lawful_without_a_notice() -> None:
    refused = ours(refused=True, outcome=Outcome.REFUSED, notice_ms=None, disclosed_ms=None)
    assert not faults(refused, theirs(**REFUSED), Witnessed(None, None, 1.0))


# ---------------------------------------------------------------- a person joins the call

LEG = AgentLegRecord("l1", "a1", "agent-1", AT, connected=True, sip_call_id="c2", sip_status=200)
AGENT = {"call_id": "c2", "answered": {"wall": AT.isoformat(), "mono_ns": 2}, "violations": []}
WANTS = {"said": [{"text": "转人工", "means": "wants_person"}]}
HEARD = Bridged(0.99, 0.98, 0.97)


def test_a_connected_call_and_its_leg_agree() -> None:
    call = ours(outcome=Outcome.TRANSFERRED, transferred=True)
    records = [theirs(**WANTS), AGENT]
    (entry,) = join([call], records, {"c1": GOOD}, [LEG])
    assert not entry.faults
    (leg,) = join_legs([LEG], records, {"c2": HEARD})
    assert not leg.faults
    assert leg.checks >= 4


@pytest.mark.parametrize(
    ("leg", "record", "heard", "says"),
    [
        (LEG.evolve(sip_call_id="other"), AGENT, HEARD, "no telephone received"),
        (LEG.evolve(sip_call_id=""), AGENT, HEARD, "names no call"),
        (LEG, {**AGENT, "answered": None}, HEARD, "never answered"),
        (LEG, {**AGENT, "violations": ["media after BYE"]}, HEARD, "media after BYE"),
        (LEG, AGENT, None, "could not be compared"),
        (LEG, AGENT, Bridged(0.5, 1.0, 1.0), "the callee heard the person"),
        (LEG, AGENT, Bridged(1.0, 0.5, 1.0), "the person heard the callee"),
        (LEG, AGENT, Bridged(1.0, 1.0, 0.5), "the recording holds the person"),
    ],
)
def test_every_fault_of_a_leg_is_found(
    leg: AgentLegRecord, record: dict[str, Any], heard: Bridged | None, says: str
) -> None:
    (joined,) = join_legs([leg], [record], {} if heard is None else {"c2": heard})
    assert any(says in fault for fault in joined.faults), joined.faults


def test_a_telephone_rung_without_a_row_is_found() -> None:
    found = join([ours()], [theirs(), AGENT], {"c1": GOOD}, [])
    assert [entry.faults for entry in found if entry.ours is None] == [
        ("the callee got an INVITE that we have no record of",)
    ]


def test_a_ticket_where_a_person_was_on_the_line_is_a_fault() -> None:
    call = ours(outcome=Outcome.CALLBACK, callback=True)
    (entry,) = join([call], [theirs(**WANTS), AGENT], {"c1": GOOD}, [LEG])
    assert any("it is transferred" in fault for fault in entry.faults)
