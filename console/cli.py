# SPDX-License-Identifier: GPL-3.0-or-later
"""The ``candor`` command.

Exit codes: 0 done, 1 failed or a check did not pass, 2 the input cannot be
used, 3 not signed in or not allowed.
"""

from __future__ import annotations

import asyncio
import getpass
import json
import os
import re
import runpy
import signal
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from compliance.errors import BadInput, CandorError, NotAllowed, SignInFailed
from compliance.facts import HomeKind, LineFacts, Role, SourceKind
from console import demo as demonstration
from console import homes, run, speech_models, submissions
from console.messages import text
from console.progress import Progress
from dialer.logs import configure
from storage import ledger
from storage.campaigns import CampaignState
from storage.contacts import ImportResult

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    help="Candor: AI outbound calls that say they are a robot, let you out, and can prove it.",
)
contacts_app = typer.Typer(no_args_is_help=True, help="People to call, and their consent.")
script_app = typer.Typer(no_args_is_help=True, help="What the bot says: submit, approve.")
lines_app = typer.Typer(no_args_is_help=True, help="SIP lines and their papers.")
campaign_app = typer.Typer(no_args_is_help=True, help="Dial runs.")
calls_app = typer.Typer(no_args_is_help=True, help="What became of each call.")
ledger_app = typer.Typer(no_args_is_help=True, help="The verifiable ledger.")
models_app = typer.Typer(no_args_is_help=True, help="Speech models.")
for name, sub in (
    ("contacts", contacts_app),
    ("script", script_app),
    ("lines", lines_app),
    ("campaign", campaign_app),
    ("calls", calls_app),
    ("ledger", ledger_app),
    ("models", models_app),
):
    app.add_typer(sub, name=name)

HomeOption = Annotated[
    Path, typer.Option("--home", help="Home folder of this installation.", show_default=True)
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print data as JSON.")]
DEFAULT_HOME = Path("candor-home")

# A pipe has no width of its own: keep tables whole there.
console = Console(width=None if sys.stdout.isatty() else 150)
errors = Console(stderr=True)


def _passphrase() -> str | None:
    """The keys' passphrase, from ``CANDOR_PASSPHRASE``; unset: the key file has none."""
    return os.environ.get("CANDOR_PASSPHRASE") or None


def _utc(at: datetime | None) -> datetime | None:
    """A date from the command line: midnight UTC of that day unless it has a time."""
    return None if at is None else at.replace(tzinfo=UTC)


def _print_json(data: Any) -> None:
    typer.echo(json.dumps(data, ensure_ascii=False, indent=2, default=str))


@app.command()
def init(
    home: HomeOption = DEFAULT_HOME,
    company: Annotated[str, typer.Option(help="Company in whose name calls are placed.")] = "",
    tenant: Annotated[str, typer.Option(help="Short id, fixed for ever.")] = "main",
    lab: Annotated[bool, typer.Option(help="A lab home: dials confirmed testers only.")] = False,
    language: Annotated[str, typer.Option(help="zh or en")] = "zh",
) -> None:
    """Make a home: settings, keys, an empty database, and its first administrator.

    Example: candor init --home ./candor-home --company 星辰公司
    """
    if not company:
        raise BadInput("a company name is needed", field="--company", remedy="--company NAME")
    kind = HomeKind.LAB if lab else HomeKind.PRODUCTION
    homes.create(
        home,
        kind=kind,
        company=company,
        tenant=tenant,
        language=language,
        passphrase=_passphrase(),
    )
    name = typer.prompt("Administrator's name")
    password = typer.prompt("Password (8 characters or more)", hide_input=True)
    with homes.opened(home, _passphrase()) as it:
        it.store.people.add_person(None, name, password, [Role.ADMIN])
    typer.echo(f"Made {home}. Next: candor login {name} --home {home}")


@app.command()
def login(name: str, home: HomeOption = DEFAULT_HOME) -> None:
    """Sign in on this machine for eight hours.

    Example: candor login wang
    """
    password = getpass.getpass("Password: ") if sys.stdin.isatty() else sys.stdin.readline().strip()
    with homes.opened(home, _passphrase()) as it:
        actor = it.store.people.sign_in(name, password)
        homes.remember(home, it.store.people.issue_session(actor, timedelta(hours=8)))
    typer.echo(f"Signed in as {name} ({', '.join(sorted(actor.roles))}).")


@app.command("person")
def add_person(
    name: str,
    role: Annotated[list[Role], typer.Option(help="May be given several times.")],
    home: HomeOption = DEFAULT_HOME,
) -> None:
    """Add a person with one or more roles (administrators only).

    Example: candor person li --role author
    """
    password = typer.prompt("Their first password", hide_input=True)
    with homes.opened(home, _passphrase()) as it:
        it.store.people.add_person(homes.signed_in(it), name, password, role)
    typer.echo(f"Added {name}.")


@contacts_app.command("import")
def contacts_import(
    file: Path,
    source: Annotated[SourceKind, typer.Option(help="Where these people come from (D1).")],
    batch: Annotated[str, typer.Option(help="A name for this batch.")],
    home: HomeOption = DEFAULT_HOME,
    as_json: JsonOption = False,
) -> None:
    """Import a CSV of people and their consent; rejected rows go to a file beside it.

    Example: candor contacts import people.csv --source web_form --batch autumn
    """
    with homes.opened(home, _passphrase()) as it:
        result: ImportResult = it.store.contacts.import_csv(
            file, actor=homes.signed_in(it), source=source, batch=batch
        )
    if as_json:
        _print_json(
            {
                "accepted": result.accepted,
                "duplicates": result.duplicates,
                "rejected": [[r.row, r.field, r.cause] for r in result.rejected],
                "rejected_rows": result.rejected_rows,
                "rejects_file": result.rejects_file,
            }
        )
        return
    typer.echo(
        f"{result.accepted} accepted, {result.duplicates} duplicates, "
        f"{result.rejected_rows} rejected."
    )
    for rejection in result.rejected[:20]:
        typer.echo(f"  row {rejection.row}: {rejection.field}: {rejection.cause}")
    if result.rejects_file is not None:
        typer.echo(f"Rejected rows are in {result.rejects_file}.")


@script_app.command("submit")
def script_submit(
    file: Path,
    script: Annotated[str, typer.Option("--id", help="Name of the script.")] = "main",
    home: HomeOption = DEFAULT_HOME,
) -> None:
    """Check, render and measure a script, and hand it in for approval (authors).

    Example: candor script submit examples/demo/script.zh.yaml --id welcome
    """
    with homes.opened(home, _passphrase()) as it:
        version = submissions.submit(it, homes.signed_in(it), file.read_text("utf-8"), script)
    typer.echo(
        f"Submitted {version.id}: disclosure ends at {version.disclosure_end_ms:.0f} ms, "
        f"{len(version.lint)} findings. Next: candor script approve {version.id}"
    )
    for finding in version.lint:
        typer.echo(f"  {finding}")


@script_app.command("approve")
def script_approve(version: str, home: HomeOption = DEFAULT_HOME) -> None:
    """Sign a submitted version (compliance officers; never one's own).

    Example: candor script approve 5f0c…
    """
    with homes.opened(home, _passphrase()) as it:
        found = it.store.scripts.script_version(version)
        it.store.scripts.approve(homes.signed_in(it), found)
    typer.echo(f"Approved {version}.")


@lines_app.command("add")
def lines_add(
    line: str,
    address: Annotated[str, typer.Option(help="host:port of the next hop")],
    caller_id: Annotated[str, typer.Option(help="One of our own numbers.")],
    kind: Annotated[str, typer.Option(help="ai_line, ordinary, 5g, lab")] = "ai_line",
    carrier: Annotated[str, typer.Option()] = "other",
    whitelisted_until: Annotated[
        datetime | None, typer.Option(help="Carrier's AI-outbound white list (C5), YYYY-MM-DD.")
    ] = None,
    registered_until: Annotated[
        datetime | None, typer.Option(help="Real-name registration (C6).")
    ] = None,
    filed_until: Annotated[datetime | None, typer.Option(help="Script filing (C6).")] = None,
    plaintext_until: Annotated[
        datetime | None, typer.Option(help="Recorded exception for unencrypted SIP and RTP (D7).")
    ] = None,
    home: HomeOption = DEFAULT_HOME,
) -> None:
    """Register a line (administrators). Its papers decide whether the gate lets it be used.

    Example: candor lines add telecom1 --address 10.0.0.5:5060 --caller-id 4008887686
    --whitelisted-until 2027-06-30 --registered-until 2027-06-30 --filed-until 2027-06-30
    --plaintext-until 2027-06-30
    """
    facts = LineFacts(
        line,
        carrier,
        kind,
        address,
        caller_id,
        whitelisted_until=_utc(whitelisted_until),
        registered_until=_utc(registered_until),
        filed_until=_utc(filed_until),
        plaintext_exception_until=_utc(plaintext_until),
    )
    with homes.opened(home, _passphrase()) as it:
        it.store.lines.add_line(homes.signed_in(it), facts)
    typer.echo(f"Added line {line}.")


@campaign_app.command("create")
def campaign_create(
    name: str,
    purpose: Annotated[str, typer.Option(help="Purpose the people agreed to (D11).")],
    script: Annotated[str, typer.Option(help="Name of an approved script.")],
    batch: Annotated[list[str], typer.Option(help="May be given several times.")],
    line: Annotated[list[str], typer.Option(help="May be given several times.")],
    home: HomeOption = DEFAULT_HOME,
) -> None:
    """Make a campaign (operators). It dials nothing before it is started.

    Example: candor campaign create autumn --purpose membership --script welcome
    --batch autumn --line telecom1
    """
    with homes.opened(home, _passphrase()) as it:
        version = it.store.scripts.current_approved(script)
        if version is None:
            raise BadInput(
                "this script has no approved version",
                field="script",
                remedy="candor script submit, then candor script approve",
            )
        campaign = it.store.campaigns.create_campaign(
            homes.signed_in(it),
            name=name,
            purpose=purpose,
            script=version.id,
            batches=batch,
            lines=line,
        )
    typer.echo(f"Created {name} ({campaign}).")


@campaign_app.command("stop")
def campaign_stop(name: str, home: HomeOption = DEFAULT_HOME) -> None:
    """No new calls; what rings is cancelled, what talks ends politely within 5 s."""
    with homes.opened(home, _passphrase()) as it:
        campaigns = it.store.campaigns
        campaigns.stop(homes.signed_in(it), campaigns.campaign_named(name))
    typer.echo(f"Stopping {name}.")


@app.command()
def dial(name: str, home: HomeOption = DEFAULT_HOME) -> None:
    """Start a campaign, or go on with one, and dial what is due. Ctrl-C stops politely.

    Example: candor dial autumn
    """
    with homes.opened(home, _passphrase()) as it:
        configure(it.home.logs / "supervisor.log")
        actor = homes.signed_in(it)
        campaign = it.store.campaigns.campaign_named(name)
        if it.store.campaigns.campaign_state(campaign) is not CampaignState.RUNNING:
            it.store.campaigns.start(actor, campaign)
        elif not actor.has(Role.OPERATOR):
            raise NotAllowed("only an operator dials", remedy="candor login NAME")
        progress = Progress(console, it.home.settings.language)
        asyncio.run(run.dial(it, actor, campaign, progress))


@calls_app.command("list")
def calls_list(name: str, home: HomeOption = DEFAULT_HOME, as_json: JsonOption = False) -> None:
    """Every call of a campaign: outcome, blame, SIP status, disclosure, ledger index.

    Example: candor calls list autumn --json
    """
    with homes.opened(home, _passphrase()) as it:
        homes.signed_in(it)
        rows = run.call_rows(it, it.store.campaigns.campaign_named(name))
        language = it.home.settings.language
    if as_json:
        _print_json([run.call_json(row) for row in rows])
        return
    table = Table()
    for column in ("contact", "outcome", "blame", "sip", "disclosure", "ledger"):
        table.add_column(text(f"column.{column}", language))
    for row in rows:
        table.add_row(
            f"{row.contact} {row.number}",
            text(f"outcome.{row.outcome}", language) if row.outcome else "",
            text(f"blame.{row.blame}", language) if row.blame else "",
            str(row.sip_status or ""),
            "" if row.disclosed_ms is None else f"{row.disclosed_ms} ms",
            "" if row.ledger_index is None else str(row.ledger_index),
        )
    console.print(table)


@ledger_app.command("export")
def ledger_export(file: Path, home: HomeOption = DEFAULT_HOME) -> None:
    """Write the whole ledger to a file that ``verify.py`` checks on any machine.

    Example: candor ledger export ledger.jsonl
    """
    with homes.opened(home, _passphrase()) as it:
        homes.signed_in(it)
        it.sequencer().run_once(it.clock.wall())
        it.sequencer().checkpoint(it.clock.wall(), force=True)
        count = ledger.export(it.engine, file)
    typer.echo(f"{count} entries written to {file}.")


@ledger_app.command("key")
def ledger_key(home: HomeOption = DEFAULT_HOME) -> None:
    """Print the fingerprint of the key that signs checkpoints, to be kept elsewhere."""
    with homes.opened(home, _passphrase()) as it:
        typer.echo(it.keyring.fingerprint())


@ledger_app.command("verify")
def ledger_verify(
    file: Path,
    key: Annotated[str, typer.Option(help="Key file or fingerprint, from elsewhere.")] = "",
) -> None:
    """Check an exported ledger with the independent verifier (no home needed).

    Example: candor ledger verify ledger.jsonl --key 3f2a…
    """
    raise typer.Exit(run.verify(file, key))


@models_app.command("install")
def models_install(
    source: str,
    language: Annotated[str, typer.Option(help="zh or en")] = "zh",
    name: Annotated[str, typer.Option(help="Folder name; default: the source's.")] = "",
    home: HomeOption = DEFAULT_HOME,
) -> None:
    """Install a Vosk model from a folder, a .zip file or a URL.

    Example: candor models install ~/vosk-model-cn-0.22 --language zh
    """
    target = speech_models.install(source, home / "models", language=language, name=name)
    typer.echo(
        f"Installed {target.name}. To use it: in {home / 'candor.toml'} under [speech.models] "
        f'set {language} = "{target.name}"'
    )


@app.command(
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
    add_help_option=False,
)
def sim(context: typer.Context) -> None:
    """The simulated callees (see `candor sim --help`)."""
    sys.argv = ["candor sim", *context.args]
    runpy.run_module("sip_sim", run_name="__main__")


@app.command("demo")
def demo_command(
    home: Annotated[Path, typer.Option(help="A demo home, made anew each time.")] = Path(
        "demo-home"
    ),
    language: Annotated[str, typer.Option(help="zh or en")] = "zh",
    picture: Annotated[Path | None, typer.Option(help="Save the screen as an SVG.")] = None,
) -> None:
    """Six contacts, five real calls to simulated callees, checked against the callees' own records.

    Example: candor demo
    """
    screen = Console(record=True, width=150) if picture else console
    passed = asyncio.run(demonstration.demo(home, language, screen))
    if picture:
        # Without Rich's web fonts: a picture fetches nothing when it is looked at.
        svg = re.sub(r"@font-face\s*{[^}]*}", "", screen.export_svg(title="candor demo"))
        picture.write_text(svg, "utf-8")
    raise typer.Exit(0 if passed else 1)


def main() -> None:
    """Entry point: errors become one line with the remedy, never a traceback."""
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    try:
        app()
    except (NotAllowed, SignInFailed) as error:
        errors.print(str(error), style="red", markup=False)
        sys.exit(3)
    except BadInput as error:
        errors.print(str(error), style="red", markup=False)
        sys.exit(2)
    except CandorError as error:
        errors.print(str(error), style="red", markup=False)
        sys.exit(1)
    except OSError as error:
        errors.print(f"{error.filename or ''}: {error.strerror}", style="red", markup=False)
        sys.exit(1)


if __name__ == "__main__":
    main()
