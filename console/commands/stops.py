# SPDX-License-Identifier: GPL-3.0-or-later
"""`candor stop-all`: the platform-wide emergency stop."""

from __future__ import annotations

from typing import Annotated

import typer

from console import homes
from console.commands.common import (
    DEFAULT_HOME,
    HomeOption,
    JsonOption,
    errors,
    passphrase,
    print_json,
)
from console.homes import Opened
from console.inputs import shown
from console.messages import text
from storage.stops import StopReason


def stop_all(
    reason: Annotated[
        StopReason, typer.Option(help="Why; one of these words, since the ledger keeps it.")
    ] = StopReason.OTHER,
    lift: Annotated[
        bool, typer.Option("--lift", help="End the stop (compliance officer, administrator).")
    ] = False,
    home: HomeOption = DEFAULT_HOME,
    as_json: JsonOption = False,
) -> None:
    """Stop every call of this home at once: no new ones, ringing ones cancelled, live ones
    ended politely within 5 s. Compliance officers, administrators and operators may.

    Campaigns keep their state; after the stop is lifted `candor dial NAME` goes on.

    Example: candor stop-all --reason complaint
    """
    with homes.opened(home, passphrase()) as it:
        actor, stops = homes.signed_in(it), it.store.stops
        changed = stops.lift(actor) if lift else stops.stop(actor, reason)
        since = stops.in_force()
        language = it.home.settings.language
    if as_json:
        print_json({"stopped": since is not None, "since": since, "changed": changed})
        return
    word = ("lifted" if changed else "none") if lift else ("stopped" if changed else "already")
    typer.echo(text(f"stops.{word}", language, since=shown(since, language)))


def exit_if_stopped(it: Opened, command: str) -> None:
    """Say to whoever dials with ``command`` that the platform is stopped; leave with code 1."""
    since = it.store.stops.in_force()
    if since is None:
        return
    language = it.home.settings.language
    said = text("stops.dial", language, since=shown(since, language), command=command)
    errors.print(said, style="red", markup=False, highlight=False, soft_wrap=True)
    raise typer.Exit(1)
