# SPDX-License-Identifier: GPL-3.0-or-later
"""`candor exam`: what everybody passes before they work (G4)."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from compliance.errors import BadInput
from compliance.exam import Bank, Drawn
from compliance.facts import Actor
from console import exam_bank, homes
from console.commands.common import (
    DEFAULT_HOME,
    HomeOption,
    JsonOption,
    console,
    group,
    passphrase,
    print_json,
)
from console.homes import Opened
from console.inputs import FROM_STDIN, shown
from console.messages import text
from storage.exams import HandedIn, Sitting

exam_app = group("The exam everybody passes before they work.")
_LARGEST = 64 << 10  # bytes of a file of answers


@exam_app.command("take")
def exam_take(
    language: Annotated[str, typer.Option(help="zh or en; left out: the home's.")] = "",
    answers: Annotated[
        Path | None, typer.Option(help="With --json: a file of answers; - reads standard input.")
    ] = None,
    home: HomeOption = DEFAULT_HOME,
    as_json: JsonOption = False,
) -> None:
    """Twenty questions for your roles; all must be answered right. Valid for twelve months.

    Wrong answers are explained at the end, and the next try draws other questions. With --json
    it prints the questions; hand the answers in with --json --answers FILE, an object such as
    {"sitting": "5f0c…", "answers": {"caps": 2}}, counted from 1. Exit code 1: not passed.

    Example: candor exam take
    """
    with homes.opened(home, passphrase()) as it:
        actor = homes.signed_in(it)
        bank = exam_bank.load(language or it.home.settings.language)
        if answers is not None:
            if not as_json:
                raise BadInput("goes with --json", field="--answers")
            sitting, given = read_answers(answers)
            done = it.store.exams.hand_in(actor, sitting, bank, given)
        elif as_json:
            print_json(_as_json(it.store.exams.begin(actor, bank), bank))
            return
        else:
            done = _ask(it, actor, bank)
    if as_json:
        print_json(_result(done))
    else:
        _tell(done, bank.language)
    raise typer.Exit(0 if done.result.passed else 1)


@exam_app.command("status")
def exam_status(home: HomeOption = DEFAULT_HOME, as_json: JsonOption = False) -> None:
    """Who passed the exam, when, and until when it counts. Administrators, compliance officers
    and auditors see everybody, others themselves.

    Example: candor exam status
    """
    with homes.opened(home, passphrase()) as it:
        found = it.store.exams.standings(homes.signed_in(it))
        language = it.home.settings.language
    if as_json:
        print_json(
            [
                {
                    "person": one.person,
                    "name": one.name,
                    "roles": sorted(one.roles),
                    "state": one.state,
                    "passed_at": one.passed_at and one.passed_at.isoformat(),
                    "valid_until": one.valid_until and one.valid_until.isoformat(),
                    "tries": one.tries,
                }
                for one in found
            ]
        )
        return
    table = Table()
    for column in ("name", "roles", "exam", "exam_passed", "exam_until", "exam_tries"):
        table.add_column(text(f"column.{column}", language))
    for one in found:
        table.add_row(
            one.name,
            ", ".join(sorted(one.roles)),
            text(f"exam.state.{one.state}", language),
            shown(one.passed_at, language),
            shown(one.valid_until, language),
            str(one.tries),
        )
    console.print(table)


# ---------------------------------------------------------------- at a terminal


def _ask(it: Opened, actor: Actor, bank: Bank) -> HandedIn:
    sitting, language = it.store.exams.begin(actor, bank), bank.language
    count = len(sitting.questions)
    typer.echo(text("exam.welcome", language, count=count))
    answers = {}
    for number, one in enumerate(sitting.questions, 1):
        typer.echo(f"\n{number}/{count}  {one.question.text}")
        for choice, answer in enumerate(one.answers, 1):
            typer.echo(f"  {choice}  {answer}")
        answers[one.question.id] = _choice(one, language)
    return it.store.exams.hand_in(actor, sitting.id, bank, answers)


def _choice(one: Drawn, language: str) -> int:
    while True:
        written = typer.prompt(text("exam.choose", language), prompt_suffix=" ").strip()
        if written.isascii() and written.isdigit() and 1 <= int(written) <= len(one.answers):
            return int(written) - 1
        typer.echo(text("exam.not_a_choice", language, count=len(one.answers)))


def _tell(done: HandedIn, language: str) -> None:
    result = done.result
    for one in result.wrong:
        asked = one.question
        typer.echo(f"\n✗ {asked.text}\n  → {asked.answers[0]}")
        typer.echo(f"  {asked.why} ({asked.source}; {asked.requirement})")
    case = "passed" if result.passed else "failed"
    until = shown(done.valid_until, language)
    facts = {"correct": result.correct, "asked": result.asked, "until": until}
    typer.echo("\n" + text(f"exam.{case}", language, **facts))


# ---------------------------------------------------------------- for machines


def _as_json(sitting: Sitting, bank: Bank) -> dict[str, Any]:
    return {
        "sitting": sitting.id,
        "until": sitting.until.isoformat(),
        "language": bank.language,
        "bank": sitting.bank,
        "edition": sitting.edition,
        "seed": sitting.seed,
        "questions": [
            {"id": one.question.id, "text": one.question.text, "answers": list(one.answers)}
            for one in sitting.questions
        ],
    }


def _result(done: HandedIn) -> dict[str, Any]:
    return {
        "passed": done.result.passed,
        "correct": done.result.correct,
        "asked": done.result.asked,
        "valid_until": done.valid_until and done.valid_until.isoformat(),
        "wrong": [
            {
                "id": one.question.id,
                "requirement": one.question.requirement,
                "why": one.question.why,
                "source": one.question.source,
            }
            for one in done.result.wrong
        ],
    }


def read_answers(file: Path) -> tuple[str, dict[str, int]]:
    """The sitting's id and the chosen answers, counted from 0; BadInput where there are none."""
    try:
        if str(file) == FROM_STDIN:
            document = sys.stdin.read(_LARGEST)
        else:
            with file.open(encoding="utf-8") as opened:
                document = opened.read(_LARGEST)
        data = json.loads(document)
    except (OSError, UnicodeDecodeError) as error:
        cause = error.strerror if isinstance(error, OSError) else "is not UTF-8"
        raise BadInput(f"cannot be read: {cause}", field="--answers") from None
    except (ValueError, RecursionError):
        raise BadInput("is not JSON", field="--answers") from None
    given = data.get("answers") if isinstance(data, dict) else None
    if not isinstance(given, dict) or set(data) != {"sitting", "answers"}:
        raise BadInput('must be an object of "sitting" and "answers"', field="--answers")
    if not isinstance(data["sitting"], str):
        raise BadInput("must be the sitting's id", field="sitting")
    for name, chosen in given.items():
        if not isinstance(chosen, int) or isinstance(chosen, bool):
            raise BadInput("must be the number of an answer, from 1", field=f"answers.{name}")
    return data["sitting"], {name: chosen - 1 for name, chosen in given.items()}
