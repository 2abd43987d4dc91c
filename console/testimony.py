# SPDX-License-Identifier: GPL-3.0-or-later
"""What must have come of a call, going by what the callee itself did; pure.

The callee's record knows what it said, pressed and answered and what its words
mean. Nothing here asks the platform what it understood or hoped for.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from compliance.facts import Announcement, Outcome

Record = Mapping[str, Any]  # of ``sip_sim``: docs/simulator.md

_BY_STATUS = {
    404: Outcome.INVALID_NUMBER,
    410: Outcome.INVALID_NUMBER,
    480: Outcome.UNAVAILABLE,
    486: Outcome.BUSY,
    600: Outcome.BUSY,
    603: Outcome.REJECTED,
    604: Outcome.INVALID_NUMBER,
}
_BY_ANNOUNCEMENT = {
    Announcement.SWITCHED_OFF: Outcome.UNAVAILABLE,
    Announcement.UNREACHABLE: Outcome.UNAVAILABLE,
    Announcement.OUT_OF_AREA: Outcome.UNAVAILABLE,
    Announcement.VACANT: Outcome.INVALID_NUMBER,
    Announcement.SUSPENDED: Outcome.INVALID_NUMBER,
    Announcement.ENGAGED: Outcome.BUSY,
}


def outcome(record: Record, *, connected: bool = False) -> Outcome:
    """The one outcome that is true to the callee's record.

    ``connected``: a person's telephone, which has a record of its own, joined the call.
    """
    if answered(record):
        return _of_answered(record, connected)
    if record.get("announced"):
        return _BY_ANNOUNCEMENT[Announcement(record["announced"])]
    if record.get("cancel"):
        return Outcome.NO_ANSWER if record.get("ringing") else Outcome.LINE_FAILED
    return _BY_STATUS.get(record.get("final_status") or 0, Outcome.LINE_FAILED)


def answered(record: Record) -> bool:
    """Whether somebody was spoken to: a 200 that crossed a CANCEL is no answer."""
    if not record.get("answered"):
        return False
    cancel = record.get("cancel")
    return not cancel or bool(record["answered"]["mono_ns"] < cancel["mono_ns"])


def refused_by(record: Record) -> str:
    """``key``, ``voice``, or empty: how the callee said no."""
    if record.get("refused_at_ms") is None:
        return ""
    at = record["refused_at_ms"]
    return "key" if any(press["end_ms"] == at for press in record.get("dtmf") or ()) else "voice"


def _of_answered(record: Record, connected: bool) -> Outcome:
    if refused_by(record):
        return Outcome.REFUSED
    said = record.get("said") or ()
    begun = {words.get("means") for words in said}
    meant = {words.get("means") for words in said if not words.get("cut")}
    if "machine" in begun:  # a greeting need not be heard to its end
        return Outcome.VOICEMAIL
    if "wants_person" in meant:
        return Outcome.TRANSFERRED if connected else Outcome.CALLBACK
    if "agrees" in meant:
        return Outcome.ACCEPTED
    return Outcome.HUNG_UP if record.get("bye_by") == "callee" else Outcome.NO_DECISION
