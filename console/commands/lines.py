# SPDX-License-Identifier: GPL-3.0-or-later
"""`candor lines`: SIP lines and their papers."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

import typer
from rich.table import Table

from compliance.facts import LineFacts
from compliance.paperwork import SupplierFacts
from console import homes, papers
from console.commands.common import (
    DEFAULT_HOME,
    HomeOption,
    JsonOption,
    console,
    group,
    passphrase,
    print_json,
    say,
    utc,
)
from console.messages import text
from dialer.law import rulebook_of

lines_app = group("SIP lines and their papers.")


@lines_app.command("add")
def lines_add(
    line: str,
    address: Annotated[str, typer.Option(help="host:port of the next hop")],
    caller_id: Annotated[str, typer.Option(help="One of our own numbers.")],
    kind: Annotated[str, typer.Option(help="ai_line, ordinary, 5g, lab")] = "ai_line",
    carrier: Annotated[str, typer.Option()] = "other",
    whitelisted_until: Annotated[
        datetime | None, typer.Option(help="Carrier's AI-outbound white list (C5), YYYY-MM-DD.")
    ] = None,
    registered_until: Annotated[
        datetime | None, typer.Option(help="Real-name registration (C6).")
    ] = None,
    filed_until: Annotated[datetime | None, typer.Option(help="Script filing (C6).")] = None,
    plaintext_until: Annotated[
        datetime | None, typer.Option(help="Recorded exception for unencrypted SIP and RTP (D7).")
    ] = None,
    supplier: Annotated[str, typer.Option(help="Whom it is bought from (V1).")] = "",
    home: HomeOption = DEFAULT_HOME,
) -> None:
    """Register a line (administrators). Its papers decide whether the gate lets it be used.

    Example: candor lines add telecom1 --address 10.0.0.5:5060 --caller-id 4008887686
    --whitelisted-until 2027-06-30 --registered-until 2027-06-30 --filed-until 2027-06-30
    --plaintext-until 2027-06-30 --supplier starline
    """
    facts = LineFacts(
        line,
        carrier,
        kind,
        address,
        caller_id,
        whitelisted_until=utc(whitelisted_until),
        registered_until=utc(registered_until),
        filed_until=utc(filed_until),
        plaintext_exception_until=utc(plaintext_until),
        supplier=SupplierFacts(id=supplier),
    )
    with homes.opened(home, passphrase()) as it:
        it.store.lines.add_line(homes.signed_in(it), facts)
        say(it, "done.line_added", line=line)


@lines_app.command("list")
def lines_list(home: HomeOption = DEFAULT_HOME, as_json: JsonOption = False) -> None:
    """Every line with its papers and the days each is still good.

    Example: candor lines list
    """
    with homes.opened(home, passphrase()) as it:
        homes.signed_in(it)
        lines, now = it.store.lines.lines(), it.clock.wall()
        language = it.home.settings.language
        asked = rulebook_of(it.home, it.store).policy.line_papers
    if as_json:
        print_json([_json(line, now, asked) for line in lines])
        return
    table = Table()
    for column in ("line", "carrier", "kind", "address", "caller_id", "enabled"):
        table.add_column(text(f"column.{column}", language))
    for paper in papers.PAPERS:
        table.add_column(text(f"paper.{paper}", language), justify="right")
    for line in lines:
        needed = papers.asked_for(line, asked)
        table.add_row(
            line.id,
            line.carrier,
            line.kind,
            line.address,
            line.caller_id,
            text("yes" if line.enabled else "no", language),
            *(_days(line, paper, now, paper in needed, language) for paper in papers.PAPERS),
        )
    console.print(table)


def _days(line: LineFacts, paper: str, now: datetime, needed: bool, language: str) -> str:
    left = papers.days_left(line, paper, now)
    if left is None:
        return text("paper.missing", language) if needed else ""
    end = papers.until(line, paper)
    over = end is not None and end <= now
    days = text("paper.ended" if over else "paper.days", language, days=abs(left))
    return f"{end:%Y-%m-%d} {days}"


def _json(line: LineFacts, now: datetime, asked: frozenset[str]) -> dict[str, Any]:
    return {
        "line": line.id,
        "carrier": line.carrier,
        "kind": line.kind,
        "address": line.address,
        "caller_id": line.caller_id,
        "enabled": line.enabled,
        "encrypted": line.encrypted,
        "supplier": line.supplier.id,
        "papers": {
            paper: {
                "until": end.isoformat() if (end := papers.until(line, paper)) else None,
                "days_left": papers.days_left(line, paper, now),
                "needed": paper in papers.asked_for(line, asked),
            }
            for paper in papers.PAPERS
        },
        "missing": list(papers.missing(line, asked, now)),
    }
