# SPDX-License-Identifier: GPL-3.0-or-later
"""What the command line does with an open home: dial, list, verify."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from compliance.errors import StorageAway, TelephonyError
from compliance.facts import Actor
from console.figures import pdd_ms
from console.homes import Opened
from console.progress import Progress
from dialer.supervisor import Supervisor

Report = Callable[[str, Mapping[str, Any]], None]


async def dial(it: Opened, actor: Actor, campaign: str, report: Report) -> bool:
    """Dial ``campaign`` to its end. The first Ctrl-C ends it politely, a second at once.

    Either way the campaign may be gone on with; what a second one left open is settled then.
    Returns whether nobody interrupted it.
    """
    it.store.campaigns.log_run(actor, campaign, "begin")
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
            supervisor.drain()
        else:
            supervisor.abort()
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
        how = "end" if not pressed else "drain" if pressed == 1 else "abort"
        it.store.campaigns.log_run(actor, campaign, how)
    return not pressed


def raise_if_no_line_worked(it: Opened, progress: Progress) -> None:
    """A run in which no line led anywhere has failed, whatever its records say.

    Raises:
        TelephonyError: names the lines and the last SIP status of each.
    """
    if progress.got_through or not (progress.unproven or progress.line_failed):
        return
    lines = dict.fromkeys(progress.unproven, "did not prove to be this home's simulator")
    for attempt in progress.line_failed:
        call = it.store.call(attempt)
        answer = f"{call.sip_status} {call.sip_reason}".strip() if call.sip_status else "no reply"
        lines.setdefault(call.line, answer)
    told = "; ".join(f"line {line}: {why}" for line, why in sorted(lines.items()))
    raise TelephonyError(
        f"no call got through ({told})",
        remedy="check the line's address with `candor lines list` and that what it leads to is "
        "running",
    )


def _first(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


@dataclasses.dataclass(frozen=True, slots=True)
class Row:
    """One due contact of a campaign: dialed, or refused by the gate. Masked (D8)."""

    id: str
    campaign: str  # its name
    contact: str
    number: str
    line: str
    outcome: str  # of ``facts.Outcome``, or ``gate_refused``; empty: still open
    blame: str
    sip_status: int
    at: datetime  # of the attempt, or of the refusal
    answered_at: datetime | None
    disclosed_ms: int | None
    refused: bool
    transferred: bool
    duration_ms: int
    recording: str
    ledger_index: int | None
    feedback: str
    pdd_ms: int | None = None
    violations: tuple[str, ...] = ()
    rules: tuple[str, ...] = ()


def campaign_names(it: Opened) -> dict[str, str]:
    """Name of each campaign by its id."""
    return {campaign: name for campaign, name, _ in it.store.campaigns.campaigns()}


def call_rows(it: Opened, campaign: str) -> list[Row]:
    """Every call and every gate refusal of a campaign, in order of time."""
    name = campaign_names(it).get(campaign, "")
    found = [
        Row(
            id=row.id,
            campaign=name,
            contact=row.contact,
            number=row.number,
            line=row.line,
            outcome=row.outcome or "",
            blame=row.blame or "",
            sip_status=row.sip_status,
            at=row.at,
            answered_at=row.answered_at,
            disclosed_ms=row.disclosed_ms,
            refused=row.refused,
            transferred=row.transferred,
            duration_ms=row.duration_ms,
            recording=row.recording,
            ledger_index=row.ledger_index,
            feedback=row.feedback,
            pdd_ms=pdd_ms(row.invited_at, row.ringing_at),
            violations=row.violations,
        )
        for row in it.store.calls(campaign)
    ]
    found += [
        Row(
            id=row.id,
            campaign=name,
            contact=row.contact,
            number=row.number,
            line="",
            outcome="gate_refused",
            blame="us",
            sip_status=0,
            at=row.at,
            answered_at=None,
            disclosed_ms=None,
            refused=False,
            transferred=False,
            duration_ms=0,
            recording="",
            ledger_index=row.ledger_index,
            feedback="",
            rules=row.rules,
        )
        for row in it.store.gate_refusals(campaign)
    ]
    return sorted(found, key=lambda row: row.at)


def call_json(row: Row) -> dict[str, Any]:
    """A row as plain data."""
    return dataclasses.asdict(row)


def carry_destructions(it: Opened) -> None:
    """Take what was destroyed to the log beside the anchors, where a restore finds it.

    With anchors that are away it waits for the next checkpoint: what is done stays done.
    """
    sequence(it)
    with contextlib.suppress(StorageAway):
        it.sequencer().checkpoint(it.clock.wall(), force=True)


def sequence(it: Opened) -> None:
    """Give every waiting entry of the ledger its index."""
    while it.sequencer().run_once(it.clock.wall()):
        pass


def verify(export: Path, key: str, *more: str, quiet: bool = False) -> int:
    """Run the independent verifier as a process of its own; its exit code."""
    import storage

    program = Path(storage.__path__[0]) / "verify.py"
    command = [sys.executable, "-I", str(program), str(export), *more]
    if key:
        command += ["--key", key]
    output = subprocess.DEVNULL if quiet else None
    return subprocess.run(command, stdout=output, check=False).returncode
