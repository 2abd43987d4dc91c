# SPDX-License-Identifier: GPL-3.0-or-later
"""`candor campaign test` from a lab home, the simulator standing in for a softphone.

What a URI's name ends in chooses the callee. Real softphones: tests/softphones.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from console import simulators
from tests.labs import Lab


async def _call(lab: Lab, uri: str) -> tuple[int, dict[str, Any]]:
    def wait() -> tuple[int, dict[str, Any]]:
        with lab.calling(uri) as call:
            return lab.result(call)

    return await asyncio.to_thread(wait)


async def _calls(folder: Path, voices: Path) -> None:
    lab = Lab.make(folder / "lab", "en")
    await simulators.issue_key(folder / "callees")
    async with simulators.simulator(folder / "callees", voices=voices) as address:
        code, yes = await _call(lab, f"sip:me201@{address}")
        assert (code, yes["outcome"]) == (0, "accepted")
        assert yes["disclosed_ms"] <= 3000
        assert yes["ledger_index"] is not None
        assert yes["said"] is None  # an operator reads no transcript
        assert "yes" in lab.heard(yes["id"])

        # The same for a person's eyes: what came of it, and what to type next.
        key = ("campaign", "test", "--to", f"sip:key103@{address}", "--yes")
        code, out, _ = await asyncio.to_thread(lab.candor, *key)
        assert code == 0
        assert "test-2: refused (SIP 200)" in out
        assert "candor login auditor" in out
        assert "--reason quality" in out
        code, out, _ = await asyncio.to_thread(lab.candor, *key)
        assert code == 1
        assert "The number is on the refusal list until" in out
        assert "key103" not in out
    numbers = [record["number"] for record in simulators.records(folder / "callees")]
    assert sorted(numbers) == ["key103", "me201"]


def test_a_lab_calls_its_testers(tmp_path: Path, voices: Path) -> None:
    asyncio.run(asyncio.wait_for(_calls(tmp_path, voices), 170))
