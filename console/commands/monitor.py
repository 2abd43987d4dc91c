# SPDX-License-Identifier: GPL-3.0-or-later
"""`candor monitor`: content, frequency and feedback on one screen (T1)."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Annotated

import typer
from rich.table import Table

from console import homes
from console.commands.common import (
    DEFAULT_HOME,
    HomeOption,
    JsonOption,
    console,
    passphrase,
    print_json,
)
from console.messages import text


def monitor(
    days: Annotated[int, typer.Option(min=1, max=366, help="Of the past so many days.")] = 7,
    home: HomeOption = DEFAULT_HOME,
    as_json: JsonOption = False,
) -> None:
    """What was said, how often people were called, and what they said to it: sums over all
    campaigns, nobody's data.

    Example: candor monitor --days 30
    """
    with homes.opened(home, passphrase()) as it:
        homes.signed_in(it)
        found = it.store.monitoring.figures(days)
        language = it.home.settings.language
    if as_json:
        print_json(dataclasses.asdict(found))
        return

    def listed(counts: Mapping[str, int], prefix: str = "") -> str:
        named = {
            text(f"{prefix}{name}", language) if prefix else name: n for name, n in counts.items()
        }
        return ", ".join(f"{name} {count}" for name, count in named.items()) or "–"

    content, frequency, feedback = found.content, found.frequency, found.feedback
    rows = {
        "content": {
            "checks": listed(content.checks, "monitor.check."),
            "violations": listed(content.violations),
            "open_cases": str(content.open_cases),
        },
        "frequency": {
            "attempts": str(frequency.attempts),
            "numbers": str(frequency.numbers),
            "most_per_number": str(frequency.most_per_number),
            "refused": listed(frequency.refused),
        },
        "feedback": {
            "spoken": listed(feedback.spoken),
            "outcomes": listed(feedback.outcomes, "outcome."),
            "refusals": str(feedback.refusals),
            "complaints": listed(feedback.complaints, "complaint.kind."),
            "notes": str(feedback.notes),
            "callbacks_open": str(feedback.callbacks_open),
        },
    }
    for group, figures in rows.items():
        title = text(f"monitor.{group}", language, days=days)
        table = Table(title=title, title_justify="left", show_header=False, min_width=60)
        for name, value in figures.items():
            table.add_row(text(f"monitor.{group}.{name}", language), value)
        console.print(table)
