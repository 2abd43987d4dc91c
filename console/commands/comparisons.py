# SPDX-License-Identifier: GPL-3.0-or-later
"""`candor campaign compare`: which of its scripts a campaign's callees took to (G6)."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from compliance import arms
from compliance.errors import BadInput
from compliance.facts import HomeKind
from console import comparison, homes, wav
from console.commands.common import (
    DEFAULT_HOME,
    HomeOption,
    JsonOption,
    console,
    passphrase,
    print_json,
    say,
)
from console.homes import Opened
from storage.arms import LARGEST_WEIGHT, Arm

_NAMES = "ABCDEFGH"


def campaign_compare(
    name: str,
    detect: Annotated[
        float,
        typer.Option(help="Least difference in acceptance worth finding, in percentage points."),
    ] = 100 * arms.DETECT,
    html: Annotated[
        Path | None, typer.Option("--html", help="Write a page with the pictures here.")
    ] = None,
    force: Annotated[bool, typer.Option(help="Replace an existing file.")] = False,
    home: HomeOption = DEFAULT_HOME,
    as_json: JsonOption = False,
) -> None:
    """The arms of a campaign side by side: acceptance, refusals and complaints with intervals.

    Shares are of calls a person answered, with 95 % intervals (Wilson); differences are to the
    first arm (Newcombe). Nothing is concluded before each arm has the calls it takes to find a
    difference of --detect four times out of five.

    Example: candor campaign compare autumn --html autumn.html
    """
    if not 0.1 <= detect <= 50:
        raise BadInput("is 0.1 to 50 percentage points", field="--detect")
    with homes.opened(home, passphrase()) as it:
        homes.signed_in(it)
        if html is not None:
            wav.check_target(html, force=force, option="--html")
        counts = it.store.arms.counts(it.store.campaigns.campaign_named(name))
        if not counts:
            raise BadInput(
                "this campaign has one script: there is nothing to compare",
                field="campaign",
                remedy="give --arm to candor campaign create",
            )
        found = arms.compare(counts, detect / 100)
        language = it.home.settings.language
        demo = it.store.home is HomeKind.DEMO
        if html is not None:
            page = comparison.page(name, found, language, demo=demo)
            wav.save(html, page.encode(), force=force, option="--html")
        if as_json:
            print_json(comparison.as_json(name, found) | ({"demo": True} if demo else {}))
            return
        console.print(comparison.screen(name, found, language, width=console.width))
        if html is not None:
            say(it, "done.compare_page", path=html)


def read_arms(it: Opened, script: str, others: list[str]) -> tuple[str, tuple[Arm, ...]]:
    """The campaign's script version, and the arms where there are ``others``.

    Each is the name of an approved script, with its weight after a colon: ``welcome:2``.

    Raises:
        BadInput: no such approved script, an unusable weight, or too many arms.
    """
    if len(others) >= len(_NAMES):
        raise BadInput(f"a comparison has at most {len(_NAMES)} scripts", field="--arm")
    found = [_approved(it, written) for written in (script, *others)]
    arms_ = [
        Arm(arm, version, weight) for arm, (version, weight) in zip(_NAMES, found, strict=False)
    ]
    return found[0][0], tuple(arms_) if others else ()


def _approved(it: Opened, written: str) -> tuple[str, int]:
    script, _, weight = written.partition(":")
    if weight and not (
        weight.isascii() and weight.isdigit() and 1 <= int(weight) <= LARGEST_WEIGHT
    ):
        raise BadInput(f"a weight is 1 to {LARGEST_WEIGHT}", field="--arm", remedy="welcome:2")
    version = it.store.scripts.current_approved(script)
    if version is None:
        raise BadInput(
            f"{script} has no approved version",
            field="script",
            remedy="candor script submit, then candor script approve",
        )
    return version.id, int(weight or 1)
