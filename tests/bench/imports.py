# SPDX-License-Identifier: GPL-3.0-or-later
"""Import of contacts with every check and sealing, beside ``sqlite3 .import`` of the same file."""

from __future__ import annotations

import csv
import shutil
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

from sqlalchemy.orm import Session

from storage import ledger
from storage.contact_rows import COLUMNS
from tests.bench.figures import Figure, Sizes, timed
from tests.databases import SqliteDatabases
from tests.storage_home import build, open_home, row

_WAITED_FOR = 300_000  # people
_EVERY_S = 0.02  # another writer writes

_IMPORT = """
import resource, sys, time
from pathlib import Path
from compliance.facts import SourceKind
from tests.storage_home import open_home
home = open_home(Path(sys.argv[1]))
began = time.perf_counter()
result = home.store.contacts.import_file(
    Path(sys.argv[2]), actor=home.actors["operator"], source=SourceKind.OWN_CRM, batch="b"
)
seconds = time.perf_counter() - began
both = resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN
most = sum(resource.getrusage(who).ru_maxrss for who in both)
print(result.accepted, seconds, most / 1024)
"""


def write_people(path: Path, people: int) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        out = csv.DictWriter(file, COLUMNS)
        out.writeheader()
        out.writerows(row(f"139{n:08d}") for n in range(people))


def measure(folder: Path, sizes: Sizes) -> list[Figure]:
    path = folder / "people.csv"
    write_people(path, sizes.people)
    plain = _plain_import(path, folder / "plain.db", sizes.people)
    build(folder / "home", SqliteDatabases(folder))
    with _importing(folder / "home", path) as importing:
        told, _ = importing.communicate()
    accepted, seconds, rss = told.split()
    assert int(accepted) == sizes.people
    return [
        Figure(
            "import, checked and sealed",
            sizes.people / float(seconds),
            "rows/s",
            sizes.people,
            plain,
        ),
        Figure("import, most memory of its processes together", float(rss), "MB RSS", sizes.people),
        *_waits(folder, min(sizes.people, _WAITED_FOR)),
    ]


def _importing(home: Path, path: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", _IMPORT, str(home), str(path)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def _waits(folder: Path, people: int) -> list[Figure]:
    """How long another process waits to write one entry of the ledger, as every call does."""
    path = folder / "waited-for.csv"
    write_people(path, people)
    build(folder / "busy", SqliteDatabases(folder))
    home = open_home(folder / "busy")
    waits = []
    with _importing(folder / "busy", path) as importing:
        while importing.poll() is None:
            with timed() as lap, Session(home.engine) as session, session.begin():
                entry = ledger.Entry("call.finish", "system", home.clock.wall(), {})
                ledger.append_all(session, node="node2", entries=[entry])
            waits.append(lap.seconds)
            time.sleep(_EVERY_S)
        assert importing.returncode == 0
    home.close()
    waits.sort()
    return [
        Figure("another writer during it: longest wait", waits[-1], "s", people),
        Figure(
            "another writer during it: 99 of 100 waits at most",
            waits[len(waits) * 99 // 100],
            "s",
            people,
        ),
    ]


def _plain_import(path: Path, database: Path, people: int) -> str:
    """Rows a second of the same file into one table, unchecked and in the clear."""
    with timed() as lap:
        if shutil.which("sqlite3"):
            name = "sqlite3 .import"
            script = f".mode csv\n.import {path} people\n"
            subprocess.run(["sqlite3", str(database)], input=script, text=True, check=True)
        else:
            name = "Python's csv and sqlite3"
            connection = sqlite3.connect(database)
            with path.open(encoding="utf-8", newline="") as file, connection:
                rows = csv.reader(file)
                header = next(rows)
                connection.execute(f"CREATE TABLE people ({', '.join(header)})")
                marks = ", ".join("?" * len(header))
                connection.executemany(f"INSERT INTO people VALUES ({marks})", rows)
            connection.close()
    return f"{people / lap.seconds:,.0f} rows/s {name}"
