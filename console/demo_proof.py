# SPDX-License-Identifier: GPL-3.0-or-later
"""What the demo proves: each call against its callee's record, and the run as a whole."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from compliance.facts import Actor, AgentLegRecord, CallRecord, Number, Outcome
from console import figures, join, run, simulators, witness
from console.checks import Checks
from console.demo_home import MAX_CALLS, Prepared
from console.figures import Figures
from console.homes import Opened
from console.run import Row
from storage import ledger
from storage.contact_files import Rejection
from storage.listing import GateRefusalRow
from voicebot.prompts import RenderedScript

FIRST_RING_LIMIT_S = 20.0
_SEVERAL = 3  # calls at a time, at the least

# Last four digits of each contact in examples/demo -> what must have come of the call.
CALLS: Mapping[str, Outcome] = {
    "0101": Outcome.ACCEPTED,
    "0102": Outcome.REFUSED,
    "0103": Outcome.REFUSED,
    "0104": Outcome.BUSY,
    "0105": Outcome.NO_ANSWER,
    "0107": Outcome.ACCEPTED,
    "0108": Outcome.REFUSED,
    "0110": Outcome.NO_DECISION,
    "0111": Outcome.HUNG_UP,
    "0112": Outcome.VOICEMAIL,
    "0113": Outcome.UNAVAILABLE,
    "0114": Outcome.INVALID_NUMBER,
    "0115": Outcome.REJECTED,
    "0116": Outcome.UNAVAILABLE,
    "0117": Outcome.INVALID_NUMBER,
    "0118": Outcome.LINE_FAILED,
    "0119": Outcome.ACCEPTED,
    "0120": Outcome.NO_DECISION,
}
# Both ask for a person, and there is one telephone: whoever asks first gets it.
ASKING = ("0109", "1109")
# Last four digits -> the rule that must have refused it.
REFUSED: Mapping[str, str] = {
    "0106": "no_explicit_consent",
    "2106": "preticked_or_vague_consent",
    "3106": "number_on_refusal_list",
    "0104": "over_call_cap",  # called by the first campaign
    "0101": "over_call_cap",  # written another way in the second file
}
REJECTED = ((18, "notes"),)  # rows left out of the import: an identity-card number in the notes


@dataclass(frozen=True, slots=True)
class Proof:
    """Everything the last screen shows. ``faults`` is empty when all checks held."""

    calls: tuple[join.Joined, ...]
    legs: tuple[join.JoinedLeg, ...]
    rows: Mapping[str, Row]  # by attempt id, masked
    refusals: tuple[GateRefusalRow, ...]
    rejected: tuple[Rejection, ...]
    figures: Figures
    busyness: tuple[tuple[float, int], ...]  # (seconds since the first INVITE, calls from then on)
    first_ring_s: float | None
    seconds: float  # from the start of the demo to the end of the last call
    entries: int  # in the ledger
    checks: int
    faults: tuple[str, ...]

    @property
    def peak(self) -> int:
        """The most calls at a time, as the callees saw it."""
        return max((calls for _, calls in self.busyness), default=0)


def prove(it: Opened, prepared: Prepared, callees: Path, began: float) -> Proof:
    """Join both sides' records, check the run, verify the ledger. ``began`` is Unix time."""
    theirs = simulators.records(callees)
    papers, campaigns = prepared.papers, prepared.campaigns
    auditor = papers.staff.auditor
    ours = [call for campaign in campaigns for call in it.store.invites(campaign)]
    legs = [leg for campaign in campaigns for leg in it.store.agent_legs(campaign)]
    calls = join_both(it, auditor, ours, theirs, papers.rendered, legs)
    joined_legs = join_agents(it, auditor, ours, theirs, legs)
    checks = Checks()
    entries = _check_ledger(checks, it, callees / "ledger.export")
    rows = [row for campaign in campaigns for row in run.call_rows(it, campaign)]
    dialed = [row for row in rows if not row.rules]
    refusals = [row for campaign in campaigns for row in it.store.gate_refusals(campaign)]
    of_legs = {leg.sip_call_id for leg in legs}
    callees_only = [record for record in theirs if record["call_id"] not in of_legs]
    check_dialing(checks, refusals, callees_only)
    _check_cast(checks, dialed, refusals, papers.rejected)
    _check_people(checks, it, campaigns, joined_legs)
    steps = busyness(callees_only)
    peak = max((up for _, up in steps), default=0)
    checks.that(peak <= MAX_CALLS, f"{peak} calls at a time; {MAX_CALLS} were allowed")
    checks.that(peak >= _SEVERAL, f"only {peak} calls at a time")
    first_ring = _first_ring(theirs)
    ring_s = None if first_ring is None else first_ring - began
    checks.that(
        ring_s is not None and ring_s <= FIRST_RING_LIMIT_S, "the first telephone rang too late"
    )
    joined: list[join.Joined | join.JoinedLeg] = [*calls, *joined_legs]
    faults = [f"{_label(entry)}: {fault}" for entry in joined for fault in entry.faults]
    attempts = [a for campaign in campaigns for a in it.store.watching.attempts(campaign)]
    return Proof(
        calls=tuple(calls),
        legs=tuple(joined_legs),
        rows={row.id: row for row in rows},
        refusals=tuple(refusals),
        rejected=papers.rejected,
        figures=figures.of(attempts),
        busyness=steps,
        first_ring_s=ring_s,
        seconds=_last_end(ours) - began,
        entries=entries,
        checks=checks.made + sum(entry.checks for entry in joined),
        faults=(*faults, *checks.faults),
    )


def join_both(
    it: Opened,
    auditor: Actor,
    ours: Sequence[CallRecord],
    theirs: Sequence[dict[str, Any]],
    rendered: RenderedScript,
    legs: Sequence[AgentLegRecord] = (),
) -> list[join.Joined]:
    """Our calls and the callees' records, matched by Call-ID, their audio compared."""
    by_call_id = {record["call_id"]: record for record in theirs}
    seen = {
        call.sip_call_id: witness.compare(it, auditor, call, by_call_id[call.sip_call_id], rendered)
        for call in ours
        if call.answered_at is not None and call.sip_call_id in by_call_id
    }
    return join.join(ours, theirs, seen, legs)


def join_agents(
    it: Opened,
    auditor: Actor,
    ours: Sequence[CallRecord],
    theirs: Sequence[dict[str, Any]],
    legs: Sequence[AgentLegRecord],
) -> list[join.JoinedLeg]:
    """The legs to people of ours, matched the same way, both telephones' audio compared."""
    calls = {call.attempt_id: call for call in ours}
    records = {record["call_id"]: record for record in theirs}
    bridges = {}
    for leg in legs:
        call = calls.get(leg.attempt_id)
        callee = records.get(call.sip_call_id) if call is not None else None
        agent = records.get(leg.sip_call_id)
        if leg.connected and call is not None and callee is not None and agent is not None:
            bridges[leg.sip_call_id] = witness.bridged(it, auditor, call, callee, agent)
    return join.join_legs(legs, theirs, bridges)


# ---------------------------------------------------------------- the run as a whole


def check_dialing(
    checks: Checks, refusals: Iterable[GateRefusalRow], theirs: Sequence[Mapping[str, Any]]
) -> None:
    """Nobody twice, and nobody the gate refused, going by the callees alone."""
    invites: dict[str, list[datetime]] = {}
    for record in theirs:
        at = datetime.fromisoformat(record["invite"]["wall"])
        invites.setdefault(Number(record["number"]).masked, []).append(at)
    for number, times in invites.items():
        checks.that(len(times) == 1, f"{number} was dialed {len(times)} times")
    for refusal in refusals:
        reached = invites.get(refusal.number, [])
        checks.that(
            all(at < refusal.at for at in reached), f"{refusal.number} was dialed though refused"
        )
        checks.that(
            not reached or "over_call_cap" in refusal.rules,
            f"{refusal.number} was dialed before it was refused",
        )


def _check_cast(
    checks: Checks,
    dialed: Sequence[Row],
    refusals: Sequence[GateRefusalRow],
    rejected: Sequence[Rejection],
) -> None:
    """A run that dialed nobody would pass every comparison: say what must have happened."""
    found = {row.number[-4:]: row.outcome for row in dialed}
    for ending, outcome in CALLS.items():
        got = found.pop(ending, "no call")
        checks.that(got == outcome, f"the callee …{ending}: {got}, expected {outcome}")
    asked = sorted(found.pop(ending, "no call") for ending in ASKING)
    wanted = sorted((Outcome.TRANSFERRED, Outcome.CALLBACK))
    checks.that(asked == wanted, f"those who asked for a person: {', '.join(asked)}")
    checks.that(not found, f"calls nobody expected: {', '.join(sorted(found))}")
    rules = {row.number[-4:]: row.rules for row in refusals}
    for ending, rule in REFUSED.items():
        got_rules = rules.pop(ending, ())
        checks.that(rule in got_rules, f"the gate let …{ending} pass rule {rule}")
    checks.that(not rules, f"refused, and nobody expected it: {', '.join(sorted(rules))}")
    rejects = tuple((rejection.row, rejection.field) for rejection in rejected)
    checks.that(
        rejects == REJECTED and "identity-card" in rejected[0].cause,
        f"rows left out of the import: {rejects}",
    )


def _check_people(
    checks: Checks, it: Opened, campaigns: Sequence[str], legs: Sequence[join.JoinedLeg]
) -> None:
    """One was connected; the other has a ticket and no second telephone was rung."""
    checks.that(
        len(legs) == 1 and legs[0].ours.connected, f"{len(legs)} legs to people, expected one"
    )
    tickets = sum(it.store.watching.callbacks_open(campaign) for campaign in campaigns)
    checks.that(tickets == 1, f"{tickets} callback tickets, expected one")


def _check_ledger(checks: Checks, it: Opened, export: Path) -> int:
    """Export it and have the independent verifier check it; returns the number of entries."""
    sequencer = it.sequencer()
    while sequencer.run_once(it.clock.wall()):
        pass
    sequencer.checkpoint(it.clock.wall(), force=True)
    entries = ledger.export(it.engine, export)
    key, objects = it.keyring.fingerprint(), str(it.home.objects)
    code = run.verify(export, key, "--objects", objects, quiet=True)
    checks.that(code == 0, f"the ledger does not verify (exit {code})")
    return entries


def _label(entry: join.Joined | join.JoinedLeg) -> str:
    if isinstance(entry, join.JoinedLeg):
        return f"leg to {entry.ours.agent}"
    if entry.ours is not None:
        return f"call {entry.ours.attempt_id[:8]} ({entry.ours.outcome})"
    return "a call only the callee knows of"


def _first_ring(theirs: Iterable[Mapping[str, Any]]) -> float | None:
    rings = [
        datetime.fromisoformat(record["ringing"]["wall"]).timestamp()
        for record in theirs
        if record.get("ringing")
    ]
    return min(rings, default=None)


def _last_end(ours: Iterable[CallRecord]) -> float:
    return max((call.ended_at.timestamp() for call in ours if call.ended_at), default=0.0)


_STAMPS = ("invite", "trying", "ringing", "progress", "answered", "ack", "cancel", "bye")


def busyness(theirs: Iterable[Mapping[str, Any]]) -> tuple[tuple[float, int], ...]:
    """How many calls were up at each moment, from the callees' own clocks."""
    changes: Counter[int] = Counter()
    for record in theirs:
        changes[record["invite"]["mono_ns"]] += 1
        changes[max(record[s]["mono_ns"] for s in _STAMPS if record.get(s))] -= 1
    start, up, steps = min(changes, default=0), 0, []
    for at in sorted(changes):
        up += changes[at]
        steps.append(((at - start) / 1e9, up))
    return tuple(steps)


# ---------------------------------------------------------------- for comparing runs


def write_report(proof: Proof, path: Path) -> None:
    """The measured figures as JSON, for whoever wants to compare runs."""
    calls = [
        {
            "outcome": j.ours and j.ours.outcome,
            "behaviour": j.theirs and j.theirs.get("behaviour"),
            "sip_status": j.ours and j.ours.sip_status,
            "disclosed_ms": j.ours and j.ours.disclosed_ms,
            "disclosed_at_callee_ms": j.witnessed and j.witnessed.disclosure_ms,
            "refusal_to_bye_ms": j.refusal_to_bye_ms,
            "callee_correlation": j.witnessed and j.witnessed.callee_correlation,
            "bot_correlation": j.witnessed and j.witnessed.bot_correlation,
            "callee_shift_ms": j.witnessed and j.witnessed.callee_shift_ms,
            "bot_shift_ms": j.witnessed and j.witnessed.bot_shift_ms,
            "farewell_at_callee_ms": j.witnessed and j.witnessed.farewell_ms,
            "refused_at_callee_ms": j.theirs and j.theirs.get("refused_at_ms"),
            "max_gap_ms": j.ours and j.ours.max_gap_ms,
        }
        for j in proof.calls
    ]
    legs = [
        {
            "agent": leg.ours.agent,
            "connected": leg.ours.connected,
            "agent_at_callee": leg.bridged and leg.bridged.agent_at_callee,
            "callee_at_agent": leg.bridged and leg.bridged.callee_at_agent,
            "agent_in_recording": leg.bridged and leg.bridged.agent_in_recording,
        }
        for leg in proof.legs
    ]
    report = {
        "demo": True,
        "seconds": round(proof.seconds, 1),
        "first_ring_s": proof.first_ring_s,
        "peak_calls": proof.peak,
        "checks": proof.checks,
        "faults": list(proof.faults),
        "calls": calls,
        "agent_legs": legs,
    }
    path.write_text(json.dumps(report, indent=1, default=str), "utf-8")
