# SPDX-License-Identifier: GPL-3.0-or-later
"""Ctrl-C: once ends politely and loses nothing, twice ends at once and is settled later."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from console import homes
from console.witness import read_wav
from sip_sim import witness
from tests.homes import Run, demo_run


async def _start(it: Run, state: Path) -> asyncio.subprocess.Process:
    """``candor dial`` as an operator signed in on this machine."""
    token = it.it.store.people.issue_session(it.staff.operator, timedelta(hours=1))
    os.environ["XDG_STATE_HOME"] = str(state)
    homes.remember(it.it.home.root, token)
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "console.cli", "dial", "demo", "--home", str(it.it.home.root),
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip


async def _until(condition: Callable[[], Any], timeout_s: float = 40) -> None:
    async with asyncio.timeout(timeout_s):
        while not condition():
            await asyncio.sleep(0.05)


def _live(it: Run, ending: str) -> bool:
    return any(r["number"].endswith(ending) and r["answered"] for r in it.records())


async def _once(folder: Path, voices: Path) -> None:
    async with demo_run(folder, ["110", "105", "104"], voices=voices, max_calls=2) as it:
        dialing = await _start(it, folder / "state")
        await _until(lambda: _live(it, "110"))
        await asyncio.sleep(4.0)  # past the disclosure
        pressed = time.time()
        dialing.send_signal(signal.SIGINT)
        output = (await dialing.communicate())[0].decode()
        assert dialing.returncode == 0, output
        await asyncio.sleep(1.0)
        _ended_politely(it, pressed)
        # The campaign is still there to be gone on with.
        assert str(it.it.store.campaigns.campaign_state(it.campaign)) == "running"
        await it.dial()
    left = {"110": "cancelled", "105": "cancelled", "104": "busy"}
    assert it.outcomes() == left
    assert len(it.records()) == 3  # nobody was dialed twice


def _ended_politely(it: Run, pressed: float) -> None:
    for record in it.records():
        assert record["state"] == "ended"
        over = record["bye"] or record["cancel"]
        assert _at(over) - pressed <= 5.0
        assert record["bye_by"] in ("bot", None)
    talked = next(r for r in it.records() if r["number"].endswith("110"))
    heard = read_wav(Path(str(talked["_file"]).removesuffix(".json") + ".heard.wav"))
    goodbye = it.rendered.prompts["line.goodbye"]
    start, end = goodbye.audible
    words = memoryview(goodbye.pcm).cast("h")[start:end]
    assert witness.find_prompt(heard, _samples(words)).score > 0.9
    call = next(c for c in it.it.store.calls(it.campaign) if c.number.endswith("110"))
    assert (str(call.outcome), bool(call.recording)) == ("cancelled", True)
    assert not it.it.store.unsealed_recordings()


def _samples(words: memoryview) -> Any:
    import numpy as np

    return np.asarray(words, dtype=np.int16)


def _at(stamp: dict[str, Any]) -> float:
    return datetime.fromisoformat(stamp["wall"]).astimezone(UTC).timestamp()


async def _twice(folder: Path, voices: Path) -> None:
    async with demo_run(folder, ["110", "104"], voices=voices, max_calls=1) as it:
        dialing = await _start(it, folder / "state")
        await _until(lambda: _live(it, "110") or _live(it, "104") or len(it.records()) == 2)
        await _until(lambda: _live(it, "110"))
        await asyncio.sleep(1.0)
        dialing.send_signal(signal.SIGINT)
        await asyncio.sleep(0.2)
        pressed = time.monotonic()
        dialing.send_signal(signal.SIGINT)
        output = (await dialing.communicate())[0].decode()
        assert time.monotonic() - pressed <= 4.0, output
        await asyncio.sleep(0.5)
        talked = next(r for r in it.records() if r["number"].endswith("110"))
        assert talked["bye_by"] == "bot"
        await it.dial()  # the next start
        await asyncio.sleep(0.5)
    assert it.outcomes()["110"] in ("aborted", "cancelled")
    assert len(it.records()) == 2  # nobody was dialed twice


async def _killed(folder: Path, voices: Path) -> None:
    """kill -9 of the supervisor itself: its processes leave, the next start settles."""
    async with demo_run(folder, ["110", "104"], voices=voices, max_calls=1) as it:
        dialing = await _start(it, folder / "state")
        await _until(lambda: _live(it, "110"))
        await asyncio.sleep(1.0)
        dialing.kill()
        await dialing.wait()
        talked = next(r for r in it.records() if r["number"].endswith("110"))
        path = Path(str(talked["_file"]))
        await _until(lambda: '"ended"' in path.read_text("utf-8"), 10)
        began = time.monotonic()
        await it.dial()
        assert time.monotonic() - began < 40  # it did not wait for leases to run out
    assert it.outcomes() == {"110": "aborted", "104": "busy"}
    assert len(it.records()) == 2
    assert [n for n, _ in it.events].count("settled") == 1


def test_ctrl_c_once_ends_politely(tmp_path: Path, voices: Path) -> None:
    asyncio.run(asyncio.wait_for(_once(tmp_path, voices), 150))


def test_ctrl_c_twice_ends_at_once(tmp_path: Path, voices: Path) -> None:
    asyncio.run(asyncio.wait_for(_twice(tmp_path, voices), 150))


def test_a_killed_run_is_settled_by_the_next(tmp_path: Path, voices: Path) -> None:
    asyncio.run(asyncio.wait_for(_killed(tmp_path, voices), 150))
