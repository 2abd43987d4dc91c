# SPDX-License-Identifier: GPL-3.0-or-later
"""`candor case`: what somebody must look into and close."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Any

import typer
from rich.table import Table

from compliance.errors import BadInput
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
from console.homes import Opened
from console.inputs import read_words, shown
from console.messages import text
from storage.cases import Case, CaseKind
from storage.context import SYSTEM

case_app = group("Cases: what somebody must look into and close.")

CaseArgument = Annotated[
    str, typer.Argument(metavar="CASE", help="Its id, or the first 6 or more digits.")
]
TextOption = Annotated[str, typer.Option("--text", help="In words; - reads standard input.")]


@case_app.command("list")
def case_list(
    closed: Annotated[bool, typer.Option("--closed", help="Closed ones too.")] = False,
    overdue: Annotated[
        bool, typer.Option("--overdue", help="Only overdue ones; exit code 1 if there are any.")
    ] = False,
    kind: Annotated[CaseKind | None, typer.Option(help="Only of this kind.")] = None,
    home: HomeOption = DEFAULT_HOME,
    as_json: JsonOption = False,
) -> None:
    """Open cases, the first due first.

    Example: candor case list --overdue
    """
    with homes.opened(home, passphrase()) as it:
        homes.signed_in(it)
        now, language = it.clock.wall(), it.home.settings.language
        found = it.store.cases.cases(closed=closed, kind=kind)
        names = who(it)
    if overdue:
        found = [case for case in found if case.overdue(now)]
    if as_json:
        print_json([case_json(case, names, now) for case in found])
    else:
        table = Table()
        for column in ("case", "kind", "subject", "findings", "due", "notes", "state"):
            table.add_column(text(f"case.column.{column}", language))
        for case in found:
            state = text(f"case.state.{_state(case, now)}", language)
            table.add_row(
                case.id[:8],
                text(f"case.kind.{case.kind}", language),
                case.subject if len(case.subject) < 24 else case.subject[:8],
                ", ".join(case.findings),
                shown(case.due, language),
                str(case.notes or ""),
                state,
            )
        console.print(table)
    if overdue and found:
        raise typer.Exit(1)


@case_app.command("show")
def case_show(
    case: CaseArgument, home: HomeOption = DEFAULT_HOME, as_json: JsonOption = False
) -> None:
    """One case with its notes in the clear; the ledger keeps who read them.

    Example: candor case show 8d21c0
    """
    with homes.opened(home, passphrase()) as it:
        actor, cases = homes.signed_in(it), it.store.cases
        found = cases.case(cases.case_of_prefix(case))
        notes = cases.notes(actor, found.id)
        names, now, language = who(it), it.clock.wall(), it.home.settings.language
    if as_json:
        written = [{"at": n.at, "by": names.get(n.by, n.by), "text": n.text} for n in notes]
        print_json(case_json(found, names, now) | {"notes": written})
        return
    for name, value in case_json(found, names, now).items():
        if name != "notes":
            shown_value = shown(value, language) if isinstance(value, datetime) else value
            typer.echo(f"{text(f'case.column.{name}', language)}: {_plain(shown_value)}")
    for note in notes:
        typer.echo(f"\n{shown(note.at, language)} {names.get(note.by, note.by)}\n{note.text}")


@case_app.command("open")
def case_open(
    subject: Annotated[str, typer.Argument(help="What it is about: an id, never a person.")],
    note: TextOption = "",
    days: Annotated[int, typer.Option(min=1, max=365, help="Days until it is due.")] = 7,
    home: HomeOption = DEFAULT_HOME,
    as_json: JsonOption = False,
) -> None:
    """Open a case of your own (operators, compliance officers, auditors).

    Example: candor case open line-telecom1 --text "the carrier wrote a warning"
    """
    with homes.opened(home, passphrase()) as it:
        actor, cases = homes.signed_in(it), it.store.cases
        opened = cases.open(actor, subject, due=it.clock.wall() + timedelta(days=days))
        if note:
            cases.note(actor, opened, read_words(note))
        if as_json:
            print_json({"case": opened})
        else:
            say(it, "case.opened", case=opened[:8])


@case_app.command("note")
def case_note(case: CaseArgument, note: TextOption, home: HomeOption = DEFAULT_HOME) -> None:
    """Add a note to a case; it is sealed (operators, compliance officers, auditors).

    Example: candor case note 8d21c0 --text "asked the carrier"
    """
    with homes.opened(home, passphrase()) as it:
        actor, cases = homes.signed_in(it), it.store.cases
        found = cases.case_of_prefix(case)
        cases.note(actor, found, read_words(note))
        say(it, "case.noted", case=found[:8])


@case_app.command("close")
def case_close(case: CaseArgument, note: TextOption, home: HomeOption = DEFAULT_HOME) -> None:
    """Close a case, saying what was found and done (compliance officers; operators close cases
    of blocked numbers and their own).

    Example: candor case close 8d21c0 --text "the number rests until Monday"
    """
    with homes.opened(home, passphrase()) as it:
        actor, cases = homes.signed_in(it), it.store.cases
        found = cases.case_of_prefix(case)
        cases.close(actor, found, read_words(note))
        say(it, "case.closed", case=found[:8])


def who(it: Opened) -> dict[str, str]:
    """Names of staff and of the platform by actor id."""
    return it.store.people.names() | {SYSTEM: text("who.system", it.home.settings.language)}


def case_json(case: Case, names: dict[str, str], now: datetime) -> dict[str, Any]:
    return {
        "case": case.id,
        "kind": str(case.kind),
        "subject": case.subject,
        "findings": list(case.findings),
        "state": _state(case, now),
        "opened_by": names.get(case.opened_by, case.opened_by),
        "opened_at": case.opened_at,
        "due": case.due,
        "notes": case.notes,
        "closed_by": names.get(case.closed_by, case.closed_by),
        "closed_at": case.closed_at,
    }


def _state(case: Case, now: datetime) -> str:
    if case.closed_at is not None:
        return "closed"
    return "overdue" if case.overdue(now) else "open"


def _plain(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return "" if value is None else str(value)


def named(it: Opened, name: str) -> str:
    """The actor id of somebody who works here.

    Raises:
        BadInput: nobody has this name.
    """
    for person, known in it.store.people.names().items():
        if known == name:
            return person
    raise BadInput("nobody has this name", field="to", remedy="candor person list")
