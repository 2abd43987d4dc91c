# SPDX-License-Identifier: GPL-3.0-or-later
"""`candor subject`: a person asks what is held, takes consent back, or wants to be erased."""

from __future__ import annotations

import enum
from typing import Annotated

import typer

from compliance.facts import Actor, Number, RefusalScope
from compliance.rulebook import Policy
from console import homes, run, subject_view
from console.commands.common import (
    DEFAULT_HOME,
    HomeOption,
    JsonOption,
    console,
    passphrase,
    print_json,
)
from console.homes import Opened
from console.inputs import read_number, shown
from console.messages import text
from console.subject_view import KeepUntil
from dialer.law import rulebook_of
from dialer.policies import load_terms
from storage.subjects import SubjectReason


class Wish(enum.StrEnum):
    """What the person wants."""

    SHOW = "show"
    WITHDRAW = "withdraw"
    ERASE = "erase"


def subject(
    number: Annotated[str, typer.Argument(help="In any spelling; - reads it from standard input.")],
    wish: Annotated[Wish, typer.Argument(help="show, withdraw or erase")],
    reason: Annotated[
        SubjectReason, typer.Option(help="show: why you look; the ledger keeps it.")
    ] = SubjectReason.REQUEST,
    scope: Annotated[
        RefusalScope, typer.Option(help="withdraw: what the refusal reaches.")
    ] = RefusalScope.COMPANY,
    campaign: Annotated[
        str, typer.Option(help="withdraw --scope campaign: the campaign it is about.")
    ] = "",
    yes: Annotated[bool, typer.Option("--yes", help="erase: do not ask once more.")] = False,
    home: HomeOption = DEFAULT_HOME,
    as_json: JsonOption = False,
) -> None:
    """A person asks what is held of their number (PIPL 45), withdraws consent (15), or wants
    to be erased (47).

    show: everything, in the clear (compliance officers, auditors). withdraw: consent ends now
    and the number goes on the refusal list, for all campaigns unless --scope says otherwise:
    one campaign, or everything, calls of any kind and for the longest term a profile has
    (compliance officers, operators). erase: contact,
    consent and places in campaigns go, with a destruction record; the refusal list keeps a
    keyed hash, recordings stay sealed until their minimum term ends (compliance officers).

    Example: candor subject 13912345678 show
    """
    with homes.opened(home, passphrase()) as it:
        actor = homes.signed_in(it)
        policy = rulebook_of(it.home, it.store).policy
        keep = load_terms(it.home).recording_until
        asked = read_number(it, number)
        match wish:
            case Wish.SHOW:
                _show(it, actor, asked, keep, reason, as_json)
            case Wish.WITHDRAW:
                _withdraw(it, actor, asked, policy, scope, campaign, as_json)
            case Wish.ERASE:
                question = text("subject.sure", it.home.settings.language, number=asked.masked)
                if yes or typer.confirm(question, err=True):
                    _erase(it, actor, asked, keep, as_json)
                else:
                    raise typer.Exit(1)


def _show(
    it: Opened, actor: Actor, number: Number, keep: KeepUntil, reason: SubjectReason, as_json: bool
) -> None:
    held = it.store.subjects.show(actor, number, reason)
    if as_json:
        print_json(subject_view.as_json(number, held, keep))
    else:
        subject_view.show(console, number, held, keep, it.home.settings.language)


def _withdraw(
    it: Opened,
    actor: Actor,
    number: Number,
    policy: Policy,
    scope: RefusalScope,
    campaign: str,
    as_json: bool,
) -> None:
    now, language = it.clock.wall(), it.home.settings.language
    until = policy.refusal_until(now, everything=scope is RefusalScope.EVERYTHING)
    about = it.store.campaigns.campaign_named(campaign) if campaign else ""
    it.store.refusals.refuse_number(
        actor, number, how="request", at=now, until=until, scope=scope, campaign=about
    )
    if as_json:
        print_json(
            {
                "number": number.masked,
                "withdrawn_at": now.isoformat(),
                "until": until.isoformat(),
                "scope": str(scope),
            }
        )
    else:
        typer.echo(
            text("subject.withdrawn", language, number=number.masked, until=shown(until, language))
        )


def _erase(it: Opened, actor: Actor, number: Number, keep: KeepUntil, as_json: bool) -> None:
    done = it.store.subjects.erase(actor, number, keep_until=keep)
    # After the commit: without their keys the objects are noise already.
    it.store.retention.complete(it.home.open_objects())
    run.carry_destructions(it)
    if as_json:
        print_json(subject_view.erasure_json(number, done))
    else:
        subject_view.say_erased(console, number, done, it.home.settings.language)
