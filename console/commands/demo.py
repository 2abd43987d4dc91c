# SPDX-License-Identifier: GPL-3.0-or-later
"""`candor demo` and `candor sim`."""

from __future__ import annotations

import asyncio
import re
import runpy
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

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
    picture: Annotated[Path | None, typer.Option(help="Save the screen as an SVG.")] = None,
) -> None:
    """Six contacts, five real calls to simulated callees, checked against the callees' own records.

    Example: candor demo
    """
    screen = Console(record=True, width=150) if picture else console
    passed = asyncio.run(demonstration.demo(home, language, screen))
    if picture:
        # Without Rich's web fonts: a picture fetches nothing when it is looked at.
        svg = re.sub(r"@font-face\s*{[^}]*}", "", screen.export_svg(title="candor demo"))
        picture.write_text(svg, "utf-8")
    raise typer.Exit(0 if passed else 1)
