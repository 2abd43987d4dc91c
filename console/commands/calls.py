# SPDX-License-Identifier: GPL-3.0-or-later
"""`candor calls` and `candor replay`: what became of each call, and who said what when."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from compliance.errors import BadInput
from compliance.facts import Actor, HomeKind
from console import call_sheet, check_view, homes, replay, run, wav
from console.commands.common import (
    DEFAULT_HOME,
    HomeOption,
    JsonOption,
    console,
    group,
    passphrase,
    print_json,
    say,
)
from console.homes import Opened
from console.inputs import read_words, shown
from console.messages import text
from console.run import Row
from storage import labels
from storage.listing import CallRow
from storage.recordings import open_recording
from storage.store import AccessReason

calls_app = group("What became of each call.")

CallArgument = Annotated[
    str, typer.Argument(metavar="CALL", help="The id, or its first 6 or more hex digits.")
]


@calls_app.command("list")
def calls_list(
    name: Annotated[
        str, typer.Argument(metavar="[CAMPAIGN]", help="Left out: of every campaign.")
    ] = "",
    home: HomeOption = DEFAULT_HOME,
    as_json: JsonOption = False,
) -> None:
    """Every call of a campaign, and every contact the gate refused; names and numbers masked.

    Example: candor calls list autumn --json
    """
    with homes.opened(home, passphrase()) as it:
        homes.signed_in(it)
        named = [it.store.campaigns.campaign_named(name)] if name else run.campaign_names(it)
        rows = [row for campaign in named for row in run.call_rows(it, campaign)]
        language = it.home.settings.language
        demo = it.store.home is HomeKind.DEMO
    if as_json:
        mark = {"demo": True} if demo else {}
        print_json([run.call_json(row) | mark for row in rows])
        return
    table = Table(title=text("demo.mark", language) if demo else None)
    for column in _COLUMNS:
        right = column in ("sip", "pdd", "disclosure", "duration", "ledger")
        table.add_column(
            text(f"column.{column}", language),
            justify="right" if right else "left",
            no_wrap=column == "call",
        )
    for row in rows:
        table.add_row(*_cells(row, language))
    console.print(table)


_COLUMNS = (
    "call",
    "contact",
    "line",
    "outcome",
    "blame",
    "sip",
    "pdd",
    "disclosure",
    "duration",
    "feedback",
    "ledger",
)


def _cells(row: Row, language: str) -> list[str]:
    outcome = text(f"outcome.{row.outcome}", language) if row.outcome else ""
    if row.rules:
        outcome += f": {', '.join(row.rules)}"
    if row.violations:
        outcome += f" ({text('status.violations', language)} {', '.join(row.violations)})"
    return [
        row.id[:8],
        f"{row.contact} {row.number}",
        row.line,
        outcome,
        text(f"blame.{row.blame}", language) if row.blame else "",
        str(row.sip_status or ""),
        "" if row.pdd_ms is None else f"{row.pdd_ms} ms",
        "" if row.disclosed_ms is None else f"{row.disclosed_ms} ms",
        f"{row.duration_ms / 1000:.1f} s" if row.duration_ms else "",
        row.feedback,
        "" if row.ledger_index is None else str(row.ledger_index),
    ]


@calls_app.command("note")
def calls_note(
    call: CallArgument,
    words: Annotated[str, typer.Argument(metavar="TEXT", help="- reads standard input.")],
    home: HomeOption = DEFAULT_HOME,
) -> None:
    """Note something about a call: what the customer said, what was promised. It is sealed with
    the call and goes with it (operators, compliance officers).

    Example: candor calls note 5f0c21 "asked for the brochure once more"
    """
    with homes.opened(home, passphrase()) as it:
        actor, found = homes.signed_in(it), it.store.watching.find(call)
        it.store.call_notes.add(actor, found, read_words(words))
        say(it, "call.noted", call=found[:8])


@calls_app.command("notes")
def calls_notes(
    call: CallArgument, home: HomeOption = DEFAULT_HOME, as_json: JsonOption = False
) -> None:
    """What was noted about a call, in the clear; the ledger keeps who read it (operators,
    compliance officers, auditors).

    Example: candor calls notes 5f0c21
    """
    with homes.opened(home, passphrase()) as it:
        actor, found = homes.signed_in(it), it.store.watching.find(call)
        notes, names = it.store.call_notes.notes(actor, found), it.store.people.names()
        language = it.home.settings.language
    if as_json:
        print_json([{"at": n.at, "by": names.get(n.by, n.by), "text": n.text} for n in notes])
        return
    for note in notes:
        typer.echo(f"{shown(note.at, language)} {names.get(note.by, note.by)}\n{note.text}")


@calls_app.command("show")
def calls_show(
    call: CallArgument, home: HomeOption = DEFAULT_HOME, as_json: JsonOption = False
) -> None:
    """One call: signalling, timings, what the gate found, recording, its ledger entries. Masked.

    Example: candor calls show 5f0c21
    """
    with homes.opened(home, passphrase()) as it:
        homes.signed_in(it)
        sheet = call_sheet.read(it, call)
        language = it.home.settings.language
    if as_json:
        print_json(call_sheet.as_json(sheet, language))
    else:
        console.print(call_sheet.screen(sheet, language))


def replay_call(
    call: CallArgument,
    reason: Annotated[
        AccessReason | None, typer.Option(help="Why it is opened; goes into the ledger (S5).")
    ] = None,
    wav_file: Annotated[
        Path | None,
        typer.Option("--wav", help="Write the opened audio here instead: callee left, bot right."),
    ] = None,
    force: Annotated[bool, typer.Option(help="Replace an existing file.")] = False,
    home: HomeOption = DEFAULT_HOME,
    as_json: JsonOption = False,
) -> None:
    """Who said what when, on one clock (auditors, compliance officers; written to the ledger).

    Times are milliseconds from the answer. With --wav the recording is opened and written as
    8 kHz stereo, readable by you alone; a demo home's file says DEMO in its INFO chunk.

    Example: candor replay 5f0c21 --reason quality
    """
    with homes.opened(home, passphrase()) as it:
        actor = homes.signed_in(it)
        found = replay.placed(it, call)
        if wav_file is not None:
            wav.check_target(wav_file, force=force)
            if not found.recording:
                raise BadInput("nothing of this call was recorded", field="call")
        why = reason or ask_reason(it)
        if wav_file is not None:
            _write_wav(it, actor, found, why, wav_file, force)
            return
        events = replay.read(it, actor, found, why)
        check, language = it.store.checks.check(found.id), it.home.settings.language
        if as_json:
            checked = {"check": check_view.as_json(check, language)}
            print_json(replay.as_json(it, found, events) | checked)
            return
        demo = it.store.home is HomeKind.DEMO
        console.print(replay.screen(found, events, language, width=console.width, demo=demo))
        if check is not None:
            console.print()
            console.print(check_view.told(check, language))


def ask_reason(it: Opened) -> AccessReason:
    """Ask on the terminal why raw data is opened; BadInput where nobody can be asked."""
    choices = "|".join(AccessReason)
    if not sys.stdin.isatty():
        raise BadInput(
            "raw data is opened for a reason only (S5)",
            field="--reason",
            remedy=f"give --reason {choices}",
        )
    question = text("replay.reason", it.home.settings.language, choices=choices)
    while True:
        given = typer.prompt(question).strip().lower()
        if given in set(AccessReason):
            return AccessReason(given)


def _write_wav(
    it: Opened, actor: Actor, call: CallRow, reason: AccessReason, path: Path, force: bool
) -> None:
    sealed = it.store.recording(actor, call.id, reason)
    callee, bot = open_recording(it.home.open_objects(), it.keyring, sealed)
    demo = it.store.home is HomeKind.DEMO
    comment = f"call {call.id}; opened for {reason}; left: callee, right: bot"
    if callee is None:
        comment += "; the callee's track was destroyed: left is silent"
    data = wav.stereo(
        callee,
        bot,
        comment=f"DEMO; {comment}" if demo else comment,
        title=f"{'DEMO ' if demo else ''}{call.id}",
        label=labels.label_text(it.store.company, call.id),
    )
    wav.save(path, data, force=force)
    say(it, "done.wav", path=path, seconds=len(bot) / 8000)
    if callee is None:
        say(it, "done.wav_shredded")
    if demo:
        say(it, "done.wav_demo")
