# SPDX-License-Identifier: GPL-3.0-or-later
"""`candor gate`: what the gate would say, and why."""

from __future__ import annotations

from typing import Annotated

import typer

from console import gate_view, homes
from console.commands.common import (
    DEFAULT_HOME,
    HomeOption,
    JsonOption,
    console,
    group,
    passphrase,
    print_json,
)
from console.inputs import read_number, read_time
from dialer.policies import load_rulebook

gate_app = group("What the gate would say, and why.")


@gate_app.command("explain")
def gate_explain(
    number: Annotated[str, typer.Argument(help="In any spelling; - reads it from standard input.")],
    campaign: Annotated[str, typer.Option(help="The campaign that would call.")],
    at: Annotated[
        str, typer.Option(help="Another time than now, ISO 8601; without a zone this machine's.")
    ] = "",
    home: HomeOption = DEFAULT_HOME,
    as_json: JsonOption = False,
) -> None:
    """Every rule with pass or refuse, why, and when the call would be allowed. Dials nothing.

    Works for any number: one that nobody imported has neither source nor consent. A draft or
    paused campaign is judged as if you had just started it. The look-up is in the ledger
    (operators, compliance officers, auditors).

    Example: candor gate explain 13912345678 --campaign autumn --at 2026-11-24T10:30+08:00
    """
    with homes.opened(home, passphrase()) as it:
        actor = homes.signed_in(it)
        when = read_time(at) if at else it.clock.wall()
        rulebook = load_rulebook(it.home.settings.policy.profiles)
        found = gate_view.explain(it, actor, campaign, read_number(it, number), rulebook, when)
        language = it.home.settings.language
    if as_json:
        print_json(gate_view.as_json(found, language))
        return
    console.print(gate_view.heading(found, language), markup=False, highlight=False)
    console.print(gate_view.table(found, language, console.width))
    style = "green" if found.decision.permitted else "yellow"
    console.print(gate_view.verdict(found, language), style=style, markup=False, highlight=False)
