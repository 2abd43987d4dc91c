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

from compliance.facts import AgentLegRecord, CallRecord, Outcome
from console import testimony
from console.checks import Checks

DISCLOSURE_LIMIT_MS = 3000.0  # S1
DISCLOSURE_AGREEMENT_MS = 60.0  # our measurement against the callee's
REFUSAL_LIMIT_MS = 2000.0  # S11: end of the words to BYE
CORRELATION_LIMIT = 0.9
ALIGNMENT_LIMIT_MS = 120.0  # frame edges and scheduling between the two sample clocks
JITTER_LIMIT_MS = 250.0  # what our jitter buffer may hold back on a machine that stalls


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
class Bridged:
    """How much of either voice reached the other telephone of a connected call."""

    agent_at_callee: float
    callee_at_agent: float
    agent_in_recording: float  # in the channel of what the callee was told


@dataclass(frozen=True, slots=True)
class Joined:
    """One call as both sides saw it."""

    ours: CallRecord | None
    theirs: Mapping[str, Any] | None
    witnessed: Witnessed | None = None
    refusal_to_bye_ms: float | None = None
    faults: tuple[str, ...] = ()
    checks: int = 1


@dataclass(frozen=True, slots=True)
class JoinedLeg:
    """One INVITE to a person of ours, as both sides saw it."""

    ours: AgentLegRecord
    theirs: Mapping[str, Any] | None
    bridged: Bridged | None
    faults: tuple[str, ...]
    checks: int


def join(
    ours: Sequence[CallRecord],
    theirs: Sequence[Mapping[str, Any]],
    witnessed: Mapping[str, Witnessed],
    legs: Sequence[AgentLegRecord] = (),
) -> list[Joined]:
    """Match by Call-ID both ways and judge each pair; order of ours, then what only they saw.

    Records of ``legs`` are left to :func:`join_legs`.
    """
    of_legs = {leg.sip_call_id for leg in legs}
    connected = {leg.attempt_id for leg in legs if leg.connected}
    by_call_id = {
        str(record["call_id"]): record for record in theirs if record["call_id"] not in of_legs
    }
    joined = []
    for call in ours:
        record = by_call_id.pop(call.sip_call_id, None)
        if record is None:
            fault = "we recorded an INVITE that no callee received"
            joined.append(Joined(call, None, faults=(fault,)))
        else:
            seen = witnessed.get(call.sip_call_id)
            joined.append(_judge(call, record, seen, call.attempt_id in connected))
    for record in by_call_id.values():
        fault = "the callee got an INVITE that we have no record of"
        joined.append(Joined(None, record, faults=(fault,)))
    return joined


def join_legs(
    legs: Sequence[AgentLegRecord],
    theirs: Sequence[Mapping[str, Any]],
    bridged: Mapping[str, Bridged],
) -> list[JoinedLeg]:
    """Each leg to a person of ours against that telephone's record; ``bridged`` by Call-ID."""
    by_call_id = {str(record["call_id"]): record for record in theirs}
    joined = []
    for leg in legs:
        checks = Checks()
        record = by_call_id.get(leg.sip_call_id)
        heard = bridged.get(leg.sip_call_id)
        if not leg.sip_call_id:
            checks.that(not leg.connected, "a connected leg names no call")
        elif checks.that(record is not None, "we recorded a leg that no telephone received"):
            assert record is not None
            _check_leg(checks, leg, record, heard)
        joined.append(JoinedLeg(leg, record, heard, tuple(checks.faults), checks.made))
    return joined


def _check_leg(
    checks: Checks, leg: AgentLegRecord, theirs: Mapping[str, Any], heard: Bridged | None
) -> None:
    _check_witness(checks, theirs)
    answered = theirs.get("answered") is not None
    if not leg.connected:
        return
    checks.that(answered, "we connected a telephone that never answered")
    if not checks.that(heard is not None, "the two telephones' sound could not be compared"):
        return
    assert heard is not None
    for score, what in (
        (heard.agent_at_callee, "the callee heard the person"),
        (heard.callee_at_agent, "the person heard the callee"),
        (heard.agent_in_recording, "the recording holds the person"),
    ):
        checks.that(score >= CORRELATION_LIMIT, f"{what} with a likeness of only {score:.2f}")


def _judge(
    call: CallRecord, theirs: Mapping[str, Any], witnessed: Witnessed | None, connected: bool
) -> Joined:
    checks = Checks()
    _check_witness(checks, theirs)
    for requirement in call.violations:
        checks.that(False, f"our own record admits a violation of {requirement}")
    answered = theirs.get("answered") is not None
    checks.that(
        answered == (call.answered_at is not None),
        "the two sides disagree on whether the call was answered",
    )
    status = theirs.get("final_status")
    if not answered and status and call.sip_status:
        checks.that(
            status == call.sip_status,
            f"final SIP status: {call.sip_status} here, {status} at the callee",
        )
    to_bye = theirs.get("bye_after_refusal_ms")
    if call.answered_at is not None and answered:
        _check_disclosure(checks, call, witnessed)
        _check_audio(checks, call, witnessed)
        _check_refusal(checks, call, theirs, to_bye)
        _check_end(checks, call, theirs)
    _check_outcome(checks, call, theirs, connected)
    faults, made = tuple(checks.faults), 1 + checks.made  # that it was found is one
    return Joined(call, theirs, witnessed, to_bye, faults, made)


def _check_witness(checks: Checks, theirs: Mapping[str, Any]) -> None:
    violations = theirs.get("violations") or ()
    checks.that(not violations, f"the witness reports: {'; '.join(violations)}")


def _check_outcome(
    checks: Checks, call: CallRecord, theirs: Mapping[str, Any], connected: bool
) -> None:
    true = testimony.outcome(theirs, connected=connected)
    checks.that(
        call.outcome is true, f"we say {call.outcome}; going by what the callee did it is {true}"
    )
    checks.that(
        call.announcement == (theirs.get("announced") or ""),
        f"announcement: {call.announcement or 'none'} here, "
        f"{theirs.get('announced') or 'none'} at the carrier",
    )
    checks.that(call.transferred == connected, "connected to a person on one side only")
    checks.that(
        call.callback == (true is Outcome.CALLBACK),
        "a callback ticket without a wish for a person, or a wish without a ticket",
    )


def _check_end(checks: Checks, call: CallRecord, theirs: Mapping[str, Any]) -> None:
    by = theirs.get("bye_by")
    checks.that(
        by is None or call.ended_by in ("", by), f"hung up by {call.ended_by} here, by {by} there"
    )


def _check_disclosure(checks: Checks, call: CallRecord, witnessed: Witnessed | None) -> None:
    if call.disclosed_ms is None:
        # A callee who hangs up first, or refuses inside it, ends the disclosure lawfully.
        lawful = call.outcome is Outcome.HUNG_UP or call.refused
        checks.that(lawful, "the disclosure was never completed")
        return
    ours = call.disclosed_ms
    checks.that(ours <= DISCLOSURE_LIMIT_MS, f"disclosure ended at {ours} ms, after 3.0 s")
    found = witnessed.disclosure_ms if witnessed is not None else None
    if not checks.that(found is not None, "the disclosure was not found in what the callee heard"):
        return
    assert found is not None
    apart = abs(found - ours)
    checks.that(apart <= DISCLOSURE_AGREEMENT_MS, f"disclosure times differ by {apart:.0f} ms")
    checks.that(
        found <= DISCLOSURE_LIMIT_MS, f"the callee heard the disclosure end at {found:.0f} ms"
    )


def _check_audio(checks: Checks, call: CallRecord, witnessed: Witnessed | None) -> None:
    if not checks.that(bool(call.recording), "an answered call has no recording"):
        return
    bot = witnessed.bot_correlation if witnessed is not None else None
    if not checks.that(bot is not None, "the recording's bot channel could not be compared"):
        return
    assert bot is not None
    assert witnessed is not None
    shift = witnessed.bot_shift_ms
    checks.that(bot >= CORRELATION_LIMIT, f"bot channel correlates only {bot:.2f}")
    checks.that(
        abs(shift) <= ALIGNMENT_LIMIT_MS, f"bot channel is {shift:.0f} ms off the callee's clock"
    )
    if call.notice_ms is None:
        return  # the callee's track was shredded, as S4 asks
    callee = witnessed.callee_correlation
    if not checks.that(callee is not None, "the recording's callee channel could not be compared"):
        return
    assert callee is not None
    shift = witnessed.callee_shift_ms
    checks.that(callee >= CORRELATION_LIMIT, f"callee channel correlates only {callee:.2f}")
    checks.that(
        callee < CORRELATION_LIMIT or abs(shift) <= JITTER_LIMIT_MS,
        f"callee channel is {shift:.0f} ms off its clock",
    )


def _check_refusal(
    checks: Checks, call: CallRecord, theirs: Mapping[str, Any], to_bye: float | None
) -> None:
    said_no = theirs.get("refused_at_ms") is not None
    if not checks.that(
        call.refused or not said_no, "the callee refused and we did not notice"
    ) or not checks.that(
        said_no or not call.refused, "we recorded a refusal the callee did not make"
    ):
        return
    if not said_no or not checks.that(to_bye is not None, "the callee refused and never got a BYE"):
        return
    assert to_bye is not None
    checks.that(to_bye <= REFUSAL_LIMIT_MS, f"BYE came {to_bye:.0f} ms after the refusal")
