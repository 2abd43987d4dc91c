# SPDX-License-Identifier: GPL-3.0-or-later
"""Opens the database: SQLite (default, one machine) or PostgreSQL, by one URL.

SQLite transactions are begun explicitly: ``BEGIN IMMEDIATE`` unless the
connection carries :data:`READ_ONLY`, so that a transaction that will write
waits for the lock before it reads and never has to be told "busy" half-way.
On PostgreSQL transactions are READ COMMITTED and lock what they decide on, in
one order (docs/decisions/0011-postgresql.md).
"""

from __future__ import annotations

import ipaddress
import os
import stat
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import URL, Connection, Engine, create_engine, event, func, make_url, select
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.exc import ArgumentError, DBAPIError

from compliance.clock import Clock
from compliance.errors import ConfigError, StorageAway, StorageError
from storage.dialects import Guarded, lock

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
_TLS_MODES = frozenset({"verify-ca", "verify-full"})  # others believe any server's certificate
_SOCKETS = ("/var/run/postgresql", "/tmp")  # where servers put them: Debian, PostgreSQL itself
_OLDEST_SERVER = 15
# What a node that hangs may hold up the others for, and how soon a dead network is noticed.
_SESSION = {
    "lock_timeout": f"{BUSY_TIMEOUT_MS}ms",
    "idle_in_transaction_session_timeout": "60s",
    "TimeZone": "UTC",
}
_CONNECTION = {
    "connect_timeout": 10,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
    "application_name": "candor",
}


def make_engine(url: str) -> Engine:
    """An engine whose connections are set up for durability; nothing is connected yet.

    SQLite: WAL, ``synchronous=FULL``, foreign keys, busy timeout 30 s, file mode
    0600, refused on a network file system (its locks do not hold). PostgreSQL:
    verified TLS off loopback (D7), version 15 or later, commits that wait for the disk.

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
            "cache_size=-32768",  # KiB, taken as needed: an import touches six indexes
            "foreign_keys=ON",
            "recursive_triggers=ON",  # REPLACE must not slip past a DELETE trigger
            "secure_delete=ON",  # what was destroyed is overwritten, not only unlinked (D14)
        ):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        read_only = connection.get_execution_options().get("candor_read_only", False)
        connection.exec_driver_sql("BEGIN" if read_only else "BEGIN IMMEDIATE")

    return engine


def _postgresql(url: URL) -> Engine:
    url = url.set(drivername="postgresql+psycopg")
    if "service" in url.query:
        raise ConfigError(
            "a service name hides which server is meant",
            field="storage.url",
            remedy="write host and database into the URL",
        )
    hosts = _hosts(url)
    if not hosts:  # libpq would ask the environment
        socket = next((path for path in _SOCKETS if Path(path).is_dir()), _SOCKETS[0])
        url, hosts = url.update_query_dict({"host": socket}), [socket]
    if not all(map(is_local, hosts)) and url.query.get("sslmode") not in _TLS_MODES:
        raise ConfigError(
            "PostgreSQL on another machine is refused without TLS that verifies the server (D7)",
            field="storage.url",
            remedy="add ?sslmode=verify-full&sslrootcert=FILE (or system) to the URL",
        )
    try:
        engine = create_engine(
            url,
            hide_parameters=True,
            isolation_level="READ COMMITTED",
            pool_pre_ping=True,
            pool_size=8,
            max_overflow=24,
            connect_args={key: value for key, value in _CONNECTION.items() if key not in url.query},
        )
    except ImportError:
        raise ConfigError(
            "the PostgreSQL driver is not installed",
            field="storage.url",
            remedy="pip install 'psycopg[binary]'",
        ) from None
    event.listen(engine, "connect", _settle_connection)
    event.listen(engine, "handle_error", _without_detail)
    return engine


def _without_detail(context: ExceptionContext) -> None:
    """PostgreSQL quotes the rejected row in an error's DETAIL: personal data, so it goes."""
    told, shown = context.original_exception, context.sqlalchemy_exception
    primary = getattr(getattr(told, "diag", None), "message_primary", None)
    if primary:
        told.args = (primary,)
        if shown is not None:
            shown.args = (f"({type(told).__module__}.{type(told).__qualname__}) {primary}",)


def _hosts(url: URL) -> list[str]:
    """Everything the URL would connect to; an address wins over a name in libpq."""
    named: list[str] = []
    for part in (url.host or "", url.query.get("host", ""), url.query.get("hostaddr", "")):
        for item in (part,) if isinstance(part, str) else part:
            named += [host for host in item.split(",") if host]
    return named


def is_local(host: str) -> bool:
    if host == "localhost" or host.startswith(("/", "@")):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _settle_connection(connection: Any, _record: object) -> None:
    """Hold a fresh PostgreSQL connection to what its URL promised, and make its commits durable.

    The environment may have sent it elsewhere (PGHOSTADDR); a server may answer commits
    before they are on disk.
    """
    info, pq = connection.info, connection.pgconn
    where = info.hostaddr or info.host
    if not is_local(where) and not pq.ssl_in_use:
        connection.close()
        raise ConfigError(
            "this connection left the machine without TLS (D7)",
            field="storage.url",
            remedy="name the host in the URL, with sslmode=verify-full; unset PGHOSTADDR",
        )
    if info.server_version < _OLDEST_SERVER * 10_000:
        connection.close()
        raise ConfigError(
            f"PostgreSQL {info.server_version // 10_000} is too old",
            field="storage.url",
            remedy=f"use PostgreSQL {_OLDEST_SERVER} or later",
        )
    autocommit, connection.autocommit = connection.autocommit, True
    with connection.cursor() as cursor:
        for name, value in _SESSION.items():
            cursor.execute("SELECT set_config(%s, %s, false)", (name, value))
        cursor.execute(
            "SELECT set_config('synchronous_commit', 'on', false)"
            " WHERE current_setting('synchronous_commit') = 'off'"
        )
    connection.autocommit = autocommit


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


# ---------------------------------------------------------------- clocks


SKEW_WARNS_S, SKEW_STOPS_S = 2.0, 60.0


def server_clock_skew(engine: Engine, clock: Clock) -> float:
    """Seconds the database server's clock is ahead of ours, to half a round trip.

    Beyond ``SKEW_WARNS_S`` nothing is dialed (rule ``clock_adrift``, which measures again in
    each claim), beyond ``SKEW_STOPS_S`` nothing is destroyed. SQLite has no clock of its own:
    0.0.

    Raises:
        StorageAway: the database does not answer.
    """
    if engine.dialect.name == "sqlite":
        return 0.0
    try:
        with engine.connect().execution_options(**READ_ONLY) as connection:
            samples = []
            for _ in range(3):  # the quickest answer was held up least
                before, began = clock.wall(), clock.monotonic()
                server = connection.execute(select(func.clock_timestamp())).scalar_one()
                took = clock.monotonic() - began
                samples.append((took, (server - before).total_seconds() - took / 2))
    except DBAPIError as error:
        raise storage_error(error) from error
    return float(min(samples)[1])


# ---------------------------------------------------------------- versions


def upgrade(
    engine: Engine, note: Callable[[Connection, str, str], None] | None = None
) -> tuple[str, str]:
    """Bring the schema to this program's version; a current one is left alone.

    Returns the schemas before (empty: none) and after. ``note`` writes a change down, in its
    own transaction.

    Raises:
        StorageError: the database was made by a newer Candor.
    """
    with engine.begin() as connection:
        lock(connection, Guarded.UPGRADE)
        was = _refuse_newer(connection) or ""
        config = _alembic()
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
        now = _head()
        if note is not None and was != now:
            note(connection, was, now)
    return was, now


def schemas(engine: Engine) -> tuple[str, str]:
    """The schema of the database (empty: none), and the one this program works with.

    Raises:
        StorageError: the database was made by a newer Candor. StorageAway: it does not answer.
    """
    try:
        with engine.connect().execution_options(**READ_ONLY) as connection:
            return _refuse_newer(connection) or "", _head()
    except DBAPIError as error:
        raise storage_error(error) from error


def check_version(engine: Engine) -> None:
    """Whether this program fits the database.

    Raises:
        StorageError: empty, older, or made by a newer Candor; says what to do.
        StorageAway: the database does not answer.
    """
    current, head = schemas(engine)
    if not current:
        raise StorageError("the database is empty", remedy="make a home with `candor init`")
    if current != head:
        raise StorageError(
            f"the database has the older schema {current}", remedy="run `candor db upgrade`"
        )


def _head() -> str:
    return ScriptDirectory.from_config(_alembic()).get_current_head() or ""


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
    state = getattr(error.orig, "sqlstate", None) or ""
    told = str(error.orig)
    if (
        error.connection_invalidated
        or state[:2] in _AWAY_CLASSES
        or state in _AWAY_STATES
        or (not state and any(word in told.lower() for word in _AWAY_WORDS))
    ):
        detail = "the database does not answer"
        if error.statement is None and told:  # never reached: host, password, certificate
            detail += f" ({told.splitlines()[0].strip()})"
        return StorageAway(detail, remedy="try again in a moment")
    return StorageError(f"the database refused: {type(error.orig).__name__}")


# SQLSTATE: connection exception; transaction rollback (deadlock); operator intervention
# (shut down, starting up). Too many connections, lock and idle time-outs.
_AWAY_CLASSES = frozenset({"08", "40", "57"})
_AWAY_STATES = frozenset({"53300", "55P03", "25P03"})
# SQLite has no SQLSTATE, nor has a connection that was never made.
_AWAY_WORDS = ("locked", "busy", "connection", "timeout", "starting up", "shutting down")
