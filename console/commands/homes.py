# SPDX-License-Identifier: GPL-3.0-or-later
"""Making a home, signing in, people."""

from __future__ import annotations

import getpass
import sys
from datetime import timedelta
from typing import Annotated

import typer

from compliance.errors import BadInput
from compliance.facts import HomeKind, Role
from console import homes
from console.commands.common import DEFAULT_HOME, HomeOption, passphrase
from console.commands.lab import init_lab
from storage.people import check_person


def init(
    home: HomeOption = DEFAULT_HOME,
    company: Annotated[str, typer.Option(help="Company in whose name calls are placed.")] = "",
    tenant: Annotated[str, typer.Option(help="Short id, fixed for ever.")] = "main",
    lab: Annotated[bool, typer.Option(help="A lab home: dials confirmed testers only.")] = False,
    language: Annotated[str, typer.Option(help="zh or en")] = "zh",
) -> None:
    """Make a home: settings, keys, an empty database, and its first administrator.

    With --lab it is ready for calls to your own softphone (docs/softphones.md).

    Example: candor init --home ./candor-home --company 星辰公司
    """
    if lab:
        init_lab(home, company, tenant, language)
        return
    if not company:
        raise BadInput("a company name is needed", field="--company", remedy="--company NAME")
    homes.check_empty(home)
    name = typer.prompt("Administrator's name")
    password = typer.prompt("Password (8 characters or more)", hide_input=True)
    check_person(name, password, [Role.ADMIN])  # before anything is made
    homes.create(
        home,
        kind=HomeKind.PRODUCTION,
        company=company,
        tenant=tenant,
        language=language,
        passphrase=passphrase(),
    )
    with homes.opened(home, passphrase()) as it:
        it.store.people.add_person(None, name, password, [Role.ADMIN])
    typer.echo(f"Made {home}. Next: candor login {name} --home {home}")


def login(name: str, home: HomeOption = DEFAULT_HOME) -> None:
    """Sign in on this machine for eight hours.

    Example: candor login wang
    """
    password = getpass.getpass("Password: ") if sys.stdin.isatty() else sys.stdin.readline().strip()
    with homes.opened(home, passphrase()) as it:
        actor = it.store.people.sign_in(name, password)
        homes.remember(home, it.store.people.issue_session(actor, timedelta(hours=8)))
    typer.echo(f"Signed in as {name} ({', '.join(sorted(actor.roles))}).")
