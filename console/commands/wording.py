# SPDX-License-Identifier: GPL-3.0-or-later
"""`candor wording`: words that must not be said, looked for in any text."""

from __future__ import annotations

import dataclasses
import sys
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from compliance.errors import BadInput
from compliance.wording import WordFinding
from console.commands.common import (
    DEFAULT_HOME,
    HomeOption,
    JsonOption,
    console,
    group,
    print_json,
)
from console.messages import text
from dialer.policies import LANGUAGES, word_check
from dialer.settings import Home, PolicySettings
from voicebot.words import WordCheck

wording_app = group("Words that must not be said: look for them in any text.")

_LONGEST = 1_000_000  # characters

IndustryOption = Annotated[
    str, typer.Option(help="general, finance, education or retail; default: the home's.")
]
LanguageOption = Annotated[
    str, typer.Option(help="Of the text, zh or en; default: zh if it has Chinese characters.")
]


@wording_app.command("check")
def wording_check(
    words: Annotated[
        str, typer.Argument(metavar="[TEXT]", help="Left out or -: standard input.")
    ] = "-",
    industry: IndustryOption = "",
    language: LanguageOption = "",
    home: HomeOption = DEFAULT_HOME,
    as_json: JsonOption = False,
) -> None:
    """Find forbidden words in a text, as before anything is said: however they are written.

    Nobody need be signed in, and nothing is kept. The home, where there is one, tells the
    industry and adds its own packs. Exit code 1 if anything is found.

    Example: candor wording check "这款产品宝本高收益" --industry finance
    """
    written = _read(words)
    here = Home(home) if (home / "candor.toml").exists() else None
    checked = _check(here, industry, language or ("zh" if _has_han(written) else "en"))
    found = checked.findings(written)
    if as_json:
        print_json(_as_json(checked, found))
    else:
        _show(checked, found, written, here.settings.language if here else "en")
    raise typer.Exit(1 if found else 0)


@wording_app.command("packs")
def wording_packs(
    industry: IndustryOption = "",
    language: Annotated[str, typer.Option(help="zh or en.")] = "zh",
    home: HomeOption = DEFAULT_HOME,
    as_json: JsonOption = False,
) -> None:
    """The packs of words in force: ours and the home's own, with version and SHA-256.

    Example: candor wording packs --language zh
    """
    here = Home(home) if (home / "candor.toml").exists() else None
    checked = _check(here, industry, language)
    if as_json:
        print_json(_head(checked))
        return
    shown = here.settings.language if here else "en"
    table = Table(box=None, padding=(0, 2, 0, 0))
    for column in ("pack", "version", "words", "digest"):
        table.add_column(text(f"column.{column}", shown))
    for pack in checked.lexicon.packs:
        count = sum(term.pack == pack.name for term in checked.lexicon.terms)
        table.add_row(pack.name, pack.version, str(count), pack.digest[:16])
    console.print(table)


def _read(words: str) -> str:
    if words != "-":
        return words
    try:
        written = sys.stdin.read(_LONGEST + 1)
    except UnicodeDecodeError:
        raise BadInput("is not UTF-8 text", field="TEXT") from None
    if len(written) > _LONGEST:
        raise BadInput(f"is longer than {_LONGEST:,} characters", field="TEXT", remedy="split it")
    return written


def _check(here: Home | None, industry: str, language: str) -> WordCheck:
    if language not in LANGUAGES:
        raise BadInput(
            f"unknown language {language!r}",
            field="--language",
            remedy=f"one of {', '.join(LANGUAGES)}",
        )
    policy = here.settings.policy if here else PolicySettings()
    if industry:
        policy = policy.model_copy(update={"industry": industry})
    return word_check(language, policy, here.root if here else None)


def _has_han(written: str) -> bool:
    return any("\u3400" <= character <= "\u9fff" for character in written)


def _head(checked: WordCheck) -> dict[str, object]:
    lexicon = checked.lexicon
    return {
        "industry": checked.industry,
        "language": lexicon.language,
        "lexicon": lexicon.digest,
        "packs": [dataclasses.asdict(pack) for pack in lexicon.packs],
    }


def _as_json(checked: WordCheck, found: tuple[WordFinding, ...]) -> dict[str, object]:
    findings = [dataclasses.asdict(finding) for finding in found]
    return {"ok": not found, **_head(checked), "findings": findings}


def _show(checked: WordCheck, found: tuple[WordFinding, ...], written: str, language: str) -> None:
    if not found:
        packs = checked.lexicon.packs
        count = sum(term.holds_in(checked.industry) for term in checked.lexicon.terms)
        facts = {"industry": checked.industry, "packs": len(packs), "terms": count}
        typer.echo(text("wording.clean", language, **facts))
        return
    table = Table(box=None, padding=(0, 2, 0, 0))
    for column in ("position", "written", "term", "requirement", "source"):
        table.add_column(text(f"column.{column}", language), overflow="fold")
    for finding in found:
        # Text, never markup: the words are not ours to interpret.
        table.add_row(
            _position(written, finding.start),
            Text(finding.written),
            Text(finding.term),
            finding.requirement,
            Text(finding.source),
        )
    console.print(table)
    typer.echo(text("wording.found", language, count=len(found), industry=checked.industry))


def _position(written: str, at: int) -> str:
    """Line and column, from 1."""
    before = written[:at]
    return f"{before.count(chr(10)) + 1}:{at - before.rfind(chr(10))}"
