# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything about one call that needs no reason to look at: masked, nothing that was said."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from compliance.facts import Decision, Evolve, Finding, HomeKind
from console import check_view, run
from console.figures import pdd_ms, span_ms
from console.homes import Opened
from console.messages import finding_text, text
from storage.checks import StoredCheck
from storage.journal import JournalEntry
from storage.listing import CallRow, GateRefusalRow


@dataclass(frozen=True, slots=True)
class CallSheet(Evolve):
    """One attempt, or one claim the gate refused; exactly one of ``call`` and ``refusal``."""

    id: str
    campaign: str  # its name
    call: CallRow | None
    refusal: GateRefusalRow | None
    decision: Decision
    entries: tuple[JournalEntry, ...]
    demo: bool
    check: StoredCheck | None = None  # the newest one of a recorded call

    @property
    def tracks(self) -> tuple[str, ...]:
        """Which tracks were kept when the call ended, by the ledger."""
        kept: list[str] = []
        for entry in self.entries:
            if entry.kind in ("call.finish", "recording.recover"):
                kept = [str(row[3]) for row in entry.body.get("objects", ())]
        return tuple(kept)

    @property
    def wording(self) -> tuple[str, ...]:
        """Whose words touched which requirement, by the ledger: ``agent:S8``."""
        found: list[str] = []
        for entry in self.entries:
            if entry.kind == "call.finish":
                found = [str(pair) for pair in entry.body.get("wording", ())]
        return tuple(found)


def read(it: Opened, prefix: str) -> CallSheet:
    """The call whose id begins with ``prefix``.

    Raises:
        BadInput: none begins so, or several do.
    """
    store = it.store
    found = store.watching.find(prefix)
    refusal = store.gate_refusal(found)
    call = None if refusal is not None else store.call(found)
    campaign = refusal.campaign if refusal is not None else call.campaign if call else ""
    return CallSheet(
        id=found,
        campaign=run.campaign_names(it).get(campaign, ""),
        call=call,
        refusal=refusal,
        decision=store.decision(found),
        entries=tuple(store.journal.entries(found)),
        demo=store.home is HomeKind.DEMO,
        check=store.checks.check(found),
    )


def timings(call: CallRow) -> dict[str, int | None]:
    """Milliseconds between the instants of a call, as signalling measures them.

    ``pdd``: INVITE to first ringing. ``setup``: INVITE to answer. ``ring``: first ringing
    to answer or, unanswered, to the end. ``talk``: answer to end.
    """
    return {
        "pdd": pdd_ms(call.invited_at, call.ringing_at),
        "setup": span_ms(call.invited_at, call.answered_at),
        "ring": span_ms(call.ringing_at, call.answered_at or call.ended_at),
        "talk": call.duration_ms if call.answered_at and call.outcome else None,
    }


# ---------------------------------------------------------------- as JSON


def as_json(sheet: CallSheet, language: str) -> dict[str, Any]:
    """Plain data; the decision's findings carry their sentence in ``language`` too."""
    head: dict[str, Any] = {"id": sheet.id, "campaign": sheet.campaign}
    if sheet.demo:
        head["demo"] = True
    if sheet.call is not None:
        head |= _call_json(sheet.call) | {"tracks": list(sheet.tracks)}
        head["wording"] = list(sheet.wording)
        head["check"] = check_view.as_json(sheet.check, language)
    elif sheet.refusal is not None:
        row = sheet.refusal
        head |= {
            "contact": row.contact,
            "number": row.number,
            "at": row.at.isoformat(),
            "outcome": "gate_refused",
            "blame": "us",
            "rules": list(row.rules),
            "ledger_index": row.ledger_index,
            "ledger_leaf": row.ledger_leaf,
        }
    decision = sheet.decision
    head["decision"] = {
        "permitted": decision.permitted,
        "at": decision.at.isoformat(),
        "rulebook": decision.rulebook,
        "inputs": decision.inputs,
        "lines": list(decision.lines),
        "findings": [_finding_json(f, language) for f in decision.findings],
    }
    head["ledger"] = [
        {
            "index": entry.index,
            "kind": entry.kind,
            "actor": entry.actor,
            "at": entry.at.isoformat(),
            "body": dict(entry.body),
        }
        for entry in sheet.entries
    ]
    return head


def _call_json(call: CallRow) -> dict[str, Any]:
    def when(at: datetime | None) -> str | None:
        return None if at is None else at.isoformat()

    return {
        "contact": call.contact,
        "number": call.number,
        "line": call.line,
        "outcome": str(call.outcome or ""),
        "blame": str(call.blame or ""),
        "sip_status": call.sip_status,
        "sip_reason": call.sip_reason,
        "sip_call_id": call.sip_call_id,
        "at": when(call.at),
        "invited_at": when(call.invited_at),
        "ringing_at": when(call.ringing_at),
        "answered_at": when(call.answered_at),
        "ended_at": when(call.ended_at),
        "ended_by": call.ended_by,
        "timings_ms": timings(call),
        "duration_ms": call.duration_ms,
        "disclosed_ms": call.disclosed_ms,
        "notice_ms": call.notice_ms,
        "refused": call.refused,
        "refused_ms": call.refused_ms,
        "farewell_ms": call.farewell_ms,
        "transferred": call.transferred,
        "transferred_ms": call.transferred_ms,
        "agent": call.agent,
        "callback": call.callback,
        "announcement": call.announcement,
        "feedback": call.feedback,
        "violations": list(call.violations),
        "max_gap_ms": call.max_gap_ms,
        "recording": call.recording,
        "ledger_index": call.ledger_index,
        "ledger_leaf": call.ledger_leaf,
    }


def _finding_json(finding: Finding, language: str) -> dict[str, Any]:
    return {
        "rule": finding.rule,
        "requirement": finding.requirement,
        "passed": finding.passed,
        "line": finding.line,
        "sentence": finding_text(finding, language),
        "source": finding.source,
        "earliest": finding.earliest.isoformat() if finding.earliest else None,
    }


# ---------------------------------------------------------------- on a screen


def screen(sheet: CallSheet, language: str) -> RenderableType:
    """The whole sheet, part below part."""

    def say(message: str) -> str:
        return text(message, language)

    who: CallRow | GateRefusalRow | None = sheet.call or sheet.refusal
    assert who is not None
    outcome = sheet.call.outcome if sheet.call else "gate_refused"
    title = Text(f"{sheet.id}  {who.contact} {who.number}  ", style="bold")
    title.append(say(f"outcome.{outcome}") if outcome else say("sheet.open"), style="bold cyan")
    if sheet.demo:
        title.append(f"  {say('demo.mark')}", style="bold yellow")
    parts: list[RenderableType] = [title]
    if sheet.call is not None:
        parts.append(_facts_table(sheet, sheet.call, say))
        parts += _check_parts(sheet.check, language)
    else:
        parts.append(
            _rows([(say("column.campaign"), sheet.campaign), (say("column.at"), _local(who.at))])
        )
    parts += [Text(), *_decision_parts(sheet.decision, language), Text()]
    parts.append(_entries_table(sheet, say))
    return Group(*parts)


def _facts_table(sheet: CallSheet, call: CallRow, say: Callable[[str], str]) -> Table:
    def ms(value: int | None) -> str:
        return "" if value is None else f"{value} ms"

    spans = timings(call)
    sip = f"{call.sip_status or ''} {call.sip_reason}".strip()
    agent = f"{call.agent} {ms(call.transferred_ms)}".strip()
    tracks = ", ".join(say(f"track.{track}") for track in sheet.tracks)
    recording = f"{call.recording} ({tracks})" if call.recording else ""
    return _rows(
        [
            (say("column.campaign"), sheet.campaign),
            (say("column.line"), call.line),
            (say("column.blame"), say(f"blame.{call.blame}") if call.blame else ""),
            (say("column.sip"), sip),
            ("Call-ID", call.sip_call_id),
            (say("sheet.invited"), _local(call.invited_at or call.at)),
            (say("column.pdd"), ms(spans["pdd"])),
            (say("sheet.ring"), ms(spans["ring"])),
            (say("sheet.setup"), ms(spans["setup"])),
            (say("sheet.answered"), _local(call.answered_at)),
            (say("sheet.talk"), ms(spans["talk"])),
            (say("sheet.ended"), _local(call.ended_at)),
            (say("sheet.ended_by"), say(f"party.{call.ended_by}") if call.ended_by else ""),
            (say("column.disclosure"), ms(call.disclosed_ms)),
            (say("sheet.notice"), ms(call.notice_ms)),
            (say("column.refusal"), ms(call.refused_ms) if call.refused else ""),
            (say("sheet.farewell"), ms(call.farewell_ms)),
            (say("sheet.agent"), agent),
            (say("sheet.callback"), say("sheet.open_ticket") if call.callback else ""),
            (
                say("sheet.announcement"),
                say(f"announcement.{call.announcement}") if call.announcement else "",
            ),
            (say("column.feedback"), call.feedback),
            (say("sheet.gap"), ms(call.max_gap_ms) if call.answered_at else ""),
            (say("status.violations"), ", ".join(call.violations)),
            (say("sheet.wording"), _wording(sheet, say)),
            (say("column.recording"), recording),
        ]
    )


def _wording(sheet: CallSheet, say: Callable[[str], str]) -> str:
    pairs = (pair.partition(":") for pair in sheet.wording)
    return ", ".join(f"{say(f'party.{who}')} {requirement}" for who, _, requirement in pairs)


def _rows(pairs: list[tuple[str, str]]) -> Table:
    """Label and value; what is empty is left out."""
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for label, value in pairs:
        if value:
            table.add_row(label, value)
    return table


def _check_parts(check: StoredCheck | None, language: str) -> list[RenderableType]:
    """What the check after the call found; the whole of it is in ``candor check``."""
    if check is None:
        return []
    return [Text(), check_view.told(check, language)]


def _decision_parts(decision: Decision, language: str) -> list[RenderableType]:
    key = "sheet.permitted" if decision.permitted else "sheet.refused"
    head = Text(
        text(key, language, at=_local(decision.at), rulebook=decision.rulebook[:12]), style="bold"
    )
    parts: list[RenderableType] = [head]
    for finding in decision.refusing:
        sentence = finding_text(finding, language)
        where = f" [{finding.line}]" if finding.line else ""
        body = Text(f"  ✗ {finding.requirement} {finding.rule}{where}: {sentence}", style="red")
        if finding.earliest is not None:
            body.append(f" → {_local(finding.earliest)}")
        parts.append(body)
    passed = list(dict.fromkeys(f.rule for f in decision.findings if f.passed))
    if passed:
        parts.append(Text(f"  ✓ {', '.join(passed)}", style="dim"))
    return parts


def _entries_table(sheet: CallSheet, say: Callable[[str], str]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), title=say("sheet.ledger"), title_justify="left")
    for column in ("ledger", "at", "entry", "actor"):
        table.add_column(say(f"column.{column}"), justify="right" if column == "ledger" else "left")
    for entry in sheet.entries:
        index = "…" if entry.index is None else str(entry.index)
        table.add_row(index, _local(entry.at), entry.kind, entry.actor)
    return table


def _local(at: datetime | None) -> str:
    """The instant on this machine's clock, to the millisecond."""
    if at is None:
        return ""
    return at.astimezone().strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
