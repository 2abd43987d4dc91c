# SPDX-License-Identifier: GPL-3.0-or-later
"""Import of contacts: streaming, row-level rejects, all or nothing (D1, D5, T2).

A file is read, checked and sealed (``contact_pieces``), if it is large by a second process
(``contact_process``), and stored piece by piece as a batch that nobody can use before the
last, short transaction (``staging``): a long import does not hold up the dialer, and one
that fails or is killed leaves nothing to be seen.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from compliance.errors import BadInput, StorageError
from compliance.facts import Actor, Evolve, Role, SourceKind
from storage import contact_process, ledger
from storage.contact_files import Progress, Rejection
from storage.contact_pieces import Order, Piece
from storage.contact_rows import Defaults, check_timezone
from storage.context import Context, new_id
from storage.objects import fsync_folder
from storage.staging import Staging, abandoned, clear_abandoned, refuse_taken
from storage.suppliers import check_partner

KEPT_REJECTIONS = 1000  # in the result; all of them are in the file


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
        partner: str = "",
        region: str = "CN",
        timezone: str = "",
        language: str = "zh",
        progress: Progress = lambda done, total: None,
    ) -> ImportResult:
        """Import a CSV (UTF-8) or XLSX file with a header as a new batch, all or nothing.

        Rows that cannot be taken are left out and written, by row, field and cause, to
        ``NAME.rejects.csv`` beside the file. A number that comes twice is taken once.
        ``partner`` is the registered data partner a batch of source ``partner`` came from (D2).
        ``progress`` tells how much of the file is read; its rows are stored meanwhile.

        Raises:
            NotAllowed: not an operator.
            BadInput: unknown or missing column, undeclared source, a source ``partner``
                without a registered partner or the reverse, batch name taken,
                unreadable file, no row that can be taken; nothing was stored.
            StorageError: a process of it was killed, or a key retired; nothing was stored.
        """
        context = self._context
        context.require(actor, "contacts.import", Role.OPERATOR)
        if not isinstance(source, SourceKind):
            raise BadInput(
                "declare where the data comes from (D1)",
                field="source",
                remedy=f"one of {', '.join(SourceKind)}",
            )
        if (source is SourceKind.PARTNER) != bool(partner):
            raise BadInput(
                "goes with the source `partner`, and only with it (D2)",
                field="partner",
                remedy="candor partners add NAME, then name it",
            )
        batch = batch.strip()
        if not batch or len(batch) > 100 or not batch.isprintable():
            raise BadInput("a batch has a name of 1 to 100 printable characters", field="batch")
        if timezone:
            check_timezone(timezone)
        with context.read() as session:
            refuse_taken(session, batch)
            if partner:
                check_partner(session, partner)
        clear_abandoned(context)
        order = Order(Path(path), new_id(), context.tenant, Defaults(region, timezone, language))
        staging = Staging(context, order.batch, source=str(source), by=actor.id, partner=partner)
        with _rejects(order.path) as rejects:
            try:
                tally = self._stage(order, staging, rejects, progress)
                if not staging.contacts:  # an empty batch would only take up its name
                    raise _none_taken(tally, rejects.finish())
                self._publish(order.batch, batch, staging, tally)
            except BaseException:
                with suppress(StorageError):  # else the next import clears it away
                    staging.give_up()
                raise
            return ImportResult(
                batch=batch,
                accepted=staging.contacts,
                rejected=tuple(tally.first),
                duplicates=tally.duplicates,
                rejected_rows=tally.rejected,
                rejects_file=rejects.finish() if tally.rejected else None,
            )

    def cut_off(self) -> int:
        """Imports that were killed and of which something is left, which nothing uses; the next
        import and the nightly job clear it away."""
        return abandoned(self._context)

    def _stage(
        self, order: Order, staging: Staging, rejects: _RejectsFile, progress: Progress
    ) -> _Tally:
        tally = _Tally()
        with contact_process.pieces(order, self._context.keyring, progress) as pieces:
            for piece in pieces:
                for rejection in piece.rejections:
                    rejects.write(rejection)
                tally.count(piece)
                staging.add(piece)
        return tally

    def _publish(self, batch: str, name: str, staging: Staging, tally: _Tally) -> None:
        commitment, key = ledger.commit_to(tally.digest)
        counts = {
            "accepted": staging.contacts,
            "rejected": tally.rejected,
            "duplicates": tally.duplicates,
        }
        hidden = self._context.hide(key, "batches", "file_key", batch)
        staging.publish(name, counts, commitment, hidden)


def _none_taken(tally: _Tally, rejects: Path) -> BadInput:
    first = tally.first[0]
    return BadInput(
        f"{first.cause}; none of the {tally.rejected} rows can be taken",
        row=first.row,
        field=first.field,
        remedy=f"mend the rows that {rejects.name} lists and import the file again",
    )


@dataclass(slots=True)
class _Tally:
    """What was left out; ``first`` holds the first rejections."""

    rejected: int = 0
    duplicates: int = 0
    digest: bytes = b""
    first: list[Rejection] = field(default_factory=list)

    def count(self, piece: Piece) -> None:
        self.rejected += len(piece.rejections)
        self.duplicates += piece.duplicates
        self.digest = piece.digest
        self.first += piece.rejections[: KEPT_REJECTIONS - len(self.first)]


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
