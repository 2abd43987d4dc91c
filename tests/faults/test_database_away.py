# SPDX-License-Identifier: GPL-3.0-or-later
"""Experiment 7: the database is away in mid-call. Live calls end as ever, none is placed.

What the callee said is on this machine's disk, and in the database when it is back.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import signal
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from compliance.errors import StorageAway
from storage.call_journal import Waiting, waiting
from storage.objects import FolderObjects
from storage.recordings import open_recording
from storage.store import AccessReason
from tests.homes import Run, demo_run
from tests.postgres import PostgresServer


@pytest.fixture
def server() -> Iterator[PostgresServer]:
    """A PostgreSQL of this test's own: others must not feel that it is away."""
    server = PostgresServer(durable=True)
    try:
        server.start()
        yield server
    finally:
        server.remove()


async def _event(it: Run, event: str, number: int) -> str:
    """The attempt of the event of this name and number, which is waited for."""
    async with asyncio.timeout(40):
        while True:
            found = [facts for name, facts in it.events if name == event]
            if len(found) >= number:
                return str(found[number - 1].get("attempt", ""))
            await asyncio.sleep(0.05)


async def _refusal_waits(it: Run) -> None:
    async with asyncio.timeout(20):
        while not waiting(it.it.home.journal).refusals:
            await asyncio.sleep(0.05)


async def _hangs(it: Run, server: PostgresServer) -> str:
    """In the first call the database hangs; the call ends as if it did not."""
    attempt = await _event(it, "answered", 1)
    await asyncio.sleep(0.5)
    server.signal(signal.SIGSTOP)  # worse than gone: whoever asks it waits for ever
    try:
        await _refusal_waits(it)
        ended = await it.until("ended")
        assert (ended["outcome"], ended["refused"], ended["leaf"]) == ("refused", True, "")
        assert (await it.until("held"))["why"] == "storage"
        await asyncio.sleep(1)
        (record,) = it.records()  # nobody else was called
        assert record["bye_by"] == "bot"
        assert record["bye_after_refusal_ms"] <= 2000
    finally:
        server.signal(signal.SIGCONT)
    return attempt


async def _killed(it: Run, server: PostgresServer, number: int) -> str:
    """In this call the database goes, and the process that heard the refusal is killed."""
    attempt = await _event(it, "answered", number)
    await asyncio.sleep(0.5)
    server.stop()
    await _refusal_waits(it)
    assert it.supervisor is not None
    os.kill(it.supervisor.pids["worker1"], signal.SIGKILL)
    await it.until("worker_died")
    return attempt


async def _away_twice(folder: Path, voices: Path, server: PostgresServer) -> None:
    # Both 103 press 1 four seconds after the answer; 104 is busy.
    url = server.create(f"c{secrets.token_hex(4)}")
    endings = ["103", "1103", "104"]
    async with demo_run(folder, endings, voices=voices, max_calls=1, database=url) as it:
        dialing = asyncio.create_task(it.dial())
        first = await _hangs(it, server)
        second = await _killed(it, server, 2)
        await asyncio.sleep(1)
        assert len(it.records()) == 2
        assert waiting(it.it.home.journal).refusals == 1
        server.start()
        await asyncio.wait_for(dialing, 60)
        assert waiting(it.it.home.journal) == Waiting()
        _everything_is_there(it, first, second)


def _everything_is_there(it: Run, first: str, second: str) -> None:
    assert it.outcomes() == {"103": "refused", "104": "busy"}
    numbers = [record["number"] for record in it.records()]
    assert len(numbers) == len(set(numbers)) == 3  # nobody was redialed
    assert not it.it.store.unsealed_recordings()
    for attempt in (first, second):
        assert it.it.store.call(attempt).outcome == "refused"
        sealed = it.it.store.recording(it.staff.auditor, attempt, AccessReason.AUDIT)
        _, bot = open_recording(FolderObjects(it.it.home.objects), it.it.keyring, sealed)
        assert np.abs(bot.astype(np.int32)).max() > 2000
    of_first, of_second = (
        [entry.kind for entry in it.it.store.journal.entries(attempt)]
        for attempt in (first, second)
    )
    for kinds in (of_first, of_second):
        assert kinds.count("refusal.record") == kinds.count("attempt.answer") == 1
    assert "call.finish" in of_first
    assert "attempt.settle" not in of_first
    assert of_second.index("refusal.record") < of_second.index("attempt.settle")
    with it.it.engine.connect() as connection:
        written = connection.exec_driver_sql("SELECT kind FROM ledger_outbox ORDER BY id")
        kinds = [str(kind) for (kind,) in written]
    allowed = [place for place, kind in enumerate(kinds) if kind == "attempt.authorise"]
    assert kinds.index("call.finish") < allowed[1]  # what the first call left came before
    assert kinds.index("attempt.settle") < allowed[2]


async def _next_start(folder: Path, voices: Path, server: PostgresServer) -> None:
    url = server.create(f"c{secrets.token_hex(4)}")
    async with demo_run(folder, ["103"], voices=voices, database=url) as it:
        dialing = asyncio.create_task(it.dial())
        attempt = await _killed(it, server, 1)
        dialing.cancel()  # at once, as by a second Ctrl-C
        with contextlib.suppress(asyncio.CancelledError, StorageAway):
            await dialing
        server.start()
        assert it.it.store.call(attempt).outcome is None
        assert waiting(it.it.home.journal).refusals == 1
        await asyncio.wait_for(it.dial(), 60)
        assert waiting(it.it.home.journal) == Waiting()
        assert it.outcomes() == {"103": "refused"}
        assert len(it.records()) == 1
        kinds = [entry.kind for entry in it.it.store.journal.entries(attempt)]
        assert kinds.index("refusal.record") < kinds.index("attempt.settle")


def test_the_next_start_finds_what_a_killed_process_heard(
    tmp_path: Path, voices: Path, server: PostgresServer
) -> None:
    asyncio.run(_next_start(tmp_path, voices, server))


def test_a_database_that_hangs_and_one_that_is_gone_when_the_process_is_killed(
    tmp_path: Path, voices: Path, server: PostgresServer
) -> None:
    asyncio.run(_away_twice(tmp_path, voices, server))
