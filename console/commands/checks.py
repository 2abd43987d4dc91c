# SPDX-License-Identifier: GPL-3.0-or-later
"""`candor check`: what recorded calls were, judged from their sound."""

from __future__ import annotations

from typing import Annotated

import typer

from compliance.errors import BadInput
from console import check_view, homes, run
from console.commands.common import (
    DEFAULT_HOME,
    HomeOption,
    JsonOption,
    console,
    passphrase,
    print_json,
)
from console.homes import Opened
from console.inputs import read_time
from dialer.checking import CallChecker
from storage.checks import PASSED


def check(
    call: Annotated[
        str, typer.Argument(metavar="[CALL]", help="The id, or its first 6 or more hex digits.")
    ] = "",
    campaign: Annotated[str, typer.Option(help="Every recorded call of this campaign.")] = "",
    since: Annotated[
        str, typer.Option(help="Calls from then on, ISO 8601; without a zone this machine's.")
    ] = "",
    again: Annotated[bool, typer.Option(help="Also calls that were checked before.")] = False,
    home: HomeOption = DEFAULT_HOME,
    as_json: JsonOption = False,
) -> None:
    """Check recorded calls: was the disclosure heard in time, was a refusal obeyed, and so on.

    Opens each recording for quality (auditors, compliance officers; in the ledger) and holds it
    against the approved audio. A call named is always checked anew; of a campaign, or from a
    date on, what was not checked yet, and all is shown. Without any of them: whatever waits.
    A failed check opens a case. Exit code 1: a call failed, or could not be judged.

    Example: candor check --campaign autumn
    """
    if call and (campaign or since):
        raise BadInput("name one call, or a campaign and a date", field="call")
    with homes.opened(home, passphrase()) as it:
        actor = homes.signed_in(it)
        calls = _named(it, call, campaign, since)
        checker = CallChecker(it.home, it.store)
        found = []
        for attempt in calls:
            known = it.store.checks.check(attempt)
            if known is None or call or again:
                known = checker.check(attempt, actor)
            found.append((it.store.call(attempt), known))
        language = it.home.settings.language
        names = run.campaign_names(it)
    if as_json:
        print_json(
            [
                {"call": row.id, "campaign": names.get(row.campaign, "")}
                | {"check": check_view.as_json(one, language)}
                for row, one in found
            ]
        )
    else:
        if found:
            console.print(check_view.table(found, language))
        console.print(check_view.summary([one for _, one in found], language), highlight=False)
    good = all(one is not None and one.result == PASSED for _, one in found)
    raise typer.Exit(0 if good else 1)


def _named(it: Opened, call: str, campaign: str, since: str) -> list[str]:
    """The calls asked for, oldest first."""
    checks = it.store.checks
    if call:
        return [it.store.watching.find(call)]
    if not campaign and not since:
        return checks.due(limit=100_000)
    return checks.calls(
        campaign=it.store.campaigns.campaign_named(campaign) if campaign else "",
        since=read_time(since) if since else None,
    )
