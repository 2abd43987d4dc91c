# SPDX-License-Identifier: GPL-3.0-or-later
"""The simulator under load and when things end badly: nothing is leaked, nothing left open."""

import asyncio
import contextlib
from pathlib import Path

import numpy as np
import pytest

from sip_sim.host import Limits
from sip_sim.transaction import Timers
from tests.sim.conftest import Start, record_of, run
from tests.sim.uac import Caller, gap, tone


def test_a_vanished_peer_leaves_a_record(start: Start) -> None:
    async def scenario() -> None:
        limits = Limits(vanish=0.5, linger=0.1)
        async with start(limits=limits) as sim, Caller(sim.address, "110") as caller:
            await caller.answered()
            (provisional,) = sim.records()
            assert provisional["state"] == "open"
            assert provisional["answered"] is not None
            await caller.wait(method="BYE")
            record = await record_of(sim, caller)
            assert record["ended"] == "peer vanished"

    run(scenario())


def test_stopping_hangs_up_and_completes(start: Start) -> None:
    async def scenario() -> None:
        async with start() as sim, Caller(sim.address, "+8613900000110") as caller:
            await caller.answered()
            await caller.speak(tone(200))
            before = asyncio.get_running_loop().time()
            await sim.stop()
            assert asyncio.get_running_loop().time() - before < 0.5
            await caller.wait(method="BYE")
            (record,) = sim.records()
            assert (record["state"], record["bye_by"]) == ("ended", "callee")
            assert record["heard"]["packets"] == 10

    run(scenario())


def test_twenty_calls_at_once_keep_the_beat(start: Start) -> None:
    async def scenario() -> None:
        async with start() as sim, contextlib.AsyncExitStack() as stack:
            callers = [Caller(sim.address, f"+86139000{n:02}124") for n in range(20)]
            for caller in callers:
                await stack.enter_async_context(caller)
            await asyncio.gather(*(c.answered() for c in callers))
            await asyncio.gather(*(c.speak(gap(1500)) for c in callers))
            gaps = []
            for caller in callers:
                assert len(caller.rtp_in) >= 40
                times = [at for at, _ in caller.rtp_in]
                gaps += np.diff(times).tolist()
                stamps = [int.from_bytes(d[4:8], "big") for _, d in caller.rtp_in]
                counted = [(s - stamps[0]) % 2**32 / 8000 for s in stamps]
                # The least delay of the first and of the last packets agree: no drift.
                late = np.array(times) - times[0] - counted
                assert abs(late[:20].min() - late[-20:].min()) < 0.02
            assert np.median(gaps) == pytest.approx(0.02, abs=0.002)
            await asyncio.gather(*(c.hang_up() for c in callers))
            assert await sim.settled()
            assert all(r["violations"] == [] for r in sim.records())

    run(scenario())


def test_hundreds_in_sequence_free_everything(start: Start) -> None:
    async def scenario() -> None:
        quick = {"limits": Limits(linger=0.0), "timers": Timers(t1=0.01, t4=0.01)}
        files = Path("/proc/self/fd")
        async with start(rtp_ports=(42900, 42910), **quick) as sim:
            before = len(list(files.iterdir()))
            for _ in range(200):
                async with Caller(sim.address, "+8613900000124") as caller:
                    await caller.answered()
                    await caller.hang_up()
            assert await sim.settled()
            await asyncio.sleep(0.7)  # 64 T1
            assert len(sim.layer) == 0
            assert len(list(files.iterdir())) == before
            assert len(sim.records()) == 200

    run(scenario())


def test_a_seed_repeats_tags_and_ring_times(start: Start, tmp_path: Path) -> None:
    async def tags(seed: int) -> list[str]:
        async with start(seed=seed) as sim:
            found = []
            for _ in range(2):
                async with Caller(sim.address, "+8613900000118") as caller:
                    caller.invite()
                    found.append((await caller.wait(503)).header("To").split("tag=")[1])
            await sim.settled()
            return found

    first, again, other = run(tags(7)), run(tags(7)), run(tags(8))
    assert first == again
    assert len({*first, *other}) == 4
