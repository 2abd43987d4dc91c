# SPDX-License-Identifier: GPL-3.0-or-later
"""An import that is killed leaves nothing to be seen, and can be run again (experiment 24)."""

from __future__ import annotations

import functools
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from compliance.errors import BadInput, StorageError
from compliance.facts import SourceKind
from storage import contact_process, contacts, staging
from storage.contact_pieces import Order, Piece
from storage.contacts import ImportResult
from storage.staging import Staging
from tests.storage_home import TestHome, row, write_csv

ROOT = Path(__file__).parents[2]
PIECE = 100
PEOPLE = 3 * PIECE + 50
LONG = 4_000  # whose pieces do not all fit into a pipe

_IMPORT = """
import sys
from pathlib import Path
from compliance.facts import SourceKind
from functools import partial
from storage import contact_process, contacts
from storage.staging import Staging
from tests.storage_home import open_home
contact_process.LARGE_BYTES = int(sys.argv[4])
contacts.Order = partial(contacts.Order, piece=100)
where = sys.argv[3]
def stop(*_):
    print("here", flush=True)
    sys.stdin.read()
if where == "published":
    Staging.publish = stop
elif where == "stored":
    add = Staging.add
    def slowly(self, piece):
        add(self, piece)
        if self.contacts >= 300:  # two pieces are stored, a third one waits
            stop()
    Staging.add = slowly
home = open_home(Path(sys.argv[1]))
home.store.contacts.import_file(
    Path(sys.argv[2]), actor=home.actors["operator"], source=SourceKind.OWN_CRM, batch="b",
    progress=stop if where == "read" else lambda done, total: None,
)
"""


def people(home: TestHome, count: int = PEOPLE) -> Path:
    path = home.path / "people.csv"
    rows = [row(f"139{n:08d}") for n in range(count)]
    rows[5]["notes"] = "=1+1"
    rows[7]["phone"] = rows[8]["phone"]
    write_csv(path, rows)
    return path


def bring_in(home: TestHome, path: Path, **options: Any) -> ImportResult:
    return home.store.contacts.import_file(
        path, actor=home.actors["operator"], source=SourceKind.OWN_CRM, batch="b", **options
    )


def count(home: TestHome, what: str) -> int:
    with home.engine.connect() as connection:
        return connection.execute(text(f"SELECT count(*) FROM {what}")).scalar() or 0


def left(home: TestHome) -> list[int]:
    return [count(home, table) for table in ("batches", "contacts", "consents")]


def entries(home: TestHome, kind: str) -> int:
    return count(home, f"ledger_outbox WHERE kind = '{kind}'")


def readers() -> list[int]:
    """Second processes of this one."""
    own = [path.read_text() for path in Path("/proc/self/task").glob("*/children")]
    found = [int(pid) for pids in own for pid in pids.split()]
    return [p for p in found if b"contact_process" in Path(f"/proc/{p}/cmdline").read_bytes()]


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contacts, "Order", functools.partial(Order, piece=PIECE))


@pytest.fixture
def two(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small files go to a second process as well, whatever cores there are."""
    monkeypatch.setattr(contact_process, "LARGE_BYTES", 0)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1})


def after_pieces(monkeypatch: pytest.MonkeyPatch, how_many: int, act: Callable[[], object]) -> None:
    """``act`` when so many pieces came in; all but the last of them are stored then."""
    add, seen = Staging.add, []

    def counted(self: Staging, piece: Piece) -> None:
        add(self, piece)
        seen.append(piece)
        if len(seen) == how_many:
            act()

    monkeypatch.setattr(Staging, "add", counted)


@pytest.mark.parametrize(
    ("where", "large_bytes"), [("read", 0), ("stored", 1 << 60), ("published", 0)]
)
def test_killed_it_leaves_nothing_to_be_seen_and_runs_again(
    home: TestHome, where: str, large_bytes: int
) -> None:
    path = people(home)
    victim = subprocess.Popen(
        [sys.executable, "-c", _IMPORT, str(home.path), str(path), where, str(large_bytes)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert victim.stdout is not None
    assert victim.stdout.readline() == "here\n"
    victim.send_signal(signal.SIGKILL)
    victim.communicate()  # which ends only when its second process has closed the pipe

    staged = 0 if where == "read" else 2 if where == "stored" else 3
    assert left(home) == [bool(staged), staged * PIECE, staged * PIECE]
    assert count(home, "batches WHERE staged_at IS NULL") == 0
    assert not path.with_name("people.rejects.csv").exists()
    with pytest.raises(BadInput, match="no batch of this name"):
        home.campaign(batches=["b"])

    assert home.store.contacts.cut_off() == 0  # for all that is known, it still comes in
    home.clock.advance(staging.ABANDONED_AFTER.total_seconds() + 1)
    assert home.store.contacts.cut_off() == bool(staged)
    result = bring_in(home, path)
    assert (result.accepted, result.rejected_rows, result.duplicates) == (PEOPLE - 2, 1, 1)
    assert left(home) == [1, PEOPLE - 2, PEOPLE - 2]
    assert entries(home, "contacts.discard") == bool(staged)


def test_a_killed_second_process_stores_nothing(
    home: TestHome, two: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def kill() -> None:
        (reader,) = readers()
        assert left(home) == [1, PIECE, PIECE]
        os.kill(reader, signal.SIGKILL)

    path = people(home, LONG)
    with monkeypatch.context() as patched:
        after_pieces(patched, 2, kill)
        with pytest.raises(StorageError, match="was ended; nothing was stored"):
            bring_in(home, path)
    assert left(home) == [0, 0, 0]
    assert [entries(home, f"contacts.{kind}") for kind in ("stage", "discard", "import")] == [
        1,
        1,
        0,
    ]
    assert not path.with_name("people.rejects.csv").exists()
    assert bring_in(home, path).accepted == LONG - 2
    assert readers() == []


def test_control_c_stores_nothing(
    home: TestHome, two: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt() -> None:
        assert left(home)[1] == PIECE
        signal.raise_signal(signal.SIGINT)

    path = people(home)
    after_pieces(monkeypatch, 2, interrupt)
    with pytest.raises(KeyboardInterrupt):
        bring_in(home, path)
    assert left(home) == [0, 0, 0]
    assert readers() == []


def test_one_that_stood_still_and_was_cleared_away_is_told_so(
    home: TestHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a process that was stopped and goes on: it must not publish half of a batch."""

    def stand_still() -> None:
        home.clock.advance(staging.ABANDONED_AFTER.total_seconds() + 1)
        assert staging.clear_abandoned(home.store.contacts._context) == PIECE

    after_pieces(monkeypatch, 2, stand_still)
    with pytest.raises(StorageError, match="given up; nothing was stored"):
        bring_in(home, people(home))
    assert left(home) == [0, 0, 0]


def test_while_it_comes_in_nothing_of_it_counts(
    home: TestHome, two: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No campaign may have it, nor do its consents count for the same people in another."""
    empty = {name: "" for name in row("1") if name.startswith("consent_")}
    home.contacts(["13900000001", "13900000002"], "before", **empty)
    campaign = home.campaign(batches=["before"])
    seen = []

    def look() -> None:
        assert left(home)[1] == 2 + 3 * PIECE  # the last few wait
        assert staging.clear_abandoned(home.store.contacts._context) == 0
        with pytest.raises(BadInput, match="no batch of this name"):
            home.campaign(name="c2", batches=["b"])
        seen.append(home.claim(campaign).request.consents)

    path = people(home)
    after_pieces(monkeypatch, 4, look)
    bring_in(home, path)
    assert seen == [()]
    assert len(home.claim(campaign).request.consents) == 1
