# SPDX-License-Identifier: GPL-3.0-or-later
"""Our own numbers: used within their daily cap, and left alone while they rest (C4b)."""

from __future__ import annotations

from datetime import datetime

from compliance.facts import DialRequest, LineFacts
from compliance.rulebook import Rulebook
from compliance.rules.base import Breach, forbids_line, seconds


@forbids_line("C4b", source="seed C4b", why=("unknown", "reached"))
def own_number_over_cap(
    request: DialRequest, line: LineFacts, rulebook: Rulebook, now: datetime
) -> Breach | None:
    """More calls in 24 hours from one number of ours than carriers are used to."""
    asked = rulebook.policy.own_numbers
    own = line.own_number
    if own is None:
        return None if asked is None else Breach("unknown")
    cap = own.cap(None if asked is None else asked.calls_per_day)
    if cap is None or own.calls < cap or own.used(now) < cap:
        return None
    params = (("calls", str(own.calls)), ("cap", str(cap)))
    return Breach("reached", params, own.room_at(), source=rulebook.policy.cite("own_numbers"))


@forbids_line("C4b", source="seed C4b", why=("until",))
def own_number_resting(
    request: DialRequest, line: LineFacts, rulebook: Rulebook, now: datetime
) -> Breach | None:
    """A number of ours that seems blocked, or that somebody gave a rest."""
    own = line.own_number
    if own is None or own.rest_until is None or own.rest_until <= now:
        return None
    return Breach("until", (("until", seconds(own.rest_until)),), own.rest_until)


OWN_NUMBER_RULES = (own_number_over_cap, own_number_resting)
