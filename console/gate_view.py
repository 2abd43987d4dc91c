# SPDX-License-Identifier: GPL-3.0-or-later
"""What the gate says of one number, rule by rule, in a person's words."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from rich.table import Table

from compliance.errors import LineUnproven
from compliance.facts import Actor, Decision, Evolve, Finding, HomeKind, LineFacts, Number
from compliance.gate import earliest, recheck
from compliance.rulebook import Rulebook
from console.homes import Opened
from console.inputs import shown
from console.messages import finding_text, text
from dialer.proof import SimulatorKey, prove
from storage.previews import Looked

_WIDE = 120  # columns of a screen that holds the table as it is


@dataclass(frozen=True, slots=True)
class Explanation(Evolve):
    """One decision that was not made, and when it would be a permit."""

    campaign: str
    looked: Looked
    decision: Decision
    earliest: datetime | None


def explain(
    it: Opened, actor: Actor, campaign: str, number: Number, rulebook: Rulebook, at: datetime
) -> Explanation:
    """What the gate would say at ``at`` of what is known now.

    Raises:
        NotAllowed: neither operator, compliance officer nor auditor.
        BadInput: no such campaign.
    """
    found = it.store.previews.look_up(actor, it.store.campaigns.campaign_named(campaign), number)
    request = found.request.evolve(lines=proven(it, found.request.lines))
    return Explanation(
        campaign,
        found.evolve(request=request),
        recheck(request, rulebook, at),
        earliest(request, rulebook, at),
    )


def proven(it: Opened, lines: Sequence[LineFacts]) -> tuple[LineFacts, ...]:
    """In a demo home: which lines prove to be the simulator now, asked as a dialer asks."""
    if it.store.home is not HomeKind.DEMO or not it.home.simulator_key.exists():
        return tuple(lines)
    key = SimulatorKey.load(it.home.simulator_key.read_bytes())

    async def ask(line: LineFacts) -> LineFacts:
        try:
            await prove(line.address, key)
        except LineUnproven:
            return line.evolve(simulator_proven=False)
        return line.evolve(simulator_proven=True)

    async def ask_all() -> list[LineFacts]:
        return await asyncio.gather(*(ask(line) for line in lines))

    return tuple(asyncio.run(ask_all()))


# ---------------------------------------------------------------- shown


def as_json(it: Explanation, language: str) -> dict[str, Any]:
    """Plain data; the number masked, times in UTC."""
    return {
        "number": it.looked.request.contact.number.masked,
        "campaign": it.campaign,
        "in_campaign": it.looked.in_campaign,
        "as_if_started": it.looked.as_if_started,
        **decision_json(it.decision, it.earliest, language),
    }


def decision_json(decision: Decision, earliest: datetime | None, language: str) -> dict[str, Any]:
    """What was decided, finding by finding."""
    return {
        "at": decision.at.isoformat(),
        "permitted": decision.permitted,
        "earliest": earliest and earliest.isoformat(),
        "lines": list(decision.lines),
        "rulebook": decision.rulebook,
        "findings": [
            {
                "rule": f.rule,
                "line": f.line,
                "passed": f.passed,
                "message": f.message,
                "why": sentence(f, language),
                "requirement": f.requirement,
                "source": f.source,
                "earliest": f.earliest and f.earliest.isoformat(),
            }
            for f in decision.findings
        ],
    }


def sentence(finding: Finding, language: str) -> str:
    return finding_text(finding, language)


def verdict(decision: Decision, earliest: datetime | None, language: str) -> str:
    """The answer in one sentence."""
    if decision.permitted:
        return text("gate.permitted", language)
    if earliest is not None:
        return text("gate.later", language, at=shown(earliest, language))
    return text("gate.refused", language, count=len(reasons(decision)))


def heading(it: Explanation, language: str) -> str:
    """Whom and what the answer is about, and what it takes for granted."""
    said = text(
        "gate.heading" if it.looked.in_campaign else "gate.heading_outside",
        language,
        number=it.looked.request.contact.number.masked,
        campaign=it.campaign,
        at=shown(it.decision.at, language),
    )
    if not it.looked.as_if_started:
        return said
    return f"{said}\n{text('gate.as_if_started', language)}"


def table(decision: Decision, language: str, width: int) -> Table:
    """Every rule, in the gate's order; rules on lines name their line. A narrow screen gets
    the same in fewer, taller columns."""
    wide = width >= _WIDE
    columns = "rule verdict why requirement source earliest" if wide else "verdict why source"
    rows = Table()
    for column in columns.split():
        rows.add_column(text(f"column.{column}", language), overflow="fold")
    for finding in decision.findings:
        rule = f"{finding.rule}\n({finding.line})" if finding.line else finding.rule
        verdict = text("gate.pass" if finding.passed else "gate.refuse", language)
        why, when = finding_text(finding, language), shown(finding.earliest, language)
        cells = (
            (rule, verdict, why, finding.requirement, finding.source, when)
            if wide
            else (
                verdict,
                "\n".join(filter(None, (rule, why, when and f"→ {when}"))),
                f"{finding.requirement}\n{finding.source}",
            )
        )
        rows.add_row(*cells, style=None if finding.passed else "yellow")
    return rows


def reasons(decision: Decision) -> list[Finding]:
    """The findings a refusal rests on: a bad line is no reason while another one serves."""
    refusing = decision.refusing
    about_request = [f for f in refusing if not f.line and f.rule != "no_usable_line"]
    if not any(f.rule == "no_usable_line" for f in refusing):
        return about_request
    on_lines = [f for f in refusing if f.line]
    return about_request + (on_lines or [f for f in refusing if f.rule == "no_usable_line"])
