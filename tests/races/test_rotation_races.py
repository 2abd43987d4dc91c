# SPDX-License-Identifier: GPL-3.0-or-later
"""The master key is rotated while other processes import and call; the pass is killed."""

from __future__ import annotations

import multiprocessing
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from sqlalchemy import select, text

from compliance.facts import Outcome
from storage import sealed_columns
from storage.keys import RECHECK_S
from storage.models import AttemptRow, ContactRow
from storage.objects import FolderObjects
from storage.recordings import open_recording
from storage.rotation import GRACE
from storage.store import AccessReason
from tests.storage_home import TestHome, open_home

ROOT = Path(__file__).parents[2]
WRITERS, ROTATIONS, PEOPLE = 2, 3, 4
_SOUND = bytes([0xD5]) * 9000


def write(path: str, number: int, started: Any, stop: Any, results: Any) -> None:
    """One process that imports people and calls them, with a keyring of its own."""
    home = open_home(Path(path), node=f"node{number}")
    made = 0
    try:
        started.wait(60)
        while not stop.is_set():
            phones = [f"139{number}{made:04}{n:03}" for n in range(PEOPLE)]
            name = f"w{number}-{made}"
            home.contacts(phones, name, notes=f"note {name}")
            campaign = home.campaign(name=name, batches=[name])
            while claim := home.store.claim(campaign, worker=name, now=home.clock.wall()):
                attempt = home.store.authorise(home.permit(claim), claim, home.clock.wall())
                writer = home.recorder(attempt.id)
                writer.write(_SOUND, _SOUND)
                sealed = writer.close(True)
                home.store.finish(claim, home.record(claim, recording=sealed.id), sealed)
            made += 1
        results.put((made, ""))
    except BaseException as error:
        results.put((made, f"{type(error).__name__}: {error.__cause__ or error}"))
    home.close()


def under(home: TestHome) -> set[str]:
    """The master keys that anything lies under."""
    with home.store.rotation._context.read() as session:
        return set(sealed_columns.uses(session))


def check_all(home: TestHome) -> int:
    """Every contact and every call opens; how many calls there are."""
    context, auditor = home.store.rotation._context, home.actors["auditor"]
    objects = FolderObjects(home.path / "objects")
    with context.read() as session:
        for person in session.scalars(select(ContactRow)):
            assert context.unseal(person.name_sealed, "contacts", "name", person.id) == "测试甲"
        calls = list(session.scalars(select(AttemptRow.id)))
        outcomes = set(session.scalars(select(AttemptRow.outcome)))
    assert outcomes <= {Outcome.ACCEPTED}
    for call in calls:
        assert len(home.store.transcript(auditor, call, AccessReason.AUDIT)) == 2
        sealed = home.store.recording(auditor, call, AccessReason.AUDIT)
        callee, bot = open_recording(objects, home.keyring, sealed)
        assert callee is not None
        assert len(callee) == len(bot) == len(_SOUND)
    return len(calls)


def test_rotations_while_others_write_lose_nothing(home: TestHome) -> None:
    home.campaign(name="first")
    claim, _ = home.attempt(home.store.campaigns.campaign_named("first"))
    home.store.finish(claim, home.record(claim), None)
    with home.engine.begin() as connection:  # its call has no recording to look at later
        connection.execute(text("DELETE FROM call_keys"))
        connection.execute(text("DELETE FROM attempts"))
    context = multiprocessing.get_context("spawn")
    started, stop, results = context.Barrier(WRITERS + 1), context.Event(), context.Queue()
    processes = [
        context.Process(target=write, args=(str(home.path), n, started, stop, results))
        for n in range(WRITERS)
    ]
    for process in processes:
        process.start()
    admin, rotation = home.actors["admin"], home.store.rotation
    moved = 0
    started.wait(60)
    try:
        for _ in range(ROTATIONS):
            old = home.keyring.key_id()
            rotation.begin(admin)
            time.sleep(RECHECK_S + 0.3)  # what GRACE stands for: others have heard of it
            done = rotation.reseal(admin)
            assert (done.remaining, done.damaged) == (0, ())
            moved += done.rows
            home.clock.advance(GRACE.total_seconds())
            rotation.retire(admin, old)
    finally:
        stop.set()
        reports = [results.get(timeout=60) for _ in processes]
        for process in processes:
            process.join(30)
    assert [error for _, error in reports if error] == []
    assert all(made > ROTATIONS for made, _ in reports)
    assert moved > 0
    assert under(home) == {home.keyring.key_id()}
    assert check_all(home) == PEOPLE * sum(made for made, _ in reports)


_RESEAL = """
import sys
from pathlib import Path
from storage import rotation
from tests.storage_home import open_home
rotation.AT_ONCE = 1
home = open_home(Path(sys.argv[1]))
done = home.store.rotation.reseal(home.actors["admin"])
print(done.remaining)
"""


def test_a_pass_that_is_killed_over_and_over_comes_to_its_end(home: TestHome) -> None:
    home.contacts([f"1390000{n:04}" for n in range(60)], "people")
    home.campaign(batches=["people"])
    old = home.keyring.key_id()
    new = home.store.rotation.begin(home.actors["admin"])
    command = [sys.executable, "-c", _RESEAL, str(home.path)]
    kills, before = 0, -1
    while kills < 2:
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE)
        while process.poll() is None and _entries(home) < before + 10:
            time.sleep(0.005)
        if process.poll() is not None:
            break
        process.send_signal(signal.SIGKILL)
        process.communicate()
        kills += 1
        before = _entries(home)
        assert home.store.rotation.unfinished()
    assert kills
    assert under(home) == {old, new}
    last = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    assert last.stdout.strip() == "0"
    assert under(home) == {new}
    assert not home.store.rotation.unfinished()
    assert _entries(home) == 60 + 60 + 1 + 4  # contacts, consents, the line, its papers: none twice
    assert check_all(home) == 0


def _entries(home: TestHome) -> int:
    with home.engine.connect() as connection:
        found = connection.execute(
            text("SELECT count(*) FROM ledger_outbox WHERE kind = 'keys.reseal'")
        ).scalar()
    return int(found or 0)
