# SPDX-License-Identifier: GPL-3.0-or-later
"""No name and no number lies anywhere in the clear (D7, D8): every byte of a home is searched.

Real calls are made, one process of them is killed by SIGABRT, rows are rejected; then files,
logs, caches and exports are searched for what was planted, in every usual spelling.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import resource
import signal
from collections.abc import Iterator
from pathlib import Path

import vosk

from compliance.facts import SourceKind
from storage import ledger
from tests.databases import Databases
from tests.homes import Run, demo_run
from tests.storage_home import TestHome, row, write_csv
from voicebot import script
from voicebot.prompts import PromptCache, render_script
from voicebot.tts import PyttsxSynthesizer

NAME, INTEREST, NOTE, PROOF = "欧阳锦绣", "紫檀木收藏", "周日登门拜访", "签字页一三七"
ENDINGS = ("101", "102", "103", "110")
PHONES = tuple(f"13900000{ending}" for ending in ENDINGS)
CELLS = {"name": NAME, "interest": INTEREST, "notes": NOTE, "consent_evidence": PROOF}


def spellings() -> Iterator[tuple[str, bytes]]:
    """What must not be found, by what it is."""
    for word in (NAME, INTEREST, NOTE, PROOF):
        for encoding in ("utf-8", "utf-16-le", "utf-16-be", "gb18030"):
            yield f"{word} in {encoding}", word.encode(encoding)
        yield f"{word} escaped", word.encode("unicode_escape")
        yield f"{word} in base64", base64.b64encode(word.encode())[:12]
    for phone in PHONES:
        for spelt in (phone, f"{phone[:3]} {phone[3:7]} {phone[7:]}", f"{phone[:3]}-{phone[3:7]}"):
            yield f"a number as {spelt}", spelt.encode()
            yield f"a number as {spelt} in UTF-16", spelt.encode("utf-16-le")
        yield "a number in base64", base64.b64encode(f"+86{phone}".encode())[:16]


MODEL = Path(script.__file__).parent / "models" / "zh-demo"
NEEDLES = tuple(spellings())


def found_in(files: Iterator[Path]) -> list[str]:
    """Which planted values lie in which files."""
    found = []
    for path in files:
        if path.is_file():
            data = path.read_bytes()
            found += [f"{path.name}: {what}" for what, needle in NEEDLES if needle in data]
    return found


# ---------------------------------------------------------------- whole calls


async def _call_all(folder: Path, voices: Path) -> tuple[Run, dict[str, str]]:
    async with demo_run(folder, ENDINGS, cells=CELLS, voices=voices, max_calls=2) as it:
        bad = folder / "bad.csv"
        write_csv(bad, [row(PHONES[0], name=NAME, notes="=1+1"), row("13911112222", name="王")])
        it.it.store.contacts.import_file(
            bad, actor=it.staff.operator, source=SourceKind.WEB_FORM, batch="bad"
        )
        dialing = asyncio.create_task(it.dial())
        await it.until("answered")
        await asyncio.sleep(2)
        assert it.supervisor is not None
        limits = {
            name: Path(f"/proc/{pid}/limits").read_text()
            for name, pid in it.supervisor.pids.items()
        }
        home = it.it.home.root  # live: the database's write-ahead log is there too
        assert (home / "candor.db-wal").stat().st_size > 10_000
        assert found_in(home.rglob("*")) == []
        os.kill(it.supervisor.pids["worker1"], signal.SIGABRT)
        await asyncio.wait_for(dialing, 120)
        await asyncio.sleep(1)
        export = it.it.home.root / "ledger.jsonl"
        ledger.export(it.it.engine, export)
        return it, limits


def test_a_home_with_calls_in_it_gives_nobody_away(tmp_path: Path, voices: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (before[1], before[1]))  # dump, whoever may
    try:
        it, limits = asyncio.run(_call_all(tmp_path, voices))
    finally:
        resource.setrlimit(resource.RLIMIT_CORE, before)
    assert set(it.outcomes()) == set(ENDINGS)
    home = it.it.home.root
    for name in ("candor.db", "logs", "objects", "prompts", "anchors", "ledger.jsonl"):
        assert (home / name).exists(), name
    assert found_in(home.rglob("*")) == []
    assert found_in(iter([tmp_path / "bad.rejects.csv"])) == []
    # The search can find: the file that was imported, and what the callees themselves wrote.
    assert len(found_in(iter([tmp_path / "contacts.csv"]))) >= 4
    # The ledger's entries are in base64 in an export: opened, they hold nothing either.
    for line in (home / "ledger.jsonl").read_text().splitlines():
        entry = base64.b64decode(json.loads(line).get("bytes", ""))
        assert not [what for what, needle in NEEDLES if needle in entry]
    # A core dump would hold keys and people: no process of ours leaves one.
    assert limits
    for name, told in limits.items():
        (core,) = (each for each in told.splitlines() if each.startswith("Max core file size"))
        assert core.split()[4:6] == ["0", "0"], name
    _the_cache_holds_the_script_alone(it)


def _the_cache_holds_the_script_alone(it: Run) -> None:
    """Every cached prompt is a line of the signed script, and sounds like nobody's data."""
    cached = {path.name: path.read_bytes() for path in it.it.home.prompts.glob("*.pcm")}
    again = it.it.home.root.parent / "prompts-again"
    again.mkdir()
    source = it.it.store.campaign_script(it.campaign).text
    with PyttsxSynthesizer() as synthesizer:
        rendered = render_script(script.load(source), PromptCache(again, synthesizer))
    assert rendered.prompts
    assert set(cached) == {path.name for path in again.glob("*.pcm")}
    vosk.SetLogLevel(-1)
    model = vosk.Model(str(MODEL))
    for pcm in cached.values():
        heard = vosk.KaldiRecognizer(model, 8000)
        heard.AcceptWaveform(pcm)
        words = json.loads(heard.FinalResult())["text"].replace(" ", "")
        assert not any(word in words for word in (NAME, INTEREST, NOTE, PROOF))


# ---------------------------------------------------------------- both databases


def test_database_files_hold_nothing_in_the_clear(home: TestHome, databases: Databases) -> None:
    """Imported, called, refused, erased: tables, indexes and logs of either database."""
    home.contacts(PHONES, **CELLS)
    campaign = home.campaign(batches=["batch1"])
    claim, attempt = home.attempt(campaign)
    home.store.finish(claim, home.record(claim, refused=True), None)
    files = databases.files((home.path / "url").read_text())
    assert sum(path.stat().st_size for path in files) > 100_000
    assert found_in(iter(files)) == []
    assert attempt.id.encode() in b"".join(path.read_bytes() for path in files)  # it is them
