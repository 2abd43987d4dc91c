# SPDX-License-Identifier: GPL-3.0-or-later
"""The last screen of the demo: what came of every contact, and the figures of the run."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from pathlib import Path

from rich import box
from rich.console import Console, Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from compliance.facts import CallRecord, Finding, Outcome
from console import testimony
from console.demo_proof import REFUSED, Proof
from console.figures import pdd_ms, span_ms
from console.join import Joined
from console.messages import finding_text, text
from console.styles import OUTCOMES
from storage.listing import GateRefusalRow

PICTURE_WIDTH = 138
_CURVE_WIDTH = 72
_HEIGHTS = " ▁▂▃▄▅▆▇█"
_SHOWN_FAULTS = 20

_ORDER = {outcome: place for place, outcome in enumerate(Outcome)}


def screen(proof: Proof, language: str) -> RenderableType:
    """Calls in groups, what was never dialed, and the summary; 136 columns wide."""
    parts: list[RenderableType] = [
        _answered(proof, language),
        "",
        _unanswered(proof, language),
        "",
        _never_dialed(proof, language),
        "",
        _summary(proof, language),
    ]
    for fault in proof.faults[:_SHOWN_FAULTS]:
        parts.append(Text(f"  ✗ {fault}", style="red"))
    return Group(*parts)


def save_picture(proof: Proof, language: str, path: Path) -> None:
    """The last screen as an SVG that fetches nothing when it is looked at."""
    console = Console(
        record=True,
        width=PICTURE_WIDTH,
        file=io.StringIO(),
        force_terminal=True,
        color_system="truecolor",
    )
    console.print(screen(proof, language))
    svg = console.export_svg(title="candor demo")
    path.write_text(re.sub(r"@font-face\s*{[^}]*}", "", svg), "utf-8")


# ---------------------------------------------------------------- the groups


def _group(title: str, count: int, language: str, columns: Sequence[tuple[str, int, str]]) -> Table:
    """A table of one group; ``columns`` are (message, width, justification)."""
    table = Table(
        title=Text.assemble((f"{text(title, language)} ", "bold"), (str(count), "bold cyan")),
        title_justify="left",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        pad_edge=False,
        show_edge=False,
        header_style="dim",
    )
    for message, width, justify in columns:
        table.add_column(
            text(message, language),
            min_width=width,
            justify="right" if justify == "right" else "left",
            overflow="fold",
            vertical="top" if title == "demo.never_dialed" else "bottom",
        )
    return table


_CONTACT = (("column.contact", 7, "left"), ("demo.column.number", 11, "left"))


def _answered(proof: Proof, language: str) -> Table:
    calls = _sorted(proof, answered=True)
    columns = (
        *_CONTACT,
        ("demo.column.callee", 25, "left"),
        ("column.outcome", 21, "left"),
        ("column.pdd", 6, "right"),
        ("demo.column.talk", 6, "right"),
        ("demo.column.disclosure", 13, "right"),
        ("column.bye", 12, "right"),
        ("demo.column.recording", 13, "right"),
        ("column.ledger", 6, "right"),
    )
    table = _group("demo.answered", len(calls), language, columns)
    for entry, call in calls:
        seen = entry.witnessed
        table.add_row(
            *_who(proof, call),
            _did(entry, language),
            _outcome(call, language),
            _ms(pdd_ms(call.invited_at, call.ringing_at)),
            f"{call.duration_ms / 1000:.1f} s",
            _pair(call.disclosed_ms, seen.disclosure_ms if seen else None),
            _goodbye(entry, language),
            _tracks(entry),
            _ledger(proof, call),
        )
    return table


def _unanswered(proof: Proof, language: str) -> Table:
    calls = _sorted(proof, answered=False)
    columns = (
        *_CONTACT,
        ("demo.column.callee", 25, "left"),
        ("column.outcome", 21, "left"),
        ("column.pdd", 6, "right"),
        ("demo.column.rang", 6, "right"),
        ("column.sip", 4, "right"),
        ("demo.column.announcement", 26, "left"),
        ("column.blame", 8, "left"),
        ("column.ledger", 6, "right"),
    )
    table = _group("demo.unanswered", len(calls), language, columns)
    for entry, call in calls:
        rang = span_ms(call.invited_at, call.ended_at)
        table.add_row(
            *_who(proof, call),
            _did(entry, language),
            _outcome(call, language),
            _ms(pdd_ms(call.invited_at, call.ringing_at)),
            "" if rang is None else f"{rang / 1000:.1f} s",
            str(call.sip_status or ""),
            text(f"announcement.{call.announcement}", language) if call.announcement else "",
            text(f"blame.{call.blame}", language),
            _ledger(proof, call),
        )
    return table


def _never_dialed(proof: Proof, language: str) -> Table:
    columns = (
        *_CONTACT,
        ("demo.column.case", 25, "left"),
        ("demo.column.rule", 27, "left"),
        ("demo.column.reason", 48, "left"),
        ("column.ledger", 6, "right"),
    )
    count = len(proof.refusals) + len(proof.rejected)
    table = _group("demo.never_dialed", count, language, columns)
    for row in proof.refusals:
        ending = row.number[-4:]
        finding = _finding(row, REFUSED.get(ending, ""))
        table.add_row(
            row.contact,
            row.number,
            text(f"demo.case.{ending}", language),
            Text(f"{finding.requirement} {finding.rule}", style="red"),
            finding_text(finding, language),
            "" if row.ledger_index is None else str(row.ledger_index),
        )
    for rejection in proof.rejected:
        table.add_row(
            "",
            "",
            text("demo.case.rejected", language),
            Text(text("demo.rejected_row", language, row=rejection.row), style="red"),
            text("demo.reject_reason", language, field=rejection.field),
            "",
        )
    return table


def _finding(row: GateRefusalRow, rule: str) -> Finding:
    refusing = row.decision.refusing
    return next((finding for finding in refusing if finding.rule == rule), refusing[0])


# ---------------------------------------------------------------- cells


def _sorted(proof: Proof, *, answered: bool) -> list[tuple[Joined, CallRecord]]:
    calls = [
        (entry, entry.ours)
        for entry in proof.calls
        if entry.ours is not None and (entry.ours.answered_at is not None) is answered
    ]
    return sorted(calls, key=lambda pair: _ORDER[pair[1].outcome])


def _who(proof: Proof, call: CallRecord) -> tuple[str, str]:
    row = proof.rows[call.attempt_id]
    return row.contact, row.number


def _did(entry: Joined, language: str) -> str:
    """What the callee did, going by its own record."""
    return "" if entry.theirs is None else text(f"callee.{entry.theirs['behaviour']}", language)


def _outcome(call: CallRecord, language: str) -> Text:
    return Text(text(f"outcome.{call.outcome}", language), style=OUTCOMES.get(call.outcome, ""))


def _ledger(proof: Proof, call: CallRecord) -> str:
    index = proof.rows[call.attempt_id].ledger_index
    return "" if index is None else str(index)


def _ms(value: float | None) -> str:
    return "" if value is None else f"{value:.0f} ms"


def _pair(ours: float | None, theirs: float | None) -> str:
    """Both sides' measure of one moment in seconds."""
    if ours is None:
        return ""
    there = "–" if theirs is None else f"{theirs / 1000:.2f}"
    return f"{ours / 1000:.2f} / {there} s"


def _goodbye(entry: Joined, language: str) -> str:
    """How the callee said no, and how long after it the BYE came."""
    if entry.theirs is None or entry.refusal_to_bye_ms is None:
        return ""
    how = text(f"demo.how.{testimony.refused_by(entry.theirs)}", language)
    return f"{how} {entry.refusal_to_bye_ms / 1000:.2f} s"


def _tracks(entry: Joined) -> str:
    seen = entry.witnessed
    if seen is None or seen.bot_correlation is None:
        return ""
    callee = "–" if seen.callee_correlation is None else f"{seen.callee_correlation:.2f}"
    return f"{callee} / {seen.bot_correlation:.2f}"


# ---------------------------------------------------------------- the summary


def _summary(proof: Proof, language: str) -> Panel:
    seen = proof.figures
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", justify="right")
    grid.add_column()
    disclosed = [j.witnessed.disclosure_ms for j in proof.calls if j.witnessed]
    at_callee = sorted(ms for ms in disclosed if ms is not None)
    goodbyes = [ms for j in proof.calls if (ms := j.refusal_to_bye_ms) is not None]
    grid.add_row(
        text("demo.sum.calls", language),
        text(
            "demo.sum.calls_are",
            language,
            calls=seen.attempts,
            legs=len(proof.legs),
            asr=f"{100 * (seen.asr or 0):.0f}",
            ner=f"{100 * (seen.ner or 0):.0f}",
            acd=f"{seen.acd_s or 0:.1f}",
            pdd=seen.pdd_p50_ms,
        ),
    )
    grid.add_row(
        text("demo.sum.times", language),
        text(
            "demo.sum.times_are",
            language,
            p50=_seconds(at_callee[len(at_callee) // 2] if at_callee else None),
            most=_seconds(max(at_callee, default=None)),
            bye=_seconds(max(goodbyes, default=None)),
        ),
    )
    for leg in proof.legs:
        if leg.bridged is not None:
            grid.add_row(
                text("demo.sum.person", language),
                text(
                    "demo.sum.person_is",
                    language,
                    agent=f"{leg.bridged.agent_at_callee:.2f}",
                    callee=f"{leg.bridged.callee_at_agent:.2f}",
                    recorded=f"{leg.bridged.agent_in_recording:.2f}",
                ),
            )
    grid.add_row(text("demo.sum.load", language), _curve(proof, language))
    grid.add_row(
        text("demo.sum.run", language),
        text(
            "demo.sum.run_is",
            language,
            ring=_seconds(None if proof.first_ring_s is None else 1000 * proof.first_ring_s),
            whole=f"{proof.seconds:.0f}",
            entries=proof.entries,
        ),
    )
    if proof.faults:
        verdict = Text(text("demo.failed", language, count=len(proof.faults)), style="bold red")
    else:
        verdict = Text(f"✓ {text('demo.passed', language, count=proof.checks)}", "bold green")
    title = f"Candor {text('demo.mark', language)}"
    border = "red" if proof.faults else "green"
    return Panel(Group(grid, verdict), title=title, border_style=border, padding=(0, 1))


def _seconds(ms: float | None) -> str:
    return "–" if ms is None else f"{ms / 1000:.2f}"


def _curve(proof: Proof, language: str) -> Text:
    """Calls at a time over the run, as a line of bars."""
    steps = proof.busyness
    peak, whole = proof.peak, steps[-1][0] if steps else 0.0
    if not peak or not whole:
        return Text("–")
    bars = ""
    for column in range(_CURVE_WIDTH):
        start, end = (whole * edge / _CURVE_WIDTH for edge in (column, column + 1))
        before = [calls for at, calls in steps if at <= start]
        within = [calls for at, calls in steps if start < at < end]
        bars += _HEIGHTS[round(8 * max([*before[-1:], *within], default=0) / peak)]
    most = text("demo.sum.peak", language, peak=peak, seconds=f"{whole:.0f}")
    return Text.assemble((bars, "cyan"), f"  {most}")
