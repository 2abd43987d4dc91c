# SPDX-License-Identifier: GPL-3.0-or-later
"""The database of a backup when it is a PostgreSQL: its own ``pg_dump`` and ``pg_restore``.

The dump is of the snapshot in which the names of the objects are read, so both fit however
much is written meanwhile. Passwords go to the programs in their environment: a command line
is for every user of the machine to read.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import SQLAlchemyError

from compliance.errors import BadInput, ConfigError, StorageAway, StorageError

# What a URL may say of the way to the server, as the programs are told it.
_OPTIONS: Mapping[str, str] = {
    "host": "PGHOST",
    "hostaddr": "PGHOSTADDR",
    "port": "PGPORT",
    "sslmode": "PGSSLMODE",
    "sslrootcert": "PGSSLROOTCERT",
    "sslcert": "PGSSLCERT",
    "sslkey": "PGSSLKEY",
    "sslcrl": "PGSSLCRL",
    "connect_timeout": "PGCONNECT_TIMEOUT",
    "passfile": "PGPASSFILE",
    "channel_binding": "PGCHANNELBINDING",
    "target_session_attrs": "PGTARGETSESSIONATTRS",
    "application_name": "PGAPPNAME",
    "options": "PGOPTIONS",
}
_WHOLE = ("--no-owner", "--no-privileges")
_ANYTHING = text(
    "SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
    " WHERE n.nspname NOT LIKE 'pg\\_%' AND n.nspname <> 'information_schema' LIMIT 1"
)
_EMPTIED = "DROP SCHEMA public CASCADE; CREATE SCHEMA public"


def dump(engine: Engine, connection: Connection, target: Path) -> None:
    """Write the state that ``connection`` sees to ``target``; its transaction must be
    REPEATABLE READ and stays open.

    Raises:
        ConfigError: ``pg_dump`` is not installed, or the URL says what it cannot be told.
        StorageError: it fails, for one because it is older than the server.
    """
    snapshot = connection.scalar(text("SELECT pg_export_snapshot()"))
    wanted = ("--format=custom", *_WHOLE, f"--snapshot={snapshot}", f"--file={target}")
    _run(engine, "pg_dump", *wanted)
    target.chmod(0o600)


def check_empty(engine: Engine) -> None:
    """Raises BadInput unless nothing is in the database."""
    try:
        with engine.connect() as connection:
            found = connection.scalar(_ANYTHING)
    except SQLAlchemyError as error:
        raise StorageAway(
            "the database for the restored home does not answer",
            remedy=f"look at it, then again ({type(error).__name__})",
        ) from None
    if found is not None:
        raise BadInput(
            "this database is not empty",
            field="--database",
            remedy="CREATE DATABASE a new one for the restored home",
        )


def load(engine: Engine, dump_file: Path) -> None:
    """Fill an empty database from a dump, whole or not at all.

    Raises: as :func:`dump`.
    """
    database = f"--dbname={engine.url.database}"
    wanted = ("--single-transaction", "--exit-on-error", *_WHOLE, database, str(dump_file))
    _run(engine, "pg_restore", *wanted)


def empty_again(engine: Engine) -> None:
    """Take back what a restore that failed put into a database that was empty."""
    with contextlib.suppress(SQLAlchemyError), engine.begin() as connection:
        for statement in _EMPTIED.split("; "):
            connection.execute(text(statement))


def _run(engine: Engine, program: str, *arguments: str) -> None:
    found = shutil.which(program)
    if found is None:
        raise ConfigError(
            f"{program} is not installed, and this home's database is a PostgreSQL",
            field="storage.url",
            remedy="install PostgreSQL's client programs, of the server's version or newer",
        )
    done = subprocess.run(
        [found, "--no-password", *arguments],
        env={**os.environ, **_environment(engine)},
        capture_output=True,
        stdin=subprocess.DEVNULL,
        check=False,
    )
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines() or ["no reason given"]
        raise StorageError(
            f"{said[0].removeprefix(f'{program}: error: ')[:200]} ({program})",
            remedy="PostgreSQL's client programs must be of the server's version or newer",
        )


def _environment(engine: Engine) -> dict[str, str]:
    url = engine.url
    told = {
        "PGHOST": url.host or "",
        "PGPORT": str(url.port or ""),
        "PGUSER": url.username or "",
        "PGPASSWORD": str(url.password or ""),
        "PGDATABASE": url.database or "",
    }
    for name, value in url.query.items():
        if name not in _OPTIONS or not isinstance(value, str):
            raise ConfigError(
                f"PostgreSQL's programs cannot be told {name} of this URL",
                field="storage.url",
                remedy="use pg_dump yourself: docs/operators.md, Backup",
            )
        told[_OPTIONS[name]] = value
    return {name: value for name, value in told.items() if value}
