# SPDX-License-Identifier: GPL-3.0-or-later
"""`candor audit`: the monthly compliance audit, from the draw to the signature (G2)."""

from __future__ import annotations

import dataclasses
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from compliance.audits import Answer
from compliance.errors import BadInput
from console import audit_page, homes
from console.audit_view import audit_json, load_checklist, look_at, question_text, subject_text
from console.commands.cases import who
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
from console.inputs import read_words, shown
from console.messages import text
from storage.audit_rows import Audit

audit_app = group("The monthly compliance audit: drawn by nobody's choice, answered, signed.")

MonthOption = Annotated[
    str, typer.Option("--month", help="Like 2026-11; left out: the newest that is drawn.")
]


@audit_app.command("draw")
def audit_draw(
    month: Annotated[str, typer.Option(help="A month that is over, like 2026-11.")],
    home: HomeOption = DEFAULT_HOME,
    as_json: JsonOption = False,
) -> None:
    """Draw the month's sample of contacts, recordings and complaints, once. The seed comes from
    the ledger's first checkpoint after the month. Compliance officers and auditors.

    Example: candor audit draw --month 2026-11
    """
    with homes.opened(home, passphrase()) as it:
        actor, place = homes.signed_in(it), it.home.settings.retention.timezone
        checklist = load_checklist()
        audit = it.store.audits.draw(actor, month, checklist, place)
        if as_json:
            print_json(audit_json(audit, checklist, who(it)))
        else:
            say(
                it,
                "audit.drawn",
                month=month,
                items=len(audit.items) - 1,
                questions=len(audit.open(checklist)),
            )


@audit_app.command("list")
def audit_list(home: HomeOption = DEFAULT_HOME, as_json: JsonOption = False) -> None:
    """Every audit that was drawn, and what came of it.

    Example: candor audit list
    """
    with homes.opened(home, passphrase()) as it:
        homes.signed_in(it)
        checklist, audits, names = load_checklist(), it.store.audits.audits(), who(it)
        language = it.home.settings.language
    if as_json:
        print_json([audit_json(audit, checklist, names) for audit in audits])
        return
    table = Table()
    for column in ("month", "items", "open", "findings", "result", "signed_by", "signed_at"):
        table.add_column(text(f"audit.column.{column}", language))
    for audit in audits:
        table.add_row(
            audit.month,
            str(len(audit.items) - 1),
            str(len(audit.open(checklist)) or ""),
            str(len(audit.found()) or ""),
            text(f"audit.result.{audit.result or 'open'}", language),
            names.get(audit.signed_by, ""),
            shown(audit.signed_at, language),
        )
    console.print(table)


@audit_app.command("walk")
def audit_walk(
    month: MonthOption = "",
    ask: Annotated[bool, typer.Option("--ask", help="Ask each, one after the other.")] = False,
    home: HomeOption = DEFAULT_HOME,
    as_json: JsonOption = False,
) -> None:
    """The questions that are still open, and where to look; with --ask answer them here.

    Example: candor audit walk --ask
    """
    with homes.opened(home, passphrase()) as it:
        actor, checklist = homes.signed_in(it), load_checklist()
        audit, language = _audit(it, month), it.home.settings.language
        waiting = audit.open(checklist)
        if as_json:
            print_json(
                [
                    {
                        "item": f"{item.position}.{question.id}",
                        "about": str(item.stratum),
                        "subject": item.subject,
                        "question": question_text(question, language),
                        "look": look_at(item),
                    }
                    for item, question in waiting
                ]
            )
            return
        for item, question in waiting:
            about = text(f"audit.about.{item.stratum}", language)
            typer.echo(
                f"{item.position}.{question.id}  {about} {subject_text(item)}\n"
                f"    {question_text(question, language)}\n    $ {look_at(item)}"
            )
            if ask:
                words = [str(answer) for answer in Answer]
                given = ""
                while given not in words:
                    given = typer.prompt(f"    {' / '.join(words)}").strip()
                note = typer.prompt(
                    f"    {text('audit.note', language)}",
                    default="",
                    show_default=False,
                )
                it.store.audits.answer(
                    actor, audit.month, item.position, question.id, Answer(given), note, checklist
                )
        if not waiting:
            say(it, "audit.all_answered", month=audit.month)


@audit_app.command("look")
def audit_look(
    item: Annotated[int, typer.Argument(help="Number of a contact that was drawn.")],
    month: MonthOption = "",
    home: HomeOption = DEFAULT_HOME,
    as_json: JsonOption = False,
) -> None:
    """A contact that was drawn: where it came from, its consents, when it was called. The
    ledger keeps who looked (compliance officers, auditors).

    Example: candor audit look 3
    """
    with homes.opened(home, passphrase()) as it:
        actor, audit = homes.signed_in(it), _audit(it, month)
        found, language = (
            it.store.audits.contact(actor, audit.month, item),
            it.home.settings.language,
        )
    data = dataclasses.asdict(found)
    if as_json:
        print_json(data)
        return
    consents = data.pop("consents")
    for name, value in [*data.items(), *(pair for consent in consents for pair in consent.items())]:
        if isinstance(value, datetime):
            value = shown(value, language)
        elif isinstance(value, tuple):
            value = ", ".join(shown(at, language) for at in value)
        typer.echo(
            f"{text(f'audit.look.{name}', language)}: {'–' if value in ('', None) else value}"
        )


@audit_app.command("answer")
def audit_answer(
    item: Annotated[str, typer.Argument(help="As `audit walk` names it: 3.consent_explicit")],
    answer: Annotated[Answer, typer.Argument(help="yes, no or na (does not apply)")],
    note: Annotated[
        str, typer.Option(help="In words; no needs them; - reads standard input.")
    ] = "",
    month: MonthOption = "",
    home: HomeOption = DEFAULT_HOME,
) -> None:
    """Answer one question; until the audit is signed the newest answer counts.

    Example: candor audit answer 3.consent_explicit no --note "the box was ticked beforehand"
    """
    position, dot, question = item.partition(".")
    if not dot or not position.isascii() or not position.isdigit() or len(position) > 4:
        raise BadInput("is written like 3.consent_explicit", field="item")
    with homes.opened(home, passphrase()) as it:
        actor, audit = homes.signed_in(it), _audit(it, month)
        words = read_words(note) if note else ""
        it.store.audits.answer(
            actor, audit.month, int(position), question, answer, words, load_checklist()
        )
        left = len(it.store.audits.audit(audit.month).open(load_checklist()))
        say(it, "audit.answered", item=item, left=left)


@audit_app.command("sign")
def audit_sign(
    month: MonthOption = "", home: HomeOption = DEFAULT_HOME, as_json: JsonOption = False
) -> None:
    """Sign an audit whose questions are all answered; each *no* opens a case. A compliance
    officer, not one who launched a campaign of the sample while another could sign.

    Example: candor audit sign --month 2026-11
    """
    with homes.opened(home, passphrase()) as it:
        actor, checklist = homes.signed_in(it), load_checklist()
        signed = it.store.audits.sign(actor, _audit(it, month).month, checklist)
        if as_json:
            print_json(audit_json(signed, checklist, who(it)))
        else:
            word = "audit.signed_findings" if signed.found() else "audit.signed"
            say(it, word, month=signed.month, count=len(signed.found()), digest=signed.digest[:16])


@audit_app.command("show")
def audit_show(
    month: MonthOption = "",
    html: Annotated[
        Path | None, typer.Option("--html", help="Write a page for reading to this file.")
    ] = None,
    notes: Annotated[
        bool, typer.Option("--notes", help="With the notes in the clear; the ledger keeps it.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Write over an existing file.")] = False,
    home: HomeOption = DEFAULT_HOME,
    as_json: JsonOption = False,
) -> None:
    """One audit: how it was drawn, its answers, its result. Notes only with --notes
    (compliance officers, auditors).

    Example: candor audit show --month 2026-11 --html audit.html
    """
    with homes.opened(home, passphrase()) as it:
        actor, checklist = homes.signed_in(it), load_checklist()
        audit, names, language = _audit(it, month), who(it), it.home.settings.language
        words = it.store.audits.notes(actor, audit.month) if notes else {}
        company = it.store.company
    if html is not None:
        page = audit_page.page(audit, checklist, names, words, company, language)
        audit_page.write(html, page, force=force)
        typer.echo(text("audit.written", language, file=html))
    if as_json:
        data = audit_json(audit, checklist, names)
        print_json(data | ({"notes": _by_item(audit, words)} if notes else {}))
        return
    if html is not None:
        return
    for name in ("month", "population", "checkpoint_size", "seed", "result", "digest"):
        value = audit_json(audit, checklist, names)[name]
        if isinstance(value, dict):
            value = ", ".join(f"{text(f'audit.about.{k}', language)} {v}" for k, v in value.items())
        typer.echo(f"{text(f'audit.column.{name}', language)}: {value or '–'}")
    table = Table()
    for column in ("item", "about", "question", "answer", "by"):
        table.add_column(text(f"audit.column.{column}", language))
    for item in audit.items:
        for question in checklist.about(item.stratum):
            found = item.answers.get(question.id)
            said = "–" if found is None else text(f"audit.answer.{found.answer}", language)
            if found is not None and found.id in words:
                said += f": {words[found.id]}"
            table.add_row(
                f"{item.position}.{question.id}",
                f"{text(f'audit.about.{item.stratum}', language)} {subject_text(item)}",
                question_text(question, language),
                said,
                "" if found is None else names.get(found.by, ""),
                style="red" if found is not None and found.answer is Answer.NO else "",
            )
    console.print(table)


def _by_item(audit: Audit, words: dict[str, str]) -> dict[str, str]:
    return {
        f"{item.position}.{question}": words[answered.id]
        for item in audit.items
        for question, answered in item.answers.items()
        if answered.id in words
    }


def _audit(it: Opened, month: str) -> Audit:
    """The audit of this month, or the newest.

    Raises:
        BadInput: not drawn.
    """
    if month:
        return it.store.audits.audit(month)
    audits = it.store.audits.audits()
    if not audits:
        raise BadInput("no audit was drawn yet", field="month", remedy="candor audit draw")
    return audits[-1]
