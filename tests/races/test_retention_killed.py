# SPDX-License-Identifier: GPL-3.0-or-later
"""Experiment 25: destruction killed at every step, and holds that race it.

Whatever happens: nothing under its minimum or a hold is touched, no record speaks of
something that is still there, no object is without a row and no destroyed row without a
record. Run again, it ends where an undisturbed run ends.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event, text

from compliance.errors import BadInput
from compliance.facts import HomeKind, Number
from storage.holds import HoldReason
from storage.objects import FolderObjects
from storage.recordings import open_recording
from storage.store import AccessReason
from storage.terms import Terms
from tests.storage_home import RULEBOOK, TestHome

TERMS = Terms()
DAY_S = 24 * 3600.0


class Killed(BaseException):
    """As if the process had ended here."""


def call(home: TestHome, name: str, phone: str) -> str:
    """A finished, recorded call of a campaign of its own; returns the attempt."""
    claim, attempt = home.attempt(home.campaign([phone], name=name))
    home.store.mark_answered(attempt.id, home.clock.wall())
    writer = home.recorder(attempt.id)
    writer.write(bytes([0xD5]) * 9000, bytes([0x55]) * 9000)
    sealed = writer.close(True)
    home.store.finish(claim, home.record(claim, recording=sealed.id), sealed)
    return attempt.id


def prepare(home: TestHome) -> dict[str, str]:
    """Two calls that are due, one that is held, one too young; contacts and a refusal due."""
    calls = {
        name: call(home, name, phone)
        for name, phone in (
            ("due1", "13900000001"),
            ("due2", "13900000002"),
            ("held", "13900000003"),
        )
    }
    officer, now = home.actors["officer"], home.clock.wall()
    until = RULEBOOK.policy.refusal_until(now)
    number = Number("+8613900000009")
    home.store.refusals.refuse_number(officer, number, how="request", at=now, until=until)
    home.store.holds.hold_call(officer, calls["held"], HoldReason.DISPUTE)
    home.clock.advance(34 * DAY_S)  # a Monday
    calls["young"] = call(home, "young", "13900000004")
    home.clock.advance(149 * DAY_S)  # 26 May: a day after the end of the old calls' minimum
    return calls


def rows(home: TestHome, query: str) -> list[Any]:
    with home.engine.connect() as connection:
        return list(connection.execute(text(query)).all())


def parsed(value: Any) -> Any:
    return json.loads(value) if isinstance(value, str) else value


def opens(home: TestHome, attempt: str) -> bool:
    auditor = home.actors["auditor"]
    sealed = home.store.recording(auditor, attempt, AccessReason.AUDIT)
    if any(track.destroyed for track in sealed.tracks):
        return False
    callee, bot = open_recording(FolderObjects(home.path / "objects"), home.keyring, sealed)
    words = home.store.transcript(auditor, attempt, AccessReason.AUDIT)
    return callee is not None and len(bot) == 9000 and len(words) == 2


def check(home: TestHome, calls: dict[str, str]) -> None:
    """What must hold at any moment."""
    objects = FolderObjects(home.path / "objects")
    for name in ("held", "young"):
        assert opens(home, calls[name]), name
    tracks = rows(home, "SELECT attempt, object, destroyed FROM recording_tracks")
    keys = {r.attempt for r in rows(home, "SELECT attempt FROM call_keys")}
    contacts = {r.id for r in rows(home, "SELECT id FROM contacts")}
    records = rows(home, "SELECT id, attempt, objects, contacts FROM destructions")
    entries = [
        parsed(bytes(r.body).decode())["body"]["record"]
        for r in rows(home, "SELECT body FROM ledger_outbox WHERE kind = 'destruction.record'")
    ]
    assert sorted(entries) == sorted(r.id for r in records)  # no record without its entry
    certified = {r.attempt for r in records if r.attempt}
    for record in records:
        for name, _ in parsed(record.objects):
            assert not objects.exists(name)
        assert not contacts.intersection(parsed(record.contacts))
    for track in tracks:
        assert bool(track.destroyed) == (track.attempt in certified)
    assert not certified & keys
    assert not certified & {calls["held"], calls["young"]}
    assert set(objects.names()) <= {t.object for t in tracks}
    each = Counter(r.attempt for r in records if r.attempt)
    each.update(contact for r in records for contact in parsed(r.contacts))
    assert set(each.values()) <= {1}  # nothing is destroyed twice


def run(home: TestHome, step: Callable[[str], None] = lambda _: None) -> None:
    objects = FolderObjects(home.path / "objects")
    home.store.retention.run(TERMS, objects, actor=home.actors["officer"], step=step)


def final(home: TestHome, calls: dict[str, str]) -> None:
    check(home, calls)
    certified = {r.attempt for r in rows(home, "SELECT attempt FROM destructions")}
    assert {calls["due1"], calls["due2"]} <= certified
    assert len(list(FolderObjects(home.path / "objects").names())) == 4
    assert rows(home, "SELECT count(*) FROM shreddings")[0][0] == 0
    assert rows(home, "SELECT count(*) FROM refusals")[0][0] == 0
    left = {
        r.name for r in rows(home, "SELECT b.name FROM contacts c JOIN batches b ON b.id = c.batch")
    }
    assert left == {"held-batch"}  # young's campaign ended 60 days ago


def boundaries(home: TestHome, at: int | None) -> list[str]:
    """Run once; killed at the ``at``-th boundary: before each commit, and at each step."""
    passed: list[str] = []

    def reached(name: str) -> None:
        passed.append(name)
        if at is not None and len(passed) == at + 1:
            raise Killed(name)

    def before_commit(_connection: object) -> None:
        reached("commit")

    event.listen(home.engine, "commit", before_commit)
    try:
        run(home, reached)
    finally:
        event.remove(home.engine, "commit", before_commit)
    return passed


def test_killed_at_every_boundary_and_run_again(
    home_of: Callable[..., TestHome],
) -> None:
    """One home: killed at the first boundary, the second … each run a little further."""
    home = home_of(HomeKind.PRODUCTION)
    calls = prepare(home)
    at = 0
    while True:
        try:
            boundaries(home, at)
        except Killed:
            check(home, calls)
            at += 1
        else:
            break
    assert at > 5
    final(home, calls)


def test_killed_at_each_boundary_of_a_whole_run(home_of: Callable[..., TestHome]) -> None:
    """A fresh home for each boundary of an undisturbed run."""
    home = home_of(HomeKind.PRODUCTION)
    calls = prepare(home)
    names = boundaries(home, None)
    final(home, calls)
    assert len(names) > 20
    if home.engine.dialect.name != "sqlite":
        return  # the same boundaries; the other test goes through them on this database
    for at in range(len(names)):
        home = home_of(HomeKind.PRODUCTION)
        calls = prepare(home)
        with pytest.raises(Killed):
            boundaries(home, at)
        check(home, calls)
        run(home)
        final(home, calls)


KILL = """
import os, sys
from pathlib import Path
from datetime import datetime
from compliance.clock import VirtualClock
from storage.database import make_engine
from storage.keys import FileKeyring
from storage.objects import FolderObjects
from storage.store import Store
from storage.terms import Terms
home, url, now, at = Path(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4])
clock = VirtualClock(datetime.fromisoformat(now))
store = Store(make_engine(url), FileKeyring.open(home / "keys.json"), node="node1", clock=clock)
passed = 0
def step(name):
    global passed
    passed += 1
    if passed == at:
        os.kill(os.getpid(), 9)
store.retention.run(Terms(), FolderObjects(home / "objects"), step=step)
"""


@pytest.mark.parametrize("at", [1, 2, 4, 6, 8, 10, 14, 18])
def test_killed_by_signal_nine(home: TestHome, at: int) -> None:
    calls = prepare(home)
    home.store.people.issue_session(home.actors["officer"], timedelta(hours=1))  # somebody is here
    url = home.engine.url.render_as_string(hide_password=False)
    ran = subprocess.run(
        [sys.executable, "-c", KILL, str(home.path), url, home.clock.wall().isoformat(), str(at)],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
        env=dict(os.environ),
    )
    assert ran.returncode == -signal.SIGKILL, ran.stderr
    check(home, calls)
    run(home)
    final(home, calls)


def test_a_hold_wins_or_comes_too_late(home: TestHome) -> None:
    attempts = [call(home, f"c{n}", f"139000001{n:02d}") for n in range(10)]
    home.clock.advance(220 * DAY_S)
    officer = home.actors["officer"]
    held: set[str] = set()
    late: set[str] = set()
    start = threading.Barrier(2)

    def hold() -> None:
        start.wait()
        for attempt in reversed(attempts):
            try:
                home.store.holds.hold_call(officer, attempt, HoldReason.LAWSUIT)
                held.add(attempt)
            except BadInput:
                late.add(attempt)

    holder = threading.Thread(target=hold)
    holder.start()
    start.wait()
    run(home)
    holder.join()
    assert held | late == set(attempts)
    assert {a for a in attempts if opens(home, a)} == held
    certified = {r.attempt for r in rows(home, "SELECT attempt FROM destructions") if r.attempt}
    assert certified == late


def test_two_runs_at_once_destroy_once(home: TestHome) -> None:
    calls = prepare(home)
    failures: list[BaseException] = []
    start = threading.Barrier(2)

    def one() -> None:
        start.wait()
        try:
            run(home)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=one) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    final(home, calls)


def test_a_disk_that_fails_in_mid_deletion(home: TestHome, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = prepare(home)
    real, failed = os.unlink, 0

    def unlink(path: Any, *more: Any, **named: Any) -> None:
        nonlocal failed
        failed += 1
        if failed == 2:
            raise OSError(5, os.strerror(5))
        real(path, *more, **named)

    with monkeypatch.context() as broken:
        broken.setattr(os, "unlink", unlink)
        done = home.store.retention.run(
            TERMS, FolderObjects(home.path / "objects"), actor=home.actors["officer"]
        )
    assert done.waiting == 1
    check(home, calls)
    run(home)
    final(home, calls)
