# SPDX-License-Identifier: GPL-3.0-or-later
"""A gate decision as JSON and back: every finding is kept with the attempt or the refusal."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from compliance.facts import Decision, Finding

_RETRY = timedelta(minutes=5)
_NOT_THEIRS = frozenset(
    {
        "no_usable_line",
        "emergency_stop",
        "clock_adrift",
        "unproven_data_partner",
        "undeclared_purpose",
        "no_impact_assessment",
        "untrained_launcher",
        "rulebook_not_adopted",
    }
)


def to_json(decision: Decision) -> dict[str, Any]:
    return {
        "attempt": decision.attempt_id,
        "permitted": decision.permitted,
        "rulebook": decision.rulebook,
        "inputs": decision.inputs,
        "at": decision.at.isoformat(),
        "lines": list(decision.lines),
        "findings": [
            {
                "rule": f.rule,
                "requirement": f.requirement,
                "passed": f.passed,
                "message": f.message,
                "params": [list(pair) for pair in f.params],
                "source": f.source,
                "earliest": f.earliest.isoformat() if f.earliest is not None else None,
                "line": f.line,
            }
            for f in decision.findings
        ],
    }


def to_bytes(decision: Decision) -> bytes:
    """The decision as the ledger's digest of it has it; holds no personal data."""
    return json.dumps(
        to_json(decision), ensure_ascii=False, sort_keys=True, separators=(",", ":")
    ).encode()


def from_json(data: Mapping[str, Any]) -> Decision:
    return Decision(
        attempt_id=data["attempt"],
        permitted=data["permitted"],
        findings=tuple(
            Finding(
                rule=f["rule"],
                requirement=f["requirement"],
                passed=f["passed"],
                message=f["message"],
                params=tuple((key, value) for key, value in f["params"]),
                source=f["source"],
                earliest=datetime.fromisoformat(f["earliest"]) if f["earliest"] else None,
                line=f["line"],
            )
            for f in data["findings"]
        ),
        rulebook=data["rulebook"],
        inputs=data["inputs"],
        at=datetime.fromisoformat(data["at"]),
        lines=tuple(data["lines"]),
    )


def retry_at(decision: Decision, now: datetime) -> datetime | None:
    """When a refused contact is due again in its campaign; None: not again.

    Only time mends hours, days and caps: each such finding says when. A line that
    is down, a platform that is stopped, law nobody adopted, people without an exam: none
    is the contact's fault. It is tried again in five minutes, or when the first of our own
    numbers has room again (C4b).
    """
    refusing = [f for f in decision.refusing if not f.line and f.rule not in _NOT_THEIRS]
    times = [f.earliest for f in refusing if f.earliest is not None]
    if len(times) != len(refusing):
        return None
    if any(f.rule == "no_usable_line" for f in decision.refusing) and decision.line_at is not None:
        times.append(decision.line_at)
    return max([now + _RETRY, *times]) if not refusing else max(times)
