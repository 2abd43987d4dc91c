# SPDX-License-Identifier: GPL-3.0-or-later
"""`candor ledger`: the verifiable ledger."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Annotated

import typer

from console import homes, run
from console.commands.common import (
    DEFAULT_HOME,
    HomeOption,
    JsonOption,
    group,
    passphrase,
    print_json,
    say,
)
from storage import ledger

ledger_app = group("The verifiable ledger.")


@ledger_app.command("export")
def ledger_export(file: Path, home: HomeOption = DEFAULT_HOME) -> None:
    """Write the whole ledger to a file that ``verify.py`` checks on any machine.

    Example: candor ledger export ledger.jsonl
    """
    with homes.opened(home, passphrase()) as it:
        homes.signed_in(it)
        run.sequence(it)
        it.sequencer().checkpoint(it.clock.wall(), force=True)
        count = ledger.export(it.engine, file)
        say(it, "done.ledger_exported", entries=count, file=file)


@ledger_app.command("key")
def ledger_key(home: HomeOption = DEFAULT_HOME) -> None:
    """Print the fingerprint of the key that signs checkpoints, to be kept elsewhere.

    Example: candor ledger key
    """
    with homes.opened(home, passphrase()) as it:
        typer.echo(it.keyring.fingerprint())


@ledger_app.command("checkpoint")
def ledger_checkpoint(home: HomeOption = DEFAULT_HOME, as_json: JsonOption = False) -> None:
    """Give every entry its place, sign the tree and take the checkpoint to the anchors, now.

    Example: candor ledger checkpoint
    """
    with homes.opened(home, passphrase()) as it:
        it.store.journal.ask_checkpoint(homes.signed_in(it))
        run.sequence(it)
        sequencer = it.sequencer()
        signed = sequencer.checkpoint(it.clock.wall(), force=True)
        assert signed is not None  # the request itself is a new entry
        behind = list(sequencer.behind)
        if as_json:
            print_json(
                {
                    "origin": signed.origin,
                    "size": signed.size,
                    "root": signed.root.hex(),
                    "key": it.keyring.fingerprint(),
                    "anchors_behind": behind,
                }
            )
        else:
            say(it, "done.checkpoint", size=signed.size, root=signed.root.hex())
            if behind:
                say(it, "done.checkpoint_behind", anchors=", ".join(behind))


@ledger_app.command("verify")
def ledger_verify(
    file: Annotated[
        Path | None, typer.Argument(help="An export; left out: this home's own ledger.")
    ] = None,
    key: Annotated[
        str, typer.Option(help="Key file or fingerprint of the signer, from elsewhere.")
    ] = "",
    home: HomeOption = DEFAULT_HOME,
    as_json: JsonOption = False,
) -> None:
    """Check a ledger with the independent verifier.

    With FILE no home is needed. Without, this home's ledger is exported to a temporary file
    and checked with its key, its anchors and its sealed recordings.

    Exit code 0 valid, 1 invalid, 2 unusable input, 3 consistent but the signer is unproven.

    Example: candor ledger verify ledger.jsonl --key ed25519:…
    """
    more = ["--json"] if as_json else []
    if file is not None:
        raise typer.Exit(run.verify(file, key, *more))
    with homes.opened(home, passphrase()) as it, tempfile.TemporaryDirectory() as folder:
        homes.signed_in(it)
        run.sequence(it)
        it.sequencer().checkpoint(it.clock.wall())
        export = Path(folder) / "ledger.jsonl"
        ledger.export(it.engine, export)
        more += ["--objects", str(it.home.objects), "--checkpoint", str(it.home.anchors)]
        raise typer.Exit(run.verify(export, key or it.keyring.fingerprint(), *more))
