# SPDX-License-Identifier: GPL-3.0-or-later
"""Before a launch: how many of a campaign's contacts the gate would let through, and why not."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from rich.table import Table

from compliance.facts import DialRequest, Number, PastAttempt
from compliance.gate import earliest, recheck
from compliance.rulebook import Rulebook
from console.gate_view import reasons
from console.inputs import shown
from console.messages import text

OnContact = Callable[[int], None]


@dataclass(slots=True)
class RuleCount:
    """How many contacts a rule holds back."""

    requirement: str
    first: int = 0  # refused for good, and this is the first lasting reason
    refused: int = 0  # refused for good, this being one of the reasons
    later: int = 0  # only put off, this being one of the reasons


@dataclass(slots=True)
class Preview:
    """Sums over a campaign's waiting contacts at one instant; nobody's data is in it."""

    at: datetime
    stopped_at: datetime | None = None
    contacts: int = 0
    now: int = 0
    later: int = 0
    refused: int = 0
    opens: datetime | None = None  # when the first of those put off may be called
    rules: dict[str, RuleCount] = field(default_factory=dict)


def judge(
    requests: Iterable[DialRequest],
    rulebook: Rulebook,
    at: datetime,
    on_contact: OnContact = lambda done: None,
) -> Preview:
    """Ask the gate about each request; equal numbers must come one after another.

    Of a number that comes twice only the first is dialed now: its attempt counts towards
    the caps of the second, as it will on the day (C4).
    """
    sums = Preview(at)
    dialed: Number | None = None
    for request in requests:
        if request.contact.number == dialed:
            before = PastAttempt("preview", at, request.campaign.id, None)
            request = request.evolve(attempts=(before, *request.attempts))
        sums.stopped_at = request.stopped_at
        if _count(sums, request, rulebook, at):
            dialed = request.contact.number
        sums.contacts += 1
        on_contact(sums.contacts)
    return sums


def _count(sums: Preview, request: DialRequest, rulebook: Rulebook, at: datetime) -> bool:
    decision = recheck(request, rulebook, at)
    if decision.permitted:
        sums.now += 1
        return True
    found = reasons(decision)
    lasting = [f for f in found if f.earliest is None]
    opens = None if lasting else earliest(request, rulebook, at)
    rules = dict.fromkeys(f.rule for f in found)
    for finding in found:
        sums.rules.setdefault(finding.rule, RuleCount(finding.requirement))
    if opens is not None:
        sums.later += 1
        sums.opens = opens if sums.opens is None else min(sums.opens, opens)
        for rule in rules:
            sums.rules[rule].later += 1
        return False
    sums.refused += 1
    sums.rules[(lasting or found)[0].rule].first += 1
    for rule in rules:
        sums.rules[rule].refused += 1
    return False


# ---------------------------------------------------------------- shown


def as_json(name: str, state: str, sums: Preview) -> dict[str, Any]:
    """Plain data; times in UTC."""
    return {
        "campaign": name,
        "state": state,
        "at": sums.at.isoformat(),
        "stopped_at": sums.stopped_at and sums.stopped_at.isoformat(),
        "contacts": sums.contacts,
        "now": sums.now,
        "later": sums.later,
        "first_opening": sums.opens and sums.opens.isoformat(),
        "refused": sums.refused,
        "rules": [
            {
                "rule": rule,
                "requirement": count.requirement,
                "first": count.first,
                "refused": count.refused,
                "later": count.later,
            }
            for rule, count in ordered(sums)
        ],
    }


def ordered(sums: Preview) -> list[tuple[str, RuleCount]]:
    """Rules by how many contacts they hold back."""
    return sorted(sums.rules.items(), key=lambda r: (-r[1].refused, -r[1].later, r[0]))


def lines(name: str, sums: Preview, language: str) -> list[str]:
    """The answer in a few sentences."""
    said = [
        text(
            "preview.heading",
            language,
            campaign=name,
            contacts=sums.contacts,
            at=shown(sums.at, language),
        ),
        text("preview.now", language, count=sums.now),
        text("preview.later", language, count=sums.later, at=shown(sums.opens, language))
        if sums.later
        else "",
        text("preview.refused", language, count=sums.refused),
        text("stops.in_force", language, since=shown(sums.stopped_at, language))
        if sums.stopped_at is not None
        else "",
    ]
    return [line for line in said if line]


def table(sums: Preview, language: str) -> Table:
    rows = Table()
    for column in ("rule", "requirement", "preview_first", "preview_refused", "preview_later"):
        numeric = column.startswith("preview")
        rows.add_column(text(f"column.{column}", language), justify="right" if numeric else "left")
    rows.add_column(text("column.why", language), overflow="fold")
    for rule, count in ordered(sums):
        rows.add_row(
            rule,
            count.requirement,
            str(count.first),
            str(count.refused),
            str(count.later),
            text(f"rule.{rule}", language),
        )
    return rows
