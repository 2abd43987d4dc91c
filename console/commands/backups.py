# SPDX-License-Identifier: GPL-3.0-or-later
"""`candor backup` and `candor restore`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from console import backups, homes
from console.bars import Bar
from console.commands.common import (
    DEFAULT_HOME,
    HomeOption,
    JsonOption,
    errors,
    passphrase,
    print_json,
    say,
    say_in,
)
from console.messages import text
from dialer.settings import Home

_SHOW_AFTER = 50 << 20  # bytes


def backup(
    file: Annotated[Path, typer.Argument(help="The file to be written; must not exist.")],
    with_keys: Annotated[
        bool,
        typer.Option("--with-keys", help="Also a key file without a passphrase: opens all of it."),
    ] = False,
    scheduled: Annotated[
        bool, typer.Option("--scheduled", help="For cron: as the platform, nobody signed in.")
    ] = False,
    home: HomeOption = DEFAULT_HOME,
    as_json: JsonOption = False,
) -> None:
    """One file with all of a home: database, recordings, anchors, settings, sealed keys.

    While calls go on. Whole or not at all; sealed as the home is (administrators).

    Example: candor backup /backup/candor-2026-11-26.backup
    """
    with homes.opened(home, passphrase()) as it:
        actor = None if scheduled else homes.signed_in(it)
        with Bar(errors, show_after=_SHOW_AFTER) as bar:
            made, keys_in = backups.make(it, file, actor, bar, with_keys=with_keys)
        plain = not it.passphrase and it.home.settings.keys.source == "file"
        if as_json:
            print_json(
                {
                    "file": file,
                    "sha256": made.sha256,
                    "bytes": made.size,
                    "objects": made.objects,
                    "missing": list(made.missing),
                    "keys": keys_in,
                }
            )
        else:
            say(it, "backup.made", file=file, size=f"{made.size:,}", objects=made.objects)
            say(it, "backup.digest", digest=made.sha256)
        language = it.home.settings.language
    if keys_in and plain:
        errors.print(
            text("backup.open_keys", language), style="red", highlight=False, soft_wrap=True
        )
    elif not keys_in:
        errors.print(
            text("backup.no_keys", language), style="yellow", highlight=False, soft_wrap=True
        )
    if made.missing:
        told = text("backup.missing", language, count=len(made.missing))
        errors.print(told, style="red", highlight=False, soft_wrap=True)
        raise typer.Exit(1)


def restore(
    file: Annotated[Path, typer.Argument(help="A file that `candor backup` wrote.")],
    home: Annotated[Path, typer.Option("--home", help="A new or empty folder.")],
    anchors: Annotated[
        Path | None,
        typer.Option(help="What survived of the old home's anchors: say it whenever you can."),
    ] = None,
    keys: Annotated[
        Path | None, typer.Option(help="The old home's keys/master.json, if the backup has none.")
    ] = None,
    database: Annotated[
        str,
        typer.Option(help="A new, empty PostgreSQL's URL, if the backup is of a PostgreSQL."),
    ] = "",
    as_json: JsonOption = False,
) -> None:
    """Make a home of a backup: every byte is checked before anything is put there.

    What was destroyed since goes again, from the log beside the anchors. The ledger tells
    which checkpoint it lost. The platform is stopped until a compliance officer lifts it.

    Example: candor restore /backup/candor.backup --home /srv/candor-home --anchors /mnt/anchors
    """
    with Bar(errors, show_after=_SHOW_AFTER) as bar:
        done = backups.restore(
            file, home, passphrase(), bar, anchors=anchors, keys=keys, database=database
        )
    lost, again = done.lost, done.replayed
    made = Home(home)
    if as_json:
        print_json(
            {
                "made_at": done.made_at,
                "objects": done.objects,
                "newer_anchors": done.newer_anchors,
                "lost": {"size": lost.size, "root": lost.root.hex()} if lost else None,
                "kept": lost.kept if lost else None,
                "anchors_away": list(done.away),
                "again": {
                    "calls": again.calls,
                    "contacts": again.contacts,
                    "persons": again.persons,
                    "testers": again.testers,
                    "refusals": again.refusals,
                    "held": again.held,
                    "waiting": again.waiting,
                },
            }
        )
    else:
        say_in(made, "restore.done", place=home, at=done.made_at[:19], objects=done.objects)
        if lost:
            say_in(made, "restore.lost", size=lost.size, kept=lost.kept)
        say_in(
            made,
            "restore.again",
            calls=again.calls,
            contacts=again.contacts,
            persons=again.persons,
            testers=again.testers,
            refusals=again.refusals,
            held=again.held,
        )
        say_in(made, "restore.stopped")
    if not done.newer_anchors:
        told = text("restore.no_anchors", made.settings.language)
        errors.print(told, style="yellow", highlight=False, soft_wrap=True)
    if done.away:
        told = text("restore.away", made.settings.language, anchors=", ".join(done.away))
        errors.print(told, style="yellow", highlight=False, soft_wrap=True)
