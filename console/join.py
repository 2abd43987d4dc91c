# SPDX-License-Identifier: GPL-3.0-or-later
"""Our records against the callees' own: joined by SIP Call-ID, judged, pure.

The simulator is the independent witness: it wrote down when an INVITE came,
what it heard and when it was hung up on. Every fault found here is a sentence
for a person; no fault means that both sides tell the same story.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from compliance.facts import CallRecord, Outcome

DISCLOSURE_LIMIT_MS = 3000.0  # S1
DISCLOSURE_AGREEMENT_MS = 60.0  # our measurement against the callee's
REFUSAL_LIMIT_MS = 2000.0  # S11: end of the words to BYE
CORRELATION_LIMIT = 0.9
ALIGNMENT_LIMIT_MS = 120.0  # jitter buffers and frame edges between the two sample clocks


@dataclass(frozen=True, slots=True)
class Witnessed:
    """What the witness's audio says of one answered call; ms from answer at the callee."""

    disclosure_ms: float | None  # end of our disclosure as found in what the callee heard
    callee_correlation: float | None  # our callee track against what the callee said
    bot_correlation: float | None  # our bot track against what the callee heard
    callee_shift_ms: float = 0.0
    bot_shift_ms: float = 0.0
    farewell_ms: float | None = None  # start of the farewell as the callee heard it


@dataclass(frozen=True, slots=True)
class Joined:
    """One call as both sides saw it."""

    ours: CallRecord | None
    theirs: Mapping[str, Any] | None
    witnessed: Witnessed | None
    refusal_to_bye_ms: float | None
    faults: tuple[str, ...]


def join(
    ours: Sequence[CallRecord],
    theirs: Sequence[Mapping[str, Any]],
    witnessed: Mapping[str, Witnessed],
) -> list[Joined]:
    """Match by Call-ID both ways and judge each pair; order of ours, then what only they saw."""
    by_call_id = {str(record["call_id"]): record for record in theirs}
    joined = []
    for call in ours:
        record = by_call_id.pop(call.sip_call_id, None)
        joined.append(_judge(call, record, witnessed.get(call.sip_call_id)))
    for record in by_call_id.values():
        fault = "the callee got an INVITE that we have no record of"
        joined.append(Joined(None, record, None, None, (fault,)))
    return joined


def _judge(
    call: CallRecord, theirs: Mapping[str, Any] | None, witnessed: Witnessed | None
) -> Joined:
    if theirs is None:
        fault = "we recorded an INVITE that no callee received"
        return Joined(call, None, None, None, (fault,))
    faults: list[str] = [f"the witness reports: {v}" for v in theirs.get("violations") or ()]
    faults += [f"our own record admits a violation of {v}" for v in call.violations]
    answered = theirs.get("answered") is not None
    if answered != (call.answered_at is not None):
        faults.append("the two sides disagree on whether the call was answered")
    status = theirs.get("final_status")
    if not answered and status and call.sip_status and status != call.sip_status:
        faults.append(f"final SIP status: {call.sip_status} here, {status} at the callee")
    to_bye = theirs.get("bye_after_refusal_ms")
    if call.answered_at is not None and answered:
        faults += _disclosure_faults(call, witnessed)
        faults += _audio_faults(call, witnessed)
        faults += _refusal_faults(call, theirs, to_bye)
    return Joined(call, theirs, witnessed, to_bye, tuple(faults))


def _disclosure_faults(call: CallRecord, witnessed: Witnessed | None) -> list[str]:
    if call.disclosed_ms is None:
        # A callee who hangs up first, or refuses inside it, ends the disclosure lawfully.
        lawful = call.outcome is Outcome.HUNG_UP or call.refused
        return [] if lawful else ["the disclosure was never completed"]
    faults = []
    if call.disclosed_ms > DISCLOSURE_LIMIT_MS:
        faults.append(f"disclosure ended at {call.disclosed_ms} ms, after 3.0 s")
    if witnessed is None or witnessed.disclosure_ms is None:
        faults.append("the disclosure was not found in what the callee heard")
        return faults
    apart = abs(witnessed.disclosure_ms - call.disclosed_ms)
    if apart > DISCLOSURE_AGREEMENT_MS:
        faults.append(f"disclosure times differ by {apart:.0f} ms")
    if witnessed.disclosure_ms > DISCLOSURE_LIMIT_MS:
        faults.append(f"the callee heard the disclosure end at {witnessed.disclosure_ms:.0f} ms")
    return faults


def _audio_faults(call: CallRecord, witnessed: Witnessed | None) -> list[str]:
    if not call.recording:
        return ["an answered call has no recording"]
    if witnessed is None or witnessed.bot_correlation is None:
        return ["the recording's bot channel could not be compared"]
    faults = []
    if witnessed.bot_correlation < CORRELATION_LIMIT:
        faults.append(f"bot channel correlates only {witnessed.bot_correlation:.2f}")
    if abs(witnessed.bot_shift_ms) > ALIGNMENT_LIMIT_MS:
        faults.append(f"bot channel is {witnessed.bot_shift_ms:.0f} ms off the callee's clock")
    if call.notice_ms is None:
        return faults  # the callee's track was shredded, as S4 asks
    if witnessed.callee_correlation is None:
        faults.append("the recording's callee channel could not be compared")
    elif witnessed.callee_correlation < CORRELATION_LIMIT:
        faults.append(f"callee channel correlates only {witnessed.callee_correlation:.2f}")
    elif abs(witnessed.callee_shift_ms) > ALIGNMENT_LIMIT_MS:
        faults.append(f"callee channel is {witnessed.callee_shift_ms:.0f} ms off its clock")
    return faults


def _refusal_faults(call: CallRecord, theirs: Mapping[str, Any], to_bye: float | None) -> list[str]:
    said_no = theirs.get("refused_at_ms") is not None
    if said_no and not call.refused:
        return ["the callee refused and we did not notice"]
    if call.refused and not said_no:
        return ["we recorded a refusal the callee did not make"]
    if not said_no:
        return []
    if to_bye is None:
        return ["the callee refused and never got a BYE"]
    if to_bye > REFUSAL_LIMIT_MS:
        return [f"BYE came {to_bye:.0f} ms after the refusal"]
    return []
