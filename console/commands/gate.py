# SPDX-License-Identifier: GPL-3.0-or-later
"""`candor gate`: what the gate would say, and why."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from compliance import gate
from compliance.errors import BadInput
from compliance.facts import Decision
from console import described, gate_view, homes, recheck
from console.commands.common import (
    DEFAULT_HOME,
    HomeOption,
    JsonOption,
    console,
    group,
    passphrase,
    print_json,
)
from console.inputs import FROM_STDIN, read_number, read_time
from console.messages import text
from dialer.law import rulebook_of
from dialer.policies import load_rulebook

DEFAULT_LAW = ("cn_seed",)

gate_app = group("What the gate would say, and why.")


@gate_app.command("explain")
def gate_explain(
    number: Annotated[str, typer.Argument(help="In any spelling; - reads it from standard input.")],
    campaign: Annotated[str, typer.Option(help="The campaign that would call.")],
    at: Annotated[
        str, typer.Option(help="Another time than now, ISO 8601; without a zone this machine's.")
    ] = "",
    home: HomeOption = DEFAULT_HOME,
    as_json: JsonOption = False,
) -> None:
    """Every rule with pass or refuse, why, and when the call would be allowed. Dials nothing.

    Works for any number: one that nobody imported has neither source nor consent. A draft or
    paused campaign is judged as if you had just started it. The look-up is in the ledger
    (operators, compliance officers, auditors).

    Example: candor gate explain 13912345678 --campaign autumn --at 2026-11-24T10:30+08:00
    """
    with homes.opened(home, passphrase()) as it:
        actor = homes.signed_in(it)
        when = read_time(at) if at else it.clock.wall()
        rulebook = rulebook_of(it.home, it.store)
        found = gate_view.explain(it, actor, campaign, read_number(it, number), rulebook, when)
        language = it.home.settings.language
    if as_json:
        print_json(gate_view.as_json(found, language))
        return
    console.print(gate_view.heading(found, language), markup=False, highlight=False)
    _show(found.decision, found.earliest, language)


@gate_app.command("try")
def gate_try(
    file: Annotated[
        Path, typer.Argument(help="The described call as JSON; - reads standard input.")
    ] = Path(FROM_STDIN),
    profile: Annotated[
        list[str] | None, typer.Option(help="Law where the description names none.")
    ] = None,
    example: Annotated[
        bool, typer.Option("--example", help="Print a description to begin from.")
    ] = False,
    language: Annotated[str, typer.Option(help="zh or en.")] = "en",
    as_json: JsonOption = False,
) -> None:
    """Put a call that you describe to every rule: contact, consent, history, line, script, time.

    No home and no database is needed, and nothing is dialed; the rules are those of every
    real call. What is left out is taken not to be there, and refuses. Exit code 1: refused.

    Example: candor gate try --example | candor gate try --json
    """
    if example:
        print_json(described.EXAMPLE)
        return
    call = described.read(_document(file), at=datetime.now(UTC), profiles=profile or DEFAULT_LAW)
    rulebook = load_rulebook(call.profiles)
    request = call.under(rulebook)
    decision = gate.recheck(request, rulebook, call.at)
    when = gate.earliest(request, rulebook, call.at)
    if as_json:
        print_json(gate_view.decision_json(decision, when, language))
    else:
        _show(decision, when, language)
    raise typer.Exit(0 if decision.permitted else 1)


@gate_app.command("recheck")
def gate_recheck(
    since: Annotated[
        str, typer.Option(help="Decisions from then on, ISO 8601; without a zone this machine's.")
    ] = "1970-01-01T00:00Z",
    home: HomeOption = DEFAULT_HOME,
    as_json: JsonOption = False,
) -> None:
    """Make every decision that let a call through again: it must come out as it did then.

    Each is decided on the request, the law and the time kept with it (compliance officers,
    auditors; in the ledger). Exit code 1: a decision comes out otherwise, or what it was made
    from was altered.

    Example: candor gate recheck --since 2026-11-01
    """
    with homes.opened(home, passphrase()) as it:
        actor, start = homes.signed_in(it), read_time(since)
        done = recheck.recheck(it.store.rechecks.recorded(actor, start))
        refused = it.store.rechecks.refused(start)
        language = it.home.settings.language
    said = recheck.as_json(done, refused)
    if as_json:
        print_json(said)
    else:
        console.print(text("recheck.done", language, **said), highlight=False)
        for call, verdict, rules in done.wrong:
            what = text(f"recheck.{verdict}", language, call=call, rules=", ".join(rules))
            console.print(what, style="red", markup=False, highlight=False)
    raise typer.Exit(0 if done.good else 1)


def _document(file: Path) -> str:
    if str(file) == FROM_STDIN:
        return sys.stdin.read()
    try:
        return file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        cause = error.strerror if isinstance(error, OSError) else "is not UTF-8"
        raise BadInput(f"{file.name} cannot be read: {cause}", field="file") from None


def _show(decision: Decision, earliest: datetime | None, language: str) -> None:
    console.print(gate_view.table(decision, language, console.width))
    style = "green" if decision.permitted else "yellow"
    said = gate_view.verdict(decision, earliest, language)
    console.print(said, style=style, markup=False, highlight=False)
