# SPDX-License-Identifier: GPL-3.0-or-later
"""`candor doctor`: what is missing or wrong here."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import typer
from rich.markup import escape

from compliance.clock import SystemClock
from compliance.errors import CandorError
from console import doctor
from console.commands.common import (
    DEFAULT_HOME,
    HomeOption,
    JsonOption,
    console,
    passphrase,
    print_json,
)
from console.diagnosis import Level
from console.messages import text
from dialer import settings

_STYLE = {Level.OK: "green", Level.WARN: "yellow", Level.FAIL: "bold red"}


def doctor_command(home: HomeOption = DEFAULT_HOME, as_json: JsonOption = False) -> None:
    """What is missing or wrong on this machine and in the home, and how to mend it.

    Nobody need be signed in; nothing is changed. Exit code 1 if a check fails; warnings alone
    leave 0.

    Example: candor doctor --home ./candor-home
    """
    language = _language(home)
    counts: Counter[Level] = Counter()
    told = []
    for found in doctor.examine(home, SystemClock(), passphrase()):
        counts[found.level] += 1
        message, remedy = found.message(language), found.remedy(language)
        if as_json:
            told.append(
                {
                    "check": found.check,
                    "level": str(found.level),
                    "message": message,
                    "remedy": remedy,
                }
            )
            continue
        level = text(f"level.{found.level}", language)
        style = _STYLE[found.level]
        line = f"[{style}]{level:<5}[/] {found.check:<11}{escape(message)}"
        arrow = f" -> {escape(remedy)}" if remedy else ""
        console.print(line + arrow, highlight=False, soft_wrap=True)
    if as_json:
        print_json({"ok": not counts[Level.FAIL], "checks": told})
    else:
        numbers = {level.value: counts[level] for level in Level}
        console.print(text("doctor.summary", language, **numbers), style="bold")
    raise typer.Exit(1 if counts[Level.FAIL] else 0)


def _language(root: Path) -> str:
    """The home's language, or English where there is none to ask."""
    try:
        return settings.load(root).language
    except (CandorError, OSError):
        return "en"
