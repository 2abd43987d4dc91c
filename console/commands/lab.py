# SPDX-License-Identifier: GPL-3.0-or-later
"""`candor init --lab` and `candor campaign test`: the robot on your own softphone."""

from __future__ import annotations

import asyncio
import getpass
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from compliance.errors import BadInput
from compliance.facts import Outcome, Role, Speaker
from console import homes, lab, run
from console.commands.common import (
    DEFAULT_HOME,
    HomeOption,
    JsonOption,
    console,
    errors,
    passphrase,
    print_json,
)
from console.commands.stops import exit_if_stopped
from console.homes import Opened
from console.messages import finding_text, text
from console.progress import Progress
from dialer.logs import configure
from storage.store import AccessReason

_HINTS = {404, 480, 486, 488, 603}  # SIP status codes with a hint of their own
_OURS = {Outcome.ABORTED, Outcome.UNKNOWN}  # answered, and then we failed
_READERS = (Role.AUDITOR, Role.COMPLIANCE)


def init_lab(home: Path, company: str, tenant: str, language: str) -> None:
    """One question, then a lab home that can call; the rest of ``candor init --lab``."""
    homes.check_empty(home)
    if sys.stdin.isatty():
        password = getpass.getpass(text("lab.password", language))
    else:
        password = sys.stdin.readline().rstrip("\n")
    made = lab.make(
        home,
        password=password,
        tenant=tenant,
        company=company,
        language=language,
        passphrase=passphrase(),
    )
    homes.remember(home, made.token)
    say = console.print
    say(text("lab.made", language, home=home), markup=False)
    for name, role in lab.STAFF:
        say(f"  {name:<10}{role}", highlight=False)
    say(text("lab.people", language), highlight=False)
    end_ms = made.version.disclosure_end_ms
    say(text("lab.script", language, script=lab.SCRIPT, ms=end_ms), highlight=False)
    say(text("lab.next", language), highlight=False)
    say(f"  candor campaign test --to sip:me@127.0.0.1:5060{_at(home)}", highlight=False)


def campaign_test(
    to: Annotated[str, typer.Option(help="SIP URI of your own softphone.")],
    script: Annotated[str, typer.Option(help="Name of an approved script.")] = lab.SCRIPT,
    yes: Annotated[
        bool, typer.Option("--yes", help="It is my telephone, and the robot may call it.")
    ] = False,
    home: HomeOption = DEFAULT_HOME,
    as_json: JsonOption = False,
) -> None:
    """Call your own softphone now, in a lab home (operators).

    It goes the way of every call: claim, gate, permit, INVITE. Exit code 0 when there
    was a conversation, 1 when not. See docs/softphones.md.

    Example: candor campaign test --to sip:me@127.0.0.1:5060
    """
    with homes.opened(home, passphrase()) as it:
        actor = homes.signed_in(it)
        configure(it.home.logs / "supervisor.log")
        language = it.home.settings.language
        lab.check(it, actor, to)
        exit_if_stopped(it, "candor campaign test")
        if not it.store.testers.allowed(to):
            if not yes:
                _ask(language)
            it.store.testers.confirm(actor, to)
        campaign, name = lab.campaign(it, actor, to, script)
        progress = Progress(errors if as_json else console, language)
        try:
            asyncio.run(run.dial(it, actor, campaign, progress))
        finally:
            lab.close(it, actor, campaign)
        rows = run.call_rows(it, campaign)
        row = rows[-1] if rows else None
        said = _said(it, row.id) if row else None
        why = _why(it, row, language) if row else []
    if as_json:
        facts = run.call_json(row) if row else {}
        print_json({**facts, "campaign": name, "said": said})
    else:
        _show(row, name, why, said, home, language)
    talked = row is not None and row.answered_at is not None and row.outcome not in _OURS
    raise typer.Exit(0 if talked else 1)


def _ask(language: str) -> None:
    """The tester's own yes; anything else ends the command."""
    if not sys.stdin.isatty():
        raise BadInput(
            "the tester must agree to be called by a robot", field="--yes", remedy="add --yes"
        )
    if not typer.confirm(text("test.confirm", language)):
        typer.echo(text("test.declined", language))
        raise typer.Exit(1)


def _said(it: Opened, call: str) -> list[dict[str, Any]] | None:
    """What was said, for somebody who may read it; None: they may not. The reading is ledgered."""
    actor = homes.signed_in(it)
    if not any(actor.has(role) for role in _READERS):
        return None
    lines = it.store.transcript(actor, call, AccessReason.QUALITY)
    return [
        {"at_ms": line.start_ms, "speaker": str(line.speaker), "text": line.text} for line in lines
    ]


def _why(it: Opened, row: run.Row, language: str) -> list[str]:
    """What the gate found against the call, in words."""
    if not row.rules:
        return []
    refusing = it.store.decision(row.id).refusing
    return [finding_text(finding, language) for finding in refusing]


def _show(
    row: run.Row | None,
    name: str,
    why: Sequence[str],
    said: list[dict[str, Any]] | None,
    home: Path,
    language: str,
) -> None:
    def say(message: str, **params: object) -> None:
        console.print(text(message, language, **params), highlight=False, markup=False)

    if row is None:
        say("test.not_dialed")
        return
    outcome = text(f"outcome.{row.outcome}", language)
    say("test.outcome", name=name, outcome=outcome, status=row.sip_status or "-")
    if row.rules:
        say("test.rules")
        for sentence in why:
            console.print(f"  {sentence}", highlight=False, markup=False)
        return
    if row.answered_at is None:
        say(_hint(row))
        return
    if row.disclosed_ms is not None:
        say("test.disclosed", ms=row.disclosed_ms)
    elif row.outcome not in _OURS:
        say("test.undisclosed")
    for line in said or ():
        who = text("test.bot" if line["speaker"] == Speaker.BOT else "test.you", language)
        console.print(
            f"  {line['at_ms'] / 1000:5.1f} s  {who}  {line['text']}", highlight=False, markup=False
        )
    say("test.next")
    _print_command(f"calls show {row.id[:8]}", home)
    if said is None:
        say("test.sealed")
        _print_command("login auditor", home)
    _print_command(f"replay {row.id[:8]} --reason quality", home)


def _print_command(words: str, home: Path) -> None:
    console.print(f"  candor {words}{_at(home)}", highlight=False, markup=False, soft_wrap=True)


def _hint(row: run.Row) -> str:
    """Message id of what to try when nobody answered."""
    if row.outcome == Outcome.NO_ANSWER:
        return "test.hint.rang"
    return f"test.hint.{row.sip_status}" if row.sip_status in _HINTS else "test.hint.silent"


def _at(home: Path) -> str:
    return "" if home == DEFAULT_HOME else f" --home {home}"
