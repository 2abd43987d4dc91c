# SPDX-License-Identifier: GPL-3.0-or-later
"""`candor contacts`: people to call, and their consent."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

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
from console.homes import Opened
from storage.contacts import ImportResult

_SHOWN = 20  # rejected rows on the screen; all of them are in the file

contacts_app = group("People to call, and their consent.")


@contacts_app.command("import")
def contacts_import(
    file: Path,
    source: Annotated[SourceKind, typer.Option(help="Where these people come from (D1).")],
    batch: Annotated[str, typer.Option(help="A name for this batch.")],
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
                file, actor=homes.signed_in(it), source=source, batch=batch, progress=bar
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
