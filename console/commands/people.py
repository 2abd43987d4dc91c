# SPDX-License-Identifier: GPL-3.0-or-later
"""`candor person`: who works here, and as what (D9, G1)."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.table import Table
from typer.core import TyperGroup

from compliance.facts import Role
from console import homes
from console.commands.common import (
    DEFAULT_HOME,
    HomeOption,
    JsonOption,
    console,
    passphrase,
    print_json,
    say,
)
from console.messages import text


class _AddByDefault(TyperGroup):
    """`candor person NAME --role ROLE` is short for `candor person add NAME --role ROLE`."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        if args and args[0] not in self.commands and not args[0].startswith("-"):
            args = ["add", *args]
        return super().resolve_command(ctx, args)


person_app = typer.Typer(
    cls=_AddByDefault, no_args_is_help=True, help="Who works here, and as what."
)


@person_app.command("add")
def person_add(
    name: str,
    role: Annotated[list[Role], typer.Option(help="May be given several times.")],
    home: HomeOption = DEFAULT_HOME,
) -> None:
    """Add a person with one or more roles (administrators only); `add` may be left out.

    Example: candor person add li --role author
    """
    with homes.opened(home, passphrase()) as it:
        actor = homes.signed_in(it)
        password = typer.prompt("Their first password", hide_input=True)
        it.store.people.add_person(actor, name, password, role)
        say(it, "done.person_added", name=name)


@person_app.command("list")
def person_list(home: HomeOption = DEFAULT_HOME, as_json: JsonOption = False) -> None:
    """Everybody with their roles (administrators, compliance officers, auditors).

    Example: candor person list
    """
    with homes.opened(home, passphrase()) as it:
        people = it.store.people.people(homes.signed_in(it))
        language = it.home.settings.language
    if as_json:
        print_json(
            [
                {
                    "id": p.id,
                    "name": p.name,
                    "roles": sorted(p.roles),
                    "created_at": p.created_at.isoformat(),
                    "disabled_at": p.disabled_at.isoformat() if p.disabled_at else None,
                }
                for p in people
            ]
        )
        return
    table = Table()
    for column in ("name", "roles", "since", "left"):
        table.add_column(text(f"column.{column}", language))
    for p in people:
        left = f"{p.disabled_at:%Y-%m-%d}" if p.disabled_at else ""
        table.add_row(p.name, ", ".join(sorted(p.roles)), f"{p.created_at:%Y-%m-%d}", left)
    console.print(table)
