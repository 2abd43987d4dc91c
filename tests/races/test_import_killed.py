# SPDX-License-Identifier: GPL-3.0-or-later
"""An import that is killed leaves nothing, and can be run again (experiment 24)."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from sqlalchemy import text

from compliance.facts import SourceKind
from tests.storage_home import TestHome, row, write_csv

ROOT = Path(__file__).parents[2]
PEOPLE = 3_000

_IMPORT = """
import sys
from pathlib import Path
from compliance.facts import SourceKind
from storage import contacts
from tests.storage_home import open_home
contacts._AT_ONCE = 100
home = open_home(Path(sys.argv[1]))
said = set()
def tell(where):
    if where not in said:
        said.add(where)
        print(where, flush=True)
store, spooled = home.store.contacts._store, contacts._Load.spooled
def slowly(load):
    for piece in spooled(load):
        tell("writing")
        yield piece
contacts._Load.spooled = slowly
home.store.contacts.import_file(
    Path(sys.argv[2]), actor=home.actors["operator"], source=SourceKind.OWN_CRM, batch="b",
    progress=lambda done, total: tell("reading"),
)
tell("done")
sys.stdin.read()
"""


@pytest.mark.parametrize("where", ["reading", "writing"])
def test_killed_it_leaves_nothing_and_runs_again(home: TestHome, where: str) -> None:
    path = home.path / "people.csv"
    rows = [row(f"139{n:08d}") for n in range(PEOPLE)]
    rows[5]["notes"] = "=1+1"
    write_csv(path, rows)
    victim = subprocess.Popen(
        [sys.executable, "-c", _IMPORT, str(home.path), str(path)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert victim.stdout is not None
    while victim.stdout.readline().strip() != where:
        assert victim.poll() is None
    time.sleep(0.05)
    victim.send_signal(signal.SIGKILL)
    victim.communicate()

    with home.engine.connect() as connection:
        for table in ("batches", "contacts", "consents"):
            assert connection.execute(text(f"SELECT count(*) FROM {table}")).scalar() == 0
    assert not path.with_name("people.rejects.csv").exists()
    result = home.store.contacts.import_file(
        path, actor=home.actors["operator"], source=SourceKind.OWN_CRM, batch="b"
    )
    assert (result.accepted, result.rejected_rows) == (PEOPLE - 1, 1)
