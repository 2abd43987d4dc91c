# SPDX-License-Identifier: GPL-3.0-or-later
"""`candor papers`: licences, contracts, proofs and reports, sealed and dated."""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from compliance.errors import BadInput
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
    utc,
)
from console.homes import Opened
from console.messages import text
from storage.papers import KINDS, Paper, PaperReason

papers_app = group("Papers of suppliers, lines, data partners, campaigns, purposes and scripts.")

Owner = Annotated[str, typer.Option()]


@papers_app.command("add")
def papers_add(
    file: Path,
    kind: Annotated[str, typer.Option(help="licence, certificate, contract, provenance, claim …")],
    supplier: Owner = "",
    line: Owner = "",
    partner: Owner = "",
    campaign: Owner = "",
    purpose: Owner = "",
    script: Owner = "",
    number: Annotated[str, typer.Option(help="As printed on the paper.")] = "",
    issuer: Annotated[str, typer.Option(help="Who issued it.")] = "",
    valid_from: Annotated[datetime | None, typer.Option(help="YYYY-MM-DD")] = None,
    valid_until: Annotated[
        datetime | None, typer.Option(help="YYYY-MM-DD; left out: it has no end.")
    ] = None,
    licence_class: Annotated[
        str, typer.Option("--class", help="Of a telecom licence: B24, or B26.")
    ] = "",
    our_duties: Annotated[str, typer.Option(help="Of a contract: the clause (V4).")] = "",
    their_duties: Annotated[str, typer.Option(help="Of a contract: the clause (V4).")] = "",
    indemnity: Annotated[str, typer.Option(help="Of a contract: the clause (V4).")] = "",
    batch: Annotated[str, typer.Option(help="Of a proof of provenance: one batch only.")] = "",
    home: HomeOption = DEFAULT_HOME,
    as_json: JsonOption = False,
) -> None:
    """File a paper (compliance officers, administrators). The file is sealed among the home's
    objects, its SHA-256 is in the ledger. Name one owner; which kinds an owner has is said when
    another is asked for.

    Example: candor papers add licence.pdf --kind licence --class B24 --supplier starline
    --number B2-20240001 --issuer MIIT --valid-until 2029-03-31
    """
    owners = {
        "supplier": supplier,
        "line": line,
        "partner": partner,
        "campaign": campaign,
        "purpose": purpose,
        "script": script,
    }
    details = {
        "class": licence_class,
        "our_duties": our_duties,
        "their_duties": their_duties,
        "indemnity": indemnity,
        "batch": batch,
    }
    with homes.opened(home, passphrase()) as it:
        actor = homes.signed_in(it)
        owner_kind, owner = _one_owner(owners)
        paper = it.store.papers.add(
            actor,
            it.home.open_objects(),
            file,
            kind=kind,
            owner_kind=owner_kind,
            owner=owner,
            number=number,
            issuer=issuer,
            valid_from=utc(valid_from),
            valid_until=utc(valid_until),
            details={key: value for key, value in details.items() if value},
        )
        if as_json:
            print_json({"paper": paper})
        else:
            say(it, "papers.added", paper=paper)


def _one_owner(owners: Mapping[str, str]) -> tuple[str, str]:
    named = [(owner_kind, owner) for owner_kind, owner in owners.items() if owner]
    if len(named) != 1:
        raise BadInput(
            "a paper belongs to one owner",
            field="owner",
            remedy=f"give one of {', '.join('--' + owner for owner in KINDS)}",
        )
    return named[0]


@papers_app.command("list")
def papers_list(
    owner: Annotated[
        str, typer.Option(help="supplier, line, partner, campaign, purpose, script; all if empty.")
    ] = "",
    home: HomeOption = DEFAULT_HOME,
    as_json: JsonOption = False,
) -> None:
    """Every paper with its state: valid, soon (ends within 30 days), expired, not yet valid,
    withdrawn.

    Example: candor papers list --owner supplier
    """
    with homes.opened(home, passphrase()) as it:
        homes.signed_in(it)
        if owner and owner not in KINDS:
            raise BadInput(f"is none of {', '.join(KINDS)}", field="owner")
        found = it.store.papers.papers(owner)
        show(it, found, as_json)


@papers_app.command("show")
def papers_show(
    paper: Annotated[str, typer.Argument(help="Its id, or 6 or more digits of it.")],
    home: HomeOption = DEFAULT_HOME,
    as_json: JsonOption = False,
) -> None:
    """What is on file of one paper; the file itself opens with `papers open`.

    Example: candor papers show 5f0c1a
    """
    with homes.opened(home, passphrase()) as it:
        homes.signed_in(it)
        found = it.store.papers.paper(paper)
        told = described(it, found)
        if as_json:
            print_json(told)
            return
        table = Table(show_header=False)
        for key, value in told.items():
            if value not in (None, "", {}):
                table.add_row(text(f"papers.{key}", it.home.settings.language), _plain(value))
        console.print(table)


@papers_app.command("open")
def papers_open(
    paper: Annotated[str, typer.Argument(help="Its id, or 6 or more digits of it.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="A new file.")],
    reason: Annotated[PaperReason, typer.Option(help="check, dispute or audit; in the ledger.")],
    home: HomeOption = DEFAULT_HOME,
) -> None:
    """Write the file of a paper, as it was handed in, to a new file of your own (mode 0600).

    Compliance officers, administrators, auditors. Who opened it and why is in the ledger.

    Example: candor papers open 5f0c1a --reason audit -o licence.pdf
    """
    with homes.opened(home, passphrase()) as it:
        actor = homes.signed_in(it)
        if output.exists():
            raise BadInput(f"{output.name} exists", field="--output", remedy="name a new file")
        data = it.store.papers.open(actor, it.home.open_objects(), paper, reason)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
        with open(os.open(output, flags, 0o600), "wb") as file:
            file.write(data)
        say(it, "papers.opened", file=output, size=len(data))


@papers_app.command("withdraw")
def papers_withdraw(
    paper: Annotated[str, typer.Argument(help="Its id, or 6 or more digits of it.")],
    home: HomeOption = DEFAULT_HOME,
) -> None:
    """A paper counts no longer: revoked, wrong or replaced. It stays on file.

    Example: candor papers withdraw 5f0c1a
    """
    with homes.opened(home, passphrase()) as it:
        found = it.store.papers.withdraw(homes.signed_in(it), paper)
        say(it, "papers.withdrawn", paper=found)


# ---------------------------------------------------------------- shared with suppliers


def show(it: Opened, papers: list[Paper], as_json: bool) -> None:
    """A table of papers, or their JSON."""
    if as_json:
        print_json([described(it, paper) for paper in papers])
        return
    language, now, names = it.home.settings.language, it.clock.wall(), it.store.papers.owner_names()
    table = Table()
    for column in ("paper", "owner", "kind", "number", "issuer", "until", "state"):
        table.add_column(text(f"column.{column}", language), no_wrap=column == "paper")
    for paper in papers:
        state = paper.state(now)
        style = {"expired": "red", "withdrawn": "dim", "soon": "yellow"}.get(state, "")
        table.add_row(
            paper.id[:12],
            f"{paper.owner_kind} {names.get(paper.owner, paper.owner)}",
            " ".join(part for part in (paper.kind, paper.details.get("class", "")) if part),
            paper.number,
            paper.issuer,
            f"{paper.valid_until:%Y-%m-%d}" if paper.valid_until else "",
            text(f"papers.state.{state}", language),
            style=style,
        )
    console.print(table)


def described(it: Opened, paper: Paper) -> dict[str, Any]:
    """A paper as JSON."""
    now = it.clock.wall()
    return {
        "paper": paper.id,
        "kind": paper.kind,
        "owner_kind": paper.owner_kind,
        "owner": it.store.papers.owner_names().get(paper.owner, paper.owner),
        "number": paper.number,
        "issuer": paper.issuer,
        "valid_from": paper.valid_from.isoformat() if paper.valid_from else None,
        "valid_until": paper.valid_until.isoformat() if paper.valid_until else None,
        "days_left": (paper.valid_until - now).days if paper.valid_until else None,
        "state": paper.state(now),
        "details": dict(paper.details),
        "file": paper.file_name,
        "sha256": paper.sha256,
        "size": paper.size,
        "added_by": paper.added_by,
        "added_at": paper.added_at.isoformat(),
        "withdrawn_at": paper.withdrawn_at.isoformat() if paper.withdrawn_at else None,
    }


def _plain(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key}: {item}" for key, item in value.items())
    return str(value)
