# SPDX-License-Identifier: GPL-3.0-or-later
"""`candor suppliers` and `candor partners`: whom lines and contacts come from (V1-V4, D2)."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.table import Table

from compliance.paperwork import CHECKLIST, NO_END, SUPPLIER_PAPERS
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
from console.commands.papers import show
from console.homes import Opened
from console.messages import text
from dialer.law import rulebook_of
from storage.suppliers import Partner, Supplier, faults, wrong_class

suppliers_app = group("Suppliers of lines: licence, certificate, checklist, contract.")
partners_app = group("Data partners: licence and proof of where contacts come from.")

Company = Annotated[str, typer.Option(help="The company's name.")]


@suppliers_app.command("add")
def suppliers_add(
    supplier: str,
    company: Company,
    exemplary: Annotated[
        int, typer.Option(help="Exemplary clients known; two or more are preferred (V3).")
    ] = 0,
    home: HomeOption = DEFAULT_HOME,
) -> None:
    """Register a supplier (compliance officers, administrators). File its papers afterwards.

    Example: candor suppliers add starline --company 星线通信 --exemplary 3
    """
    with homes.opened(home, passphrase()) as it:
        actor = homes.signed_in(it)
        it.store.suppliers.add(actor, supplier, company=company, exemplary=exemplary)
        say(it, "suppliers.added", supplier=supplier)


@suppliers_app.command("note")
def suppliers_note(
    supplier: str,
    item: Annotated[str, typer.Argument(help=", ".join(CHECKLIST))],
    words: Annotated[str, typer.Argument(help="How the supplier meets it.")],
    home: HomeOption = DEFAULT_HOME,
) -> None:
    """Fill in one item of the checklist (V2). A paper of that kind does as well.

    Example: candor suppliers note starline encryption "TLS and SRTP on every trunk, seen 2026-11"
    """
    with homes.opened(home, passphrase()) as it:
        it.store.suppliers.note(homes.signed_in(it), supplier, item, words)
        say(it, "suppliers.noted", supplier=supplier, item=item)


@suppliers_app.command("assign")
def suppliers_assign(line: str, supplier: str, home: HomeOption = DEFAULT_HOME) -> None:
    """Say whom a line is bought from (compliance officers, administrators).

    Example: candor suppliers assign telecom1 starline
    """
    with homes.opened(home, passphrase()) as it:
        it.store.suppliers.assign(homes.signed_in(it), line, supplier)
        say(it, "suppliers.assigned", line=line, supplier=supplier)


@suppliers_app.command("list")
def suppliers_list(home: HomeOption = DEFAULT_HOME, as_json: JsonOption = False) -> None:
    """Every supplier, those with most exemplary clients first, and what it lacks.

    Example: candor suppliers list
    """
    with homes.opened(home, passphrase()) as it:
        homes.signed_in(it)
        found, asked = it.store.suppliers.suppliers(), _asked(it)
        if as_json:
            print_json([_json(it, supplier, asked) for supplier in found])
            return
        language, now = it.home.settings.language, it.clock.wall()
    table = Table()
    for column in ("supplier", "company", "licence", "exemplary", "lines", "missing"):
        table.add_column(text(f"column.{column}", language))
    for supplier in found:
        lacking = faults(supplier.facts, asked, now)
        table.add_row(
            supplier.facts.id,
            supplier.company,
            supplier.facts.licence,
            str(supplier.exemplary),
            ", ".join(supplier.lines),
            ", ".join(text(f"suppliers.paper.{paper}", language) for paper in lacking),
            style="red" if lacking else "",
        )
    console.print(table)


@suppliers_app.command("show")
def suppliers_show(
    supplier: str, home: HomeOption = DEFAULT_HOME, as_json: JsonOption = False
) -> None:
    """One supplier: what the gate knows of it, its checklist, its lines and its papers.

    Example: candor suppliers show starline
    """
    with homes.opened(home, passphrase()) as it:
        homes.signed_in(it)
        found = it.store.suppliers.supplier(supplier)
        if as_json:
            print_json(_json(it, found, _asked(it)))
            return
        _print(it, found)
        show(it, it.store.papers.papers("supplier", supplier), False)


@suppliers_app.command("check")
def suppliers_check(
    supplier: str, home: HomeOption = DEFAULT_HOME, as_json: JsonOption = False
) -> None:
    """Whether a supplier's lines may be used as its papers stand. Exit code 1: they may not.

    Example: candor suppliers check starline
    """
    with homes.opened(home, passphrase()) as it:
        homes.signed_in(it)
        found, asked, now = it.store.suppliers.supplier(supplier), _asked(it), it.clock.wall()
        lacking = faults(found.facts, asked, now)
        language = it.home.settings.language
        if as_json:
            print_json(_json(it, found, asked))
        else:
            for paper in SUPPLIER_PAPERS:
                if paper in asked:
                    state = "lacking" if paper in lacking else "good"
                    told = text(f"suppliers.paper.{paper}", language)
                    typer.echo(f"{told}: {text(f'suppliers.{state}', language)}")
            for remark in _remarks(found):
                typer.echo(text(f"suppliers.{remark}", language, count=found.exemplary))
    raise typer.Exit(1 if lacking else 0)


# ---------------------------------------------------------------- data partners


@partners_app.command("add")
def partners_add(partner: str, company: Company, home: HomeOption = DEFAULT_HOME) -> None:
    """Register a data partner (compliance officers, administrators). File its papers afterwards.

    Example: candor partners add goodleads --company 良源数据
    """
    with homes.opened(home, passphrase()) as it:
        it.store.partners.add(homes.signed_in(it), partner, company=company)
        say(it, "partners.added", partner=partner)


@partners_app.command("list")
def partners_list(home: HomeOption = DEFAULT_HOME, as_json: JsonOption = False) -> None:
    """Every data partner: its batches, and until when its papers are good.

    Example: candor partners list
    """
    with homes.opened(home, passphrase()) as it:
        homes.signed_in(it)
        found = it.store.partners.partners()
        language = it.home.settings.language
        now = it.clock.wall()
    if as_json:
        print_json([_partner_json(partner) for partner in found])
        return
    table = Table()
    for column in ("partner", "company", "licence", "provenance", "batches"):
        table.add_column(text(f"column.{column}", language))
    for partner in found:
        ends = (partner.facts.licence_until, partner.facts.provenance_until)
        gone = any(end is None or end <= now for end in ends)
        told = [_day(end.isoformat() if end else None, language) for end in ends]
        batches = ", ".join(partner.batches)
        style = "red" if gone else ""
        table.add_row(partner.facts.id, partner.company, *told, batches, style=style)
    console.print(table)


# ---------------------------------------------------------------- parts


def _asked(it: Opened) -> frozenset[str]:
    return rulebook_of(it.home, it.store).policy.supplier_papers


def _remarks(supplier: Supplier) -> list[str]:
    remarks = ["class_b26"] if wrong_class(supplier.facts) else []
    return [*remarks, "preferred" if supplier.preferred else "not_preferred"]


def _json(it: Opened, supplier: Supplier, asked: frozenset[str]) -> dict[str, Any]:
    facts = supplier.facts
    return {
        "supplier": facts.id,
        "company": supplier.company,
        "licence_class": facts.licence,
        "licence_until": _until(facts.licence_until),
        "certificate_until": _until(facts.certificate_until),
        "contract_until": _until(facts.contract_until),
        "clauses": list(facts.clauses),
        "checklist": list(facts.checklist),
        "notes": dict(supplier.notes),
        "exemplary": supplier.exemplary,
        "remarks": _remarks(supplier),
        "lines": list(supplier.lines),
        "lacking": faults(facts, asked, it.clock.wall()),
    }


def _print(it: Opened, supplier: Supplier) -> None:
    language = it.home.settings.language
    table = Table(show_header=False)
    told = _json(it, supplier, _asked(it))
    for key in ("licence", "certificate", "contract"):
        label = text(f"suppliers.paper.{key}", language)
        extra = supplier.facts.licence if key == "licence" else ""
        table.add_row(label, f"{extra} {_day(told[f'{key}_until'], language)}".strip())
    for item in CHECKLIST:
        covered = item in supplier.facts.checklist
        default = text("suppliers.good" if covered else "suppliers.lacking", language)
        table.add_row(item, supplier.notes.get(item, default))
    for clause in told["clauses"]:
        table.add_row(clause, text("suppliers.good", language))
    table.add_row(text("column.lines", language), ", ".join(supplier.lines))
    console.print(f"{supplier.facts.id}: {supplier.company}", markup=False, highlight=False)
    console.print(table)
    for remark in _remarks(supplier):
        typer.echo(text(f"suppliers.{remark}", language, count=supplier.exemplary))


def _partner_json(partner: Partner) -> dict[str, Any]:
    return {
        "partner": partner.facts.id,
        "company": partner.company,
        "licence_until": _until(partner.facts.licence_until),
        "provenance_until": _until(partner.facts.provenance_until),
        "batches": list(partner.batches),
    }


def _until(end: Any) -> str | None:
    return None if end is None else "never" if end == NO_END else end.isoformat()


def _day(end: str | None, language: str) -> str:
    if end is None:
        return text("paper.missing", language)
    ends = end == "never" or end.startswith(str(NO_END.year))
    return text("time.never_ends", language) if ends else end[:10]
