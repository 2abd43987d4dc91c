# SPDX-License-Identifier: GPL-3.0-or-later
"""`candor script`: what the bot says."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from console import homes, submissions
from console.commands.common import DEFAULT_HOME, HomeOption, group, passphrase

script_app = group("What the bot says: submit, approve.")


@script_app.command("submit")
def script_submit(
    file: Path,
    script: Annotated[str, typer.Option("--id", help="Name of the script.")] = "main",
    home: HomeOption = DEFAULT_HOME,
) -> None:
    """Check, render and measure a script, and hand it in for approval (authors).

    Example: candor script submit examples/demo/script.zh.yaml --id welcome
    """
    with homes.opened(home, passphrase()) as it:
        version = submissions.submit(it, homes.signed_in(it), file.read_text("utf-8"), script)
    typer.echo(
        f"Submitted {version.id}: disclosure ends at {version.disclosure_end_ms:.0f} ms, "
        f"{len(version.lint)} findings. Next: candor script approve {version.id}"
    )
    for finding in version.lint:
        typer.echo(f"  {finding}")


@script_app.command("approve")
def script_approve(version: str, home: HomeOption = DEFAULT_HOME) -> None:
    """Sign a submitted version (compliance officers; never one's own).

    Example: candor script approve 5f0c…
    """
    with homes.opened(home, passphrase()) as it:
        found = it.store.scripts.script_version(version)
        it.store.scripts.approve(homes.signed_in(it), found)
    typer.echo(f"Approved {version}.")
