# SPDX-License-Identifier: GPL-3.0-or-later
"""A contact's own data holds forbidden words: the robot says the safe line instead (S9)."""

from __future__ import annotations

import asyncio
from pathlib import Path

import numpy as np

from compliance.facts import Speaker
from console import demo_home, submissions
from console.witness import read_wav
from sip_sim import witness
from storage.store import AccessReason
from tests.homes import Run, demo_run
from voicebot import script as scripts
from voicebot.prompts import RenderedPrompt

ASKS = "请问您现在方便了解一下{interest}吗？"
INTEREST = "刷·單兼職"


async def _dial(folder: Path, voices: Path) -> Run:
    cells = {"interest": INTEREST}
    async with demo_run(folder, ["108"], cells=cells, voices=voices) as it:
        source = (demo_home.examples() / "script.zh.yaml").read_text("utf-8")
        source = source.replace("请问您现在方便了解一下吗？", ASKS)
        version = submissions.submit(it.it, it.staff.author, source, "asks")
        version = it.it.store.scripts.approve(it.staff.officer, version)
        it.rendered = submissions.render(it.it, scripts.load(source))
        it.campaign = demo_home.create_campaign(it.it, it.staff, "asks", version, ["demo"])
        it.it.store.campaigns.start(it.staff.operator, it.campaign)
        await it.dial()
        await asyncio.sleep(0.5)
    return it


def test_words_of_a_contact_are_replaced_before_they_are_said(tmp_path: Path, voices: Path) -> None:
    it = asyncio.run(asyncio.wait_for(_dial(tmp_path, voices), 90))
    (call,) = it.it.store.calls(it.campaign)
    said = it.it.store.transcript(it.staff.auditor, call.id, AccessReason.AUDIT)
    (safe, *_) = [line for line in said if line.mark == "safe"]
    (way_out,) = [line for line in said if line.mark == "way_out"]
    assert safe.flags == ("S9",)
    assert safe.start_ms - way_out.end_ms <= 1000
    assert not any("刷" in line.text for line in said)
    assert any(line.speaker is Speaker.CALLEE for line in said)
    assert call.violations == ()
    # The callee's own recording: the safe line follows the way out, and nothing else between.
    (record,) = it.records()
    heard = read_wav(Path(str(record["_file"]).removesuffix(".json") + ".heard.wav"))
    first, second = (_found(heard, it.rendered.get(id)) for id in ("way_out", "line.safe"))
    assert first.score > 0.8
    assert second.score > 0.8
    assert 0 < second.start_ms - (first.start_ms + way_out.end_ms - way_out.start_ms) <= 1000
    reported = [facts for name, facts in it.events if name == "blocked"]
    assert [facts["requirements"] for facts in reported] == [["S9"]]


def _found(heard: np.ndarray, prompt: RenderedPrompt | None) -> witness.Match:
    assert prompt is not None
    return witness.find_prompt(heard, np.frombuffer(prompt.pcm, "<i2"))
