# SPDX-License-Identifier: GPL-3.0-or-later
"""`candor ledger`: the verifiable ledger."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from console import homes, run
from console.commands.common import DEFAULT_HOME, HomeOption, group, passphrase
from storage import ledger

ledger_app = group("The verifiable ledger.")


@ledger_app.command("export")
def ledger_export(file: Path, home: HomeOption = DEFAULT_HOME) -> None:
    """Write the whole ledger to a file that ``verify.py`` checks on any machine.

    Example: candor ledger export ledger.jsonl
    """
    with homes.opened(home, passphrase()) as it:
        homes.signed_in(it)
        it.sequencer().run_once(it.clock.wall())
        it.sequencer().checkpoint(it.clock.wall(), force=True)
        count = ledger.export(it.engine, file)
    typer.echo(f"{count} entries written to {file}.")


@ledger_app.command("key")
def ledger_key(home: HomeOption = DEFAULT_HOME) -> None:
    """Print the fingerprint of the key that signs checkpoints, to be kept elsewhere."""
    with homes.opened(home, passphrase()) as it:
        typer.echo(it.keyring.fingerprint())


@ledger_app.command("verify")
def ledger_verify(
    file: Path,
    key: Annotated[str, typer.Option(help="Key file or fingerprint, from elsewhere.")] = "",
) -> None:
    """Check an exported ledger with the independent verifier (no home needed).

    Example: candor ledger verify ledger.jsonl --key 3f2a…
    """
    raise typer.Exit(run.verify(file, key))
