# SPDX-License-Identifier: GPL-3.0-or-later
"""The check after a call as people read it; nothing in it is personal, nothing that was said."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any

from rich.table import Table
from rich.text import Text

from compliance.callcheck import Item
from compliance.clock import Clock
from compliance.facts import Finding
from console.diagnosis import Diagnosis, ok, warn
from console.messages import finding_text, text
from storage.checks import FAILED, PASSED, UNKNOWN, CheckCounts, StoredCheck
from storage.listing import CallRow
from storage.store import Store

OVERDUE = timedelta(days=1)  # a recorded call nobody checked by then is named by the doctor
_MARKS = {PASSED: ("✓", "green"), FAILED: ("✗", "red"), UNKNOWN: ("?", "yellow")}
_SKIPPED = ("·", "dim")


def sentences(check: StoredCheck, language: str) -> list[str]:
    """What failed or could not be measured, as sentences with their requirement."""
    return [
        f"{finding['requirement']} {_sentence(finding, language)}"
        for item in check.items
        if item["verdict"] in (FAILED, UNKNOWN)
        for finding in item["findings"]
        if not finding["passed"]
    ]


def told(check: StoredCheck, language: str) -> Text:
    """The verdict on one line, and what is wrong below it."""
    style = _MARKS[check.result][1]
    lines = [f"{text('sheet.check', language)}: {verdict(check, language)}"]
    lines += [f"  → {line}" for line in sentences(check, language)]
    return Text("\n".join(lines), style=style)


def all_sentences(check: StoredCheck, language: str) -> list[tuple[str, str]]:
    """(sign, sentence) of everything that was looked at."""
    return [
        (
            _MARKS.get(item["verdict"], _SKIPPED)[0],
            f"{finding['requirement']} {_sentence(finding, language)}",
        )
        for item in check.items
        for finding in item["findings"]
    ]


def _sentence(finding: Mapping[str, Any], language: str) -> str:
    params = {
        name: text(f"{kind}.{value}", language) if kind else str(value)
        for name, value in finding["params"].items()
        for kind in ({"who": "party", "section": "mark"}.get(name, ""),)
    }
    if "sections" in params:
        marks = str(params["sections"]).split()
        params["sections"] = " → ".join(text(f"mark.{mark}", language) for mark in marks)
    known = Finding("", "", False, finding["message"], tuple(params.items()))
    return finding_text(known, language)


def verdict(check: StoredCheck, language: str) -> str:
    """The result, when and by what version it was found."""
    return text(
        f"check.result.{check.result}",
        language,
        at=f"{check.at.astimezone():%Y-%m-%d %H:%M}",
        version=check.versions.get("judgement", 0),
    )


# ---------------------------------------------------------------- many calls


def table(rows: Sequence[tuple[CallRow, StoredCheck | None]], language: str) -> Table:
    """One row a call; under it what failed or could not be measured."""

    def say(message: str) -> str:
        return text(message, language)

    shown = Table(box=None, padding=(0, 2, 0, 0), title_justify="left")
    for column in ("call", "contact", "outcome"):
        shown.add_column(say(f"column.{column}"), no_wrap=column == "call")
    shown.add_column(say("check.column.result"), no_wrap=True)
    for item in Item:
        shown.add_column(say(f"check.item.{item}"), justify="center")
    shown.add_column(say("check.column.end"), justify="right", no_wrap=True)
    shown.add_column(say("check.column.likeness"), justify="right")
    for call, check in rows:
        outcome = say(f"outcome.{call.outcome}") if call.outcome else ""
        cells: list[str | Text] = [call.id[:8], f"{call.contact} {call.number}".strip(), outcome]
        if check is None:
            shown.add_row(*cells, Text(say("check.waits"), style="yellow"))
            continue
        mark, style = _MARKS[check.result]
        cells.append(Text(f"{mark} {say(f'check.{check.result}')}", style=style))
        verdicts = {item["item"]: item["verdict"] for item in check.items}
        for item in Item:
            sign, colour = _MARKS.get(verdicts.get(str(item), ""), _SKIPPED)
            cells.append(Text(sign, style=colour))
        found = check.figures.get("opening", {}).get("disclosure")
        cells += [f"{found['end_ms']} ms", f"{found['score']:.4f}"] if found else ["", ""]
        shown.add_row(*cells)
        for sentence in sentences(check, language):
            shown.add_row("", Text(f"→ {sentence}", style=style, overflow="fold"))
    return shown


def summary(rows: Sequence[StoredCheck | None], language: str) -> str:
    """How many of which result, and how often the second witness heard the robot word."""
    checked = [row for row in rows if row is not None]
    heard = [c.figures.get("robot_heard") for c in checked]
    asked = [h for h in heard if h is not None]
    return text(
        "check.summary",
        language,
        count=len(checked),
        waiting=len(rows) - len(checked),
        **{name: sum(c.result == name for c in checked) for name in _MARKS},
        heard=sum(map(bool, asked)),
        asked=len(asked),
    )


def counts_json(counts: CheckCounts) -> dict[str, int]:
    return {
        "recorded": counts.recorded,
        "checked": counts.checked,
        PASSED: counts.passed,
        FAILED: counts.failed,
        UNKNOWN: counts.unknown,
    }


def as_json(check: StoredCheck | None, language: str) -> dict[str, Any] | None:
    """Plain data; each finding carries its sentence too."""
    if check is None:
        return None
    return {
        "id": check.id,
        "at": check.at.isoformat(),
        "by": check.by,
        "result": check.result,
        "case": check.case,
        "items": [
            dict(item)
            | {
                "findings": [
                    dict(finding) | {"sentence": _sentence(finding, language)}
                    for finding in item["findings"]
                ]
            }
            for item in check.items
        ],
        "figures": dict(check.figures),
        "versions": dict(check.versions),
    }


# ---------------------------------------------------------------- for the doctor


def overdue(store: Store, clock: Clock) -> Iterator[Diagnosis]:
    """Recorded calls that nobody checked within a day of their end."""
    waiting = store.checks.unchecked_before(clock.wall() - OVERDUE)
    counts = store.checks.counts()
    if waiting:
        yield warn("checks", "overdue", count=waiting)
    else:
        yield ok("checks", checked=counts.checked, failed=counts.failed)
