# SPDX-License-Identifier: GPL-3.0-or-later
"""A file of contacts as rows ready for the database: read, checked and sealed (D1, D5, D7).

What leaves here holds no personal data in the clear, so that it may go from one process to
another. A window of rows is put in the order of its blind indexes before it is sealed: the
database then visits each page of an index once a window instead of once a row, and the ids,
which are given out afterwards, still rise.
"""

from __future__ import annotations

import gc
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import repeat
from operator import itemgetter
from pathlib import Path
from typing import Any

from compliance.errors import BadInput
from compliance.facts import Evolve
from storage import pii
from storage.contact_files import ContactFile, Progress, Rejection
from storage.contact_rows import Defaults, GivenConsent, ParsedContact, parse_row

WINDOW = 20_000  # rows put in order together; they are all that is held in the clear
PIECE = 2_000  # rows handed on, and stored, at once

CONTACT_COLUMNS = (
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
CONSENT_COLUMNS = (
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
Values = list[tuple[Any, ...]]
_Taken = tuple[bytes, int, ParsedContact]  # the blind index, the row's number, what it says


@dataclass(frozen=True, slots=True)
class Order(Evolve):
    """What is to be read, and for which batch."""

    path: Path
    batch: str
    tenant: str
    defaults: Defaults
    window: int = WINDOW
    piece: int = PIECE


@dataclass(frozen=True, slots=True)
class Piece:
    """Rows in the order of their columns, and what was left out since the piece before.

    ``key`` is the master key they are sealed under; ``digest``, the file's SHA-256, is
    in the last piece only.
    """

    contacts: Values
    consents: Values
    rejections: tuple[Rejection, ...]
    duplicates: int
    key: str = ""
    digest: bytes = b""


class Pieces:
    """The pieces of one file."""

    def __init__(self, order: Order, keys: pii.SealingKeys, progress: Progress) -> None:
        self._order = order
        self._keys = keys
        self._file = ContactFile(order.path, progress)
        self._first_half, self._ids = secrets.token_hex(8), 0
        self._rejections: list[Rejection] = []
        self._duplicates = 0

    def __iter__(self) -> Iterator[Piece]:
        """Every row is checked, and sealed if it can be taken.

        Raises:
            BadInput: unknown or missing column, unreadable or empty file.
        """
        with _rarely_collected():
            yield from self._pieces()

    def _pieces(self) -> Iterator[Piece]:
        seen: set[bytes] = set()
        window: list[_Taken] = []
        rows = 0
        defaults, keys = self._order.defaults, self._keys
        for row, cells in self._file.rows():
            rows += 1
            if isinstance(cells, Rejection):
                self._rejections.append(cells)
                continue
            try:
                parsed = parse_row(cells, defaults)
            except BadInput as error:
                self._rejections.append(Rejection(row, error.field, _cause(error)))
                if len(self._rejections) == self._order.piece:
                    yield self._piece([])
                continue
            index = pii.number_index(keys, parsed.number)
            if index in seen:
                self._duplicates += 1
                continue
            seen.add(index)
            window.append((index, row, parsed))
            if len(window) == self._order.window:
                yield from self._cut(window)
                window = []
        if not rows:
            raise BadInput(f"{self._order.path.name} has no rows", field="file")
        yield from self._cut(window)
        yield Piece([], [], *self._left_out(), digest=self._file.digest)

    def _cut(self, window: list[_Taken]) -> Iterator[Piece]:
        window.sort(key=itemgetter(0))
        for at in range(0, len(window), self._order.piece):
            yield self._piece(window[at : at + self._order.piece])

    def _left_out(self) -> tuple[tuple[Rejection, ...], int]:
        left_out = tuple(self._rejections), self._duplicates
        self._rejections, self._duplicates = [], 0
        return left_out

    # ------------------------------------------------------------ sealing

    def _piece(self, block: list[_Taken]) -> Piece:
        """Seal a block, column by column."""
        ids = self._new_ids(len(block))
        people = [parsed for _, _, parsed in block]
        texts = {
            "number": [p.number.e164 for p in people],
            "name": [p.name for p in people],
            "interest": [p.interest for p in people],
            "notes": [p.notes for p in people],
        }
        sealed = self._seal(texts, "contacts", ids)
        contacts = zip(
            ids,
            repeat(self._order.batch),
            [row for _, row, _ in block],
            [index for index, _, _ in block],
            *sealed,
            [p.timezone for p in people],
            [p.language for p in people],
            strict=False,
        )
        given = [
            (contact, index, parsed.consent)
            for contact, (index, _, parsed) in zip(ids, block, strict=True)
            if parsed.consent is not None
        ]
        key = pii.sealed_under(sealed[0][0]) if block else ""
        return Piece(list(contacts), self._consent_rows(given), *self._left_out(), key=key)

    def _new_ids(self, how_many: int) -> list[str]:
        """As :func:`context.new_id`, but rising: the database then only appends to its index."""
        first = self._ids
        self._ids += how_many
        noise = secrets.token_hex(4 * how_many)
        return [
            f"{self._first_half}{first + n:08x}{noise[8 * n : 8 * n + 8]}" for n in range(how_many)
        ]

    def _consent_rows(self, given: list[tuple[str, bytes, GivenConsent]]) -> Values:
        ids = self._new_ids(len(given))
        texts = {"evidence": [consent.evidence for _, _, consent in given]}
        (sealed,) = self._seal(texts, "consents", ids)
        return [
            (consent_id, contact, index, *consent[:-1], evidence, None)
            for consent_id, evidence, (contact, index, consent) in zip(
                ids, sealed, given, strict=True
            )
        ]

    def _seal(self, texts: dict[str, list[str]], table: str, rows: list[str]) -> list[list[bytes]]:
        return pii.seal_columns(
            self._keys, texts, tenant=self._order.tenant, table=table, rows=rows
        )


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
