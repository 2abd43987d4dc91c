# SPDX-License-Identifier: GPL-3.0-or-later
"""`candor numbers`: our own numbers, their daily cap, rest and cases (C4b)."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

import typer

from compliance.errors import BadInput
from console import homes, number_view
from console.commands.cases import who
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
from dialer.policies import load_rulebook
from storage.number_care import CaseState, Figures
from storage.numbers import own_number

numbers_app = group("Our own numbers: how much each was used, and which rest.")

NumberArgument = Annotated[str, typer.Argument(help="One of our own numbers, in any spelling.")]
NoteOption = Annotated[
    str, typer.Option("--note", help="What was done, in words; - reads standard input.")
]


def _asked(it: Opened) -> int | None:
    own = load_rulebook(it.home.settings.policy.profiles).policy.own_numbers
    return None if own is None else own.calls_per_day


def _one(it: Opened, number: str) -> Figures:
    name = number if number.startswith("line:") else own_number(number)
    for found in it.store.own_numbers.figures():
        if found.number == name:
            return found
    raise BadInput("no line shows this number", field="number", remedy="candor numbers list")


@numbers_app.command("list")
def numbers_list(home: HomeOption = DEFAULT_HOME, as_json: JsonOption = False) -> None:
    """Every number of ours: calls of the last 24 hours against its cap, and whether it rests.

    Example: candor numbers list
    """
    with homes.opened(home, passphrase()) as it:
        homes.signed_in(it)
        found, now, asked = it.store.own_numbers.figures(), it.clock.wall(), _asked(it)
        language = it.home.settings.language
    if as_json:
        print_json([number_view.as_json(each, asked, now) for each in found])
    else:
        console.print(number_view.table(found, asked, now, language))


@numbers_app.command("show")
def numbers_show(
    number: NumberArgument, home: HomeOption = DEFAULT_HOME, as_json: JsonOption = False
) -> None:
    """One number with its cases and what was done about them (the ledger notes the reading).

    Example: candor numbers show 4008887686
    """
    with homes.opened(home, passphrase()) as it:
        actor = homes.signed_in(it)
        found, now, asked = _one(it, number), it.clock.wall(), _asked(it)
        cases = [
            (case, it.store.own_numbers.notes(actor, case.id))
            for case in it.store.own_numbers.cases(found.number)
        ]
        names = who(it)
        language = it.home.settings.language
    if as_json:
        told = [number_view.case_json(case, notes, names, now) for case, notes in cases]
        print_json(number_view.as_json(found, asked, now) | {"cases": told})
        return
    console.print(number_view.table([found], asked, now, language))
    for case, notes in cases:
        number_view.show_case(console, case, notes, names, now, language)


@numbers_app.command("rest")
def numbers_rest(
    number: NumberArgument,
    hours: Annotated[int, typer.Option(min=1, max=24 * 366, help="For how long.")] = 24,
    note: NoteOption = "",
    home: HomeOption = DEFAULT_HOME,
) -> None:
    """No call shows this number for some hours; with a note a case is opened (operators).

    Example: candor numbers rest 4008887686 --hours 48 --note "callees see a fraud label"
    """
    with homes.opened(home, passphrase()) as it:
        actor = homes.signed_in(it)
        until = it.clock.wall() + timedelta(hours=hours)
        it.store.own_numbers.rest(actor, number, until, read_words(note))
        say(it, "done.number_rests", until=shown(until, it.home.settings.language))


@numbers_app.command("release")
def numbers_release(
    number: NumberArgument,
    note: NoteOption,
    home: HomeOption = DEFAULT_HOME,
) -> None:
    """A resting number may be used again, on trial; its case is closed (compliance officers).

    Example: candor numbers release 4008887686 --note "carrier lifted the block, ticket 4711"
    """
    with homes.opened(home, passphrase()) as it:
        it.store.own_numbers.release(homes.signed_in(it), number, read_words(note))
        say(it, "done.number_released")


@numbers_app.command("limit")
def numbers_limit(
    number: NumberArgument,
    calls: Annotated[int, typer.Argument(min=0, help="In 24 hours; 0: the profile's cap only.")],
    home: HomeOption = DEFAULT_HOME,
) -> None:
    """Give a number a daily cap below the profile's (compliance officers).

    Example: candor numbers limit 4008887686 120
    """
    with homes.opened(home, passphrase()) as it:
        it.store.own_numbers.limit(homes.signed_in(it), number, calls or None)
        say(it, "done.number_limited")


@numbers_app.command("case")
def numbers_case(
    number: NumberArgument,
    state: Annotated[CaseState, typer.Argument(help="carrier_contacted or abandoned")],
    note: NoteOption,
    home: HomeOption = DEFAULT_HOME,
) -> None:
    """The open case goes on: the carrier was contacted, or the number is given up (operators).

    Example: candor numbers case 4008887686 carrier_contacted --note "ticket 4711, answer Friday"
    """
    with homes.opened(home, passphrase()) as it:
        it.store.own_numbers.step(homes.signed_in(it), number, state, read_words(note))
        say(it, "done.number_case")
