# SPDX-License-Identifier: GPL-3.0-or-later
"""Our own numbers on a screen: a bar of calls against the cap for each, and their cases."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from console.diagnosis import Diagnosis, fail, ok, warn
from console.inputs import shown
from console.messages import text
from storage.context import SYSTEM
from storage.number_care import Case, CaseNote, Figures
from storage.store import Store

BAR_CELLS = 20
_NEARLY = 0.9  # of the cap
_STYLES = {"in_use": "", "trial": "yellow", "resting": "red", "abandoned": "dim"}


def cap_of(found: Figures, asked: int | None) -> int | None:
    """The stricter of the profile's cap and the number's own."""
    return min((c for c in (found.day_cap, asked) if c is not None), default=None)


def bar(calls: int, cap: int | None) -> Text:
    """``██████░░░░``: calls of 24 hours against the cap, full from the cap on."""
    if not cap:
        return Text("–")
    share = min(calls / cap, 1.0)
    # One call shows, and a bar is full only when nothing is left.
    cells = min(round(share * BAR_CELLS), BAR_CELLS - (calls < cap))
    cells = max(cells, 1 if calls else 0)
    style = "red" if calls >= cap else "yellow" if share >= _NEARLY else "green"
    return Text.assemble(("█" * cells, style), ("░" * (BAR_CELLS - cells), "dim"))


def table(found: Sequence[Figures], asked: int | None, now: datetime, language: str) -> Table:
    grid = Table()
    for column in ("own_number", "shown_by"):
        grid.add_column(text(f"column.{column}", language), overflow="fold")
    grid.add_column(text("column.calls_24h", language), no_wrap=True)
    for column in ("calls_of_cap", "answer_rate", "failure_rate"):
        grid.add_column(text(f"column.{column}", language), justify="right", no_wrap=True)
    for column in ("state", "rest_until", "number_case"):
        grid.add_column(text(f"column.{column}", language))
    for each in found:
        cap, state = cap_of(each, asked), each.state(now)
        resting = state in ("resting", "abandoned")
        grid.add_row(
            each.number,
            ", ".join(each.lines),
            bar(each.calls, cap),
            f"{each.calls} / {cap if cap is not None else '–'}",
            _percent(each.answer_rate),
            _percent(each.failure_rate),
            Text(text(f"number_state.{state}", language), _STYLES[state]),
            shown(each.rest_until, language) if resting else "",
            _case_cell(each.case, now, language),
        )
    return grid


def _case_cell(case: Case | None, now: datetime, language: str) -> Text:
    if case is None:
        return Text()
    late = case.overdue(now)
    word = text(f"number_case.{case.state}", language)
    due = text("number_case.overdue" if late else "number_case.due", language,
               due=shown(case.due, language))  # fmt: skip
    return Text(f"{word}, {due}", "red" if late else "")


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{share:.0%}"


def show_case(
    console: Console,
    case: Case,
    notes: Sequence[CaseNote],
    names: Mapping[str, str],
    now: datetime,
    language: str,
) -> None:
    """One case: what was seen when it was opened, then each step."""

    def who(person: str) -> str:
        return text("who.system", language) if person == SYSTEM else names.get(person, person)

    opened = text(
        "number_case.opened",
        language,
        case=case.id[:8],
        at=shown(case.opened_at, language),
        by=who(case.opened_by),
    )
    console.print(f"\n{opened}", markup=False, highlight=False)
    if case.figures:
        seen = text("number_case.seen", language, **case.figures)
        console.print(f"  {seen}", markup=False, highlight=False)
    for note in notes:
        word = text(f"number_case.{note.state}", language)
        line = f"  {shown(note.at, language)}  {word}  {who(note.by)}: {note.text}"
        console.print(line, markup=False, highlight=False)
    if case.closed_at is None:
        console.print(Text("  ").append(_case_cell(case, now, language)))


# ---------------------------------------------------------------- plain data


def as_json(found: Figures, asked: int | None, now: datetime) -> dict[str, Any]:
    return {
        "number": found.number,
        "lines": list(found.lines),
        "calls_24h": found.calls,
        "cap": cap_of(found, asked),
        "answer_rate": found.answer_rate,
        "failure_rate": found.failure_rate,
        "state": found.state(now),
        "judgement": str(found.judgement),
        "rest_until": found.rest_until.isoformat() if found.rest_until else None,
        "rest_reason": found.rest_reason,
        "case": None if found.case is None else _short(found.case, now),
    }


def _short(case: Case, now: datetime) -> dict[str, Any]:
    return {
        "case": case.id,
        "state": str(case.state),
        "opened_at": case.opened_at.isoformat(),
        "due": case.due.isoformat(),
        "overdue": case.overdue(now),
        "figures": dict(case.figures),
    }


def case_json(
    case: Case, notes: Sequence[CaseNote], names: Mapping[str, str], now: datetime
) -> dict[str, Any]:
    return _short(case, now) | {
        "closed_at": case.closed_at.isoformat() if case.closed_at else None,
        "notes": [
            {
                "at": note.at.isoformat(),
                "by": names.get(note.by, note.by),
                "state": str(note.state),
                "text": note.text,
            }
            for note in notes
        ],
    }


# ---------------------------------------------------------------- the doctor


def diagnose(store: Store, asked: int | None, now: datetime) -> Iterator[Diagnosis]:
    """Numbers that rest or are full, and cases past their deadline."""
    found = store.own_numbers.figures()
    shown_now = [f for f in found if f.lines]
    resting = [f for f in shown_now if f.state(now) in ("resting", "abandoned")]
    full = [f for f in shown_now if (cap := cap_of(f, asked)) is not None and f.calls >= cap]
    late = [f for f in found if f.case is not None and f.case.overdue(now)]
    if shown_now and len({f.number for f in (*resting, *full)}) == len(shown_now):
        yield fail("numbers", "none_left", count=len(shown_now))
    if resting:
        yield warn("numbers", "resting", numbers=", ".join(f.number for f in resting))
    if full:
        yield warn("numbers", "full", numbers=", ".join(f.number for f in full))
    if late:
        yield fail("numbers", "overdue", numbers=", ".join(f.number for f in late))
    if not (resting or full or late):
        yield ok("numbers", count=len(shown_now), calls=sum(f.calls for f in shown_now))
