# SPDX-License-Identifier: GPL-3.0-or-later
"""Who said what when: a call's transcript, keys and marks on one clock (T1, S5, D10).

Reading them is a raw read. It asks for a reason and is in the ledger before
anything is shown.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rich.cells import cell_len
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from compliance.errors import BadInput
from compliance.facts import Actor, HomeKind
from console import run, timeline
from console.homes import Opened
from console.messages import text
from console.timeline import Event
from storage.listing import CallRow
from storage.store import AccessReason

_COLOURS = {"bot": "cyan", "callee": "green", "agent": "magenta"}
_PLAIN = {"invited", "ringing", "answered", "ended"}
_WIDEST = 140


def placed(it: Opened, prefix: str) -> CallRow:
    """The finished call whose id begins with ``prefix``.

    Raises:
        BadInput: no such call, refused by the gate, or still going on.
    """
    found = it.store.watching.find(prefix)
    if it.store.gate_refusal(found) is not None:
        raise BadInput(
            "the gate refused this call: nobody was dialed",
            field="call",
            remedy=f"candor calls show {found[:8]} says why",
        )
    call = it.store.call(found)
    if call.outcome is None:
        raise BadInput("this call is still going on", field="call", remedy="wait for its end")
    return call


def read(it: Opened, actor: Actor, call: CallRow, reason: AccessReason) -> list[Event]:
    """The course of a call; two entries in the ledger, for the words and for the keys.

    Raises:
        NotAllowed: neither auditor nor compliance officer.
    """
    said = it.store.transcript(actor, call.id, reason)
    keys = it.store.key_presses(actor, call.id, reason)
    return timeline.events(call, said, keys)


def as_json(it: Opened, call: CallRow, events: list[Event]) -> dict[str, Any]:
    return {
        "id": call.id,
        "campaign": run.campaign_names(it).get(call.campaign, ""),
        **({"demo": True} if it.store.home is HomeKind.DEMO else {}),
        "contact": call.contact,
        "number": call.number,
        "outcome": str(call.outcome or ""),
        "answered_at": call.answered_at.isoformat() if call.answered_at else None,
        "duration_ms": call.duration_ms,
        "events": [
            {
                "start_ms": event.at_ms,
                "end_ms": event.end_ms,
                "kind": event.kind,
                "who": event.who,
                "text": event.text,
                "mark": event.mark,
                "cut": event.cut,
                "confidence": event.confidence,
                "flags": list(event.flags),
            }
            for event in events
        ],
    }


def screen(
    call: CallRow, events: list[Event], language: str, *, width: int, demo: bool
) -> RenderableType:
    """The strip over the whole talk, and below it every event with its times."""

    def say(message: str) -> str:
        return text(message, language)

    title = Text(f"{call.id[:8]}  {call.contact} {call.number}  ", style="bold")
    title.append(say(f"outcome.{call.outcome}"), style="bold cyan")
    if demo:
        title.append(f"  {say('demo.mark')}", style="bold yellow")
    parts: list[RenderableType] = [title]
    if call.answered_at is not None and call.duration_ms:
        parts += [Text(), *_strip(call, events, language, min(width, _WIDEST))]
    parts += [Text(), _table(events, language)]
    if call.answered_at is not None and not any(event.kind == "said" for event in events):
        parts.append(Text(say("replay.no_words"), style="yellow"))
    return Group(*parts)


def _strip(call: CallRow, events: list[Event], language: str, width: int) -> list[Text]:
    names = {who: text(f"party.{who}", language) for who in _COLOURS}
    margin = max(cell_len(name) for name in names.values()) + 1
    shown = timeline.strip(events, call.duration_ms, width - margin - 1)
    empty = " " * margin

    def padded(name: str) -> str:
        return name + " " * (margin - cell_len(name))

    rows = [Text(empty + shown.ruler, style="dim"), Text(empty + shown.ticks, style="dim")]
    rows += [Text(padded(names[who]) + cells, style=_COLOURS[who]) for who, cells in shown.lanes]
    if shown.marks:
        rows.append(Text(empty + shown.marks, style="bold yellow"))
        legend = "  ".join(
            f"{timeline.LETTERS[kind]} {text(f'event.{kind}', language)}"
            for kind in timeline.letters_in(shown.marks)
        )
        rows.append(Text(empty + legend, style="yellow"))
    for row in rows:
        row.no_wrap = True
    return rows


def _table(events: list[Event], language: str) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0))
    for column in ("offset", "start", "end"):
        table.add_column(text(f"column.{column}", language), justify="right", no_wrap=True)
    table.add_column(text("column.who", language), no_wrap=True)
    table.add_column(text("column.what", language), overflow="fold")
    for event in events:
        table.add_row(
            offset(event.at_ms),
            str(event.at_ms),
            "" if event.end_ms is None else str(event.end_ms),
            text(f"party.{event.who}", language) if event.who else "",
            _what(event, language),
            style=_style(event),
        )
    return table


def _what(event: Event, language: str) -> Text:
    # Text, never markup: a callee's words are not ours to interpret.
    if event.kind != "said":
        name = text(f"event.{event.kind}", language)
        return Text(f"{name} {event.text}".strip())
    what = Text()
    if event.mark:
        what.append(f"[{text(f'mark.{event.mark}', language)}] ", style="dim")
    what.append(event.text)
    if event.cut:
        what.append(f" ✂ {text('event.cut', language)}", style="yellow")
    if event.flags:
        what.append(f" ⚑ {flagged(event, lambda m: text(m, language))}", style="bold red")
    return what


def flagged(event: Event, say: Callable[[str], str]) -> str:
    """What the words touch; of the bot, what it would have said without the check."""
    message = "wording.not_said" if event.who == "bot" else "wording.flagged"
    return f"{say(message)} {', '.join(event.flags)}"


def _style(event: Event) -> str:
    if event.kind in _PLAIN:
        return "dim"
    return _COLOURS.get(event.who, "yellow")


def offset(at_ms: int) -> str:
    """``-0:03.215``, ``1:02.505``: minutes, seconds, milliseconds."""
    sign, left = ("-", -at_ms) if at_ms < 0 else ("", at_ms)
    minutes, left = divmod(left, 60_000)
    seconds, milliseconds = divmod(left, 1000)
    return f"{sign}{minutes}:{seconds:02}.{milliseconds:03}"
