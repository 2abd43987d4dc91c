# SPDX-License-Identifier: GPL-3.0-or-later
"""The comparison of both sides' records must find every way in which they can differ."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from compliance.facts import Blame, CallRecord, Outcome
from console.join import Witnessed, join

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
    found = faults(call, theirs(answered=None, final_status=603), None)
    assert found == ["final SIP status: 486 here, 603 at the callee"]


def test_a_shredded_callee_track_is_lawful_without_a_notice() -> None:
    refused = ours(refused=True, outcome=Outcome.REFUSED, notice_ms=None, disclosed_ms=None)
    assert not faults(refused, theirs(**REFUSED), Witnessed(None, None, 1.0))
