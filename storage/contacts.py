# SPDX-License-Identifier: GPL-3.0-or-later
"""Import of contacts: streaming, row-level rejects, all or nothing (D1, D5, T2).

A file is read, checked and sealed row by row into a spool that holds nothing
in the clear; only then one short transaction writes it, so that a long import
does not hold up the dialer and a failing one leaves nothing behind.
"""

from __future__ import annotations

import csv
import gc
import os
import pickle
import secrets
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path
from typing import IO, Any, cast

from sqlalchemy import Table, insert, select

from compliance.errors import BadInput, StorageError
from compliance.facts import Actor, Consent, Evolve, Role, SourceKind
from storage import ledger, pii
from storage.contact_files import ContactFile, Progress, Rejection
from storage.contact_rows import Defaults, ParsedContact, check_timezone, parse_row
from storage.context import Context, new_id
from storage.dialects import insert_many
from storage.models import Batch, ConsentRow, ContactRow
from storage.objects import fsync_folder

KEPT_REJECTIONS = 1000  # in the result; all of them are in the file
_AT_ONCE = 1000
_CONTACTS = cast(Table, ContactRow.__table__)
_CONSENTS = cast(Table, ConsentRow.__table__)
_CONTACT_COLUMNS = (
    "id",
    "batch",
    "row",
    "number_index",
    "number_sealed",
    "name_sealed",
    "interest_sealed",
    "notes_sealed",
    "timezone",
    "language",
)
_CONSENT_COLUMNS = (
    "id",
    "contact",
    "number_index",
    "company",
    "purpose",
    "channel",
    "given_at",
    "explicit",
    "preticked",
    "names_ai_calling",
    "evidence_sealed",
    "expires_at",
)
_Taken = tuple[int, bytes, ParsedContact]  # the row's number, its blind index, what it says
_Values = list[tuple[Any, ...]]


@dataclass(frozen=True, slots=True)
class ImportResult(Evolve):
    """What became of a file. ``rejected`` holds the first thousand; ``rejected_rows`` counts."""

    batch: str
    accepted: int
    rejected: tuple[Rejection, ...]
    duplicates: int
    rejected_rows: int
    rejects_file: Path | None = None


class Contacts:
    """Bringing contacts in."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def import_file(
        self,
        path: Path | str,
        *,
        actor: Actor,
        source: SourceKind,
        batch: str,
        region: str = "CN",
        timezone: str = "",
        language: str = "zh",
        progress: Progress = lambda done, total: None,
    ) -> ImportResult:
        """Import a CSV (UTF-8) or XLSX file with a header as a new batch, in one transaction.

        Rows that cannot be taken are left out and written, by row, field and cause, to
        ``NAME.rejects.csv`` beside the file. A number that comes twice is taken once.
        ``progress`` counts twice the file's size: it is read, then its rows are stored.

        Raises:
            NotAllowed: not an operator.
            BadInput: unknown or missing column, undeclared source, batch name taken,
                unreadable file, no row that can be taken; nothing was stored.
        """
        context = self._context
        context.require(actor, "contacts.import", Role.OPERATOR)
        if not isinstance(source, SourceKind):
            raise BadInput(
                "declare where the data comes from (D1)",
                field="source",
                remedy=f"one of {', '.join(SourceKind)}",
            )
        batch = batch.strip()
        if not batch or len(batch) > 100 or not batch.isprintable():
            raise BadInput("a batch has a name of 1 to 100 printable characters", field="batch")
        if timezone:
            check_timezone(timezone)
        with context.read() as session:
            if session.scalar(select(Batch.id).where(Batch.name == batch)) is not None:
                raise BadInput("a batch of this name exists", field="batch")
        defaults = Defaults(region, timezone, language)
        path = Path(path)
        with tempfile.TemporaryFile() as spool, _rejects(path) as rejects, _rarely_collected():
            halves = _Halves(progress)
            load = _Load(context, new_id(), spool, rejects)
            load.read(ContactFile(path, halves.reading), defaults)
            if not load.accepted:  # an empty batch would only take up its name
                raise _none_taken(load, rejects.finish())
            self._store(load, actor, source, batch, halves.storing)
            return ImportResult(
                batch=batch,
                accepted=load.accepted,
                rejected=tuple(load.first_rejections),
                duplicates=load.duplicates,
                rejected_rows=load.rejected,
                rejects_file=rejects.finish() if load.rejected else None,
            )

    def _store(
        self, load: _Load, actor: Actor, source: SourceKind, name: str, progress: Progress
    ) -> None:
        context = self._context
        now = context.clock.wall()
        commitment, key = ledger.commit_to(load.file_digest)
        with context.write() as session:
            if session.scalar(select(Batch.id).where(Batch.name == name)) is not None:
                raise BadInput("a batch of this name exists", field="batch")
            session.execute(
                insert(Batch).values(
                    id=load.batch,
                    name=name,
                    source=str(source),
                    imported_by=actor.id,
                    imported_at=now,
                    accepted=load.accepted,
                    rejected=load.rejected,
                    duplicates=load.duplicates,
                    file_key=context.hide(key, "batches", "file_key", load.batch),
                )
            )
            stored = 0
            for contacts, consents in load.spooled():
                insert_many(session, _CONTACTS, _CONTACT_COLUMNS, contacts)
                insert_many(session, _CONSENTS, _CONSENT_COLUMNS, consents)
                stored += len(contacts)
                progress(stored, load.accepted)
            context.still_held(load.sealed_under)
            context.log(
                session,
                "contacts.import",
                actor.id,
                now,
                batch=load.batch,
                source=str(source),
                file=commitment,
                accepted=load.accepted,
                rejected=load.rejected,
                duplicates=load.duplicates,
            )
            if load.consents:
                context.log(
                    session,
                    "consent.record",
                    actor.id,
                    now,
                    batch=load.batch,
                    consents=load.consents,
                )


class _Halves:
    """Progress of reading and storing as one: either is about half of the time."""

    def __init__(self, told: Progress) -> None:
        self._told = told
        self._size = 0

    def reading(self, done: int, total: int) -> None:
        self._size = total
        self._told(done, 2 * total)

    def storing(self, done: int, total: int) -> None:
        self._told(self._size + self._size * done // total, 2 * self._size)


class _Load:
    """One file on its way: counts, rejects, and the spool of sealed rows."""

    def __init__(
        self, context: Context, batch: str, spool: IO[bytes], rejects: _RejectsFile
    ) -> None:
        self._context = context
        self._spool = spool
        self._rejects = rejects
        self.batch = batch
        self.accepted = self.duplicates = self.rejected = self.consents = 0
        self.first_rejections: list[Rejection] = []
        self.file_digest = b""
        self.sealed_under: set[str] = set()  # master keys
        self._first_half, self._ids = secrets.token_hex(8), 0

    def read(self, file: ContactFile, defaults: Defaults) -> None:
        seen: set[bytes] = set()
        block: list[_Taken] = []
        for row, cells in file.rows():
            if isinstance(cells, Rejection):
                self._reject(cells)
                continue
            try:
                parsed = parse_row(cells, defaults)
            except BadInput as error:
                self._reject(Rejection(row, error.field, _cause(error)))
                continue
            index = self._context.number_index(parsed.number)
            if index in seen:
                self.duplicates += 1
                continue
            seen.add(index)
            self.accepted += 1
            block.append((row, index, parsed))
            if len(block) == _AT_ONCE:
                self._spool_block(block)
                block = []
        if block:
            self._spool_block(block)
        self.file_digest = file.digest
        if not self.accepted and not self.rejected:
            raise BadInput(f"{file.path.name} has no rows", field="file")

    def spooled(self) -> Iterator[tuple[_Values, _Values]]:
        """Rows of contacts and of consents, values in the order of the columns."""
        self._spool.seek(0)
        while True:
            try:
                yield pickle.load(self._spool)
            except EOFError:
                return

    def _reject(self, rejection: Rejection) -> None:
        self.rejected += 1
        if len(self.first_rejections) < KEPT_REJECTIONS:
            self.first_rejections.append(rejection)
        self._rejects.write(rejection)

    def _spool_block(self, block: list[_Taken]) -> None:
        """Seal a block, column by column, and put it into the spool."""
        ids = self._new_ids(len(block))
        people = [parsed for _, _, parsed in block]
        contacts = zip(
            ids,
            repeat(self.batch),
            [row for row, _, _ in block],
            [index for _, index, _ in block],
            self._seal([p.number.e164 for p in people], "contacts", "number", ids),
            self._seal([p.name for p in people], "contacts", "name", ids),
            self._seal([p.interest for p in people], "contacts", "interest", ids),
            self._seal([p.notes for p in people], "contacts", "notes", ids),
            [p.timezone for p in people],
            [p.language for p in people],
            strict=False,
        )
        given = [
            (contact, index, parsed.consent)
            for contact, (_, index, parsed) in zip(ids, block, strict=True)
            if parsed.consent is not None
        ]
        self.consents += len(given)
        pickle.dump((list(contacts), self._consent_rows(given)), self._spool)

    def _new_ids(self, how_many: int) -> list[str]:
        """As :func:`new_id`, but rising: the database then only appends to its index of ids."""
        first = self._ids
        self._ids += how_many
        noise = secrets.token_hex(4 * how_many)
        return [
            f"{self._first_half}{first + n:08x}{noise[8 * n : 8 * n + 8]}" for n in range(how_many)
        ]

    def _consent_rows(self, given: list[tuple[str, bytes, Consent]]) -> _Values:
        ids = self._new_ids(len(given))
        sealed = self._seal([c.evidence for _, _, c in given], "consents", "evidence", ids)
        return [
            (
                consent_id,
                contact,
                index,
                consent.company,
                consent.purpose,
                consent.channel,
                consent.given_at,
                consent.explicit,
                consent.preticked,
                consent.names_ai_calling,
                evidence,
                consent.expires_at,
            )
            for consent_id, evidence, (contact, index, consent) in zip(
                ids, sealed, given, strict=True
            )
        ]

    def _seal(self, texts: list[str], table: str, column: str, rows: list[str]) -> list[bytes]:
        context = self._context
        sealed = pii.seal_column(
            context.keyring, texts, tenant=context.tenant, table=table, column=column, rows=rows
        )
        self.sealed_under.update(pii.sealed_under(value) for value in sealed[:1])
        return sealed


def _none_taken(load: _Load, rejects: Path) -> BadInput:
    first = load.first_rejections[0]
    return BadInput(
        f"{first.cause}; none of the {load.rejected} rows can be taken",
        row=first.row,
        field=first.field,
        remedy=f"mend the rows that {rejects.name} lists and import the file again",
    )


class _RejectsFile:
    """``NAME.rejects.csv``, made when the first reject comes, kept when the import commits."""

    def __init__(self, path: Path) -> None:
        self.path = path.with_name(f"{path.stem}.rejects.csv")
        self._draft = path.with_name(f".{path.stem}.{new_id()[:8]}.rejects")
        self._file: IO[str] | None = None

    def write(self, rejection: Rejection) -> None:
        try:
            if self._file is None:
                flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
                self._file = os.fdopen(
                    os.open(self._draft, flags, 0o600), "w", encoding="utf-8", newline=""
                )
                csv.writer(self._file).writerow(["row", "field", "cause"])
            csv.writer(self._file).writerow([rejection.row, rejection.field, rejection.cause])
        except OSError as error:
            raise StorageError(f"the rejects cannot be written: {error.strerror}") from None

    def finish(self) -> Path:
        assert self._file is not None
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        self._draft.replace(self.path)
        fsync_folder(self.path.parent)
        return self.path

    def discard(self) -> None:
        if self._file is not None:
            self._file.close()
            self._draft.unlink(missing_ok=True)


@contextmanager
def _rejects(path: Path) -> Iterator[_RejectsFile]:
    rejects = _RejectsFile(path)
    try:
        yield rejects
    finally:
        rejects.discard()


@contextmanager
def _rarely_collected() -> Iterator[None]:
    """Millions of rows come and go and none is part of a cycle: looking for cycles among them
    every 700 objects, as Python does, takes a sixth of an import's time."""
    usual = gc.get_threshold()
    gc.set_threshold(50_000, 20, 100)
    try:
        yield
    finally:
        gc.set_threshold(*usual)


def _cause(error: BadInput) -> str:
    """The error's sentence without the place, which has columns of its own, and the remedy."""
    cause = error.detail.split(": ", 1)[-1]
    return f"{cause}: {error.remedy}" if error.remedy else cause
