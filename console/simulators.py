# SPDX-License-Identifier: GPL-3.0-or-later
"""Starts the simulated callees as the process of their own that they are."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from compliance.errors import TelephonyError


async def issue_key(folder: Path) -> Path:
    """Make the simulator's key pair in ``folder``; returns the public half."""
    folder.mkdir(parents=True, exist_ok=True)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "sip_sim", "keygen", "--out", str(folder), stdout=-3
    )
    if await process.wait():
        raise TelephonyError("the simulator's key could not be made")
    return folder / "sim.pub"


@contextlib.asynccontextmanager
async def simulator(
    folder: Path, *, listen: str = "127.0.0.1:0", voices: Path | None = None
) -> AsyncIterator[str]:
    """Run the simulator with its records in ``folder/records``; yields its host:port.

    ``voices`` is where it keeps rendered speech; by default in ``folder`` too.
    """
    with (folder / "sim.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "sip_sim",
            "serve",
            "--listen",
            listen,
            "--records",
            str(folder / "records"),
            "--voices",
            str(voices or folder / "voices"),
            "--key",
            str(folder / "sim.key"),
            stdout=asyncio.subprocess.PIPE,
            stderr=log,
        )
        try:
            yield await _address(process, folder)
        finally:
            if process.returncode is None:
                process.terminate()
                try:
                    async with asyncio.timeout(5):
                        await process.wait()
                except TimeoutError:
                    process.kill()
                    await process.wait()


async def _address(process: asyncio.subprocess.Process, folder: Path) -> str:
    assert process.stdout is not None
    try:
        async with asyncio.timeout(30):
            async for line in process.stdout:
                with contextlib.suppress(ValueError):
                    event = json.loads(line)
                    if event.get("event") == "listening":
                        return str(event["sip"])
    except TimeoutError:
        pass
    raise TelephonyError("the simulator did not start", remedy=f"see {folder / 'sim.log'}")


def records(folder: Path) -> list[dict[str, Any]]:
    """The callees' own records, as they wrote them."""
    found = []
    for path in sorted((folder / "records").glob("*.json")):
        found.append({**json.loads(path.read_text("utf-8")), "_file": str(path)})
    return found
