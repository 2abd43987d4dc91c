# SPDX-License-Identifier: GPL-3.0-or-later
"""`candor campaign preview`: what a launch would come to."""

from __future__ import annotations

from typing import Annotated

import typer

from console import gate_view, homes, preview
from console.bars import Bar
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
from dialer.law import rulebook_of


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
        rulebook = rulebook_of(it.home, it.store)
        requests = it.store.previews.requests(actor, campaign)
        lines = gate_view.proven(it, it.store.previews.lines(campaign))
        due = it.store.previews.due(campaign)
        with Bar(errors) as bar:
            given = (request.evolve(lines=lines) for request in requests)
            sums = preview.judge(given, rulebook, when, lambda done: bar(done, due))
        state = str(it.store.campaigns.campaign_state(campaign))
        language = it.home.settings.language
    if as_json:
        print_json(preview.as_json(name, state, sums))
        return
    for line in preview.lines(name, sums, language):
        console.print(line, markup=False, highlight=False)
    if sums.rules:
        console.print(preview.table(sums, language))
