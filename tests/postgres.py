# SPDX-License-Identifier: GPL-3.0-or-later
"""A real PostgreSQL for tests, without root, TCP or a network.

What is installed is used (``/usr/lib/postgresql/*/bin``, then PATH), else the wheel
``pgserver``, of which only the programs are used. ``initdb`` refuses to run as root, so
root starts the server as ``nobody``. The server ends with the process that started it,
also when that is killed.
"""

from __future__ import annotations

import os
import pwd
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

OLDEST = 15
_SUPERUSER = "candor"
# Data files are as durable as the test needs; a test run's own are thrown away.
_FAST = ("fsync=off", "synchronous_commit=off", "full_page_writes=off")
# The server is stopped as soon as nobody holds the other end of standard input.
_GUARD = '"$@" & server=$!; read -r signal; kill -s "${signal:-INT}" "$server"; wait "$server"'


class PostgresServer:
    """One server in a folder of its own, reached by a Unix socket.

    ``durable`` keeps fsync on, for tests of what a stop or crash leaves.
    """

    def __init__(self, *, durable: bool = False) -> None:
        self._durable = durable
        # Not pytest's folder: a socket's path has 107 bytes, and nobody must get in.
        self._folder = Path(tempfile.mkdtemp(prefix="pg-", dir="/tmp"))
        self._owner = _owner()
        if self._owner is not None:
            os.chown(self._folder, self._owner.pw_uid, self._owner.pw_gid)
        self._bin = self._usable(programs())
        self._guard: subprocess.Popen[bytes] | None = None
        self._run("initdb", "-D", "data", "-U", _SUPERUSER, "--auth=trust", "--encoding=UTF8",
                  "--locale=C", "--no-sync", "--no-instructions")  # fmt: skip

    def start(self) -> None:
        """Start, and wait until it answers."""
        settings = ["listen_addresses=", f"unix_socket_directories={self._folder}"]
        settings += ["max_connections=150", "shared_buffers=64MB", "log_statement=none"]
        settings += () if self._durable else _FAST
        command = [str(self._bin / "postgres"), "-D", "data"]
        command += [part for setting in settings for part in ("-c", setting)]
        with (self._folder / "log").open("ab") as log:
            self._guard = subprocess.Popen(
                ["/bin/sh", "-c", _GUARD, "guard", *command],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                **self._as_owner(),
            )
        deadline = time.monotonic() + 30
        while True:
            try:
                psycopg.connect(self._conninfo("postgres")).close()
                return
            except psycopg.OperationalError:
                if self._guard.poll() is not None or time.monotonic() > deadline:
                    text = (self._folder / "log").read_text("utf-8", "replace")
                    raise RuntimeError(f"PostgreSQL does not start:\n{text[-2000:]}") from None
                time.sleep(0.02)

    def stop(self, how: str = "INT") -> None:
        """``INT``: at once, rolling back what is open. ``QUIT``: as a crash, recovery follows."""
        if self._guard is not None:
            self._guard.communicate(f"{how}\n".encode(), timeout=30)
            self._guard = None

    def signal(self, number: signal.Signals) -> None:
        """Send the server and all its processes a signal: SIGSTOP makes it hang."""
        postmaster = int((self._folder / "data" / "postmaster.pid").read_text().split()[0])
        listed = subprocess.run(
            ["ps", "-o", "pid=", "--ppid", str(postmaster)], capture_output=True, check=True
        )
        for pid in [postmaster, *map(int, listed.stdout.split())]:
            os.kill(pid, number)

    def remove(self) -> None:
        self.stop()
        shutil.rmtree(self._folder, ignore_errors=True)

    # ------------------------------------------------------------ databases

    def url(self, database: str) -> str:
        return f"postgresql+psycopg://{_SUPERUSER}@/{database}?host={self._folder}"

    def create(self, database: str, template: str = "template0") -> str:
        """Make a database, as a copy of ``template`` if named; returns its URL."""
        with self._admin() as connection:
            connection.execute(
                sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY file_copy").format(
                    sql.Identifier(database), sql.Identifier(template)
                )
            )
        return self.url(database)

    def drop(self, database: str) -> None:
        with self._admin() as connection:
            connection.execute(
                sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(database))
            )

    def files(self, database: str) -> list[Path]:
        """The files of one database, with everything written out to them."""
        with self._admin() as connection:
            connection.execute("CHECKPOINT")
            found = connection.execute(
                "SELECT oid FROM pg_database WHERE datname = %s", (database,)
            ).fetchone()
        assert found is not None
        return sorted((self._folder / "data" / "base" / str(found[0])).iterdir())

    def _admin(self) -> psycopg.Connection[Any]:
        return psycopg.connect(self._conninfo("postgres"), autocommit=True)

    def _conninfo(self, database: str) -> str:
        return psycopg.conninfo.make_conninfo(
            host=str(self._folder), user=_SUPERUSER, dbname=database
        )

    # ------------------------------------------------------------ programs

    def _run(self, program: str, *arguments: str) -> None:
        done = subprocess.run(
            [str(self._bin / program), *arguments], capture_output=True, **self._as_owner()
        )
        if done.returncode:
            raise RuntimeError(f"{program} failed: {done.stderr.decode(errors='replace')}")

    def _as_owner(self) -> dict[str, Any]:
        environment = {"PATH": os.environ.get("PATH", ""), "LC_ALL": "C", "TZ": "UTC"}
        at_home: dict[str, Any] = {"cwd": self._folder, "env": environment}
        if self._owner is None:
            return at_home
        return at_home | {
            "user": self._owner.pw_uid,
            "group": self._owner.pw_gid,
            "extra_groups": [],
        }

    def _usable(self, folder: Path) -> Path:
        """``folder``, or a copy where the server's user may read it (a checkout below /root)."""
        try:
            subprocess.run(
                [folder / "postgres", "--version"],
                capture_output=True,
                check=True,
                **self._as_owner(),
            )
        except PermissionError:
            copied = self._folder / "programs"
            shutil.copytree(folder.parent, copied)
            return copied / folder.name
        return folder


def programs() -> Path:
    """The folder of ``initdb`` and ``postgres``, version 15 or later."""
    looked = []
    for folder in _candidates():
        if not (folder / "initdb").is_file() or not (folder / "postgres").is_file():
            continue
        shown = subprocess.run(
            [folder / "postgres", "--version"], capture_output=True, text=True, check=True
        ).stdout
        found = re.search(r"\d+", shown)
        if found and int(found.group()) >= OLDEST:
            return folder
        looked.append(shown.strip())
    raise RuntimeError(f"no PostgreSQL {OLDEST} or later here (found: {looked}); run `make test`")


def _candidates() -> Iterator[Path]:
    installed = Path("/usr/lib/postgresql").glob("*/bin")
    yield from sorted(installed, key=lambda path: path.parent.name.zfill(4), reverse=True)
    on_path = shutil.which("postgres")
    if on_path:
        yield Path(on_path).resolve().parent
    try:
        import pgserver
    except ImportError:
        return
    yield Path(pgserver.__file__).parent / "pginstall" / "bin"


def _owner() -> pwd.struct_passwd | None:
    return pwd.getpwnam("nobody") if os.getuid() == 0 else None
