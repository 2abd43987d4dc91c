# SPDX-License-Identifier: GPL-3.0-or-later
"""`candor complaint`: taking complaints in, answering in time, mending, closing (P1-P3, P6, P7)."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Any

import typer
from rich.table import Table

from compliance.complaints import Channel, ComplaintKind, Stage
from compliance.errors import BadInput
from console import homes
from console.commands.cases import TextOption, named, who
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
from console.inputs import read_number, read_time, read_words, shown
from console.messages import text
from dialer.law import rulebook_of
from storage.complaint_rows import Complaint

complaint_app = group("Complaints: answered within 24 hours, mended, and learnt from.")

ComplaintArgument = Annotated[
    str, typer.Argument(metavar="COMPLAINT", help="Its id, or the first 6 or more digits.")
]
ChannelOption = Annotated[Channel, typer.Option(help="By which way.")]
_RED = (Stage.ALARM, Stage.BREACHED)


@complaint_app.command("add")
def complaint_add(
    kind: Annotated[ComplaintKind, typer.Option(help="What it is about; decides who handles it.")],
    channel: ChannelOption,
    words: TextOption,
    number: Annotated[
        str, typer.Option(help="Of who complains; - reads it from standard input.")
    ] = "",
    call: Annotated[str, typer.Option(help="The call it is about: its id or first digits.")] = "",
    received: Annotated[str, typer.Option(help="When it came, ISO 8601; now if left out.")] = "",
    do_not_call: Annotated[
        bool,
        typer.Option("--do-not-call", help="They ask not to be called: refusal list, at once."),
    ] = False,
    home: HomeOption = DEFAULT_HOME,
    as_json: JsonOption = False,
) -> None:
    """Take a complaint in; 24 hours for the answer run from its receipt. A legal hold keeps what
    it is about until it is closed. Operators and compliance officers.

    Example: candor complaint add --call 5f0c21 --kind harassment --channel phone --text -
    """
    if number == words == "-":
        raise BadInput("only one can come from standard input", field="complaint add")
    with homes.opened(home, passphrase()) as it:
        actor, now = homes.signed_in(it), it.clock.wall()
        policy = rulebook_of(it.home, it.store).policy
        complaint = it.store.complaints.add(
            actor,
            kind=kind,
            channel=channel,
            text=read_words(words),
            received_at=read_time(received) if received else now,
            number=read_number(it, number) if number else None,
            attempt=it.store.watching.find(call) if call else "",
            refuse_until=policy.refusal_until(now) if do_not_call else None,
        )
        found = it.store.complaints.complaint(complaint)
        language = it.home.settings.language
        if as_json:
            print_json({"complaint": complaint, "due": found.due, "team": str(found.team)})
        else:
            say(
                it,
                "complaint.added",
                complaint=complaint[:8],
                due=shown(found.due, language),
                team=text(f"complaint.team.{found.team}", language),
            )


@complaint_app.command("list")
def complaint_list(
    closed: Annotated[bool, typer.Option("--closed", help="Closed ones too.")] = False,
    overdue: Annotated[
        bool, typer.Option("--overdue", help="Only late ones; exit code 1 if there are any.")
    ] = False,
    home: HomeOption = DEFAULT_HOME,
    as_json: JsonOption = False,
) -> None:
    """Open complaints, the first due first; numbers masked, without their words.

    Example: candor complaint list --overdue
    """
    with homes.opened(home, passphrase()) as it:
        homes.signed_in(it)
        it.store.complaints.sweep()
        found = it.store.complaints.complaints(closed=closed)
        names, now, language = who(it), it.clock.wall(), it.home.settings.language
    if overdue:
        found = [complaint for complaint in found if complaint.overdue]
    if as_json:
        print_json([_json(complaint, names) for complaint in found])
    else:
        _table(found, names, now, language)
    if overdue and found:
        raise typer.Exit(1)


@complaint_app.command("show")
def complaint_show(
    complaint: ComplaintArgument, home: HomeOption = DEFAULT_HOME, as_json: JsonOption = False
) -> None:
    """One complaint with its words in the clear; the ledger keeps who read them. Its team
    (privacy and advertising: compliance officers only) and auditors.

    Example: candor complaint show 8d21c0
    """
    with homes.opened(home, passphrase()) as it:
        actor, complaints = homes.signed_in(it), it.store.complaints
        complaints.sweep()
        found = complaints.complaint(complaints.complaint_of_prefix(complaint))
        words = complaints.words(actor, found.id)
        names, language = who(it), it.home.settings.language
    said = {
        "text": words.text,
        "answer": words.answer,
        "remedy": words.remedy,
        "no_training": words.waiver,
    }
    if as_json:
        print_json(_json(found, names) | {"words": said})
        return
    for name, value in _json(found, names).items():
        if value not in ("", None, False):
            plain = shown(value, language) if isinstance(value, datetime) else value
            typer.echo(f"{text(f'complaint.column.{name}', language)}: {plain}")
    for name, written in said.items():
        if written:
            typer.echo(f"\n{text(f'complaint.column.{name}', language)}\n{written}")


@complaint_app.command("assign")
def complaint_assign(
    complaint: ComplaintArgument,
    to: Annotated[str, typer.Option(help="Somebody of the team that handles it.")],
    home: HomeOption = DEFAULT_HOME,
) -> None:
    """Give a complaint to somebody.

    Example: candor complaint assign 8d21c0 --to chen
    """
    with homes.opened(home, passphrase()) as it:
        actor, found = homes.signed_in(it), _found(it, complaint)
        it.store.complaints.assign(actor, found, named(it, to))
        say(it, "complaint.assigned", complaint=found[:8], name=to)


@complaint_app.command("answer")
def complaint_answer(
    complaint: ComplaintArgument,
    words: TextOption,
    channel: ChannelOption,
    home: HomeOption = DEFAULT_HOME,
) -> None:
    """The person was told: by which way, and what. The time is now: a late note is late.

    Example: candor complaint answer 8d21c0 --channel phone --text "we are sorry; no more calls"
    """
    with homes.opened(home, passphrase()) as it:
        actor, found = homes.signed_in(it), _found(it, complaint)
        it.store.complaints.answer(actor, found, read_words(words), channel)
        late = it.store.complaints.complaint(found).stage is Stage.BREACHED
        say(it, "complaint.answered_late" if late else "complaint.answered", complaint=found[:8])


@complaint_app.command("remedy")
def complaint_remedy(
    complaint: ComplaintArgument,
    words: TextOption = "",
    by: Annotated[str, typer.Option(help="Deadline, ISO 8601; at most 30 days from now.")] = "",
    done: Annotated[bool, typer.Option("--done", help="The remedy is done.")] = False,
    home: HomeOption = DEFAULT_HOME,
) -> None:
    """What will be mended by when; later, that it is done.

    Example: candor complaint remedy 8d21c0 --by 2026-12-01T18:00+08:00 --text "new hours"
    """
    if done == bool(words or by) or bool(words) != bool(by):
        raise BadInput(
            "say what is mended by when, or that it is done",
            field="complaint remedy",
            remedy="--text and --by, or --done",
        )
    with homes.opened(home, passphrase()) as it:
        actor, found = homes.signed_in(it), _found(it, complaint)
        if done:
            it.store.complaints.remedied(actor, found)
            say(it, "complaint.remedied", complaint=found[:8])
        else:
            due = read_time(by)
            it.store.complaints.set_remedy(actor, found, read_words(words), due)
            language = it.home.settings.language
            say(it, "complaint.remedy", complaint=found[:8], due=shown(due, language))


@complaint_app.command("close")
def complaint_close(
    complaint: ComplaintArgument,
    training: Annotated[
        str, typer.Option(help="Name of the training case it becomes: small letters and dashes.")
    ] = "",
    no_training: Annotated[
        str, typer.Option(help="Why it teaches nothing (compliance officers); - reads it.")
    ] = "",
    home: HomeOption = DEFAULT_HOME,
) -> None:
    """Close a complaint that is answered and mended; its legal hold ends.

    Example: candor complaint close 8d21c0 --training calls-at-lunch
    """
    if training and no_training:
        raise BadInput("it teaches something or not", field="complaint close")
    with homes.opened(home, passphrase()) as it:
        actor, found = homes.signed_in(it), _found(it, complaint)
        waiver = read_words(no_training) if no_training else ""
        it.store.complaints.close(actor, found, training_case=training, waiver=waiver)
        say(it, "complaint.closed", complaint=found[:8])


def _found(it: Opened, start: str) -> str:
    return it.store.complaints.complaint_of_prefix(start)


def _json(complaint: Complaint, names: dict[str, str]) -> dict[str, Any]:
    progress = complaint.progress
    return {
        "complaint": complaint.id,
        "kind": str(complaint.kind),
        "channel": str(complaint.channel),
        "number": complaint.number,
        "call": complaint.attempt,
        "received_at": complaint.received_at,
        "due": complaint.due,
        "stage": str(complaint.stage),
        "overdue": complaint.overdue,
        "team": str(complaint.team),
        "assigned_to": names.get(complaint.assigned_to, complaint.assigned_to),
        "do_not_call": complaint.do_not_call,
        "case": complaint.case,
        "entered_by": names.get(complaint.entered_by, complaint.entered_by),
        "entered_at": complaint.entered_at,
        "answered_at": progress.answered_at,
        "answered_by": names.get(complaint.answered_by, complaint.answered_by),
        "answer_channel": complaint.answer_channel,
        "remedy_due": progress.remedy_due,
        "remedied_at": progress.remedied_at,
        "remedy_overdue": complaint.remedy_overdue,
        "training_case": progress.training_case,
        "closed_at": complaint.closed_at,
        "closed_by": names.get(complaint.closed_by, complaint.closed_by),
        "wiped_at": complaint.wiped_at,
    }


def _table(found: list[Complaint], names: dict[str, str], now: datetime, language: str) -> None:
    table = Table()
    for column in ("complaint", "kind", "number", "team", "assigned_to", "due", "stage", "remedy"):
        table.add_column(text(f"complaint.column.{column}", language))
    for complaint in found:
        left = complaint.due - now
        due = shown(complaint.due, language)
        if complaint.progress.answered_at is None and left > timedelta(0):
            due += f" ({left.total_seconds() / 3600:.0f} h)"
        word = text(f"complaint.stage.{complaint.stage}", language)
        remedy = shown(complaint.progress.remedy_due, language)
        if complaint.remedy_overdue:
            remedy += f" {text('complaint.late', language)}"
        style = "red" if complaint.stage in _RED or complaint.remedy_overdue else ""
        closed = complaint.closed_at is not None
        table.add_row(
            complaint.id[:8],
            text(f"complaint.kind.{complaint.kind}", language),
            complaint.number,
            text(f"complaint.team.{complaint.team}", language),
            names.get(complaint.assigned_to, ""),
            due,
            text("complaint.stage.closed", language) if closed else word,
            remedy,
            style="" if closed else style,
        )
    console.print(table)
