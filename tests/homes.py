# SPDX-License-Identifier: GPL-3.0-or-later
"""A demo home with a campaign over chosen callees, for tests of whole calls.

The callees are the simulator's, in a process of its own; a number's last three
digits choose the behaviour (``python -m sip_sim behaviours``).
"""

from __future__ import annotations

import asyncio
import contextlib
import csv
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from compliance.facts import HomeKind, SourceKind
from console import demo_home, homes, simulators, submissions
from console.demo_home import Staff, examples
from console.homes import Opened
from dialer.supervisor import Supervisor
from storage.arms import Arm
from voicebot.prompts import RenderedScript

QUESTION = "请问您现在方便了解一下吗？"  # of the demo's script
_CONSENT = {
    "consent_company": demo_home.COMPANY,
    "consent_purpose": demo_home.PURPOSE,
    "consent_channel": "web_form",
    "consent_at": "2026-10-12T10:15:00+08:00",
    "consent_explicit": "yes",
    "consent_preticked": "no",
    "consent_names_ai": "yes",
    "consent_evidence": "form-1",
}


@dataclass(slots=True)
class Run:
    """A prepared campaign and what happened in it."""

    it: Opened
    staff: Staff
    campaign: str
    rendered: RenderedScript
    callees: Path
    address: str
    events: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    supervisor: Supervisor | None = None
    _seen: asyncio.Event = field(default_factory=asyncio.Event)

    def report(self, event: str, facts: Mapping[str, Any]) -> None:
        self.events.append((event, dict(facts)))
        self._seen.set()

    async def until(self, event: str, timeout_s: float = 30) -> dict[str, Any]:
        """Wait for the first event of this name."""
        async with asyncio.timeout(timeout_s):
            while True:
                for name, facts in self.events:
                    if name == event:
                        return facts
                self._seen.clear()
                await self._seen.wait()

    async def dial(self) -> None:
        """Dial the campaign to its end."""
        self.supervisor = Supervisor(
            self.it.home, self.it.store, self.it.sequencer(), self.it.clock, self.report
        )
        await self.supervisor.run(self.campaign)

    def records(self) -> list[dict[str, Any]]:
        return simulators.records(self.callees)

    def outcomes(self) -> dict[str, str]:
        """Last three digits of the number -> outcome; gate refusals included."""
        found = {
            row.number[-3:]: str(row.outcome or "") for row in self.it.store.calls(self.campaign)
        }
        for row in self.it.store.gate_refusals(self.campaign):
            found[row.number[-3:]] = "gate_refused"
        return found


def write_contacts(
    path: Path,
    endings: Sequence[str],
    *,
    without_consent: Sequence[str],
    cells: Mapping[str, str] | None = None,
) -> None:
    """A CSV of people whose numbers end as given; ``cells`` override columns."""
    with path.open("w", newline="", encoding="utf-8") as file:
        columns = ["name", "phone", "interest", "timezone", "language", *_CONSENT, "notes"]
        out = csv.DictWriter(file, columns)
        out.writeheader()
        for ending in endings:
            row = {
                "name": "王小明",
                "phone": f"+86139{ending.rjust(8, '0')}",
                "timezone": "Asia/Shanghai",
                "language": "zh",
            }
            row |= {} if ending in without_consent else _CONSENT
            out.writerow(row | dict(cells or {}))


@contextlib.asynccontextmanager
async def demo_run(
    folder: Path,
    endings: Sequence[str],
    *,
    without_consent: Sequence[str] = (),
    cells: Mapping[str, str] | None = None,
    voices: Path | None = None,
    address: str = "",
    processes: int = 1,
    max_calls: int = 4,
    ring_timeout_s: float = 5.0,
    settings: str = "",
    database: str = "",
    checks: bool = False,
    other_question: str = "",
) -> AsyncIterator[Run]:
    """A demo home in ``folder`` and its simulator; ``address`` points the line elsewhere;
    ``settings`` is more for ``candor.toml``; with ``checks`` a run checks its calls;
    ``other_question`` is that of a second script to compare with the demo's.

    ``database`` is the URL of an empty one; empty: a file of its own.
    """
    root, callees = folder / "home", folder / "callees"
    homes.create(
        root,
        kind=HomeKind.DEMO,
        company=demo_home.COMPANY,
        tenant="test",
        processes=processes,
        max_calls=max_calls,
        ring_timeout_s=ring_timeout_s,
        database=database,
    )
    with (root / "candor.toml").open("a", encoding="utf-8") as file:
        file.write(settings)
        if not checks:
            file.write("\n[checks]\nautomatic = false\n")
    await demo_home.trust_simulator(root, callees)
    write_contacts(folder / "contacts.csv", endings, without_consent=without_consent, cells=cells)
    with homes.opened(root) as it:
        async with simulators.simulator(callees, voices=voices) as real:
            staff = demo_home.hire(it)
            it.store.contacts.import_file(
                folder / "contacts.csv",
                actor=staff.operator,
                source=SourceKind.WEB_FORM,
                batch="demo",
            )
            version, rendered = await asyncio.to_thread(demo_home.sign_script, it, staff)
            demo_home.add_line(it, staff, address or real)
            arms: tuple[Arm, ...] = ()
            if other_question:
                arms = await asyncio.to_thread(_arms, it, staff, version.id, other_question)
            campaign = demo_home.create_campaign(it, staff, "demo", version, ["demo"], arms)
            it.store.campaigns.start(staff.operator, campaign)
            yield Run(it, staff, campaign, rendered, callees, real)


def _arms(it: Opened, staff: Staff, first: str, question: str) -> tuple[Arm, ...]:
    """The demo's script, and one that differs in its question alone; both signed."""
    source = (examples() / "script.zh.yaml").read_text("utf-8").replace(QUESTION, question)
    other = submissions.submit(it, staff.author, source, "demo-other")
    it.store.scripts.approve(staff.officer, other)
    return Arm("A", first), Arm("B", other.id)
