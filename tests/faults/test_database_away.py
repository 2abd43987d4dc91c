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


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    """A PostgreSQL of these tests' own: others must not feel that it is away."""
    server = PostgresServer(durable=True)
    try:
        server.start()
        yield server
    finally:
        server.remove()


async def _refusal_waits(it: Run) -> None:
    async with asyncio.timeout(20):
        while not waiting(it.it.home.journal).refusals:
            await asyncio.sleep(0.05)


def _the_refusal_stands(it: Run, attempt: str) -> None:
    assert waiting(it.it.home.journal) == Waiting()
    assert it.outcomes() == {"103": "refused", "104": "busy"}
    kinds = [entry.kind for entry in it.it.store.journal.entries(attempt)]
    assert kinds.count("refusal.record") == kinds.count("attempt.answer") == 1
    numbers = [record["number"] for record in it.records()]
    assert len(numbers) == len(set(numbers)) == 2  # nobody was redialed
    assert not it.it.store.unsealed_recordings()
    sealed = it.it.store.recording(it.staff.auditor, attempt, AccessReason.AUDIT)
    _, bot = open_recording(FolderObjects(it.it.home.objects), it.it.keyring, sealed)
    assert np.abs(bot.astype(np.int32)).max() > 2000


async def _hangs(folder: Path, voices: Path, server: PostgresServer) -> None:
    # 103 presses 1 four seconds after the answer; 104 would be busy.
    url = server.create(f"c{secrets.token_hex(4)}")
    async with demo_run(folder, ["103", "104"], voices=voices, max_calls=1, database=url) as it:
        dialing = asyncio.create_task(it.dial())
        attempt = (await it.until("answered"))["attempt"]
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
        await asyncio.wait_for(dialing, 60)
        _the_refusal_stands(it, attempt)
        assert "call.finish" in [e.kind for e in it.it.store.journal.entries(attempt)]


async def _killed(folder: Path, voices: Path, server: PostgresServer) -> None:
    url = server.create(f"c{secrets.token_hex(4)}")
    async with demo_run(folder, ["103", "104"], voices=voices, max_calls=1, database=url) as it:
        dialing = asyncio.create_task(it.dial())
        attempt = (await it.until("answered"))["attempt"]
        await asyncio.sleep(0.5)
        server.stop()
        try:
            await _refusal_waits(it)
            assert it.supervisor is not None
            os.kill(it.supervisor.pids["worker1"], signal.SIGKILL)
            await it.until("worker_died")
            dialing.cancel()
            with contextlib.suppress(asyncio.CancelledError, StorageAway):
                await dialing
            assert waiting(it.it.home.journal).refusals == 1
        finally:
            server.start()
        await asyncio.wait_for(it.dial(), 60)  # the next start
        _the_refusal_stands(it, attempt)
        kinds = [entry.kind for entry in it.it.store.journal.entries(attempt)]
        assert kinds.index("refusal.record") < kinds.index("attempt.settle")


def test_a_database_that_hangs_in_mid_call(
    tmp_path: Path, voices: Path, server: PostgresServer
) -> None:
    asyncio.run(_hangs(tmp_path, voices, server))


def test_a_process_killed_while_the_database_is_away(
    tmp_path: Path, voices: Path, server: PostgresServer
) -> None:
    asyncio.run(_killed(tmp_path, voices, server))
