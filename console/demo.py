# SPDX-License-Identifier: GPL-3.0-or-later
"""``candor demo``: a whole dial run on a machine of its own, then the proof of it.

Nothing here is special to the demo but the simulator at the other end: the
same home, gate, dialer, bot and ledger serve real campaigns.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from importlib import resources
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from compliance.errors import BadInput
from compliance.facts import Actor, CallRecord, HomeKind, LineFacts, Role, SourceKind
from console import homes, join, run, simulators, submissions, witness
from console.homes import Opened
from console.messages import text
from console.progress import Progress
from dialer.logs import configure
from storage import ledger
from voicebot import script as scripts
from voicebot.prompts import RenderedScript

COMPANY = "星辰公司"
CALLER_ID = "4008887686"
PURPOSE = "membership"
MARKER = "DEMO"  # a file of this name marks a home that may be made anew
_RING_TIMEOUT_S = 8.0
_SETTLE_S = 3.0  # the callees finish writing their records


def examples() -> Path:
    """Folder of the demo's contacts and script."""
    return Path(str(resources.files("console"))).parent / "examples" / "demo"


@dataclass(frozen=True, slots=True)
class Staff:
    """The demo's people: distinct, as a real home must have them (G1, G5)."""

    administrator: Actor
    author: Actor
    officer: Actor
    operator: Actor
    auditor: Actor


async def demo(root: Path, language: str, console: Console) -> bool:
    """Make the demo home, dial, join both sides' records; True when every check passed."""
    began = time.time()
    callees = root.parent / f"{root.name}-callees"
    _clear(root)
    _clear(callees)
    console.rule(text("demo.mark", language))
    console.print(text("demo.home", language))
    homes.create(
        root,
        kind=HomeKind.DEMO,
        company=COMPANY,
        tenant="demo",
        language=language,
        ring_timeout_s=_RING_TIMEOUT_S,
    )
    (root / MARKER).write_text("made by `candor demo`; made anew each time\n")
    callees.mkdir(parents=True, exist_ok=True)
    (callees / MARKER).write_text("records of the simulated callees\n")
    public = await simulators.issue_key(callees)
    shutil.copy(public, root / "keys" / "sim.pub")
    console.print(text("demo.simulator", language))
    with homes.opened(root) as it:
        configure(it.home.logs / "supervisor.log")
        async with simulators.simulator(callees) as address:
            staff = hire(it)
            campaign, rendered = await prepare(
                it, staff, address, examples() / "contacts.csv", language, console
            )
            progress = Progress(console, language)
            await run.dial(it, staff.operator, campaign, progress)
            await asyncio.sleep(_SETTLE_S)
        return _judge(it, staff, campaign, rendered, callees, began, console, language)


def _clear(folder: Path) -> None:
    if not folder.exists() or not any(folder.iterdir()):
        return
    if not (folder / MARKER).exists():
        raise BadInput(
            f"{folder} is not a demo folder and is left alone",
            field="--home",
            remedy="name another folder",
        )
    shutil.rmtree(folder)


def hire(it: Opened) -> Staff:
    people = it.store.people

    def add(by: Actor | None, name: str, role: Role) -> Actor:
        password = secrets.token_urlsafe(18)
        people.add_person(by, name, password, [role])
        return people.sign_in(name, password)

    administrator = add(None, "demo-admin", Role.ADMIN)
    return Staff(
        administrator,
        add(administrator, "demo-author", Role.AUTHOR),
        add(administrator, "demo-officer", Role.COMPLIANCE),
        add(administrator, "demo-operator", Role.OPERATOR),
        add(administrator, "demo-auditor", Role.AUDITOR),
    )


async def prepare(
    it: Opened, staff: Staff, address: str, contacts: Path, language: str, console: Console
) -> tuple[str, RenderedScript]:
    """Import, sign-off, line, campaign: what an operator does before the first call."""
    result = it.store.contacts.import_csv(
        contacts,
        actor=staff.operator,
        source=SourceKind.WEB_FORM,
        batch="demo",
    )
    console.print(text("demo.import", language, accepted=result.accepted))
    source = (examples() / "script.zh.yaml").read_text("utf-8")
    version = await asyncio.to_thread(submissions.submit, it, staff.author, source, "demo")
    version = it.store.scripts.approve(staff.officer, version)
    console.print(text("demo.script", language, ms=version.disclosure_end_ms))
    far = it.clock.wall() + timedelta(days=1)
    it.store.lines.add_line(
        staff.administrator,
        LineFacts(
            "simulator",
            "simulator",
            "simulator",
            address,
            CALLER_ID,
            whitelisted_until=far,
            registered_until=far,
            filed_until=far,
            plaintext_exception_until=far,
        ),
    )
    campaigns = it.store.campaigns
    campaign = campaigns.create_campaign(
        staff.operator,
        name="demo",
        purpose=PURPOSE,
        script=version.id,
        batches=["demo"],
        lines=["simulator"],
    )
    campaigns.start(staff.operator, campaign)
    return campaign, submissions.render(it, scripts.load(source))


# ---------------------------------------------------------------- the proof


def _judge(
    it: Opened,
    staff: Staff,
    campaign: str,
    rendered: RenderedScript,
    callees: Path,
    began: float,
    console: Console,
    language: str,
) -> bool:
    theirs = simulators.records(callees)
    ours = it.store.invites(campaign)
    joined = join_both(it, staff.auditor, ours, theirs, rendered)
    it.sequencer().run_once(it.clock.wall())
    it.sequencer().checkpoint(it.clock.wall(), force=True)
    entries = ledger.export(it.engine, callees / "ledger.export")
    verified = run.verify(
        callees / "ledger.export",
        it.keyring.fingerprint(),
        "--objects",
        str(it.home.objects),
        quiet=True,
    )
    faults = [f"{_label(entry)}: {fault}" for entry in joined for fault in entry.faults]
    if verified:
        faults.append(f"the ledger does not verify (exit {verified})")
    faults += _expected(it, campaign, ours)
    console.print()
    console.print(_table(it, campaign, joined, language))
    first = _first_ring(theirs)
    if first is not None:
        console.print(text("demo.first_ring", language, seconds=first - began))
    if not verified:
        console.print(text("demo.ledger", language, entries=entries))
    _figures(joined, callees / "report.json", first and first - began, faults)
    for fault in faults:
        console.print(f"  {fault}", style="red", markup=False)
    key = "demo.failed" if faults else "demo.passed"
    style = "bold red" if faults else "bold green"
    console.print(text(key, language, count=_checks(joined)), style=style)
    return not faults


def join_both(
    it: Opened,
    auditor: Actor,
    ours: Sequence[CallRecord],
    theirs: Sequence[dict[str, Any]],
    rendered: RenderedScript,
) -> list[join.Joined]:
    """Our calls and the callees' records, matched by Call-ID, their audio compared."""
    by_call_id = {record["call_id"]: record for record in theirs}
    seen = {
        call.sip_call_id: witness.compare(it, auditor, call, by_call_id[call.sip_call_id], rendered)
        for call in ours
        if call.answered_at is not None and call.sip_call_id in by_call_id
    }
    return join.join(ours, theirs, seen)


def _expected(it: Opened, campaign: str, ours: Sequence[CallRecord]) -> list[str]:
    """A run that dialed nobody would pass every comparison: say what must have happened."""
    rows = run.call_rows(it, campaign)
    outcomes = sorted(str(row.outcome) for row in rows)
    wanted = sorted(["accepted", "refused", "refused", "busy", "no_answer", "gate_refused"])
    if outcomes == wanted and len(ours) == 5:
        return []
    return [f"outcomes are {', '.join(outcomes)}; expected {', '.join(wanted)}"]


def _label(entry: join.Joined) -> str:
    if entry.ours is not None:
        return f"call {entry.ours.attempt_id[:8]} ({entry.ours.outcome})"
    return "a call only the callee knows of"


def _first_ring(theirs: Sequence[dict[str, Any]]) -> float | None:
    rings = [
        datetime.fromisoformat(record["ringing"]["wall"]).timestamp()
        for record in theirs
        if record.get("ringing")
    ]
    return min(rings, default=None)


def _checks(joined: Sequence[join.Joined]) -> int:
    """How many comparisons were made: existence and status of each, audio of the answered."""
    answered = [j for j in joined if j.witnessed is not None]
    refused = [j for j in joined if j.refusal_to_bye_ms is not None]
    return 3 * len(joined) + 5 * len(answered) + len(refused) + 2


def _table(it: Opened, campaign: str, joined: Sequence[join.Joined], language: str) -> Table:
    by_attempt = {j.ours.attempt_id: j for j in joined if j.ours is not None}
    table = Table(title=f"Candor {text('demo.mark', language)}")
    columns = "contact outcome blame sip pdd disclosure witness refusal bye recording ledger rules"
    for column in columns.split():
        table.add_column(
            text(f"column.{column}", language),
            overflow="fold",
            min_width=13 if column == "contact" else 4,
        )
    for row in run.call_rows(it, campaign):
        entry = by_attempt.get(row.id)
        call = entry.ours if entry else None
        seen = entry.witnessed if entry else None
        table.add_row(
            f"{row.contact}\n{row.number}",
            text(f"outcome.{row.outcome}", language),
            text(f"blame.{row.blame}", language) if row.blame else "",
            str(row.sip_status or ""),
            _pdd(call),
            _ms(call.disclosed_ms if call else None),
            _ms(seen.disclosure_ms if seen else None),
            text(f"refusal.{_how(call)}", language) if call and call.refused else "",
            _ms(entry.refusal_to_bye_ms if entry else None),
            _tracks(seen),
            "" if row.ledger_index is None else str(row.ledger_index),
            ", ".join(row.rules),
        )
    return table


def _how(call: CallRecord) -> str:
    return "key" if call.feedback.startswith("key") else "voice"


def _ms(value: float | None) -> str:
    return "" if value is None else f"{value:.0f} ms"


def _pdd(call: CallRecord | None) -> str:
    """Post-dial delay: INVITE to the first ringing."""
    if call is None or call.invited_at is None or call.ringing_at is None:
        return ""
    return _ms((call.ringing_at - call.invited_at).total_seconds() * 1000)


def _tracks(seen: join.Witnessed | None) -> str:
    if seen is None or seen.bot_correlation is None:
        return ""
    callee = "–" if seen.callee_correlation is None else f"{seen.callee_correlation:.2f}"
    return f"{callee} / {seen.bot_correlation:.2f}"


def _figures(
    joined: Sequence[join.Joined], path: Path, first_ring_s: float | None, faults: Sequence[str]
) -> None:
    """The measured figures as JSON, for whoever wants to compare runs."""
    calls = [
        {
            "outcome": j.ours and j.ours.outcome,
            "sip_status": j.ours and j.ours.sip_status,
            "disclosed_ms": j.ours and j.ours.disclosed_ms,
            "disclosed_at_callee_ms": j.witnessed and j.witnessed.disclosure_ms,
            "refusal_to_bye_ms": j.refusal_to_bye_ms,
            "callee_correlation": j.witnessed and j.witnessed.callee_correlation,
            "bot_correlation": j.witnessed and j.witnessed.bot_correlation,
            "callee_shift_ms": j.witnessed and j.witnessed.callee_shift_ms,
            "bot_shift_ms": j.witnessed and j.witnessed.bot_shift_ms,
            "farewell_at_callee_ms": j.witnessed and j.witnessed.farewell_ms,
            "refused_at_callee_ms": j.theirs and j.theirs.get("refused_at_ms"),
            "max_gap_ms": j.ours and j.ours.max_gap_ms,
        }
        for j in joined
    ]
    report = {"demo": True, "first_ring_s": first_ring_s, "faults": list(faults), "calls": calls}
    path.write_text(json.dumps(report, indent=1, default=str), "utf-8")
