# SPDX-License-Identifier: GPL-3.0-or-later
"""Files of contacts, CSV or XLSX, as rows of named cells; streaming (D5, experiment 24).

A row that cannot be read as it stands is a :class:`Rejection`, never a guess: a formula has
no value of its own, and a spreadsheet forgets digits behind the fifteenth.
"""

from __future__ import annotations

import csv
import hashlib
import os
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from itertools import islice
from pathlib import Path
from typing import IO, Any

from compliance.errors import BadInput
from compliance.facts import Evolve
from storage.contact_rows import COLUMNS, REQUIRED_COLUMNS

Progress = Callable[[int, int], None]
"""Called with how much was read, and how much there is, in bytes or in rows."""

_XLSX_BYTES_MAX = 2 * 1024**3  # of the workbook's parts once unpacked
_XLSX_TEXTS_MAX = 200_000_000  # its table of texts, which is held in memory
_XLSX_RATIO_MAX = 200  # a spreadsheet packs to a tenth; a bomb to a thousandth
_EXACT_DIGITS = 15  # a spreadsheet's numbers are floating point


@dataclass(frozen=True, slots=True)
class Rejection(Evolve):
    """Why a row was left out; never what stood in it."""

    row: int  # as a spreadsheet counts: the header is row 1
    field: str
    cause: str


Read = dict[str, str] | Rejection
Row = tuple[int, Read]


class ContactFile:
    """One file. ``digest`` is the SHA-256 of its bytes once :meth:`rows` has ended."""

    def __init__(self, path: Path, progress: Progress = lambda done, total: None) -> None:
        self.path = path
        self.digest = b""
        self._progress = progress

    def rows(self) -> Iterator[Row]:
        """Every row that is not empty, with its number.

        Raises:
            BadInput: no file of a kind that is read, an unknown or missing column, damaged.
        """
        kind = self.path.suffix.lower()
        try:
            if kind == ".xlsx":
                yield from self._xlsx_rows()
            elif kind in (".xls", ".ods", ".xlsb", ".numbers"):
                raise self._bad(f"is a {kind} file", "save it as .xlsx or as CSV UTF-8")
            else:
                yield from self._csv_rows()
        except OSError as error:
            raise self._bad(f"cannot be read: {error.strerror}") from None

    def _bad(self, cause: str, remedy: str = "") -> BadInput:
        return BadInput(f"{self.path.name} {cause}", field="file", remedy=remedy)

    # ------------------------------------------------------------ CSV

    def _csv_rows(self) -> Iterator[Row]:
        digest = hashlib.sha256()
        with self.path.open("rb") as file:
            reader = csv.reader(self._lines(file, digest), strict=True)
            try:
                header = _header(self.path, next(reader, None))
                for row, cells in enumerate(reader, start=2):
                    if not "".join(cells).strip():
                        continue  # an empty line is nobody
                    if len(cells) != len(header):
                        cause = f"has {len(cells)} cells, not {len(header)}"
                        yield row, Rejection(row, "row", cause)
                    else:
                        yield row, dict(zip(header, cells, strict=True))
            except csv.Error as error:
                raise self._bad(
                    f"is no CSV near line {reader.line_num}: {error}",
                    "look for a quotation mark that is never closed",
                ) from None
        self.digest = digest.digest()

    def _lines(self, file: IO[bytes], digest: Any) -> Iterator[str]:
        """Lines as text; bytes that are no UTF-8 survive as surrogates and reject their row."""
        total, done = os.fstat(file.fileno()).st_size, 0
        first = True
        while block := list(islice(file, 1000)):
            digest.update(b"".join(block))
            for line in block:
                text = line.decode("utf-8", "surrogateescape")
                yield text.removeprefix("\ufeff") if first else text
                first = False
            done += sum(map(len, block))
            self._progress(done, total)

    # ------------------------------------------------------------ XLSX

    def _xlsx_rows(self) -> Iterator[Row]:
        from openpyxl import load_workbook  # half a second that a CSV need not wait for

        with self.path.open("rb") as file:
            self.digest = hashlib.file_digest(file, "sha256").digest()
        self._check_size()
        try:
            book = load_workbook(self.path, read_only=True, keep_links=False)
            try:
                yield from self._sheet_rows(book)
            finally:
                book.close()
        except BadInput:
            raise
        except OSError:
            raise
        except Exception as error:  # openpyxl lets through whatever a damaged part leads it to
            raise self._bad(
                f"is no whole workbook ({type(error).__name__})", "save it anew as .xlsx"
            ) from None

    def _check_size(self) -> None:
        try:
            with zipfile.ZipFile(self.path) as archive:
                parts = archive.infolist()
        except zipfile.BadZipFile:
            raise self._bad("is no workbook", "save it anew as .xlsx, or as CSV UTF-8") from None
        texts = (p.file_size for p in parts if p.filename.endswith("sharedStrings.xml"))
        size, packed = sum(p.file_size for p in parts), sum(p.compress_size for p in parts)
        if (
            size > min(_XLSX_BYTES_MAX, 10_000_000 + _XLSX_RATIO_MAX * packed)
            or max(texts, default=0) > _XLSX_TEXTS_MAX
        ):
            raise self._bad("unpacks to more than any list of people", "save it as CSV UTF-8")

    def _sheet_rows(self, book: Any) -> Iterator[Row]:
        sheets = [sheet for sheet in book.worksheets if sheet.sheet_state == "visible"]
        if len(sheets) != 1:
            raise self._bad(
                f"has {len(sheets)} visible sheets", "leave the one with the people, and save it"
            )
        sheet = sheets[0]
        total = sheet.max_row or 0
        rows = sheet.iter_rows()
        first = next(rows, None)
        header = _header(self.path, None if first is None else _titles(first))
        for row, cells in enumerate(rows, start=2):
            if row % 1000 == 0:
                self._progress(row, max(row, total))
            found = _cells(row, header, cells)
            if found is not None:
                yield row, found


def _titles(cells: Sequence[Any]) -> list[str]:
    titles = ["" if cell.value is None else str(cell.value) for cell in cells]
    while titles and not titles[-1].strip():  # formatted, but empty
        titles.pop()
    return titles


def _cells(row: int, header: Sequence[str], cells: Sequence[Any]) -> Read | None:
    """A row of a sheet as text by column; None where it is empty."""
    if all(cell.value is None for cell in cells):
        return None
    found = dict.fromkeys(header, "")
    for at, cell in enumerate(cells):
        if cell.value is None:
            continue
        if at >= len(header):
            return Rejection(row, "row", f"has a cell behind the last column, {header[-1]}")
        text, cause = _text(cell)
        if cause:
            return Rejection(row, header[at], cause)
        found[header[at]] = text
    return found


def _text(cell: Any) -> tuple[str, str]:
    """(what the cell says, why it cannot be taken)."""
    value = cell.value
    if cell.data_type == "f":
        return "", "is a formula: paste it as a value"
    if cell.data_type == "e":
        return "", "is a spreadsheet's error"
    if isinstance(value, bool):
        return ("yes" if value else "no"), ""
    if isinstance(value, int | float):
        whole = int(value)
        if whole != value:
            return "", "is a number with a fraction: format the column as text"
        if len(str(abs(whole))) > _EXACT_DIGITS:
            return "", "is a number too long for a spreadsheet to hold: format the column as text"
        return str(whole), ""
    if isinstance(value, datetime | date | time):
        return value.isoformat(), ""
    return str(value), ""


# ---------------------------------------------------------------- the header


def _header(path: Path, cells: list[str] | None) -> list[str]:
    if cells is None or not cells:
        raise BadInput(f"{path.name} is empty", field="file")
    header = [cell.strip().lower() for cell in cells]
    for column in header:
        if column not in COLUMNS:
            raise _unknown(column)
        if header.count(column) > 1:
            raise BadInput(f"column {column!r} comes twice", field="header")
    for column in REQUIRED_COLUMNS:
        if column not in header:
            raise BadInput(
                f"column {column!r} is missing",
                field="header",
                remedy=f"add it; these are needed: {', '.join(REQUIRED_COLUMNS)}",
            )
    return header


def _unknown(column: str) -> BadInput:
    if any("\ud800" <= c <= "\udfff" for c in column):
        return BadInput(
            "is not UTF-8 (a Chinese Excel writes GBK)",
            field="header",
            remedy="save it as 'CSV UTF-8', or as .xlsx",
        )
    shown = column if column.isascii() and len(column) < 40 else "with another script"
    return BadInput(
        f"unknown column {shown!r}", field="header", remedy=f"known: {', '.join(COLUMNS)}"
    )
