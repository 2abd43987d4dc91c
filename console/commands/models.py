# SPDX-License-Identifier: GPL-3.0-or-later
"""`candor models`: speech models."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.table import Table

from console import speech_models
from console.commands.common import (
    DEFAULT_HOME,
    HomeOption,
    JsonOption,
    console,
    group,
    print_json,
)
from console.messages import text
from dialer.settings import Home

models_app = group("Speech models.")


@models_app.command("install")
def models_install(
    source: str,
    language: Annotated[str, typer.Option(help="zh or en")] = "zh",
    name: Annotated[str, typer.Option(help="Folder name; default: the source's.")] = "",
    home: HomeOption = DEFAULT_HOME,
) -> None:
    """Install a Vosk model from a folder, a .zip file or a URL.

    Example: candor models install ~/vosk-model-cn-0.22 --language zh
    """
    target = speech_models.install(source, home / "models", language=language, name=name)
    typer.echo(
        f"Installed {target.name}. To use it: in {home / 'candor.toml'} under [speech.models] "
        f'set {language} = "{target.name}"'
    )


@models_app.command("list")
def models_list(home: HomeOption = DEFAULT_HOME, as_json: JsonOption = False) -> None:
    """Models that are here: shipped or installed in the home, and which one each language uses.

    Example: candor models list
    """
    here = Home(home) if (home / "candor.toml").exists() else None
    language = here.settings.language if here else "en"
    found = speech_models.installed(here)
    if as_json:
        print_json([model.as_json() for model in found])
        return
    table = Table()
    for column in ("model", "language", "place", "used", "missing"):
        table.add_column(text(f"column.{column}", language))
    for model in found:
        table.add_row(
            model.name,
            model.language,
            text("model.shipped" if model.shipped else "model.installed", language),
            ", ".join(model.used_for),
            ", ".join(model.missing),
        )
    console.print(table)
