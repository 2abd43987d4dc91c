# SPDX-License-Identifier: GPL-3.0-or-later
"""The people behind a call, and the law it is decided under."""

from __future__ import annotations

from datetime import datetime

from compliance.facts import DialRequest
from compliance.rulebook import Rulebook
from compliance.rules.base import Breach, forbids


@forbids("G4", source="PIPL art. 51; seed G4", why=("launcher", "officer"))
def untrained_launcher(request: DialRequest, rulebook: Rulebook, now: datetime) -> Breach | None:
    """A call launched, or answered for, by somebody without a valid exam."""
    if not rulebook.policy.exam:
        return None
    standing = request.standing
    if standing.launcher_exam_until is None or now >= standing.launcher_exam_until:
        return Breach("launcher")
    if standing.officer_exam_until is None or now >= standing.officer_exam_until:
        return Breach("officer")
    return None


@forbids("T2", source="seed G1, T2", why=("never", "other"))
def rulebook_not_adopted(request: DialRequest, rulebook: Rulebook, now: datetime) -> Breach | None:
    """A rulebook that no compliance officer adopted, or another than the one adopted last."""
    if not rulebook.policy.adopted_law:
        return None
    adopted = request.standing.adopted_law
    if not adopted:
        return Breach("never")
    if adopted != rulebook.digest:
        return Breach("other", (("adopted", adopted[:12]), ("in_use", rulebook.digest[:12])))
    return None


STANDING_RULES = (untrained_launcher, rulebook_not_adopted)
