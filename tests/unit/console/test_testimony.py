# SPDX-License-Identifier: GPL-3.0-or-later
"""What a callee's record says must have come of the call, for every kind of callee."""

from __future__ import annotations

from typing import Any

import pytest

from compliance.facts import Announcement, Outcome
from console.testimony import outcome, refused_by

AT = {"wall": "2026-11-24T02:00:00+00:00", "mono_ns": 5}
LATER = {"wall": "2026-11-24T02:00:01+00:00", "mono_ns": 9}


def said(*means: str, cut: bool = False) -> list[dict[str, Any]]:
    return [{"text": "…", "means": m, **({"cut": True} if cut else {})} for m in means]


def answered(**changes: Any) -> dict[str, Any]:
    record = {"answered": AT, "final_status": 200, "said": [], "dtmf": [], "bye_by": "bot"}
    return {**record, **changes}


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        (answered(said=said("agrees")), "accepted"),
        (answered(said=said("asks", "agrees")), "accepted"),
        (answered(said=said("agrees", cut=True)), "no_decision"),
        (answered(said=said("agrees"), refused_at_ms=9.0), "refused"),
        (answered(said=said("wants_person")), "callback"),
        (answered(said=said("machine", cut=True)), "voicemail"),
        (answered(), "no_decision"),
        (answered(bye_by="callee"), "hung_up"),
        (answered(said=said("agrees"), bye_by="callee"), "accepted"),
        # a 200 that crossed our CANCEL: nobody was spoken to
        (answered(ringing=AT, cancel=AT, answered=LATER), "no_answer"),
        ({"ringing": AT, "cancel": LATER, "final_status": 487}, "no_answer"),
        ({"cancel": LATER}, "line_failed"),
        ({"final_status": 486}, "busy"),
        ({"final_status": 603}, "rejected"),
        ({"final_status": 480}, "unavailable"),
        ({"final_status": 404}, "invalid_number"),
        ({"final_status": 503}, "line_failed"),
        ({"final_status": 302}, "line_failed"),
        ({"final_status": 480, "announced": "vacant"}, "invalid_number"),
        ({"cancel": LATER, "final_status": 487, "announced": "switched_off"}, "unavailable"),
    ],
)
def test_outcome_of_a_record(record: dict[str, Any], expected: str) -> None:
    assert outcome(record) == expected


def test_a_wish_for_a_person_depends_on_the_persons_own_telephone() -> None:
    record = answered(said=said("wants_person"), bye_by="callee")
    assert outcome(record, connected=True) is Outcome.TRANSFERRED
    assert outcome(record, connected=False) is Outcome.CALLBACK


def test_every_announcement_has_an_outcome() -> None:
    for what in Announcement:
        assert outcome({"announced": what.value}) in Outcome


def test_how_it_was_refused() -> None:
    press = [{"digit": "1", "end_ms": 9.0}]
    assert refused_by(answered(refused_at_ms=9.0, dtmf=press)) == "key"
    assert refused_by(answered(refused_at_ms=12.0, dtmf=press)) == "voice"
    assert refused_by(answered()) == ""
