# SPDX-License-Identifier: GPL-3.0-or-later
"""Opens the database: SQLite (default, one machine) or PostgreSQL, by one URL.

SQLite transactions are begun explicitly: ``BEGIN IMMEDIATE`` unless the
connection carries :data:`READ_ONLY`, so that a transaction that will write
waits for the lock before it reads and never has to be told "busy" half-way.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError

from compliance.errors import ConfigError, StorageAway, StorageError

READ_ONLY: Mapping[str, Any] = {"candor_read_only": True}
"""Execution options of a transaction that only reads."""

BUSY_TIMEOUT_MS = 30_000
_NETWORK_TYPES = frozenset(
    [
        *("nfs", "nfs4", "cifs", "smb2", "smb3", "smbfs", "ncpfs", "afs", "ceph", "glusterfs"),
        *("lustre", "gpfs", "ocfs2", "davfs", "fuse.sshfs", "fuse.davfs", "fuse.glusterfs"),
        *("fuse.s3fs", "fuse.rclone", "fuse.ceph"),
    ]
)
_LOOPBACK = frozenset({"", "localhost", "127.0.0.1", "::1"})
_TLS_MODES = frozenset({"require", "verify-ca", "verify-full"})


def make_engine(url: str) -> Engine:
    """An engine whose connections are set up for durability; nothing is connected yet.

    SQLite: WAL, ``synchronous=FULL``, foreign keys, busy timeout 30 s, file mode
    0600, refused on a network file system (its locks do not hold). PostgreSQL:
    TLS is asked for off loopback (D7).

    Raises:
        ConfigError: the URL cannot be used, and why.
        StorageError: the database file cannot be made or is not ours.
    """
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise ConfigError(
            "not a database URL", field="storage.url", remedy="write sqlite:///candor.db"
        ) from None
    backend = parsed.get_backend_name()
    if backend == "sqlite":
        return _sqlite(parsed)
    if backend == "postgresql":
        return _postgresql(parsed)
    raise ConfigError(
        f"{backend} is not supported", field="storage.url", remedy="use sqlite or postgresql"
    )


def _sqlite(url: URL) -> Engine:
    if not url.database or url.database == ":memory:" or url.query:
        raise ConfigError(
            "a database in memory or with URI options cannot be shared between processes",
            field="storage.url",
            remedy="write sqlite:///PATH",
        )
    path = Path(url.database)
    try:
        mounts = Path("/proc/self/mounts").read_text("utf-8", "surrogateescape")
    except OSError:
        mounts = ""  # not Linux: nothing to detect by
    kind = network_file_system(path, mounts)
    if kind:
        raise ConfigError(
            f"{path.name} lies on a network file system ({kind}), whose locks SQLite cannot trust",
            field="storage.url",
            remedy="use a local disk, or PostgreSQL",
        )
    _make_private(path)
    engine = create_engine(url, hide_parameters=True, pool_size=8, max_overflow=56)

    @event.listens_for(engine, "connect")
    def set_up(connection: Any, _record: object) -> None:
        connection.isolation_level = None  # the driver begins nothing by itself
        cursor = connection.cursor()
        for pragma in (
            f"busy_timeout={BUSY_TIMEOUT_MS}",
            "journal_mode=WAL",
            "synchronous=FULL",
            "foreign_keys=ON",
            "recursive_triggers=ON",  # REPLACE must not slip past a DELETE trigger
        ):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        read_only = connection.get_execution_options().get("candor_read_only", False)
        connection.exec_driver_sql("BEGIN" if read_only else "BEGIN IMMEDIATE")

    return engine


def _postgresql(url: URL) -> Engine:
    if url.drivername == "postgresql":
        url = url.set(drivername="postgresql+psycopg")
    hosts = url.query.get("host", url.host or "")
    named = (hosts,) if isinstance(hosts, str) else hosts
    local = all(host in _LOOPBACK or host.startswith("/") for host in named)
    if not local and url.query.get("sslmode") not in _TLS_MODES:
        raise ConfigError(
            "PostgreSQL on another machine is refused without TLS (D7)",
            field="storage.url",
            remedy="add ?sslmode=verify-full to the URL",
        )
    try:
        return create_engine(url, hide_parameters=True, pool_pre_ping=True, pool_size=8)
    except ImportError:
        raise ConfigError(
            "the PostgreSQL driver is not installed",
            field="storage.url",
            remedy="pip install 'psycopg[binary]'",
        ) from None


def network_file_system(path: Path, mounts: str) -> str:
    """The type of the network file system ``path`` lies on, or empty.

    ``mounts`` is the text of ``/proc/self/mounts`` (fstab(5) with octal escapes).
    """
    folder = path.absolute().parent.resolve()
    best, kind = "", ""
    for line in mounts.splitlines():
        fields = line.split(" ")
        if len(fields) < 3:
            continue
        point = fields[1].encode("utf-8", "surrogateescape").decode("unicode_escape")
        inside = folder == Path(point) or Path(point) in folder.parents
        if inside and len(point) >= len(best):  # a later mount on the same point covers it
            best, kind = point, fields[2]
    return kind if kind in _NETWORK_TYPES else ""


def _make_private(path: Path) -> None:
    """The file exists with mode 0600; SQLite gives its WAL the same mode."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise StorageError(f"{path.name} is not a regular file")
            if stat.S_IMODE(status.st_mode) & 0o077:
                os.fchmod(descriptor, 0o600)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise StorageError(
            f"the database file {path.name} cannot be opened: {error.strerror}",
            remedy="check the folder and who owns it",
        ) from None


# ---------------------------------------------------------------- versions


def upgrade(engine: Engine) -> None:
    """Bring the schema to this program's version; a current one is left alone.

    Raises:
        StorageError: the database was made by a newer Candor.
    """
    with engine.begin() as connection:
        _refuse_newer(connection)
        config = _alembic()
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def check_version(engine: Engine) -> None:
    """Whether this program fits the database.

    Raises:
        StorageError: empty, older, or made by a newer Candor; says what to do.
        StorageAway: the database does not answer.
    """
    try:
        with engine.connect().execution_options(**READ_ONLY) as connection:
            current = _refuse_newer(connection)
    except DBAPIError as error:
        raise storage_error(error) from error
    if current is None:
        raise StorageError("the database is empty", remedy="make a home with `candor init`")
    head = ScriptDirectory.from_config(_alembic()).get_current_head()
    if current != head:
        raise StorageError(
            f"the database has the older schema {current}", remedy="run `candor db upgrade`"
        )


def _refuse_newer(connection: Connection) -> str | None:
    current = MigrationContext.configure(connection).get_current_revision()
    known = {script.revision for script in ScriptDirectory.from_config(_alembic()).walk_revisions()}
    if current is not None and current not in known:
        raise StorageError(
            f"the database was made by a newer Candor (schema {current})",
            remedy="upgrade this program; it will not touch what it does not know",
        )
    return current


def _alembic() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.set_main_option("path_separator", "os")
    return config


def storage_error(error: DBAPIError) -> StorageError:
    """The driver's error as ours: busy or gone is :class:`StorageAway`, which may be retried."""
    text = str(error.orig).lower()
    away = ("locked", "busy", "connection", "timeout", "starting up", "shutting down")
    if error.connection_invalidated or any(word in text for word in away):
        return StorageAway("the database does not answer", remedy="try again in a moment")
    return StorageError(f"the database refused: {type(error.orig).__name__}")
