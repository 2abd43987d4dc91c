# SPDX-License-Identifier: GPL-3.0-or-later
"""`candor retention`, `hold`, `destructions`: what is kept until when, and what went."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Annotated, Any

import typer
from rich.table import Table

from compliance.errors import BadInput
from console import homes, run
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
from console.homes import Opened
from console.inputs import read_number, shown
from console.messages import text
from dialer.policies import load_terms
from storage.context import SYSTEM
from storage.due import Forecast
from storage.holds import HoldReason
from storage.retention import Done, check_server_clock

retention_app = group("What is kept until when, and destroying what has had its time.")
hold_app = group("Legal holds: what must not be destroyed.")

_DAYS_SHOWN = 7


@retention_app.command("report")
def retention_report(home: HomeOption = DEFAULT_HOME, as_json: JsonOption = False) -> None:
    """What goes when: recordings, contacts, refusals. Changes nothing.

    Example: candor retention report
    """
    with homes.opened(home, passphrase()) as it:
        homes.signed_in(it)
        found = it.store.retention.report(load_terms(it.home))
        last = it.store.retention.last_run()
        language = it.home.settings.language
    if as_json:
        print_json(_forecast_json(found) | {"last_run": last})
        return
    _show(found, language)
    console.print(
        text("retention.last", language, at=shown(last, language))
        if last
        else text("retention.never", language),
        highlight=False,
    )


@retention_app.command("run")
def retention_run(
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would go now; change nothing.")
    ] = False,
    scheduled: Annotated[
        bool,
        typer.Option("--scheduled", help="For cron: as the platform, and only once a day."),
    ] = False,
    home: HomeOption = DEFAULT_HOME,
    as_json: JsonOption = False,
) -> None:
    """Destroy what has had its time: keys first, then objects, each with its record.

    Compliance officers and administrators. May be killed at any point and run again. A
    running `candor dial` does the same once a day. Nothing under a legal hold goes.

    Example: candor retention run --dry-run
    """
    with homes.opened(home, passphrase()) as it:
        actor = None if scheduled else homes.signed_in(it)
        terms, retention = load_terms(it.home), it.store.retention
        language = it.home.settings.language
        if dry_run:
            due = _now(retention.report(terms))
            if as_json:
                print_json({"dry_run": True, **due})
            else:
                say(it, "retention.would", **due)
            return
        if scheduled and not retention.is_due():
            done = None
        else:
            check_server_clock(it.engine, it.clock)
            done = retention.run(terms, it.home.open_objects(), actor=actor)
            run.carry_destructions(it)
    if as_json:
        print_json({"ran": done is not None, **(_done_json(done) if done else {})})
    elif done is None:
        typer.echo(text("retention.today", language))
    else:
        typer.echo(text("retention.done", language, **_done_json(done)))
    if done is not None and done.waiting:
        typer.echo(text("retention.waiting", language, waiting=done.waiting), err=True)
        raise typer.Exit(1)


def _names(it: Opened) -> dict[str, str]:
    return it.store.people.names() | {SYSTEM: text("who.system", it.home.settings.language)}


def _now(found: Forecast) -> dict[str, int]:
    """How much of each kind is due on the day of the report."""
    today = found.at.date()
    return {
        "recordings": found.recordings.get(today, 0),
        "contacts": found.contacts.get(today, 0),
        "refusals": found.refusals.get(today, 0),
        "held": found.held_calls + found.held_contacts,
        "waiting": found.waiting,
    }


def _done_json(done: Done) -> dict[str, Any]:
    return {
        "at": done.at,
        "recordings": done.recordings,
        "contacts": done.contacts,
        "refusals": done.refusals,
        "complaints": done.complaints,
        "held": done.held,
        "waiting": done.waiting,
        "rows": dict(done.what),
    }


def _forecast_json(found: Forecast) -> dict[str, Any]:
    def days(counts: Mapping[date, int]) -> dict[str, int]:
        return {day.isoformat(): count for day, count in counts.items()}

    return {
        "at": found.at,
        "recordings": days(found.recordings),
        "contacts": days(found.contacts),
        "refusals": days(found.refusals),
        "recordings_kept": found.recordings_kept,
        "contacts_in_use": found.contacts_in_use,
        "contacts_unused": found.contacts_unused,
        "held_calls": found.held_calls,
        "held_contacts": found.held_contacts,
        "waiting": found.waiting,
        "overdue": found.overdue,
    }


def _show(found: Forecast, language: str) -> None:
    table = Table(title=text("retention.title", language))
    table.add_column(text("retention.column.day", language))
    kinds = ("recordings", "contacts", "refusals")
    for kind in kinds:
        table.add_column(text(f"retention.column.{kind}", language), justify="right")
    days = sorted({*found.recordings, *found.contacts, *found.refusals})
    for day in days[:_DAYS_SHOWN]:
        counts = (getattr(found, kind).get(day, 0) for kind in kinds)
        table.add_row(day.isoformat(), *(str(count or "") for count in counts))
    if len(days) > _DAYS_SHOWN:
        rest = days[_DAYS_SHOWN:]
        sums = (sum(getattr(found, kind).get(day, 0) for day in rest) for kind in kinds)
        table.add_row(text("retention.later", language), *(str(count or "") for count in sums))
    console.print(table)
    facts = _forecast_json(found)
    console.print(text("retention.kept", language, **facts), markup=False, highlight=False)
    if found.overdue:
        console.print(text("retention.overdue", language, **facts), style="red", highlight=False)


# ---------------------------------------------------------------- holds


@hold_app.command("add")
def hold_add(
    reason: Annotated[HoldReason, typer.Option(help="Why; the ledger keeps it.")],
    call: Annotated[
        str, typer.Option(help="One call: its id, or the first 6 or more digits.")
    ] = "",
    number: Annotated[
        str, typer.Option(help="Everything of one number; - reads it from standard input.")
    ] = "",
    home: HomeOption = DEFAULT_HOME,
    as_json: JsonOption = False,
) -> None:
    """Keep a call, or everything of a number, until the hold is lifted (compliance officers).

    Example: candor hold add --call 5f0c21 --reason dispute
    """
    if bool(call) == bool(number):
        raise BadInput("name one call or one number", field="hold add", remedy="--call or --number")
    with homes.opened(home, passphrase()) as it:
        actor, holds = homes.signed_in(it), it.store.holds
        if call:
            hold = holds.hold_call(actor, it.store.watching.find(call), reason)
        else:
            hold = holds.hold_number(actor, read_number(it, number), reason)
        if as_json:
            print_json({"hold": hold})
        else:
            say(it, "hold.added", hold=hold[:8])


@hold_app.command("list")
def hold_list(
    lifted: Annotated[bool, typer.Option("--lifted", help="Lifted ones too.")] = False,
    home: HomeOption = DEFAULT_HOME,
    as_json: JsonOption = False,
) -> None:
    """Holds in force.

    Example: candor hold list --json
    """
    with homes.opened(home, passphrase()) as it:
        homes.signed_in(it)
        found = it.store.holds.holds(lifted=lifted)
        names = _names(it)
        language = it.home.settings.language
    if as_json:
        print_json(
            [
                {
                    "hold": hold.id,
                    "call": hold.attempt,
                    "whole_number": not hold.attempt,
                    "reason": str(hold.reason),
                    "by": names.get(hold.by, hold.by),
                    "at": hold.at,
                    "lifted_at": hold.lifted_at,
                }
                for hold in found
            ]
        )
        return
    table = Table()
    for column in ("hold", "what", "reason", "by", "at", "lifted"):
        table.add_column(text(f"hold.column.{column}", language))
    for hold in found:
        table.add_row(
            hold.id[:8],
            hold.attempt[:8] or text("hold.number", language),
            text(f"hold.reason.{hold.reason}", language),
            names.get(hold.by, hold.by[:8]),
            shown(hold.at, language),
            shown(hold.lifted_at, language),
        )
    console.print(table)


@hold_app.command("lift")
def hold_lift(
    hold: Annotated[str, typer.Argument(metavar="HOLD", help="Its id, or its first digits.")],
    home: HomeOption = DEFAULT_HOME,
) -> None:
    """End a hold; what is over meanwhile goes with the next run (compliance officers).

    Example: candor hold lift 8d21c0
    """
    with homes.opened(home, passphrase()) as it:
        actor, holds = homes.signed_in(it), it.store.holds
        found = holds.hold_of_prefix(hold)
        holds.lift(actor, found)
        say(it, "hold.lifted", hold=found[:8])


# ---------------------------------------------------------------- records


def destructions(home: HomeOption = DEFAULT_HOME, as_json: JsonOption = False) -> None:
    """Every destruction record: when, how, by whom, what; never of whom.

    For compliance officers, auditors and administrators.

    Example: candor destructions --json
    """
    with homes.opened(home, passphrase()) as it:
        found = it.store.retention.records(homes.signed_in(it))
        names = _names(it)
        language = it.home.settings.language
    if as_json:
        print_json(
            [
                {
                    "record": row.id,
                    "at": row.at,
                    "by": names.get(row.by, row.by),
                    "method": row.method,
                    "why": row.why,
                    "what": dict(row.what),
                    "call": row.attempt,
                    "ledger_index": row.ledger_index,
                }
                for row in found
            ]
        )
        return
    table = Table()
    for column in ("record", "at", "by", "why", "what", "call", "ledger"):
        table.add_column(text(f"destruction.column.{column}", language))
    for row in found:
        table.add_row(
            row.id[:8],
            shown(row.at, language),
            names.get(row.by, row.by[:8]),
            text(f"destruction.why.{row.why}", language),
            ", ".join(f"{name} {count}" for name, count in sorted(row.what.items())),
            row.attempt[:8],
            "" if row.ledger_index is None else str(row.ledger_index),
        )
    console.print(table)
