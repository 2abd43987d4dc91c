# SPDX-License-Identifier: GPL-3.0-or-later
"""`candor lines`: SIP lines and their papers."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import typer

from compliance.facts import LineFacts
from console import homes
from console.commands.common import DEFAULT_HOME, HomeOption, group, passphrase, utc

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
    home: HomeOption = DEFAULT_HOME,
) -> None:
    """Register a line (administrators). Its papers decide whether the gate lets it be used.

    Example: candor lines add telecom1 --address 10.0.0.5:5060 --caller-id 4008887686
    --whitelisted-until 2027-06-30 --registered-until 2027-06-30 --filed-until 2027-06-30
    --plaintext-until 2027-06-30
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
    )
    with homes.opened(home, passphrase()) as it:
        it.store.lines.add_line(homes.signed_in(it), facts)
    typer.echo(f"Added line {line}.")
