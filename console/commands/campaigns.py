# SPDX-License-Identifier: GPL-3.0-or-later
"""`candor campaign` and `candor dial`: dial runs."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from typing import Annotated

import typer
from rich.live import Live
from rich.table import Table

from compliance.errors import NotAllowed
from compliance.facts import Role
from console import complaint_contact, homes, readiness, run
from console import status as statuses
from console.commands.common import (
    DEFAULT_HOME,
    HomeOption,
    JsonOption,
    console,
    group,
    passphrase,
    print_json,
    say,
)
from console.commands.comparisons import read_arms
from console.commands.stops import exit_if_stopped
from console.homes import Opened
from console.messages import text
from console.progress import Progress
from console.status import Status
from dialer import law
from dialer.logs import configure
from storage.campaigns import CampaignState, TargetState

campaign_app = group("Dial runs.")


@campaign_app.command("create")
def campaign_create(
    name: str,
    purpose: Annotated[str, typer.Option(help="Purpose the people agreed to (D11).")],
    script: Annotated[str, typer.Option(help="Name of an approved script.")],
    batch: Annotated[list[str], typer.Option(help="May be given several times.")],
    line: Annotated[list[str], typer.Option(help="May be given several times.")],
    arm: Annotated[
        list[str] | None,
        typer.Option(help="Another approved script to compare; NAME:2 for twice the weight."),
    ] = None,
    home: HomeOption = DEFAULT_HOME,
) -> None:
    """Make a campaign (operators). It dials nothing before it is started.

    With --arm chance decides which script a number hears, by a hash under the home's keys: the
    same at every attempt. Compare them with `candor campaign compare`.

    Example: candor campaign create autumn --purpose membership --script welcome
    --batch autumn --line telecom1
    """
    with homes.opened(home, passphrase()) as it:
        version, arms = read_arms(it, script, arm or [])
        campaign = it.store.campaigns.create_campaign(
            homes.signed_in(it),
            name=name,
            purpose=purpose,
            script=version,
            batches=batch,
            lines=line,
            arms=arms,
        )
        say(it, "done.campaign_created", name=name, id=campaign)


@campaign_app.command("start")
def campaign_start(name: str, home: HomeOption = DEFAULT_HOME) -> None:
    """Let a campaign run, or go on after a pause. `candor dial` does the dialing.

    Example: candor campaign start autumn
    """
    with homes.opened(home, passphrase()) as it:
        campaigns, actor = it.store.campaigns, homes.signed_in(it)
        complaint_contact.require(it.home, it.store.home)
        campaigns.start(actor, campaigns.campaign_named(name))
        say(it, "done.campaign_started", name=name)


@campaign_app.command("pause")
def campaign_pause(name: str, home: HomeOption = DEFAULT_HOME) -> None:
    """No new calls until it is started again; live calls go on.

    Example: candor campaign pause autumn
    """
    with homes.opened(home, passphrase()) as it:
        campaigns = it.store.campaigns
        campaigns.pause(homes.signed_in(it), campaigns.campaign_named(name))
        say(it, "done.campaign_paused", name=name)


@campaign_app.command("stop")
def campaign_stop(name: str, home: HomeOption = DEFAULT_HOME) -> None:
    """For good: no new calls; what rings is cancelled, what talks ends politely within 5 s.

    Example: candor campaign stop autumn
    """
    with homes.opened(home, passphrase()) as it:
        campaigns = it.store.campaigns
        campaigns.stop(homes.signed_in(it), campaigns.campaign_named(name))
        say(it, "done.campaign_stopped", name=name)


@campaign_app.command("list")
def campaign_list(home: HomeOption = DEFAULT_HOME, as_json: JsonOption = False) -> None:
    """Every campaign with its state and how many of its contacts are dealt with.

    Example: candor campaign list
    """
    with homes.opened(home, passphrase()) as it:
        homes.signed_in(it)
        found = [statuses.read(it, name) for _, name, _ in it.store.campaigns.campaigns()]
        language = it.home.settings.language
    if as_json:
        print_json([statuses.as_json(status) for status in found])
        return
    table = Table()
    for column in ("campaign", "state", "due", "done", "refused", "live", "attempts"):
        numeric = column not in ("campaign", "state")
        table.add_column(text(f"column.{column}", language), justify="right" if numeric else "left")
    for status in found:
        targets = status.targets.targets
        table.add_row(
            status.name,
            text(f"state.{status.state}", language),
            *(str(targets.get(TargetState(state), 0)) for state in ("due", "done", "refused")),
            str(status.figures.live),
            str(status.figures.attempts),
        )
    console.print(table)


@campaign_app.command("status")
def campaign_status(
    name: str,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on until it is over, or Ctrl-C.")
    ] = False,
    home: HomeOption = DEFAULT_HOME,
    as_json: JsonOption = False,
) -> None:
    """How a campaign stands: contacts, live calls, ASR, NER, ACD, PDD, outcomes, violations.

    It reads the database only, so it can be left and called again from any terminal while
    `candor dial` runs elsewhere. With --follow: a live screen in a terminal, a line for each
    change in a pipe, a JSON object a line with --json.

    Example: candor campaign status autumn --follow
    """
    with homes.opened(home, passphrase()) as it:
        homes.signed_in(it)
        if follow:
            _follow(it, name, as_json)
            return
        status = statuses.read(it, name)
        if as_json:
            print_json(statuses.as_json(status))
        else:
            console.print(statuses.screen(status, it.home.settings.language))


def _follow(it: Opened, name: str, as_json: bool) -> None:
    """Until the campaign is over. Ctrl-C only stops watching: that is no failure."""
    language = it.home.settings.language
    live = Live(console=console, auto_refresh=False) if console.is_terminal else None

    def show(status: Status, changed: bool) -> None:
        if as_json:
            if changed:
                typer.echo(json.dumps(statuses.as_json(status), ensure_ascii=False))
        elif live is not None:
            live.update(statuses.screen(status, language), refresh=True)
        elif changed:
            typer.echo(statuses.line(status, language))

    with contextlib.suppress(KeyboardInterrupt):
        if live is None or as_json:
            statuses.follow(lambda: statuses.read(it, name), show, time.sleep)
            return
        with live:
            statuses.follow(lambda: statuses.read(it, name), show, time.sleep)


def dial(name: str, home: HomeOption = DEFAULT_HOME) -> None:
    """Start a campaign, or go on with one, and dial what is due. Ctrl-C stops politely.

    Example: candor dial autumn
    """
    with homes.opened(home, passphrase()) as it:
        actor = homes.signed_in(it)
        campaign = it.store.campaigns.campaign_named(name)
        exit_if_stopped(it, f"candor dial {name}")
        readiness.check(it.home)
        complaint_contact.require(it.home, it.store.home)
        law.check_adopted(it.home, it.store)
        configure(it.home.logs / "supervisor.log")
        if it.store.campaigns.campaign_state(campaign) is not CampaignState.RUNNING:
            it.store.campaigns.start(actor, campaign)
        elif not actor.has(Role.OPERATOR):
            raise NotAllowed("only an operator dials", remedy="candor login NAME")
        language = it.home.settings.language
        with Progress(console, language) as progress:
            asyncio.run(run.dial(it, actor, campaign, progress))
        console.print(statuses.screen(statuses.read(it, name), language))
        exit_if_stopped(it, f"candor dial {name}")
        run.raise_if_no_line_worked(it, progress)
