# SPDX-License-Identifier: GPL-3.0-or-later
"""`candor script`: what the bot says."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from console import complaint_contact, homes, lint, submissions
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
from console.messages import text
from dialer.settings import CompanySettings, Home, PolicySettings

script_app = group("What the bot says: check, submit, approve.")


@script_app.command("lint")
def script_lint(
    file: Path,
    industry: Annotated[
        str, typer.Option(help="general, finance, education or retail; default: the home's.")
    ] = "",
    home: HomeOption = DEFAULT_HOME,
    as_json: JsonOption = False,
) -> None:
    """Check a script's format and wording and measure its disclosure; nothing is handed in.

    Nobody need be signed in. The home, where there is one, tells industry and language.
    Exit code 1 if anything is found.

    Example: candor script lint examples/demo/script.zh.yaml
    """
    here = Home(home) if (home / "candor.toml").exists() else None
    language = here.settings.language if here else "en"
    policy = here.settings.policy if here else PolicySettings()
    company = here.settings.company if here else CompanySettings()
    report = lint.lint(
        complaint_contact.filled_in(lint.read_source(file), company),
        policy=policy.model_copy(update={"industry": industry}) if industry else policy,
        language=language,
        prompts=here.prompts if here else None,
        home=here.root if here else None,
    )
    if as_json:
        print_json({"file": str(file), "ok": not report.findings, **dataclasses.asdict(report)})
    else:
        _show(report, file, language)
    raise typer.Exit(1 if report.findings else 0)


def _show(report: lint.Report, file: Path, language: str) -> None:
    for finding in report.findings:
        place = ":".join(part for part in (str(file), finding.position) if part)
        remedy = f" -> {finding.remedy}" if finding.remedy else ""
        about = ": ".join(part for part in (finding.where, finding.requirement) if part)
        source = f" [{finding.source}]" if finding.source else ""
        typer.echo(f"{place}: {about}: {finding.reason}{source}{remedy}")
    if report.disclosure_end_ms is not None:
        typer.echo(
            text(
                "lint.measured",
                language,
                ms=report.disclosure_end_ms,
                opening=(report.opening_ms or 0) / 1000,
            )
        )
    key = "lint.findings" if report.findings else "lint.clean"
    typer.echo(text(key, language, count=len(report.findings), industry=report.industry))


@script_app.command("submit")
def script_submit(
    file: Path,
    script: Annotated[str, typer.Option("--id", help="Name of the script.")] = "main",
    home: HomeOption = DEFAULT_HOME,
) -> None:
    """Check, render and measure a script, and hand it in for approval (authors).

    Example: candor script submit examples/demo/script.zh.yaml --id welcome
    """
    source = lint.read_source(file)
    with homes.opened(home, passphrase()) as it:
        version = submissions.submit(it, homes.signed_in(it), source, script)
        say(
            it,
            "done.script_submitted",
            version=version.id,
            ms=version.disclosure_end_ms or 0.0,
            findings=len(version.lint),
        )
    for finding in version.lint:
        typer.echo(f"  {finding}")


@script_app.command("approve")
def script_approve(version: str, home: HomeOption = DEFAULT_HOME) -> None:
    """Sign a submitted version (compliance officers; never one's own).

    Example: candor script approve 5f0c…
    """
    with homes.opened(home, passphrase()) as it:
        actor = homes.signed_in(it)
        it.store.scripts.approve(actor, it.store.scripts.script_version(version))
        say(it, "done.script_approved", version=version)


@script_app.command("list")
def script_list(home: HomeOption = DEFAULT_HOME, as_json: JsonOption = False) -> None:
    """Every submitted version: who signed it, when its disclosure ends, what the check found.

    Example: candor script list
    """
    with homes.opened(home, passphrase()) as it:
        homes.signed_in(it)
        versions = it.store.scripts.versions()
        language = it.home.settings.language
    if as_json:
        print_json(
            [
                {
                    "version": v.id,
                    "script": v.script,
                    "number": v.number,
                    "language": v.language,
                    "digest": v.digest,
                    "disclosure_end_ms": v.disclosure_end_ms,
                    "findings": list(v.lint),
                    "author": v.author,
                    "submitted_at": v.submitted_at.isoformat(),
                    "approved": v.is_approved,
                    "approved_by": v.approved_by,
                    "approved_at": v.approved_at.isoformat() if v.approved_at else None,
                }
                for v in versions
            ]
        )
        return
    table = Table()
    for column in ("script", "number", "version", "submitted", "disclosure", "findings", "signed"):
        table.add_column(text(f"column.{column}", language), no_wrap=column == "version")
    for v in versions:
        end = "" if v.disclosure_end_ms is None else f"{v.disclosure_end_ms:.0f} ms"
        signed = f"{v.approved_at:%Y-%m-%d}" if v.is_approved and v.approved_at else ""
        row = (v.script, str(v.number), v.id, f"{v.submitted_at:%Y-%m-%d}", end, str(len(v.lint)))
        table.add_row(*row, signed or text("script.unsigned", language))
    console.print(table)
