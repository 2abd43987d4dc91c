# SPDX-License-Identifier: GPL-3.0-or-later
"""A call as a sequence of events and as a strip of block characters; pure.

Milliseconds count from the answer, on the recording's sample clock; what came
before it is negative. A call nobody answered counts from its INVITE.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from compliance.facts import Evolve, KeyPress, Speaker, TranscriptLine
from console.figures import span_ms
from storage.listing import CallRow

_SHADES = " ░▒▓█"  # none, up to a quarter, a half, three quarters, all of a cell is speech
_TICKS_S = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600)
_TICK_COLUMNS = 8  # at least this far apart
# One letter a mark, in the order in which they win where two fall on one cell.
LETTERS = {
    "refused": "R",
    "key": "#",
    "cut": "×",
    "disclosed": "D",
    "notice": "N",
    "farewell": "F",
    "transferred": "T",
}


@dataclass(frozen=True, slots=True)
class Event(Evolve):
    """Something that happened, at or from ``at_ms`` on."""

    at_ms: int
    kind: str  # said, key, or a name of the signalling and the record; ``event.*`` in catalogues
    end_ms: int | None = None
    who: str = ""  # of ``Speaker``; empty: the platform or the network
    text: str = field(default="", repr=False)
    mark: str = ""  # which part of the script was said
    cut: bool = False  # the bot was interrupted at ``end_ms``; ``text`` is what was heard
    confidence: float | None = None
    flags: tuple[str, ...] = ()  # requirements its words touch


def events(
    call: CallRow, said: Sequence[TranscriptLine] = (), keys: Sequence[KeyPress] = ()
) -> list[Event]:
    """Everything known of a call's course, in order of time."""
    found = _signalling(call)
    found += [
        Event(line.start_ms, "said", line.end_ms, str(line.speaker), line.text, line.mark,
              line.interrupted_at_ms is not None, line.confidence, line.flags)
        for line in said
    ]  # fmt: skip
    found += [
        Event(press.at_ms, "key", who=str(Speaker.CALLEE), text=press.digit) for press in keys
    ]
    for kind, at_ms in (
        ("disclosed", call.disclosed_ms),
        ("notice", call.notice_ms),
        ("refused", call.refused_ms),
        ("farewell", call.farewell_ms),
        ("transferred", call.transferred_ms),
    ):
        if at_ms is not None:
            found.append(Event(at_ms, kind, text=call.agent if kind == "transferred" else ""))
    order = {"invited": 0, "ringing": 1, "answered": 2, "ended": 9}
    return sorted(found, key=lambda e: (e.at_ms, order.get(e.kind, 5 if e.kind == "said" else 6)))


def _signalling(call: CallRow) -> list[Event]:
    zero = call.answered_at or call.invited_at or call.at
    found = []
    for kind, at in (("invited", call.invited_at), ("ringing", call.ringing_at)):
        if at is not None:
            before = span_ms(at, zero) or 0
            found.append(Event(-before if before else span_ms(zero, at) or 0, kind))
    ending = f"{call.sip_status or ''} {call.sip_reason}".strip()
    if call.answered_at is not None:
        found.append(Event(0, "answered"))
        if call.ended_at is not None:
            found.append(Event(call.duration_ms, "ended", who=call.ended_by, text="BYE"))
    elif call.ended_at is not None:
        found.append(Event(span_ms(zero, call.ended_at) or 0, "ended", text=ending))
    return found


# ---------------------------------------------------------------- the strip


@dataclass(frozen=True, slots=True)
class Strip(Evolve):
    """Rows of one width: time above, a lane for each speaker, marks below."""

    ruler: str
    ticks: str
    lanes: tuple[tuple[str, str], ...]  # speaker, cells
    marks: str


def strip(events: Iterable[Event], duration_ms: int, columns: int) -> Strip:
    """The talk squeezed into ``columns`` cells; a cell's shade is its share of speech."""
    seen = list(events)
    columns = max(columns, _TICK_COLUMNS)
    duration_ms = max(duration_ms, 1)
    ruler, ticks = _ruler(duration_ms, columns)
    speakers = [str(Speaker.CALLEE), str(Speaker.BOT)]
    if any(e.who == Speaker.AGENT and e.kind == "said" for e in seen):
        speakers.append(str(Speaker.AGENT))
    lanes = []
    for who in speakers:
        spoken = [(e.at_ms, e.end_ms or e.at_ms) for e in seen if e.who == who and e.kind == "said"]
        lanes.append((who, _lane(spoken, duration_ms, columns)))
    return Strip(ruler, ticks, tuple(lanes), _marks(seen, duration_ms, columns))


def _lane(spoken: Sequence[tuple[int, int]], duration_ms: int, columns: int) -> str:
    cell = duration_ms / columns
    shades = []
    for column in range(columns):
        start, end = column * cell, (column + 1) * cell
        voiced = sum(max(0.0, min(end, e) - max(start, s)) for s, e in spoken)
        share = min(1.0, voiced / cell)
        # Any speech shows, however short; full means full.
        shades.append(_SHADES[0 if share <= 0 else max(1, min(4, round(4 * share)))])
    return "".join(shades)


def _ruler(duration_ms: int, columns: int) -> tuple[str, str]:
    """Seconds and tick marks: the finest step whose labels do not touch."""
    step = next(
        (s for s in _TICKS_S if s * 1000 * columns / duration_ms >= _TICK_COLUMNS), _TICKS_S[-1]
    )
    labels, ticks = [" "] * (columns + 6), ["─"] * columns
    second = 0
    while (column := int(second * 1000 * columns / duration_ms)) < columns:
        ticks[column] = "┴"
        for offset, character in enumerate(f"{second} s" if second == 0 else str(second)):
            labels[column + offset] = character
        second += step
    return "".join(labels).rstrip(), "".join(ticks)


def _marks(seen: Sequence[Event], duration_ms: int, columns: int) -> str:
    cells = [" "] * columns
    for kind, letter in LETTERS.items():
        for event in seen:
            if kind == "cut":
                at = event.end_ms if event.cut else None
            else:
                at = event.at_ms if event.kind == kind else None
            if at is None or not 0 <= at <= duration_ms:
                continue
            column = min(columns - 1, int(at * columns / duration_ms))
            free = (c for c in range(column, columns) if cells[c] == " ")
            cells[next(free, column)] = letter
    return "".join(cells).rstrip()


def letters_in(marks: str) -> list[str]:
    """Names of the marks a strip shows, for its legend."""
    return [kind for kind, letter in LETTERS.items() if letter in marks]
