# SPDX-License-Identifier: GPL-3.0-or-later
"""`candor purposes`, `assessment`, `records`: what people are called for, what it does to them,
and what was processed (D11, D12; PIPL art. 55, 56)."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from compliance.paperwork import LEGAL_BASES
from console import homes
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
from console.homes import Opened
from console.messages import text
from dialer.law import rulebook_of

purposes_app = group("Declared purposes, each with its legal basis.")
assessment_app = group("Impact assessments of campaigns and purposes (PIPL 55).")
records_app = group("Records of processing, kept three years (PIPL 56).")


@purposes_app.command("add")
def purposes_add(
    purpose: str,
    description: Annotated[str, typer.Option(help="In words people understand.")],
    legal_basis: Annotated[str, typer.Option(help=", ".join(LEGAL_BASES))] = "consent",
    home: HomeOption = DEFAULT_HOME,
) -> None:
    """Declare a purpose (compliance officers); again in other words replaces it.

    Example: candor purposes add membership --description "会员服务介绍" --legal-basis consent
    """
    with homes.opened(home, passphrase()) as it:
        actor = homes.signed_in(it)
        it.store.purposes.declare(actor, purpose, legal_basis=legal_basis, description=description)
        say(it, "purposes.added", purpose=purpose)


@purposes_app.command("end")
def purposes_end(purpose: str, home: HomeOption = DEFAULT_HOME) -> None:
    """Nobody is called for this purpose any more (compliance officers).

    Example: candor purposes end membership
    """
    with homes.opened(home, passphrase()) as it:
        it.store.purposes.end(homes.signed_in(it), purpose)
        say(it, "purposes.ended", purpose=purpose)


@purposes_app.command("list")
def purposes_list(home: HomeOption = DEFAULT_HOME, as_json: JsonOption = False) -> None:
    """Every declared purpose, and when it was last assessed as it is declared now.

    Example: candor purposes list
    """
    with homes.opened(home, passphrase()) as it:
        homes.signed_in(it)
        found = it.store.purposes.purposes()
        language = it.home.settings.language
    if as_json:
        print_json(
            [
                {
                    "purpose": p.code,
                    "legal_basis": p.legal_basis,
                    "description": p.description,
                    "declared_by": p.declared_by,
                    "declared_at": p.declared_at.isoformat(),
                    "ended_at": p.ended_at.isoformat() if p.ended_at else None,
                    "assessed_at": p.assessed_at.isoformat() if p.assessed_at else None,
                }
                for p in found
            ]
        )
        return
    table = Table()
    for column in ("purpose", "basis", "description", "since", "until", "assessed"):
        table.add_column(text(f"column.{column}", language))
    for p in found:
        days = [f"{at:%Y-%m-%d}" if at else "" for at in (p.declared_at, p.ended_at, p.assessed_at)]
        table.add_row(p.code, text(f"basis.{p.legal_basis}", language), p.description, *days)
    console.print(table)


@assessment_app.command("add")
def assessment_add(
    file: Annotated[Path, typer.Option("--file", help="The report; it is sealed.")],
    campaign: Annotated[str, typer.Option(help="Name of a campaign, as it stands.")] = "",
    purpose: Annotated[str, typer.Option(help="Or a purpose, for every campaign of it.")] = "",
    number: Annotated[str, typer.Option(help="As printed on the report.")] = "",
    home: HomeOption = DEFAULT_HOME,
    as_json: JsonOption = False,
) -> None:
    """Sign an impact assessment (compliance officers; never of one's own campaign).

    It covers the campaign as it stands: another purpose, script version or batch needs a new
    one, or `assessment confirm`. One of a purpose covers the purpose as it is declared.

    Example: candor assessment add --campaign autumn --file pia.pdf
    """
    with homes.opened(home, passphrase()) as it:
        actor = homes.signed_in(it)
        found = it.store.assessments.add(
            actor,
            it.home.open_objects(),
            file,
            campaign=it.store.campaigns.campaign_named(campaign) if campaign else "",
            purpose=purpose,
            number=number,
        )
        if as_json:
            print_json({"assessment": found})
        else:
            say(it, "assessment.added", assessment=found)


@assessment_app.command("confirm")
def assessment_confirm(campaign: str, home: HomeOption = DEFAULT_HOME) -> None:
    """Sign that a campaign's newest assessment holds for what changed since (compliance officers).

    Example: candor assessment confirm autumn
    """
    with homes.opened(home, passphrase()) as it:
        actor = homes.signed_in(it)
        found = it.store.assessments.confirm(actor, it.store.campaigns.campaign_named(campaign))
        say(it, "assessment.added", assessment=found)


@assessment_app.command("list")
def assessment_list(home: HomeOption = DEFAULT_HOME, as_json: JsonOption = False) -> None:
    """Every assessment: of what, by whom, and whether it still covers that.

    Example: candor assessment list
    """
    with homes.opened(home, passphrase()) as it:
        homes.signed_in(it)
        found, names = it.store.assessments.assessments(), it.store.people.names()
        language = it.home.settings.language
    if as_json:
        print_json(
            [
                {
                    "assessment": a.id,
                    "campaign": a.campaign,
                    "purpose": a.purpose,
                    "paper": a.paper,
                    "what": dict(a.what),
                    "by": a.by,
                    "at": a.at.isoformat(),
                    "confirms": a.confirms,
                    "current": a.current,
                }
                for a in found
            ]
        )
        return
    table = Table()
    for column in ("campaign", "purpose", "at", "who", "paper", "state"):
        table.add_column(text(f"column.{column}", language))
    for a in found:
        state = text("assessment.current" if a.current else "assessment.changed", language)
        who = names.get(a.by, a.by)
        table.add_row(a.campaign, a.purpose, f"{a.at:%Y-%m-%d}", who, a.paper[:12], state)
    console.print(table)


@records_app.command("list")
def records_list(home: HomeOption = DEFAULT_HOME, as_json: JsonOption = False) -> None:
    """What each campaign processed at each start: purpose, basis, how many persons, from where,
    who received it, and until when the record is kept (compliance officers, auditors).

    Example: candor records list
    """
    with homes.opened(home, passphrase()) as it:
        found = it.store.records.records(homes.signed_in(it))
        terms = _terms(it)
        language = it.home.settings.language
    if as_json:
        print_json(
            [
                {
                    "record": r.id,
                    "campaign": r.campaign,
                    "at": r.at.isoformat(),
                    "by": r.by,
                    "keep_until": r.keep_until.isoformat() if r.keep_until else None,
                    "retention": terms,
                    **{key: value for key, value in r.what.items() if key != "campaign"},
                }
                for r in found
            ]
        )
        return
    table = Table()
    for column in ("campaign", "at", "purpose", "basis", "persons", "origin", "recipients", "kept"):
        table.add_column(text(f"column.{column}", language))
    for r in found:
        basis = r.what["legal_basis"]
        table.add_row(
            r.campaign,
            f"{r.at:%Y-%m-%d %H:%M}",
            r.what["purpose"],
            text(f"basis.{basis}", language) if basis else "",
            str(r.what["persons"]),
            ", ".join(" ".join(filter(None, source)) for source in r.what["sources"]),
            ", ".join(company or carrier for _, carrier, company in r.what["recipients"]),
            f"{r.keep_until:%Y-%m-%d}" if r.keep_until else text("records.running", language),
        )
    console.print(table)


def _terms(it: Opened) -> dict[str, int]:
    policy = rulebook_of(it.home, it.store).policy
    return {
        "contacts_days": it.home.settings.retention.contact_days,
        "recordings_months": policy.keep_min_months,
        "record_months": 36,
    }


def campaign_purpose(
    campaign: str,
    purpose: Annotated[str, typer.Argument(help="A declared purpose.")],
    home: HomeOption = DEFAULT_HOME,
) -> None:
    """Give a draft or paused campaign another purpose (operators). Whoever did not agree to
    that one is called no more, and the campaign needs a new impact assessment (D12).

    Example: candor campaign purpose autumn survey
    """
    with homes.opened(home, passphrase()) as it:
        actor = homes.signed_in(it)
        it.store.purposes.change(actor, it.store.campaigns.campaign_named(campaign), purpose)
        say(it, "purposes.changed", campaign=campaign, purpose=purpose)
