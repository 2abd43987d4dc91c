# SPDX-License-Identifier: GPL-3.0-or-later
"""`candor models`: speech models."""

from __future__ import annotations

from typing import Annotated

import typer

from console import speech_models
from console.commands.common import DEFAULT_HOME, HomeOption, group

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
