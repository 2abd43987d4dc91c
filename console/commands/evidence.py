# SPDX-License-Identifier: GPL-3.0-or-later
"""`candor evidence` and `candor report`: one call for a dispute, and one call on paper."""

from __future__ import annotations

import enum
from pathlib import Path
from typing import Annotated

import typer

from compliance.errors import BadInput
from console import evidence_pack, homes, replay, report_page, wav
from console.commands.calls import CallArgument, ask_reason
from console.commands.common import (
    DEFAULT_HOME,
    HomeOption,
    JsonOption,
    passphrase,
    print_json,
    say,
)
from storage import report as reports
from storage.store import AccessReason


class Language(enum.StrEnum):
    ZH = "zh"
    EN = "en"


def evidence(
    call: CallArgument,
    output: Annotated[Path, typer.Option("--output", "-o", help="The pack, a .zip file.")],
    reason: Annotated[
        AccessReason | None, typer.Option(help="Why it is opened; goes into the ledger (S5).")
    ] = None,
    seal_to: Annotated[
        str,
        typer.Option(
            metavar="AUDITOR_PUBLIC_KEY",
            help="age public key (age1…), or a file with it: only its holder hears the recording.",
        ),
    ] = "",
    without_recording: Annotated[
        bool, typer.Option("--without-recording", help="Leave the sound out.")
    ] = False,
    force: Annotated[bool, typer.Option(help="Replace an existing file.")] = False,
    home: HomeOption = DEFAULT_HOME,
    as_json: JsonOption = False,
) -> None:
    """Everything a dispute about one call needs, in one file that anybody can check.

    For auditors and compliance officers; written to the ledger. The file holds personal data.
    Check it on any machine: python verify.py pack.zip --key FINGERPRINT

    Example: candor evidence 5f0c21 --reason dispute -o pack.zip
    """
    if output.suffix.lower() != ".zip":
        raise BadInput("a pack is a .zip file", field="--output", remedy=f"{output.stem}.zip")
    with homes.opened(home, passphrase()) as it:
        actor = homes.signed_in(it)
        found = replay.placed(it, call)
        wav.check_target(output, force=force, option="--output")
        written = evidence_pack.write(
            it,
            actor,
            found.id,
            reason or ask_reason(it),
            output,
            seal_to=_public_key(seal_to),
            with_recording=not without_recording,
            force=force,
        )
        if as_json:
            demo = {"demo": True} if found and it.store.home == "demo" else {}
            print_json(
                {
                    "file": str(written.path),
                    "call": written.call,
                    "bytes": written.size,
                    "entries": written.entries,
                    "members": list(written.members),
                    "sealed_to": written.sealed_to,
                    "stamped_at": written.stamped_at,
                    "key": it.keyring.fingerprint(),
                    "notes": list(written.notes),
                    **demo,
                }
            )
            return
        say(
            it,
            "done.evidence",
            path=written.path,
            members=len(written.members),
            entries=written.entries,
            size=f"{written.size / 1e6:.1f}",
        )
        for note in written.notes:
            typer.echo(f"  {note}")
        say(it, "done.evidence_check", path=written.path.name, key=it.keyring.fingerprint())


def _public_key(given: str) -> str:
    """A key as text, or the one line of a file that holds it."""
    path = Path(given)
    if not given or given.startswith("age1") or not path.is_file():
        return given
    try:
        lines = path.read_text("utf-8").split()
    except (OSError, UnicodeDecodeError):
        lines = []
    return next((word for word in lines if word.startswith("age1")), given)


def report_call(
    call: CallArgument,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="The page; left out: report-CALL.html here."),
    ] = None,
    reason: Annotated[
        AccessReason | None,
        typer.Option(help="Why the words are opened; left out: a report without them (S5)."),
    ] = None,
    language: Annotated[
        Language | None, typer.Option(help="Of the page; left out: the home's.")
    ] = None,
    force: Annotated[bool, typer.Option(help="Replace an existing file.")] = False,
    home: HomeOption = DEFAULT_HOME,
    as_json: JsonOption = False,
) -> None:
    """The electronic report of one ended call: when, what was said, what the callee answered.

    Without --reason it is masked and holds no words. With it auditors and compliance officers
    get them too, and the ledger says so. One HTML file that needs nothing and prints well.

    Example: candor report 5f0c21 --reason quality -o call.html
    """
    with homes.opened(home, passphrase()) as it:
        actor = homes.signed_in(it)
        found = replay.placed(it, call)
        path = output or Path(f"report-{found.id[:8]}.html")
        if not as_json:
            wav.check_target(path, force=force, option="--output")
        report = it.store.reports.read(actor, found.id, reason)
        if as_json:
            print_json(reports.as_json(report))
            return
        page = report_page.page(report, language or it.home.settings.language)
        wav.save(path, page.encode(), force=force, option="--output")
        say(it, "done.report", path=path)
