# SPDX-License-Identifier: GPL-3.0-or-later
"""What the command line does with an open home: dial, list, verify."""

from __future__ import annotations

import asyncio
import dataclasses
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from compliance.facts import Actor
from console.homes import Opened
from dialer.supervisor import Supervisor

Report = Callable[[str, Mapping[str, Any]], None]


async def dial(it: Opened, actor: Actor, campaign: str, report: Report) -> None:
    """Dial ``campaign`` to its end. The first Ctrl-C stops it politely, a second at once."""
    supervisor = Supervisor(
        it.home, it.store, it.sequencer(), it.clock, report, passphrase=it.passphrase
    )
    loop = asyncio.get_running_loop()
    pressed = 0
    dialing = asyncio.create_task(supervisor.run(campaign))

    def interrupted() -> None:
        nonlocal pressed
        pressed += 1
        if pressed == 1:
            supervisor.stop()
            it.store.campaigns.stop(actor, campaign)
        else:
            dialing.cancel()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, interrupted)
    try:
        await dialing
    except asyncio.CancelledError:
        if pressed < 2:
            raise
    except ExceptionGroup as group:
        raise _first(group) from None
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)


def _first(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


@dataclasses.dataclass(frozen=True, slots=True)
class Row:
    """One due contact of a campaign: dialed, or refused by the gate. Masked (D8)."""

    id: str
    contact: str
    number: str
    outcome: str  # of ``facts.Outcome``, or ``gate_refused``; empty: still open
    blame: str
    sip_status: int
    line: str
    answered_at: datetime | None
    disclosed_ms: int | None
    refused: bool
    transferred: bool
    duration_ms: int
    recording: str
    ledger_index: int | None
    feedback: str
    rules: tuple[str, ...] = ()


def call_rows(it: Opened, campaign: str) -> list[Row]:
    """Every call and every gate refusal of a campaign, in order of time."""
    found = [
        (
            row.at,
            Row(
                row.id,
                row.contact,
                row.number,
                row.outcome or "",
                row.blame or "",
                row.sip_status,
                row.line,
                row.answered_at,
                row.disclosed_ms,
                row.refused,
                row.transferred,
                row.duration_ms,
                row.recording,
                row.ledger_index,
                row.feedback,
            ),
        )
        for row in it.store.calls(campaign)
    ]
    found += [
        (
            row.at,
            Row(
                id=row.id,
                contact=row.contact,
                number=row.number,
                outcome="gate_refused",
                blame="us",
                sip_status=0,
                line="",
                answered_at=None,
                disclosed_ms=None,
                refused=False,
                transferred=False,
                duration_ms=0,
                recording="",
                ledger_index=row.ledger_index,
                feedback="",
                rules=row.rules,
            ),
        )
        for row in it.store.gate_refusals(campaign)
    ]
    return [row for _, row in sorted(found, key=lambda pair: pair[0])]


def call_json(row: Row) -> dict[str, Any]:
    """A row as plain data."""
    return dataclasses.asdict(row)


def verify(export: Path, key: str, *more: str, quiet: bool = False) -> int:
    """Run the independent verifier as a process of its own; its exit code."""
    import storage

    program = Path(storage.__path__[0]) / "verify.py"
    command = [sys.executable, "-I", str(program), str(export), *more]
    if key:
        command += ["--key", key]
    output = subprocess.DEVNULL if quiet else None
    return subprocess.run(command, stdout=output, check=False).returncode
