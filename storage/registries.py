# SPDX-License-Identifier: GPL-3.0-or-later
"""National do-not-call lists, imported by edition; numbers are kept as keyed hashes only (D1).

An edition is written beside the one in force, a few thousand rows a transaction so that nobody
who dials waits, and comes into force in one transaction once it is whole. Its hashes are
the refusal list's: they outlive contacts and a change of the master key.
"""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time
from pathlib import Path

from sqlalchemy import Select, delete, func, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from compliance.errors import BadInput
from compliance.facts import Actor, Evolve, Number, Role
from compliance.registries import RegistryLookUp
from storage.context import Context
from storage.number_tables import RegistryEdition, RegistryEntry
from storage.numbers import normalise

ROWS_AT_ONCE = 5_000
SHOWN_BAD_ROWS = 1_000  # reported one by one; further ones are only counted
_LONGEST_ROW = 1_000
_BAD_SHARE = 10  # one bad row in so many: the wrong file or the wrong country
_HEADINGS = frozenset(
    {"phone", "number", "telephone", "phone_number", "msisdn", "area_code", "号码", "电话", "手机"}
)
_READERS = (Role.OPERATOR, Role.COMPLIANCE, Role.AUDITOR, Role.ADMIN)


@dataclass(frozen=True, slots=True)
class BadRow(Evolve):
    """A row that was left out, and why; nothing of what stood there."""

    row: int
    cause: str


@dataclass(frozen=True, slots=True)
class Edition(Evolve):
    """The edition of one list that is in force."""

    name: str
    as_of: datetime  # midnight UTC of its day
    entries: int
    rejected: int
    imported_by: str  # actor id
    imported_at: datetime

    def age_days(self, now: datetime) -> int:
        return (now - self.as_of).days


@dataclass(frozen=True, slots=True)
class Imported(Evolve):
    """What an import brought."""

    name: str
    as_of: datetime
    entries: int  # distinct numbers
    rows: int  # that held something
    rejected: int
    bad_rows: tuple[BadRow, ...] = field(default=())  # the first of them
    replaced: datetime | None = None  # day of the edition before


class Registries:
    """Bringing editions in and looking numbers up."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def import_file(
        self,
        actor: Actor,
        name: str,
        path: Path,
        as_of: date,
        *,
        region: str = "CN",
        progress: Callable[[int], object] | None = None,
    ) -> Imported:
        """Bring one edition into force: text with one number a row, or CSV whose first column it
        is; US lists may have area code and number in two columns. ``region`` (ISO 3166) is
        where numbers without a country code are dialed.

        A row that is no number a person can be called at is left out and reported: no contact
        can have that number either. Memory does not grow with the file.

        Raises:
            NotAllowed: neither compliance officer nor administrator.
            BadInput: an unusable name, a day to come or before the edition in force, not
                UTF-8, no number at all, or more than one row in ten unusable.
        """
        context = self._context
        context.require(actor, "registry.import", Role.COMPLIANCE, Role.ADMIN)
        name = name.strip()
        if not name or len(name) > 100 or not name.isprintable():
            raise BadInput("a registry's name has 1 to 100 printable characters", field="name")
        now = context.clock.wall()
        if as_of > now.date():
            raise BadInput("this edition is of a day to come", field="as-of")
        day = datetime.combine(as_of, time(), UTC)
        with context.read() as session:
            before = session.scalar(_current(name))
        if before is not None and before.as_of > day:
            raise BadInput(
                f"the edition of {before.as_of:%Y-%m-%d} is in force and newer", field="as-of"
            )
        edition = self._begin(actor, name, day, now)
        try:
            result = self._load(edition, name, day, path, region, progress)
            return self._bring_into_force(actor, edition, result, _sha256(path))
        except BaseException:
            self._drop(edition)
            raise

    def _begin(self, actor: Actor, name: str, day: datetime, now: datetime) -> int:
        """A new edition that counts for nobody; what an import that died left of one goes."""
        with self._context.read() as session:
            left = session.scalars(
                select(RegistryEdition.id).where(
                    RegistryEdition.name == name, RegistryEdition.state == "loading"
                )
            ).all()
        for edition in left:
            self._drop(edition)
        with self._context.write() as session:
            row = RegistryEdition(
                name=name,
                as_of=day,
                state="loading",
                entries=0,
                rejected=0,
                sha256="",
                imported_by=actor.id,
                imported_at=now,
            )
            session.add(row)
            session.flush()
            return row.id

    def _load(
        self,
        edition: int,
        name: str,
        day: datetime,
        path: Path,
        region: str,
        progress: Callable[[int], object] | None,
    ) -> Imported:
        context = self._context
        rows = rejected = 0
        bad: list[BadRow] = []
        batch: set[bytes] = set()
        for place, text in _rows(path, region):
            rows += 1
            try:
                batch.add(context.refusal_index(normalise(text, region)))
            except BadInput as error:
                if rows == 1 and text.strip().casefold() in _HEADINGS:
                    rows = 0
                    continue
                rejected += 1
                if len(bad) < SHOWN_BAD_ROWS:
                    bad.append(BadRow(place, error.detail.removeprefix("phone: ")))
            if len(batch) >= ROWS_AT_ONCE:
                self._write(edition, batch)
                batch.clear()
                if progress is not None:
                    progress(rows)
        self._write(edition, batch)
        if rows == rejected:
            raise BadInput("holds no telephone number", field="file", remedy="name its --region")
        if rejected * _BAD_SHARE > rows:
            first = bad[0]
            raise BadInput(
                f"{rejected} of {rows} rows are unusable; row {first.row} {first.cause}",
                field="file",
                remedy="is it the right file, and the right --region?",
            )
        with context.read() as session:
            entries = session.scalar(
                select(func.count())
                .select_from(RegistryEntry)
                .where(RegistryEntry.edition == edition)
            )
        return Imported(name, day, entries or 0, rows, rejected, tuple(bad))

    def _write(self, edition: int, batch: Collection[bytes]) -> None:
        if not batch:
            return
        # In their order: the tree they are kept in is then written page by page.
        values = [{"edition": edition, "refusal_index": index} for index in sorted(batch)]
        with self._context.write() as session:
            dialect = session.get_bind().dialect.name
            maker = postgresql.insert if dialect == "postgresql" else sqlite.insert
            session.connection().execute(maker(RegistryEntry).on_conflict_do_nothing(), values)

    def _bring_into_force(
        self, actor: Actor, edition: int, result: Imported, sha256: str
    ) -> Imported:
        """The one transaction in which the old edition ends and the new one begins."""
        context = self._context
        with context.write() as session:
            row = session.get(RegistryEdition, edition, with_for_update=True)
            if row is None:
                raise BadInput(
                    "another import of this registry began meanwhile",
                    field="name",
                    remedy="import one edition at a time",
                )
            old = session.scalar(_current(result.name).with_for_update())
            if old is not None:
                # Entries go later, in pieces; from here on they count for nobody.
                old.state = "loading"
                session.flush()
            row.state, row.entries, row.rejected = "current", result.entries, result.rejected
            row.sha256 = sha256
            context.log(
                session,
                "registry.import",
                actor.id,
                context.clock.wall(),
                registry=result.name,
                as_of=result.as_of.date().isoformat(),
                entries=result.entries,
                rejected=result.rejected,
                file=sha256,
            )
        if old is None:
            return result
        self._drop(old.id)
        return result.evolve(replaced=old.as_of)

    def _drop(self, edition: int) -> None:
        """Remove an edition that counts for nobody, in pieces."""
        while True:
            with self._context.write() as session:
                some = session.scalars(
                    select(RegistryEntry.refusal_index)
                    .where(RegistryEntry.edition == edition)
                    .limit(ROWS_AT_ONCE)
                ).all()
                if not some:
                    session.execute(delete(RegistryEdition).where(RegistryEdition.id == edition))
                    return
                session.execute(
                    delete(RegistryEntry).where(
                        RegistryEntry.edition == edition,
                        RegistryEntry.refusal_index <= max(some),
                        RegistryEntry.refusal_index >= min(some),
                    )
                )

    # ------------------------------------------------------------ reading

    def editions(self) -> list[Edition]:
        """The edition in force of every list, by name."""
        with self._context.read() as session:
            return [
                Edition(
                    row.name,
                    row.as_of,
                    row.entries,
                    row.rejected,
                    row.imported_by,
                    row.imported_at,
                )
                for row in session.scalars(
                    select(RegistryEdition)
                    .where(RegistryEdition.state == "current")
                    .order_by(RegistryEdition.name)
                )
            ]

    def check(self, actor: Actor, number: Number) -> tuple[RegistryLookUp, ...]:
        """What every list says of a number. A read of personal data, so it is in the ledger.

        Raises:
            NotAllowed: nobody who may look at the gate's facts.
        """
        context = self._context
        context.require(actor, "registry.check", *_READERS)
        index = context.refusal_index(number)
        with context.write() as session:
            found = look_up(session, (index,))[index]
            listed = [r.name for r in found if r.listed]
            context.log(
                session, "registry.check", actor.id, context.clock.wall(), listed=len(listed)
            )
        return found


def _current(name: str) -> Select[RegistryEdition]:
    return select(RegistryEdition).where(
        RegistryEdition.name == name, RegistryEdition.state == "current"
    )


def look_up(
    session: Session, indexes: Collection[bytes]
) -> Mapping[bytes, tuple[RegistryLookUp, ...]]:
    """What every list in force says of each number, given by its refusal index."""
    editions = session.execute(
        select(RegistryEdition.id, RegistryEdition.name, RegistryEdition.as_of)
        .where(RegistryEdition.state == "current")
        .order_by(RegistryEdition.name)
    ).all()
    if not editions:
        return dict.fromkeys(indexes, ())
    listed = {
        (row.edition, row.refusal_index)
        for row in session.execute(
            select(RegistryEntry.edition, RegistryEntry.refusal_index).where(
                RegistryEntry.edition.in_([e.id for e in editions]),
                RegistryEntry.refusal_index.in_(indexes),
            )
        )
    }
    return {
        index: tuple(RegistryLookUp(e.name, e.as_of, (e.id, index) in listed) for e in editions)
        for index in indexes
    }


# ---------------------------------------------------------------- the file


def _rows(path: Path, region: str) -> Iterator[tuple[int, str]]:
    """(row number from 1, the text of its number) of every row that holds something."""
    with path.open("rb") as raw:
        lines = _decoded(raw)
        for place, line in lines:
            text = line.strip()
            if not text or text.startswith("#"):
                continue
            cells = next(csv.reader((text.replace(";", ",").replace("\t", ","),)))
            cells = [cell.strip() for cell in cells]
            if (
                region == "US"
                and len(cells) > 1
                and len(cells[0]) == 3
                and cells[0].isdecimal()
                and len(cells[1].replace("-", "")) == 7
            ):
                yield place, cells[0] + cells[1]
            else:
                yield place, cells[0] if cells else ""


def _decoded(raw: io.BufferedReader) -> Iterator[tuple[int, str]]:
    place = 0
    while line := raw.readline(_LONGEST_ROW + 1):
        place += 1
        if len(line) > _LONGEST_ROW:
            raise BadInput(
                f"row {place} is longer than {_LONGEST_ROW} characters",
                field="file",
                remedy="one number a row, as text or CSV",
            )
        try:
            yield place, line.decode("utf-8-sig" if place == 1 else "utf-8")
        except UnicodeDecodeError:
            raise BadInput(f"row {place} is not UTF-8", field="file") from None


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
