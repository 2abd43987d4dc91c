# SPDX-License-Identifier: GPL-3.0-or-later
"""`candor duty`: what is owed regularly, by when, and that it was done (G2, G3, G6, T5)."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from compliance.duties import Duty, DutyKind
from compliance.errors import BadInput
from console import homes
from console.commands.cases import TextOption, who
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
from console.inputs import read_words, shown
from console.messages import text

duty_app = group("What is owed regularly: audits, script reviews, security assessments.")

_FILE_MAX = 100_000_000  # bytes; only its digest is kept


@duty_app.command("list")
def duty_list(
    done: Annotated[bool, typer.Option("--done", help="Those done, too.")] = False,
    home: HomeOption = DEFAULT_HOME,
    as_json: JsonOption = False,
) -> None:
    """What is owed by when; exit code 1 if something is overdue. Late complaints are looked for
    on the way, so that a nightly job need only run this.

    Example: candor duty list
    """
    with homes.opened(home, passphrase()) as it:
        homes.signed_in(it)
        it.store.complaints.sweep()
        now, language = it.clock.wall(), it.home.settings.language
        found = it.store.duties.duties(it.home.settings.retention.timezone)
        names = who(it)
        people = [person for person in it.store.trainings.due() if person.overdue]
    late = [duty for duty in found if duty.overdue(now)]
    listed = [duty for duty in found if done or duty.done_at is None]
    if as_json:
        rows = [
            {
                "kind": str(duty.period.kind),
                "period": duty.period.name,
                "due": duty.period.due,
                "overdue": duty.overdue(now),
                "blocks_campaigns": duty.blocks(now),
                "done_at": duty.done_at,
                "done_by": names.get(duty.done_by, duty.done_by),
            }
            for duty in listed
        ]
        print_json({"duties": rows, "training_overdue": len(people)})
    else:
        table = Table()
        for column in ("kind", "period", "due", "state", "done"):
            table.add_column(text(f"duty.column.{column}", language))
        for duty in listed:
            state = _state(duty, duty in late, duty.blocks(now))
            table.add_row(
                text(f"duty.kind.{duty.period.kind}", language),
                duty.period.name,
                shown(duty.period.due, language),
                text(f"duty.state.{state}", language),
                f"{shown(duty.done_at, language)} {names.get(duty.done_by, '')}".strip(),
                style="red" if duty in late else "",
            )
        console.print(table)
        if people:
            typer.echo(text("duty.training", language, count=len(people)))
    if late or people:
        raise typer.Exit(1)


@duty_app.command("close")
def duty_close(
    kind: Annotated[DutyKind, typer.Argument(help="What was done.")],
    period: Annotated[str, typer.Option(help="Of which period: 2026-11, 2026-H2.")],
    note: TextOption,
    file: Annotated[
        Path | None, typer.Option(help="Its report: the SHA-256 goes into the ledger.")
    ] = None,
    home: HomeOption = DEFAULT_HOME,
) -> None:
    """A script review or a security assessment is done (compliance officers; administrators
    close assessments too). An audit is done when it is signed.

    Example: candor duty close security --period 2026-H2 --text "no finding" --file report.pdf
    """
    with homes.opened(home, passphrase()) as it:
        actor, place = homes.signed_in(it), it.home.settings.retention.timezone
        digest = _sha256(file) if file is not None else ""
        it.store.duties.close(actor, kind, period, read_words(note), place, digest)
        say(
            it,
            "duty.closed",
            kind=text(f"duty.kind.{kind}", it.home.settings.language),
            period=period,
        )


def _state(duty: Duty, late: bool, blocks: bool) -> str:
    if duty.done_at is not None:
        return "done"
    return "blocks" if blocks else "overdue" if late else "owed"


def _sha256(path: Path) -> str:
    if not path.is_file() or not 0 < path.stat().st_size <= _FILE_MAX:
        raise BadInput("is no file, empty or larger than 100 MB", field="file")
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
