# SPDX-License-Identifier: GPL-3.0-or-later
"""`candor agents` and `candor callbacks`: people at telephones, and whom they owe a call."""

from __future__ import annotations

import dataclasses
from datetime import datetime
from typing import Annotated

import typer
from rich.table import Table

from compliance.facts import Agent
from console import homes
from console.commands.common import (
    DEFAULT_HOME,
    HomeOption,
    JsonOption,
    console,
    group,
    passphrase,
    print_json,
    say,
)
from console.messages import text

agents_app = group("People at telephones of ours whom callees may be connected to.")
callbacks_app = group("Callees who asked for a person and wait to be called back.")


@agents_app.command("add")
def agents_add(
    agent: str,
    uri: Annotated[str, typer.Option(help="Their telephone: sip:extension@host:port")],
    home: HomeOption = DEFAULT_HOME,
) -> None:
    """Register an agent's telephone (administrators).

    Example: candor agents add li --uri sip:201@10.0.0.20:5060
    """
    with homes.opened(home, passphrase()) as it:
        it.store.agents.add_agent(homes.signed_in(it), agent, uri)
        say(it, "done.agent_added", agent=agent)


@agents_app.command("on")
def agents_on(agent: str, home: HomeOption = DEFAULT_HOME) -> None:
    """Let an agent be called again.

    Example: candor agents on li
    """
    _enable(agent, home, True)


@agents_app.command("off")
def agents_off(agent: str, home: HomeOption = DEFAULT_HOME) -> None:
    """Call an agent no more; a call in progress goes on.

    Example: candor agents off li
    """
    _enable(agent, home, False)


def _enable(agent: str, home: HomeOption, enabled: bool) -> None:
    with homes.opened(home, passphrase()) as it:
        it.store.agents.enable_agent(homes.signed_in(it), agent, enabled)
        say(it, "done.agent_on" if enabled else "done.agent_off", agent=agent)


@agents_app.command("list")
def agents_list(home: HomeOption = DEFAULT_HOME, as_json: JsonOption = False) -> None:
    """Every agent: free, on a call, in the wrap-up time, or switched off.

    Example: candor agents list --json
    """
    with homes.opened(home, passphrase()) as it:
        homes.signed_in(it)
        agents, now = it.store.agents.agents(), it.clock.wall()
        language = it.home.settings.language
    if as_json:
        print_json([{**dataclasses.asdict(a), "state": _state(a, now)} for a in agents])
        return
    table = Table()
    for column in ("agent", "address", "state"):
        table.add_column(text(f"column.{column}", language))
    for agent in agents:
        state = text(f"agent.{_state(agent, now)}", language)
        table.add_row(agent.id, agent.uri, state)
    console.print(table)


def _state(agent: Agent, now: datetime) -> str:
    if not agent.enabled:
        return "off"
    if agent.busy_with:
        return "busy"
    return "wrap_up" if agent.free_from is not None and agent.free_from > now else "free"


@callbacks_app.command("list")
def callbacks_list(
    closed: Annotated[bool, typer.Option("--all", help="The closed ones too.")] = False,
    home: HomeOption = DEFAULT_HOME,
    as_json: JsonOption = False,
) -> None:
    """Whom we owe a call, oldest first; numbers are masked.

    Example: candor callbacks list
    """
    with homes.opened(home, passphrase()) as it:
        homes.signed_in(it)
        tickets = it.store.tickets.tickets(closed=closed)
        language = it.home.settings.language
    if as_json:
        print_json([dataclasses.asdict(ticket) for ticket in tickets])
        return
    table = Table()
    for column in ("ticket", "campaign", "contact", "opened", "closed"):
        table.add_column(text(f"column.{column}", language))
    for ticket in tickets:
        table.add_row(
            ticket.id,
            ticket.campaign,
            f"{ticket.contact} {ticket.number}",
            f"{ticket.opened_at.astimezone():%Y-%m-%d %H:%M}",
            "" if ticket.closed_at is None else f"{ticket.closed_at.astimezone():%Y-%m-%d %H:%M}",
        )
    console.print(table)


@callbacks_app.command("close")
def callbacks_close(ticket: str, home: HomeOption = DEFAULT_HOME) -> None:
    """Note that a person was called back (operators, compliance officers).

    Example: candor callbacks close 5f0c…
    """
    with homes.opened(home, passphrase()) as it:
        it.store.tickets.close(homes.signed_in(it), ticket)
        say(it, "done.callback_closed", ticket=ticket)
