# SPDX-License-Identifier: GPL-3.0-or-later
"""kill -9 in mid-call: the person at the other end is let go, and the record settles."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path
from typing import cast

import numpy as np

from storage.objects import FolderObjects
from storage.recordings import open_recording
from storage.store import AccessReason
from tests.homes import Run, demo_run


def _kill(it: Run, process: str) -> None:
    assert it.supervisor is not None
    os.kill(it.supervisor.pids[process], signal.SIGKILL)


async def _dialer_dies(folder: Path, voices: Path) -> None:
    async with demo_run(folder, ["110", "104"], voices=voices, max_calls=1) as it:
        dialing = asyncio.create_task(it.dial())
        # 110 answers and stays silent; with one call at a time 104 waits behind it, or before.
        await it.until("answered")
        await asyncio.sleep(3)
        _kill(it, "worker1")
        await it.until("settled", 10)
        await asyncio.wait_for(dialing, 60)
        await asyncio.sleep(1)
    record = next(r for r in it.records() if r["number"].endswith("110"))
    assert record["bye_by"] == "bot"  # the supervisor said goodbye
    assert [n for n, _ in it.events].count("worker_died") == 1
    assert it.outcomes() == {"110": "aborted", "104": "busy"}
    call = next(c for c in it.it.store.calls(it.campaign) if c.number.endswith("110"))
    assert call.sip_call_id == record["call_id"]
    numbers = [r["number"] for r in it.records()]
    assert len(numbers) == len(set(numbers)) == 2  # nobody was redialed
    it.it.store.settle_expired(it.it.clock.wall())
    _the_bots_prefix_opens(it, call.id)


def _the_bots_prefix_opens(it: Run, attempt: str) -> None:
    assert not it.it.store.unsealed_recordings()
    sealed = it.it.store.recording(it.staff.auditor, attempt, AccessReason.AUDIT)
    callee, bot = open_recording(FolderObjects(it.it.home.objects), it.it.keyring, sealed)
    assert callee is None  # whether the notice was completed died with the process (S4)
    assert len(bot) >= 8 * 1000
    assert np.abs(bot.astype(np.int32)).max() > 2000  # what the bot said is in it


async def _speech_dies(folder: Path, voices: Path) -> None:
    # 103 presses 1 four seconds after answer; 110 stays silent; 101 would answer.
    async with demo_run(folder, ["103", "110", "101"], voices=voices, max_calls=2) as it:
        dialing = asyncio.create_task(it.dial())
        await it.until("answered")
        await asyncio.sleep(1.5)
        _kill(it, "speech1")
        await asyncio.wait_for(dialing, 120)
        await asyncio.sleep(1)
    outcomes = it.outcomes()
    first = {f["attempt"] for n, f in it.events if n == "answered"}
    assert len(first) == 3
    assert [n for n, _ in it.events].count("speech_died") == 1
    assert [n for n, _ in it.events].count("worker_died") == 0
    assert outcomes["103"] == "refused"  # key 1 needs no recognizer
    assert "aborted" in outcomes.values()  # who was on the line then got a safe goodbye
    last = list(it.events)[-1]
    assert last[0] == "done"
    for record in it.records():
        assert record["bye_by"] == "bot"
        assert not record["violations"]


async def _proxy_gets_nothing(folder: Path, voices: Path) -> None:
    """A relay on loopback passes the challenge on to a real simulator, and would pass an INVITE."""
    loop = asyncio.get_running_loop()
    seen: list[bytes] = []
    target: list[tuple[str, int]] = []

    class Relay(asyncio.DatagramProtocol):
        def __init__(self) -> None:
            self.client: tuple[str, int] | None = None
            self.transport: asyncio.DatagramTransport | None = None

        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            self.transport = cast("asyncio.DatagramTransport", transport)

        def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
            assert self.transport is not None
            if addr == target[0]:
                if self.client is not None:
                    self.transport.sendto(data, self.client)
                return
            seen.append(data)
            self.client = addr
            self.transport.sendto(data, target[0])

    relay, _ = await loop.create_datagram_endpoint(Relay, local_addr=("127.0.0.1", 0))
    host, port = relay.get_extra_info("sockname")
    try:
        async with demo_run(folder, ["101"], voices=voices, address=f"{host}:{port}") as it:
            simulator, _, sim_port = it.address.rpartition(":")
            target.append((simulator, int(sim_port)))
            await it.dial()
        assert it.outcomes() == {"101": "gate_refused"}
        refusal = it.it.store.gate_refusals(it.campaign)[0]
        unproven = [f for f in refusal.decision.refusing if f.line == "simulator"]
        assert [f.rule for f in unproven] == ["line_for_another_home"], refusal.rules
        assert seen  # the challenge did come by
        assert all(data.startswith(b"OPTIONS ") for data in seen)
        assert not it.records()
    finally:
        relay.close()


def test_a_killed_dialer_process(tmp_path: Path, voices: Path) -> None:
    asyncio.run(_dialer_dies(tmp_path, voices))


def test_a_killed_speech_process(tmp_path: Path, voices: Path) -> None:
    asyncio.run(_speech_dies(tmp_path, voices))


def test_a_loopback_proxy_gets_nothing_but_the_challenge(tmp_path: Path, voices: Path) -> None:
    asyncio.run(_proxy_gets_nothing(tmp_path, voices))
