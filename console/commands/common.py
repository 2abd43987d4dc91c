# SPDX-License-Identifier: GPL-3.0-or-later
"""What every command shares: options, screens, sign-in data, JSON."""

from __future__ import annotations

import json
import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from console.homes import Opened
from console.messages import text
from dialer.settings import Home

HomeOption = Annotated[
    Path, typer.Option("--home", help="Home folder of this installation.", show_default=True)
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print data as JSON.")]
DEFAULT_HOME = Path("candor-home")

# A pipe has no width of its own: keep tables whole there.
console = Console(width=None if sys.stdout.isatty() else 150)
errors = Console(stderr=True)


def passphrase() -> str | None:
    """The keys' passphrase, from ``CANDOR_PASSPHRASE``; unset: the key file has none."""
    return os.environ.get("CANDOR_PASSPHRASE") or None


def utc(at: datetime | None) -> datetime | None:
    """A date from the command line: midnight UTC of that day unless it has a time."""
    return None if at is None else at.replace(tzinfo=UTC)


def say(it: Opened, message_id: str, **params: object) -> None:
    """Print a sentence in the home's language."""
    say_in(it.home, message_id, **params)


def say_in(home: Home, message_id: str, **params: object) -> None:
    """As :func:`say`, of a home that is not open."""
    typer.echo(text(message_id, home.settings.language, **params))


def print_json(data: Any) -> None:
    typer.echo(json.dumps(data, ensure_ascii=False, indent=2, default=str))


def group(summary: str) -> typer.Typer:
    """A group of commands under one noun."""
    return typer.Typer(no_args_is_help=True, help=summary)
