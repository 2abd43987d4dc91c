# SPDX-License-Identifier: GPL-3.0-or-later
"""`candor contacts`: people to call, and their consent."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from compliance.facts import SourceKind
from console import homes
from console.bars import Bar
from console.commands.common import (
    DEFAULT_HOME,
    HomeOption,
    JsonOption,
    errors,
    group,
    passphrase,
    print_json,
    say,
)
from console.commands.papers import described
from console.commands.papers import show as show_papers
from console.homes import Opened
from console.inputs import read_number
from storage.contacts import ImportResult
from storage.suppliers import Origin

_SHOWN = 20  # rejected rows on the screen; all of them are in the file

contacts_app = group("People to call, and their consent.")


@contacts_app.command("import")
def contacts_import(
    file: Path,
    source: Annotated[SourceKind, typer.Option(help="Where these people come from (D1).")],
    batch: Annotated[str, typer.Option(help="A name for this batch.")],
    partner: Annotated[
        str, typer.Option(help="Source partner: the registered data partner (D2).")
    ] = "",
    home: HomeOption = DEFAULT_HOME,
    as_json: JsonOption = False,
) -> None:
    """Import a CSV or XLSX of people and their consent; rejected rows go to a file beside it.

    Exit code 1 if any row was rejected; the others are in.

    Example: candor contacts import people.csv --source web_form --batch autumn
    """
    with homes.opened(home, passphrase()) as it:
        with Bar(errors, show_after=1_000_000) as bar:  # bytes; fewer are read in a second
            result: ImportResult = it.store.contacts.import_file(
                file,
                actor=homes.signed_in(it),
                source=source,
                batch=batch,
                partner=partner,
                progress=bar,
            )
        if not as_json:
            _show(it, result)
    if as_json:
        print_json(
            {
                "accepted": result.accepted,
                "duplicates": result.duplicates,
                "rejected": [[r.row, r.field, r.cause] for r in result.rejected],
                "rejected_rows": result.rejected_rows,
                "rejects_file": result.rejects_file,
            }
        )
    raise typer.Exit(1 if result.rejected_rows else 0)


@contacts_app.command("origin")
def contacts_origin(
    number: Annotated[str, typer.Argument(help="In any spelling; - reads it from standard input.")],
    home: HomeOption = DEFAULT_HOME,
    as_json: JsonOption = False,
) -> None:
    """Where the contacts of a number came from: batch, data partner, documents (D2).

    Compliance officers and auditors; the look is in the ledger. Exit code 1: no contact has it.

    Example: candor contacts origin 13912345678
    """
    with homes.opened(home, passphrase()) as it:
        found = it.store.partners.origin(homes.signed_in(it), read_number(it, number))
        if as_json:
            print_json([_origin(it, one) for one in found])
        else:
            _show_origins(it, found)
    raise typer.Exit(0 if found else 1)


def _origin(it: Opened, one: Origin) -> dict[str, Any]:
    return {
        "batch": one.batch,
        "row": one.row,
        "source": one.source,
        "imported_at": one.imported_at.isoformat(),
        "partner": one.partner,
        "company": one.company,
        "papers": [described(it, paper) for paper in one.papers],
    }


def _show_origins(it: Opened, found: list[Origin]) -> None:
    if not found:
        say(it, "origin.none")
    for one in found:
        say(
            it,
            "origin.partner" if one.partner else "origin.own",
            batch=one.batch,
            row=one.row,
            source=one.source,
            day=f"{one.imported_at:%Y-%m-%d}",
            company=one.company,
        )
        if one.partner:
            show_papers(it, list(one.papers), False)


def _show(it: Opened, result: ImportResult) -> None:
    say(
        it,
        "done.imported",
        accepted=result.accepted,
        duplicates=result.duplicates,
        rejected=result.rejected_rows,
    )
    for rejection in result.rejected[:_SHOWN]:
        say(
            it,
            "done.import_row",
            row=rejection.row,
            field=rejection.field,
            cause=rejection.cause,
        )
    if result.rejects_file is not None:
        say(it, "done.import_rejects", file=result.rejects_file)
