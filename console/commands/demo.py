# SPDX-License-Identifier: GPL-3.0-or-later
"""`candor demo` and `candor sim`."""

from __future__ import annotations

import asyncio
import runpy
import sys
from pathlib import Path
from typing import Annotated

import typer

from console import demo as demonstration
from console.commands.common import console


def sim(context: typer.Context) -> None:
    """The simulated callees (see `candor sim --help`)."""
    sys.argv = ["candor sim", *context.args]
    runpy.run_module("sip_sim", run_name="__main__")


def demo_command(
    home: Annotated[Path, typer.Option(help="A demo home, made anew each time.")] = Path(
        "demo-home"
    ),
    language: Annotated[str, typer.Option(help="zh or en")] = "zh",
    picture: Annotated[Path | None, typer.Option(help="Save the last screen as an SVG.")] = None,
) -> None:
    """Twenty real calls to simulated callees, up to six at a time, and five that the gate refuses.

    Everything is checked against the callees' own records. Takes about a minute and a half.

    Example: candor demo --language en
    """
    passed = asyncio.run(demonstration.demo(home, language, console, picture))
    raise typer.Exit(0 if passed else 1)
