# SPDX-License-Identifier: GPL-3.0-or-later
"""Making the gate's recorded decisions again: they must come out the same (T2)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from compliance import gate, rulebook
from compliance.canonical import digest, restore
from compliance.errors import BadInput, PolicyError
from compliance.facts import Decision
from compliance.rulebook import Rulebook
from storage.rechecks import Recorded

SAME, DIFFERENT, ALTERED, DESTROYED, NO_LAW = "same", "different", "altered", "destroyed", "no_law"
_WRONG = (DIFFERENT, ALTERED, NO_LAW)


@dataclass(slots=True)
class Rechecked:
    """What came of it: how many of which verdict, and each call that is not as it should be."""

    counts: Counter[str] = field(default_factory=Counter)
    wrong: list[tuple[str, str, list[str]]] = field(default_factory=list)  # call, verdict, rules

    @property
    def good(self) -> bool:
        return not self.wrong


def recheck(recorded: Iterable[Recorded]) -> Rechecked:
    """Decide again on the same request, law and time as then."""
    laws: dict[str, Rulebook | None] = {}
    done = Rechecked()
    for record in recorded:
        law = record.decision.rulebook
        if law not in laws:
            laws[law] = _law(record)
        verdict, rules = _verdict(record, laws[law])
        done.counts[verdict] += 1
        if verdict in _WRONG:
            done.wrong.append((record.attempt, verdict, rules))
    return done


def _law(record: Recorded) -> Rulebook | None:
    try:
        kept = rulebook.from_text(record.rulebook)
    except PolicyError:
        return None
    return kept if kept.digest == record.decision.rulebook else None


def _verdict(record: Recorded, law: Rulebook | None) -> tuple[str, list[str]]:
    if not record.request:
        return DESTROYED, []
    if law is None:
        return NO_LAW, []
    if digest(record.request) != record.decision.inputs:
        return ALTERED, []
    try:
        request = restore(record.request)
    except BadInput:
        return ALTERED, []
    # A field that came later has its own place in the hash; the stored bytes are what counts.
    again = gate.recheck(request, law, record.decision.at).evolve(inputs=record.decision.inputs)
    return (SAME, []) if again == record.decision else (DIFFERENT, _rules(record.decision, again))


def _rules(then: Decision, now: Decision) -> list[str]:
    """The rules whose findings differ."""
    return sorted({finding.rule for finding in set(then.findings) ^ set(now.findings)})


def as_json(done: Rechecked, refused: int) -> dict[str, Any]:
    return {
        "checked": done.counts.total() - done.counts[DESTROYED],
        **{verdict: done.counts[verdict] for verdict in (SAME, *_WRONG, DESTROYED)},
        "refusals_known_by_hash": refused,
        "wrong": [
            {"call": call, "verdict": verdict, "rules": rules}
            for call, verdict, rules in done.wrong
        ],
    }
