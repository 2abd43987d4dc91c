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
from dialer.settings import KeySettings
from storage.database import make_engine
from storage.key_sources import KeyKind
from storage.people import check_person


def init(
    home: HomeOption = DEFAULT_HOME,
    company: Annotated[str, typer.Option(help="Company in whose name calls are placed.")] = "",
    tenant: Annotated[str, typer.Option(help="Short id, fixed for ever.")] = "main",
    lab: Annotated[bool, typer.Option(help="A lab home: dials confirmed testers only.")] = False,
    language: Annotated[str, typer.Option(help="zh or en")] = "zh",
    database: Annotated[
        str,
        typer.Option(
            help="Database URL, such as postgresql://candor@/candor; left out: SQLite in the home.",
            show_default=False,
        ),
    ] = "",
    keys: Annotated[
        KeyKind, typer.Option(help="Where its keys come from, see docs/security.md.")
    ] = KeyKind.FILE,
    module: Annotated[
        str, typer.Option(help="With --keys pkcs11: the HSM's PKCS#11 library.")
    ] = "",
    token: Annotated[str, typer.Option(help="With --keys pkcs11: label of its token.")] = "",
) -> None:
    """Make a home: settings, keys, an empty database, and its first administrator.

    With --lab it is ready for calls to your own softphone (docs/softphones.md).

    Example: candor init --home ./candor-home --company 星辰公司
    """
    source = _key_settings(keys, module, token)
    if lab:
        if source.source is not KeyKind.FILE:
            raise BadInput("a lab home keeps its keys in a file", field="--keys")
        init_lab(home, company, tenant, language)
        return
    if not company:
        raise BadInput("a company name is needed", field="--company", remedy="--company NAME")
    homes.check_empty(home)
    if database:
        make_engine(database).dispose()  # whether it can be used at all, before anything is asked
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
        keys=source,
        database=database,
    )
    with homes.opened(home, passphrase()) as it:
        it.store.people.add_person(None, name, password, [Role.ADMIN])
    at = "" if home == DEFAULT_HOME else f" --home {home}"
    typer.echo(
        f"Made {home}. Next:\n"
        f"  candor login {name}{at}\n"
        f"  candor person add NAME --role compliance_officer{at}   (and an operator, an author)\n"
        f"Then each of them signs in and passes the exam: candor exam take{at}\n"
        f"And the compliance officer adopts the law: candor policy adopt --reason WHY{at}"
    )


def _key_settings(kind: KeyKind, module: str, token: str) -> KeySettings:
    named = bool(module), bool(token)
    if kind is KeyKind.PKCS11 and named != (True, True):
        raise BadInput(
            "keys in an HSM need its library and its token",
            field="--keys",
            remedy="--module /usr/lib/softhsm/libsofthsm2.so --token LABEL",
        )
    if kind is not KeyKind.PKCS11 and any(named):
        raise BadInput("--module and --token are for --keys pkcs11", field="--keys")
    return KeySettings(source=kind, module=module, token=token)


def login(name: str, home: HomeOption = DEFAULT_HOME) -> None:
    """Sign in on this machine for eight hours.

    Example: candor login wang
    """
    password = getpass.getpass("Password: ") if sys.stdin.isatty() else sys.stdin.readline().strip()
    with homes.opened(home, passphrase()) as it:
        actor = it.store.people.sign_in(name, password)
        homes.remember(home, it.store.people.issue_session(actor, timedelta(hours=8)))
    typer.echo(f"Signed in as {name} ({', '.join(sorted(actor.roles))}).")
