# SPDX-License-Identifier: GPL-3.0-or-later
"""`candor keys`: the master keys that everything is sealed under, and their rotation (D7)."""

from __future__ import annotations

import getpass
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from compliance.errors import BadInput, StorageError
from console import homes
from console.bars import Bar
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
from console.homes import Opened
from console.inputs import shown
from console.messages import text
from storage import call_journal
from storage.key_sources import KeyKind
from storage.keys import FileKeyring
from storage.keys_environment import EnvironmentKeyring, new_document
from storage.objects import fsync_folder

keys_app = group("The keys that everything is sealed under.")

WriteOption = Annotated[
    Path | None,
    typer.Option(
        "--write",
        help="Keys from CANDOR_KEYRING only: new file for the changed keyring, to be deployed.",
    ),
]


@keys_app.command("list")
def keys_list(home: HomeOption = DEFAULT_HOME, as_json: JsonOption = False) -> None:
    """Every master key, and how many values lie under it.

    For administrators, compliance officers and auditors. No key leaves its place.

    Example: candor keys list --json
    """
    with homes.opened(home, passphrase()) as it:
        found = it.store.rotation.keys(homes.signed_in(it))
        unfinished = it.store.rotation.unfinished()
        language = it.home.settings.language
        source = it.home.settings.keys.source
    if as_json:
        print_json(
            {
                "source": str(source),
                "unfinished": unfinished,
                "keys": [
                    {"key": k.id, "state": k.state, "since": k.since, "uses": dict(k.uses)}
                    for k in found
                ],
            }
        )
        return
    table = Table()
    for column in ("key", "state", "since", "values"):
        table.add_column(text(f"keys.column.{column}", language))
    for key in found:
        uses = ", ".join(f"{table_} {count}" for table_, count in sorted(key.uses.items()))
        since = shown(key.since, language) if key.since else ""
        table.add_row(key.id, text(f"keys.state.{key.state}", language), since, uses)
    console.print(table)
    if unfinished:
        console.print(text("keys.unfinished", language), markup=False, highlight=False)


@keys_app.command("rotate")
def keys_rotate(
    prepare: Annotated[
        bool,
        typer.Option("--prepare", help="Only make the next key, to bring it everywhere first."),
    ] = False,
    write: WriteOption = None,
    home: HomeOption = DEFAULT_HOME,
    as_json: JsonOption = False,
) -> None:
    """Seal everything under a new master key, while calls go on (administrators).

    An interrupted rotation goes on where it was. Old keys stay until `candor keys retire`.

    Example: candor keys rotate
    """
    with homes.opened(home, passphrase()) as it:
        actor, rotation = homes.signed_in(it), it.store.rotation
        keep = _keep(it, write)
        if prepare:
            key = rotation.prepare(actor, keep)
            if as_json:
                print_json({"prepared": key})
            else:
                say(it, "keys.prepared", key=key)
            return
        if it.home.settings.keys.source is KeyKind.ENVIRONMENT and not rotation.unfinished():
            _refuse_unprepared(it)
        if not rotation.unfinished():
            rotation.begin(actor, keep)
        with Bar(errors) as bar:
            done = rotation.reseal(actor, bar)
        if as_json:
            facts = {"key": done.key, "rows": done.rows, "remaining": done.remaining}
            print_json({**facts, "damaged": list(done.damaged)})
        else:
            say(it, "keys.rotated", key=done.key, rows=done.rows)
            if done.remaining:
                say(it, "keys.remaining", rows=done.remaining)
            for row in done.damaged:
                typer.echo(f"  {row}")
    if done.remaining:
        raise typer.Exit(1)


@keys_app.command("retire")
def keys_retire(
    key: Annotated[str, typer.Argument(metavar="KEY", help="Its id, or the first digits of it.")],
    write: WriteOption = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    home: HomeOption = DEFAULT_HOME,
) -> None:
    """Destroy an old master key that nothing lies under any more (administrators).

    Backups made before the rotation cannot be read after it.

    Example: candor keys retire 7c90
    """
    with homes.opened(home, passphrase()) as it:
        actor = homes.signed_in(it)
        found = _key(it, key)
        if not yes:
            if not sys.stdin.isatty():
                raise BadInput("destroys a key for ever", field="keys retire", remedy="add --yes")
            typer.confirm(text("keys.confirm", it.home.settings.language, key=found), abort=True)
        _refuse_while_records_wait(it)
        it.store.rotation.retire(actor, found, _keep(it, write))
        say(it, "keys.retired", key=found)


@keys_app.command("new")
def keys_new(
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="File, mode 0600; left out: the screen.")
    ] = None,
) -> None:
    """A fresh keyring for a new home whose keys come from CANDOR_KEYRING.

    CANDOR_PASSPHRASE, if set, seals it. Keep it as secret as the database is sealed.

    Example: candor keys new -o keyring.txt
    """
    document = new_document(passphrase())
    if output is None:
        typer.echo(document)
    else:
        _write(output, document)
        typer.echo(f"{output} written.")


@keys_app.command("passphrase")
def keys_passphrase(
    remove: Annotated[
        bool, typer.Option("--remove", help="Leave the file plain: for disks that are sealed.")
    ] = False,
    home: HomeOption = DEFAULT_HOME,
) -> None:
    """Set, change or remove the passphrase of the key file (administrators).

    CANDOR_PASSPHRASE holds the old one. Running processes must be started again.

    Example: candor keys passphrase
    """
    with homes.opened(home, passphrase()) as it:
        actor, ring = homes.signed_in(it), it.keyring
        if not isinstance(ring, FileKeyring):
            raise BadInput(
                "only a key file has a passphrase to change",
                field="keys.source",
                remedy="the keyring in CANDOR_KEYRING is changed by whoever deploys it",
            )
        new = None if remove else _new_passphrase(it.home.settings.language)
        it.store.rotation.change_passphrase(actor, lambda: ring.change_passphrase(new))
        say(it, "keys.passphrase_removed" if remove else "keys.passphrase_changed")


# ---------------------------------------------------------------- parts


def _refuse_while_records_wait(it: Opened) -> None:
    """The call journal holds wrapped keys of recordings, which no pass has sealed anew."""
    if call_journal.waiting(it.home.journal).records:
        raise StorageError(
            "records of calls wait for the database, with keys of their recordings",
            remedy="let `candor dial` move them first (`candor doctor` says how many there are)",
        )


def _keep(it: Opened, write: Path | None) -> Callable[[], None]:
    """What keeps a changed keyring that cannot keep itself."""
    ring = it.keyring
    if not isinstance(ring, EnvironmentKeyring):
        if write is not None:
            raise BadInput(
                "this home's keys keep themselves", field="--write", remedy="leave it out"
            )
        return lambda: None
    if write is None:
        raise BadInput(
            "this home's keys come from CANDOR_KEYRING, which no command can change",
            field="--write",
            remedy="name a new file for the changed keyring, and deploy what is in it",
        )
    if write.exists():
        raise BadInput(f"{write} exists already", field="--write", remedy="name another file")
    return lambda: _write(write, ring.document())


def _refuse_unprepared(it: Opened) -> None:
    """A key that is in one process only must not seal anything: a lost file would lose all."""
    if it.keyring.prepared() is None:
        raise BadInput(
            "no key is prepared, and the others could not read what a new one seals",
            field="keys rotate",
            remedy="candor keys rotate --prepare --write FILE, deploy FILE as CANDOR_KEYRING "
            "everywhere, then rotate",
        )


def _key(it: Opened, start: str) -> str:
    found = [key for key in it.keyring.key_ids() if key.startswith(start.lower())]
    if len(found) == 1:
        return found[0]
    why = "names several master keys" if found else "names no master key of this home"
    raise BadInput(f"{start[:16]} {why}", field="KEY", remedy="candor keys list shows them")


def _write(path: Path, document: str) -> None:
    """A secret into a new private file, durable before anything is sealed under it."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(f"{document}\n")
            file.flush()
            os.fsync(file.fileno())
        fsync_folder(path.parent)
    except FileExistsError:
        raise BadInput(f"{path} exists already", remedy="name another file") from None
    except OSError as error:
        raise StorageError(f"{path} cannot be written: {error.strerror}") from None


def _new_passphrase(language: str) -> str:
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\n")
    first, again = (
        getpass.getpass(text(f"keys.{which}", language)) for which in ("new_phrase", "again")
    )
    if first != again:
        raise BadInput("the two differ", field="passphrase", remedy="type the same one twice")
    return first
