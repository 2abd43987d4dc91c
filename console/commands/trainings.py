# SPDX-License-Identifier: GPL-3.0-or-later
"""`candor training`: trainings that were held, and who is due (G3, P7)."""

from __future__ import annotations

import hashlib
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from compliance.errors import BadInput
from compliance.facts import Role
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
from console.inputs import read_time
from console.messages import text

training_app = group("Trainings that were held, and who is due for the next one.")


@training_app.command("add")
def training_add(
    topic: Annotated[str, typer.Option(help="What it was about.")],
    date: Annotated[str, typer.Option(help="When it was held: a day or a time, ISO 8601.")],
    person: Annotated[
        list[str] | None, typer.Option(help="Who took part; may be given several times.")
    ] = None,
    role: Annotated[
        list[Role] | None, typer.Option(help="Everybody with this role took part.")
    ] = None,
    case: Annotated[str, typer.Option(help="The real case it was about.")] = "",
    material: Annotated[
        Path | None, typer.Option(help="What was shown: its SHA-256 is kept, the file is not.")
    ] = None,
    home: HomeOption = DEFAULT_HOME,
    as_json: JsonOption = False,
) -> None:
    """Record a training that was held (compliance officers).

    Example: candor training add --topic "Refusals" --date 2026-11-20 --role operator --person li
    """
    with homes.opened(home, passphrase()) as it:
        actor = homes.signed_in(it)
        training = it.store.trainings.add(
            actor,
            topic,
            _held_at(date),
            people=person or (),
            roles=role or (),
            case=case,
            material=_digest(material) if material is not None else "",
        )
        if as_json:
            print_json({"training": training})
        else:
            say(it, "done.training_added", training=training)


@training_app.command("list")
def training_list(home: HomeOption = DEFAULT_HOME, as_json: JsonOption = False) -> None:
    """Every training, and when everybody must be trained again: overdue is said so.

    Administrators, compliance officers and auditors see everybody, others their own.

    Example: candor training list
    """
    with homes.opened(home, passphrase()) as it:
        actor = homes.signed_in(it)
        held = it.store.trainings.trainings(actor)
        due = it.store.trainings.due()
        language = it.home.settings.language
    if not any(actor.has(role) for role in (Role.ADMIN, Role.COMPLIANCE, Role.AUDITOR)):
        due = [one for one in due if one.person == actor.id]
    if as_json:
        print_json(
            {
                "trainings": [
                    {
                        "id": one.id,
                        "topic": one.topic,
                        "held_at": one.held_at.isoformat(),
                        "people": list(one.people),
                        "roles": sorted(one.roles),
                        "case": one.case,
                        "material": one.material,
                    }
                    for one in held
                ],
                "due": [
                    {
                        "name": one.name,
                        "roles": sorted(one.roles),
                        "last": one.last and one.last.isoformat(),
                        "due": one.due.isoformat(),
                        "overdue": one.overdue,
                    }
                    for one in due
                ],
            }
        )
        return
    table = Table()
    for column in ("held_on", "topic", "took_part", "roles", "case"):
        table.add_column(text(f"column.{column}", language), overflow="fold")
    for one in held:
        people, roles = ", ".join(one.people), ", ".join(sorted(one.roles))
        table.add_row(f"{one.held_at:%Y-%m-%d}", one.topic, people, roles, one.case)
    console.print(table)
    table = Table()
    for column in ("name", "roles", "trained_last", "trained_due"):
        table.add_column(text(f"column.{column}", language))
    for who in due:
        late = text("training.overdue", language) if who.overdue else ""
        last = f"{who.last:%Y-%m-%d}" if who.last is not None else "–"
        day = f"{who.due:%Y-%m-%d} {late}".strip()
        style = "red" if who.overdue else ""
        table.add_row(who.name, ", ".join(sorted(who.roles)), last, day, style=style)
    console.print(table)


def _held_at(written: str) -> datetime:
    try:
        return read_time(written)
    except BadInput:
        raise BadInput("is no day", field="--date", remedy="write it like 2026-11-20") from None


def _digest(file: Path) -> str:
    try:
        with file.open("rb") as opened:
            return hashlib.file_digest(opened, "sha256").hexdigest()
    except OSError as error:
        raise BadInput(f"cannot be read: {error.strerror}", field="--material") from None
