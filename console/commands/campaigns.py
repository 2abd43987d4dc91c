# SPDX-License-Identifier: GPL-3.0-or-later
"""`candor campaign` and `candor dial`: dial runs."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from compliance.errors import BadInput, NotAllowed
from compliance.facts import Role
from console import homes, run
from console.commands.common import DEFAULT_HOME, HomeOption, console, group, passphrase
from console.progress import Progress
from dialer.logs import configure
from storage.campaigns import CampaignState

campaign_app = group("Dial runs.")


@campaign_app.command("create")
def campaign_create(
    name: str,
    purpose: Annotated[str, typer.Option(help="Purpose the people agreed to (D11).")],
    script: Annotated[str, typer.Option(help="Name of an approved script.")],
    batch: Annotated[list[str], typer.Option(help="May be given several times.")],
    line: Annotated[list[str], typer.Option(help="May be given several times.")],
    home: HomeOption = DEFAULT_HOME,
) -> None:
    """Make a campaign (operators). It dials nothing before it is started.

    Example: candor campaign create autumn --purpose membership --script welcome
    --batch autumn --line telecom1
    """
    with homes.opened(home, passphrase()) as it:
        version = it.store.scripts.current_approved(script)
        if version is None:
            raise BadInput(
                "this script has no approved version",
                field="script",
                remedy="candor script submit, then candor script approve",
            )
        campaign = it.store.campaigns.create_campaign(
            homes.signed_in(it),
            name=name,
            purpose=purpose,
            script=version.id,
            batches=batch,
            lines=line,
        )
    typer.echo(f"Created {name} ({campaign}).")


@campaign_app.command("stop")
def campaign_stop(name: str, home: HomeOption = DEFAULT_HOME) -> None:
    """No new calls; what rings is cancelled, what talks ends politely within 5 s."""
    with homes.opened(home, passphrase()) as it:
        campaigns = it.store.campaigns
        campaigns.stop(homes.signed_in(it), campaigns.campaign_named(name))
    typer.echo(f"Stopping {name}.")


def dial(name: str, home: HomeOption = DEFAULT_HOME) -> None:
    """Start a campaign, or go on with one, and dial what is due. Ctrl-C stops politely.

    Example: candor dial autumn
    """
    with homes.opened(home, passphrase()) as it:
        configure(it.home.logs / "supervisor.log")
        actor = homes.signed_in(it)
        campaign = it.store.campaigns.campaign_named(name)
        if it.store.campaigns.campaign_state(campaign) is not CampaignState.RUNNING:
            it.store.campaigns.start(actor, campaign)
        elif not actor.has(Role.OPERATOR):
            raise NotAllowed("only an operator dials", remedy="candor login NAME")
        progress = Progress(console, it.home.settings.language)
        asyncio.run(run.dial(it, actor, campaign, progress))
