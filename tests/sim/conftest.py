# SPDX-License-Identifier: GPL-3.0-or-later
"""A running simulator per test; the voices are rendered once for all."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from sip_sim import Simulator
from sip_sim.host import Limits
from tests.sim.uac import Caller

Start = Callable[..., contextlib.AbstractAsyncContextManager[Simulator]]


def run(coroutine: Any) -> Any:
    return asyncio.run(coroutine)


async def record_of(sim: Simulator, caller: Caller) -> dict[str, Any]:
    assert await sim.settled()
    (record,) = [r for r in sim.records() if r["call_id"] == caller.call_id]
    assert record["state"] == "ended"
    return record


@pytest.fixture(scope="session")
def voice_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Rendered words, shared by all tests."""
    return tmp_path_factory.mktemp("voices")


@pytest.fixture
def start(tmp_path: Path, voice_cache: Path) -> Start:
    """Start a simulator with quick limits; no test may leave an internal error or a task."""

    @contextlib.asynccontextmanager
    async def started(**options: Any) -> AsyncIterator[Simulator]:
        options.setdefault("limits", Limits(linger=0.3, in_flight=0.1))
        before = asyncio.all_tasks()
        async with Simulator(records=tmp_path / "r", voice_cache=voice_cache, **options) as sim:
            yield sim
        await asyncio.sleep(0)
        events = sim.events()
        assert [e for e in events if e["event"] == "internal_error"] == []
        assert not sim.calls
        assert asyncio.all_tasks() - before == set()

    return started
