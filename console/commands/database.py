# SPDX-License-Identifier: GPL-3.0-or-later
"""`candor db`: the schema of a home's database."""

from __future__ import annotations

import functools

from sqlalchemy import make_url

from compliance.clock import SystemClock
from console.commands.common import DEFAULT_HOME, HomeOption, JsonOption, group, print_json, say_in
from dialer.settings import Home
from storage.database import make_engine, schemas, upgrade
from storage.store import note_upgrade

db_app = group("The database of a home.")


@db_app.command("status")
def db_status(home: HomeOption = DEFAULT_HOME, as_json: JsonOption = False) -> None:
    """Which database this home uses, and whether this program fits it.

    Example: candor db status --json
    """
    it = Home(home)
    engine = make_engine(it.database_url)
    try:
        found, needed = schemas(engine)
    finally:
        engine.dispose()
    url = make_url(it.database_url).render_as_string(hide_password=True)
    if as_json:
        print_json({"url": url, "schema": found, "needed": needed, "fits": found == needed})
    else:
        case = "fits" if found == needed else "older"
        say_in(it, f"db.{case}", url=url, schema=found or "–", needed=needed)


@db_app.command("upgrade")
def db_upgrade(home: HomeOption = DEFAULT_HOME, as_json: JsonOption = False) -> None:
    """Bring an older database to this program's schema; whole or not at all.

    Stop `candor dial` and make a backup first. A database of a newer Candor is left alone.

    Example: candor db upgrade
    """
    it = Home(home)
    engine = make_engine(it.database_url)
    note = functools.partial(note_upgrade, node=it.settings.node, clock=SystemClock())
    try:
        was, now = upgrade(engine, note)
    finally:
        engine.dispose()
    if as_json:
        print_json({"from": was, "to": now})
    else:
        say_in(it, "db.upgraded" if was != now else "db.current", was=was or "–", now=now)
