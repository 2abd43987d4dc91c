# SPDX-License-Identifier: GPL-3.0-or-later
"""`candor policy` and `candor calendar`: the law this home is run under, and its adoption."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
import yaml
from rich.table import Table

from compliance import law_diff, rulebook
from compliance.calendar import Calendar, parse_calendar
from compliance.errors import BadInput
from compliance.law_diff import Change
from compliance.rulebook import Rulebook
from console import homes, policy_view
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
from console.messages import text
from dialer.law import rulebook_of, wording_digest
from dialer.policies import load_calendars
from storage.law import Adoption

policy_app = group("The law this home is run under: profiles, changes, adoption.")
calendar_app = group("Workdays and holidays by region and year.")
_LARGEST = 64 << 10  # bytes of a calendar file


@policy_app.command("list")
def policy_list(home: HomeOption = DEFAULT_HOME, as_json: JsonOption = False) -> None:
    """Profiles that come with Candor and those in the home's folder `policies`.

    Example: candor policy list
    """
    with homes.opened(home, passphrase()) as it:
        homes.signed_in(it)
        found, language = policy_view.profiles(it.home), it.home.settings.language
        adopted, names = it.store.law.adopted(), it.store.people.names()
    if as_json:
        print_json(policy_view.list_json(found))
        return
    console.print(policy_view.list_table(found, language))
    console.print(policy_view.adopted_line(adopted, names, language), markup=False)


@policy_app.command("show")
def policy_show(profile: str, home: HomeOption = DEFAULT_HOME, as_json: JsonOption = False) -> None:
    """One profile with every key and the law behind it.

    Example: candor policy show cn_seed
    """
    with homes.opened(home, passphrase()) as it:
        homes.signed_in(it)
        found = policy_view.profile_named(it.home, profile)
        language = it.home.settings.language
    if as_json:
        print_json(policy_view.profile_json(found))
        return
    console.print(policy_view.profile_table(found, language))


@policy_app.command("diff")
def policy_diff(home: HomeOption = DEFAULT_HOME, as_json: JsonOption = False) -> None:
    """What changes against the adopted rulebook, key by key, and whether it is stricter or
    laxer. Exit code 1: something does, and nothing is dialed until it is adopted.

    Example: candor policy diff
    """
    with homes.opened(home, passphrase()) as it:
        homes.signed_in(it)
        law, adopted = rulebook_of(it.home, it.store), it.store.law.adopted()
        wording = adopted is not None and adopted.wording != wording_digest(it.home)
        found = _changes(it, law, adopted)
        names, language = it.store.people.names(), it.home.settings.language
    same = adopted is not None and adopted.rulebook == law.digest
    if as_json:
        print_json(policy_view.diff_json(law, adopted, found, wording))
    else:
        console.print(policy_view.adopted_line(adopted, names, language), markup=False)
        if found:
            console.print(policy_view.diff_table(found, language))
        if wording:
            console.print(text("policy.wording", language), markup=False)
        if same and not wording:
            console.print(text("policy.same", language), markup=False)
        elif adopted is not None and not found and not same:
            console.print(text("policy.unreadable", language), markup=False)
    raise typer.Exit(0 if same and not wording else 1)


@policy_app.command("adopt")
def policy_adopt(
    reason: Annotated[str, typer.Option(help="Why; the ledger keeps it.")],
    exam_within: Annotated[
        int | None, typer.Option(help="Everybody passes the exam again within so many days.")
    ] = None,
    home: HomeOption = DEFAULT_HOME,
    as_json: JsonOption = False,
) -> None:
    """Make the rulebook in use the one calls are decided under (compliance officers).

    Look at `candor policy diff` first. Runs that go on take it over within a second.

    Example: candor policy adopt --reason "calendar 2027 published"
    """
    with homes.opened(home, passphrase()) as it:
        actor = homes.signed_in(it)
        law = rulebook_of(it.home, it.store)
        adopted = it.store.law.adopt(
            actor,
            law.digest,
            law.text,
            reason=reason,
            wording=wording_digest(it.home),
            exam_days=exam_within,
        )
        names, language = it.store.people.names(), it.home.settings.language
    if as_json:
        print_json(policy_view.adoption_json(adopted, names))
    else:
        console.print(policy_view.adopted_line(adopted, names, language), markup=False)


def _changes(it: Opened, law: Rulebook, adopted: Adoption | None) -> tuple[Change, ...]:
    """Empty also where the adopted text was written by another version of Candor."""
    if adopted is None or adopted.rulebook == law.digest:
        return ()
    kept = it.store.rulebooks.text(adopted.rulebook)
    if kept is None:
        return ()
    try:
        return law_diff.changes(rulebook.from_text(kept), law)
    except BadInput:
        return ()


# ---------------------------------------------------------------- calendars


@calendar_app.command("list")
def calendar_list(home: HomeOption = DEFAULT_HOME, as_json: JsonOption = False) -> None:
    """Every table in use, and where it comes from.

    Example: candor calendar list
    """
    with homes.opened(home, passphrase()) as it:
        homes.signed_in(it)
        imported = {(c.calendar.region, c.calendar.year): c for c in it.store.law.calendars()}
        tables = rulebook_of(it.home, it.store).calendars
        names, language = it.store.people.names(), it.home.settings.language
    rows = [
        {
            "region": table.region,
            "year": table.year,
            "official": table.official,
            "holidays": len(table.holidays),
            "working_days": len(table.working_days),
            "source": table.source,
            "imported_by": names.get(imported[key].by, "") if key in imported else "",
            "imported_at": imported[key].at.isoformat() if key in imported else None,
            "reason": imported[key].reason if key in imported else "",
        }
        for key, table in tables.items()
    ]
    if as_json:
        print_json(rows)
        return
    table = Table()
    for column in ("region", "year", "official", "holidays", "working_days", "source"):
        table.add_column(text(f"column.{column}", language), overflow="fold")
    for row in rows:
        origin = row["source"]
        if row["imported_by"]:
            origin = f"{origin} ({text('calendar.imported', language, by=row['imported_by'])})"
        official = text("word.yes" if row["official"] else "word.no", language)
        cells = (row["region"], row["year"], official, row["holidays"], row["working_days"], origin)
        table.add_row(*map(str, cells))
    console.print(table)


@calendar_app.command("import")
def calendar_import(
    file: Annotated[Path, typer.Argument(help="YAML as in docs/formats/calendar.md")],
    replace: Annotated[
        bool, typer.Option("--replace", help="There is a table for that year, and it is wrong.")
    ] = False,
    reason: Annotated[str, typer.Option(help="With --replace: why.")] = "",
    home: HomeOption = DEFAULT_HOME,
    as_json: JsonOption = False,
) -> None:
    """Take in the workdays and holidays of a region and year (compliance officers).

    All machines at the database see it. The changed rulebook must then be adopted.

    Example: candor calendar import cn_2027.yaml
    """
    with homes.opened(home, passphrase()) as it:
        actor = homes.signed_in(it)
        calendar = read_calendar(file)
        shipped = {(c.region, c.year): c for c in load_calendars()}
        it.store.law.import_calendar(
            actor,
            calendar,
            shipped=(calendar.region, calendar.year) in shipped,
            replace=replace,
            reason=reason,
        )
        named = {"region": calendar.region, "year": calendar.year}
        if as_json:
            print_json({**named, "official": calendar.official})
        else:
            say(it, "done.calendar_imported", **named)


def read_calendar(file: Path) -> Calendar:
    """One table from a file; BadInput, PolicyError where it is none."""
    try:
        if file.stat().st_size > _LARGEST:
            raise BadInput("is too large for a calendar", field="file")
        data = yaml.safe_load(file.read_text("utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        cause = error.strerror if isinstance(error, OSError) else "is not UTF-8"
        raise BadInput(f"{file.name} cannot be read: {cause}", field="file") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise BadInput(f"not YAML: {str(error).splitlines()[0]}", field="file") from None
    if not isinstance(data, dict):
        raise BadInput("holds no calendar", field="file", remedy="see docs/formats/calendar.md")
    return parse_calendar(data)
