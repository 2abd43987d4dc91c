# SPDX-License-Identifier: GPL-3.0-or-later
"""Experiment 5: the disk is full in mid-call. Politely over, no new call, the prefix opens."""

from __future__ import annotations

import asyncio
import resource
from pathlib import Path

import numpy as np

from storage.objects import FolderObjects
from storage.recordings import open_recording
from storage.store import AccessReason
from tests.homes import Run, demo_run


def _room(it: Run, file_bytes: int) -> None:
    """How large a file of the dialer process may grow: writes beyond it fail as without room."""
    assert it.supervisor is not None
    pid = it.supervisor.pids["worker1"]
    hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)[1]
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (file_bytes, hard))


async def _disk_is_full(folder: Path, voices: Path) -> Run:
    # 110 answers and stays silent, 120 talks all the time: both would last half a minute.
    async with demo_run(folder, ["110", "120"], voices=voices, max_calls=1) as it:
        dialing = asyncio.create_task(it.dial())
        first = (await it.until("answered"))["attempt"]
        await asyncio.sleep(4)
        _room(it, 20_000)  # database and log do not grow either
        held = await it.until("held", 10)
        assert held["why"] in ("disk", "storage")
        await asyncio.sleep(9)
        (record,) = it.records()  # nobody else was called
        assert record["bye_by"] == "bot"
        assert record["bye"]["mono_ns"] - record["answered"]["mono_ns"] < 15e9
        _room(it, resource.RLIM_INFINITY)
        async with asyncio.timeout(60):
            while [name for name, _ in it.events].count("dialing") < 2:  # the next one
                await asyncio.sleep(0.2)
            await asyncio.sleep(0.5)  # the first one's record is there
            while it.it.store.unsealed_recordings():  # and soon what was left of its recording
                await asyncio.sleep(0.2)
        assert it.supervisor is not None
        it.supervisor.drain()
        await asyncio.wait_for(dialing, 60)
    call = it.it.store.call(first)
    assert "S6" in call.violations
    return it


def test_a_full_disk_ends_the_call_politely_and_holds_the_next(
    tmp_path: Path, voices: Path
) -> None:
    it = asyncio.run(_disk_is_full(tmp_path, voices))
    assert "" in [facts["why"] for name, facts in it.events if name == "held"]  # it went on
    assert not it.it.store.unsealed_recordings()
    broken = next(c for c in it.it.store.calls(it.campaign) if "S6" in c.violations)
    sealed = it.it.store.recording(it.staff.auditor, broken.id, AccessReason.AUDIT)
    callee, bot = open_recording(FolderObjects(it.it.home.objects), it.it.keyring, sealed)
    assert callee is None
    assert 8_000 <= len(bot) < 30_000
    assert np.abs(bot.astype(np.int32)).max() > 2000
