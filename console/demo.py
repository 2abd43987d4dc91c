# SPDX-License-Identifier: GPL-3.0-or-later
"""``candor demo``: two dial runs on a machine of their own, then the proof of them.

Nothing here is special to the demo but the simulator at the other end: the
same home, gate, dialer, bot and ledger serve real campaigns.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from pathlib import Path

from rich.console import Console

from console import demo_home, demo_proof, demo_table, homes, run, simulators
from console.demo_home import MAX_CALLS, Prepared
from console.demo_proof import Proof
from console.homes import Opened
from console.messages import text
from console.progress import Progress
from dialer.logs import configure

_SETTLE_S = 2.0  # the callees finish writing their records


async def demo(root: Path, language: str, console: Console, picture: Path | None = None) -> bool:
    """Make the demo home, dial, join both sides' records; True when every check passed.

    ``picture``: where to save the last screen as an SVG.
    """
    began = time.time()
    console.rule(text("demo.mark", language))
    console.print(text("demo.home", language))
    callees = demo_home.make_folders(root, language)
    await demo_home.trust_simulator(root, callees)
    console.print(text("demo.simulator", language))
    with homes.opened(root) as it:
        configure(it.home.logs / "supervisor.log")
        async with contextlib.AsyncExitStack() as stack:
            address, ready = await asyncio.gather(
                stack.enter_async_context(simulators.simulator(callees)),
                asyncio.to_thread(demo_home.papers, it, callees, language, console),
            )
            prepared = demo_home.prepare(it, ready, address, language, console)
            if not await _dial(it, prepared, language, console):
                console.print(text("demo.interrupted", language), style="bold red")
                return False
            await asyncio.sleep(_SETTLE_S)
        proof = demo_proof.prove(it, prepared, callees, began)
        demo_home.let_look(it, prepared.papers.staff.auditor)
    demo_proof.write_report(proof, callees / "report.json")
    console.print()
    console.print(demo_table.screen(proof, language))
    _look_round(root, proof, language, console)
    if picture is not None:
        demo_table.save_picture(proof, language, picture)
    return not proof.faults


def _look_round(root: Path, proof: Proof, language: str, console: Console) -> None:
    """What to look at next: the person who ran it is signed in as the demo's auditor."""
    near = Path(".venv/bin/candor")
    candor, at = str(near) if near.exists() else "candor", f"--home {root}"
    console.print(text("demo.look", language, marker=root / demo_home.MARKER), highlight=False)
    console.print(f"  {candor} calls list {at}", highlight=False)
    spoken = next((call for call, row in proof.rows.items() if row.feedback), "")
    if spoken:
        console.print(f"  {candor} replay {spoken[:8]} --reason audit {at}", highlight=False)
        console.print(
            f"  {candor} evidence {spoken[:8]} --reason audit -o evidence.zip {at}", highlight=False
        )


async def _dial(it: Opened, prepared: Prepared, language: str, console: Console) -> bool:
    """Dial one campaign after the other; False if Ctrl-C stopped one."""
    campaigns, operator = it.store.campaigns, prepared.papers.staff.operator
    with Progress(console, language) as progress:
        for campaign, message in zip(
            prepared.campaigns, ("demo.first_campaign", "demo.second_campaign"), strict=True
        ):
            console.print(text(message, language, most=MAX_CALLS), style="bold")
            campaigns.start(operator, campaign)
            if not await run.dial(it, operator, campaign, progress):
                return False
    return True
