# SPDX-License-Identifier: GPL-3.0-or-later
"""Import of contacts with every check and sealing, beside ``sqlite3 .import`` of the same file."""

from __future__ import annotations

import csv
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

from storage.contact_rows import COLUMNS
from tests.bench.figures import Figure, Sizes, timed
from tests.databases import SqliteDatabases
from tests.storage_home import build, row

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
print(result.accepted, seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
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
    command = [sys.executable, "-c", _IMPORT, str(folder / "home"), str(path)]
    ran = subprocess.run(command, check=True, capture_output=True, text=True)
    accepted, seconds, rss = ran.stdout.split()
    assert int(accepted) == sizes.people
    return [
        Figure(
            "import, checked and sealed",
            sizes.people / float(seconds),
            "rows/s",
            sizes.people,
            plain,
        ),
        Figure("import, most memory", float(rss), "MB RSS", sizes.people),
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
