# SPDX-License-Identifier: GPL-3.0-or-later
"""A backup of a home: one consistent state of its database, and every object it speaks of.

The database is copied first, by SQLite's own backup or ``pg_dump``, while calls go on; then the
objects that this copy names and that are sealed. Objects never change, so both fit. A call that
is live just then comes back as one that a crash ended.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, text

from compliance.clock import Clock
from compliance.errors import StorageError
from compliance.facts import Actor, Evolve, Role
from storage import backup_postgres, bundles
from storage.bundles import DATABASE, DUMP, Progress
from storage.context import SYSTEM, Context, new_id
from storage.destruction_log import FILE as DESTRUCTIONS
from storage.keys import Keyring
from storage.objects import fsync_folder

_PAGES = 2000  # between two looks at the progress
_NAMED = (
    "SELECT object FROM recording_tracks WHERE NOT destroyed AND sealed_at IS NOT NULL"
    " AND object <> '' AND length(wrapped_key) > 0"
    " UNION ALL SELECT object FROM papers ORDER BY object"
)


@dataclass(frozen=True, slots=True)
class Made(Evolve):
    """A finished backup. ``missing``: objects that should be there and are not."""

    sha256: str
    size: int
    objects: int
    missing: tuple[str, ...]


def make(
    target: Path,
    engine: Engine,
    keyring: Keyring,
    *,
    node: str,
    clock: Clock,
    actor: Actor | None,
    files: Sequence[tuple[str, Path]],
    objects: Path,
    anchors: Path,
    progress: Progress,
) -> Made:
    """Write ``target``, whole or not at all. ``files``: settings and keys, by member name.

    ``actor`` None: by cron, as the platform.

    Raises:
        NotAllowed: not an administrator. ConfigError: ``pg_dump`` is needed and missing.
        StorageError: the disk is full, the database is damaged, or ``target`` exists.
    """
    context = Context(engine, keyring, node=node, clock=clock)
    if actor is not None:
        context.require(actor, "home.backup", Role.ADMIN)
    if target.exists():
        raise StorageError(f"{target.name} exists already", remedy="name a new file")
    backup, now = new_id(), clock.wall()
    with context.write() as session:
        by = actor.id if actor is not None else SYSTEM
        context.log(session, "home.backup", by, now, backup=backup)
    with bundles.draft(target) as folder:
        outside = _anchored(anchors)  # not newer than the copy
        if engine.dialect.name == "sqlite":
            database, named = folder / DATABASE, _copy(engine, folder / DATABASE, progress)
        else:
            database, named = folder / DUMP, _dump(engine, folder / DUMP)
        names, missing = _objects(named, objects)
        members = [*files, *outside, (database.name, database)]
        members += [(f"objects/{name[:2]}/{name}", objects / name[:2] / name) for name in names]
        about: dict[str, Any] = {
            "backup": backup,
            "made_at": now.isoformat(),
            "tenant": context.tenant,
            "signer": keyring.fingerprint(),
            "missing": list(missing),
        }
        whole = bundles.write(folder / "whole", members, about, keyring, progress)
        size = (folder / "whole").stat().st_size
        try:
            target.hardlink_to(folder / "whole")  # unlike rename, replaces nothing
        except FileExistsError:
            raise StorageError(f"{target.name} exists already", remedy="name a new file") from None
        fsync_folder(target.parent)
    return Made(whole, size, len(names), missing)


def _copy(engine: Engine, target: Path, progress: Progress) -> list[str]:
    """Names of the sealed objects that the copy speaks of, as of :func:`_dump`."""
    with engine.connect() as connection, closing(sqlite3.connect(target)) as copy:
        raw = connection.connection.driver_connection
        assert isinstance(raw, sqlite3.Connection)

        def step(_status: int, remaining: int, total: int) -> None:
            progress(total - remaining, total)

        raw.execute("BEGIN")  # one state, however much is written meanwhile
        raw.execute("SELECT count(*) FROM sqlite_master").fetchone()
        try:
            raw.backup(copy, pages=_PAGES, progress=step)
        finally:
            raw.execute("ROLLBACK")
        if copy.execute("PRAGMA quick_check(1)").fetchone() != ("ok",):
            raise StorageError("the database is damaged", remedy="candor doctor")
        copy.execute("PRAGMA journal_mode=DELETE")
        named = [str(name) for (name,) in copy.execute(_NAMED)]
    target.chmod(0o600)
    return named


def _dump(engine: Engine, target: Path) -> list[str]:
    with engine.connect() as plain:
        connection = plain.execution_options(isolation_level="REPEATABLE READ")
        named = [str(name) for (name,) in connection.execute(text(_NAMED))]
        backup_postgres.dump(engine, connection, target)
    return named


def _objects(named: Sequence[str], objects: Path) -> tuple[list[str], tuple[str, ...]]:
    """Those of the named objects that are here, and those that are not."""
    here = [name for name in named if (objects / name[:2] / name).is_file()]
    return here, tuple(sorted(set(named) - set(here)))


def _anchored(anchors: Path) -> list[tuple[str, Path]]:
    wanted = ("checkpoint-*.note", "checkpoint-*.tsr", DESTRUCTIONS)
    found = [path for name in wanted for path in anchors.glob(f"**/{name}")]
    return [(f"anchors/{p.relative_to(anchors).as_posix()}", p) for p in sorted(found)]
