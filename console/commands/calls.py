# SPDX-License-Identifier: GPL-3.0-or-later
"""`candor calls`: what became of each call."""

from __future__ import annotations

from rich.table import Table

from console import homes, run
from console.commands.common import (
    DEFAULT_HOME,
    HomeOption,
    JsonOption,
    console,
    group,
    passphrase,
    print_json,
)
from console.messages import text

calls_app = group("What became of each call.")


@calls_app.command("list")
def calls_list(name: str, home: HomeOption = DEFAULT_HOME, as_json: JsonOption = False) -> None:
    """Every call of a campaign: outcome, blame, SIP status, disclosure, ledger index.

    Example: candor calls list autumn --json
    """
    with homes.opened(home, passphrase()) as it:
        homes.signed_in(it)
        rows = run.call_rows(it, it.store.campaigns.campaign_named(name))
        language = it.home.settings.language
    if as_json:
        print_json([run.call_json(row) for row in rows])
        return
    table = Table()
    for column in ("contact", "outcome", "blame", "sip", "disclosure", "ledger"):
        table.add_column(text(f"column.{column}", language))
    for row in rows:
        table.add_row(
            f"{row.contact} {row.number}",
            text(f"outcome.{row.outcome}", language) if row.outcome else "",
            text(f"blame.{row.blame}", language) if row.blame else "",
            str(row.sip_status or ""),
            "" if row.disclosed_ms is None else f"{row.disclosed_ms} ms",
            "" if row.ledger_index is None else str(row.ledger_index),
        )
    console.print(table)
