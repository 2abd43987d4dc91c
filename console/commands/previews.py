# SPDX-License-Identifier: GPL-3.0-or-later
"""`candor campaign preview`: what a launch would come to."""

from __future__ import annotations

import time
from typing import Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

from console import gate_view, homes, preview
from console.commands.common import (
    DEFAULT_HOME,
    HomeOption,
    JsonOption,
    console,
    errors,
    passphrase,
    print_json,
)
from console.inputs import read_time
from dialer.policies import load_rulebook

_SHOW_AFTER = 1000  # contacts; a shorter list is judged before anybody looks
_SAY_EVERY_S = 10.0


def campaign_preview(
    name: str,
    at: Annotated[
        str, typer.Option(help="Another time than now, ISO 8601; without a zone this machine's.")
    ] = "",
    home: HomeOption = DEFAULT_HOME,
    as_json: JsonOption = False,
) -> None:
    """How many contacts would be dialed, only later, or refused, and by which rule. Dials nothing.

    A draft or paused campaign is judged as if you had just started it. A contact may be
    refused by several rules: it counts once as "first" and at each rule that refuses it.

    Example: candor campaign preview autumn --at 2026-11-24T10:30+08:00
    """
    with homes.opened(home, passphrase()) as it:
        actor = homes.signed_in(it)
        campaign = it.store.campaigns.campaign_named(name)
        when = read_time(at) if at else it.clock.wall()
        rulebook = load_rulebook(it.home.settings.policy.profiles)
        requests = it.store.previews.requests(actor, campaign)
        lines = gate_view.proven(it, it.store.previews.lines(campaign))
        due = it.store.previews.due(campaign)
        with _Shown(due) as shown:
            sums = preview.judge((r.evolve(lines=lines) for r in requests), rulebook, when, shown)
        state = str(it.store.campaigns.campaign_state(campaign))
        language = it.home.settings.language
    if as_json:
        print_json(preview.as_json(name, state, sums))
        return
    for line in preview.lines(name, sums, language):
        console.print(line, markup=False, highlight=False)
    if sums.rules:
        console.print(preview.table(sums, language))


class _Shown:
    """Progress over a long list: a bar in a terminal, a line now and then elsewhere."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._said = time.monotonic()
        self._bar = Progress(
            BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), console=errors, transient=True
        )
        self._task = self._bar.add_task("", total=total)
        self._drawn = errors.is_terminal and total >= _SHOW_AFTER

    def __enter__(self) -> _Shown:
        if self._drawn:
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._drawn:
            self._bar.stop()

    def __call__(self, done: int) -> None:
        if done % 100:
            return
        if self._drawn:
            self._bar.update(self._task, completed=done)
        elif time.monotonic() - self._said >= _SAY_EVERY_S:
            self._said = time.monotonic()
            errors.print(f"{done} / {self._total}", markup=False, highlight=False)
