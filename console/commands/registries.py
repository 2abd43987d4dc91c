# SPDX-License-Identifier: GPL-3.0-or-later
"""`candor registry`: national do-not-call lists (D1)."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from console import homes, registry_view
from console.commands.common import (
    DEFAULT_HOME,
    HomeOption,
    JsonOption,
    console,
    errors,
    group,
    passphrase,
    print_json,
    say,
)
from console.inputs import read_number
from console.messages import text
from dialer.policies import load_rulebook

registry_app = group("National do-not-call lists.")
_SAY_EVERY = 100_000  # rows


@registry_app.command("import")
def registry_import(
    name: Annotated[str, typer.Argument(help="As the profile names it; see registry list.")],
    file: Annotated[
        Path, typer.Argument(exists=True, dir_okay=False, help="Text or CSV, one number a row.")
    ],
    as_of: Annotated[
        datetime, typer.Option(formats=["%Y-%m-%d"], help="Day the edition is of, YYYY-MM-DD.")
    ],
    region: Annotated[
        str, typer.Option(help="Where numbers without a country code are dialed (ISO 3166).")
    ] = "CN",
    home: HomeOption = DEFAULT_HOME,
    as_json: JsonOption = False,
) -> None:
    """Bring an edition into force; it replaces the one before at once and as a whole. Only keyed
    hashes are kept (compliance officers, administrators).

    Example: candor registry import "Telephone Preference Service" tps.csv --as-of 2026-11-20
    --region GB
    """
    with homes.opened(home, passphrase()) as it:
        actor = homes.signed_in(it)
        said = 0

        def progress(rows: int) -> None:
            nonlocal said
            if rows - said >= _SAY_EVERY:
                said = rows
                errors.print(f"{rows:,}", highlight=False)

        done = it.store.registries.import_file(
            actor, name, file, as_of.date(), region=region.upper(), progress=progress
        )
        asked = {r.name for r in load_rulebook(it.home.settings.policy.profiles).policy.registries}
        if as_json:
            print_json(
                {
                    "registry": done.name,
                    "as_of": done.as_of.date().isoformat(),
                    "entries": done.entries,
                    "rows": done.rows,
                    "rejected": done.rejected,
                    "bad_rows": [{"row": b.row, "cause": b.cause} for b in done.bad_rows],
                    "replaced": done.replaced.date().isoformat() if done.replaced else None,
                    "asked_for": done.name in asked,
                }
            )
            return
        language = it.home.settings.language
        for bad in done.bad_rows:
            errors.print(
                text("registry.bad_row", language, row=bad.row, cause=bad.cause),
                markup=False,
                highlight=False,
            )
        say(it, "done.registry", name=done.name, entries=done.entries, rejected=done.rejected)
        if done.name not in asked:
            say(it, "registry.not_asked")


@registry_app.command("list")
def registry_list(home: HomeOption = DEFAULT_HOME, as_json: JsonOption = False) -> None:
    """Every list that is here or that a profile asks for; exit code 1 where one is missing or too
    old, since every call is then refused.

    Example: candor registry list
    """
    with homes.opened(home, passphrase()) as it:
        homes.signed_in(it)
        rulebook = load_rulebook(it.home.settings.policy.profiles)
        found = registry_view.standings(it.store.registries.editions(), rulebook)
        now, language = it.clock.wall(), it.home.settings.language
    if as_json:
        print_json([registry_view.as_json(each, now) for each in found])
    elif found:
        console.print(registry_view.table(found, now, language))
    else:
        typer.echo(text("registry.none", language))
    if any(each.state(now) in ("missing", "stale") for each in found):
        raise typer.Exit(1)


@registry_app.command("check")
def registry_check(
    number: Annotated[str, typer.Argument(help="In any spelling; - reads it from standard input.")],
    home: HomeOption = DEFAULT_HOME,
    as_json: JsonOption = False,
) -> None:
    """What every list says of a number; exit code 1 if it is on one. The ledger notes the look-up.

    Example: candor registry check 13912345678
    """
    with homes.opened(home, passphrase()) as it:
        actor = homes.signed_in(it)
        asked = read_number(it, number)
        found = it.store.registries.check(actor, asked)
        language = it.home.settings.language
    if as_json:
        print_json(
            {
                "number": asked.masked,
                "registries": [
                    {
                        "registry": each.name,
                        "as_of": each.as_of.date().isoformat(),
                        "listed": each.listed,
                    }
                    for each in found
                ],
            }
        )
    elif found:
        grid = Table(title=asked.masked, title_justify="left")
        for column in ("registry", "edition", "listed"):
            grid.add_column(text(f"column.{column}", language))
        for each in found:
            listed = text("yes" if each.listed else "no", language)
            grid.add_row(each.name, f"{each.as_of:%Y-%m-%d}", listed)
        console.print(grid)
    else:
        typer.echo(text("registry.none", language))
    if any(each.listed for each in found):
        raise typer.Exit(1)
