# SPDX-License-Identifier: GPL-3.0-or-later
"""One CSV row to one checked contact with its consent; pure (D1, D4, D5)."""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from zoneinfo import ZoneInfo

from compliance.errors import BadInput
from compliance.facts import Consent, Evolve, Number
from storage.numbers import normalise, timezone_of
from storage.sensitive import SHORTEST, find_sensitive

CONSENT_COLUMNS = (
    "consent_company",
    "consent_purpose",
    "consent_channel",
    "consent_at",
    "consent_explicit",
    "consent_preticked",
    "consent_names_ai",
    "consent_evidence",
)
REQUIRED_COLUMNS = ("name", "phone", *CONSENT_COLUMNS)
COLUMNS = ("name", "phone", "interest", "timezone", "language", *CONSENT_COLUMNS, "notes")

_LONGEST = {"notes": 2000, "interest": 500, "consent_evidence": 500}
_LONGEST_OTHER = 200
_FORMULA = ("=", "@", "+", "-", "|", "%")
_TRUE = frozenset({"1", "true", "yes", "y", "是"})
_FALSE = frozenset({"0", "false", "no", "n", "否"})
_BROKEN = re.compile("[\ud800-\udfff]")  # what the reader makes of bytes that are no UTF-8
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")  # tab and line ends may be
# All that the checks of a cell look for, or more: a broken character, a formula's first sign,
# and digits enough for a card.
_SUSPECT = re.compile(
    f"{_BROKEN.pattern}|{_CONTROL.pattern}|^[{re.escape(''.join(_FORMULA))}]"
    rf"|[0-9](?:[^0-9\n]*[0-9]){{{SHORTEST - 1}}}",
    re.MULTILINE,
)
_PLAIN_COLUMNS = tuple(column for column in COLUMNS if column not in ("phone", "consent_at"))
_ISO_TIME = re.compile(r"[0-9]{4}(-[0-9]{2}){2}T[0-9]{2}(:[0-9]{2}){1,2}(Z|[+-][0-9]{2}:[0-9]{2})?")
_LANGUAGE = re.compile(r"[a-z]{2,3}(-[A-Za-z0-9]{2,8})?")


@dataclass(frozen=True, slots=True)
class Defaults(Evolve):
    """What a row means where it says nothing. Consent has no defaults (D4)."""

    region: str = "CN"  # national numbers are read as dialed from here
    timezone: str = ""  # empty: from the number's prefix, where that leaves one
    language: str = "zh"


@dataclass(frozen=True, slots=True)
class ParsedContact(Evolve):
    """A row that may be stored. ``consent`` is None where the row says nothing of any."""

    number: Number
    name: str = field(repr=False)
    interest: str = field(repr=False)
    notes: str = field(repr=False)
    timezone: str
    language: str
    consent: Consent | None = field(repr=False)


def parse_row(row: Mapping[str, str], defaults: Defaults) -> ParsedContact:
    """Check and read one row by column name.

    Raises:
        BadInput: names the column and the cause, never the value.
    """
    cells = {column: row.get(column, "").strip() for column in COLUMNS}
    if not _clearly_good("\n".join([cells[column] for column in _PLAIN_COLUMNS])):
        for column in _PLAIN_COLUMNS:
            _check_cell(column, cells[column])
    _check_cell("phone", cells["phone"])
    if not _ISO_TIME.fullmatch(cells["consent_at"]):  # whose digits are no card
        _check_cell("consent_at", cells["consent_at"])
    if not cells["name"]:
        raise BadInput("is empty", field="name")
    number = normalise(cells["phone"], defaults.region)
    place = cells["timezone"] or defaults.timezone or timezone_of(number)
    if place:
        check_timezone(place)
    language = cells["language"] or defaults.language
    if not _LANGUAGE.fullmatch(language):
        raise BadInput("is not a language code such as zh or en", field="language")
    return ParsedContact(
        number=number,
        name=cells["name"],
        interest=cells["interest"],
        notes=cells["notes"],
        timezone=place,
        language=language,
        consent=_consent(cells, place),
    )


@functools.lru_cache(maxsize=1024)
def check_timezone(name: str) -> None:
    """Raises BadInput unless ``name`` is an IANA time zone."""
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # ZoneInfoNotFoundError is a KeyError
        raise BadInput(
            "is not an IANA time zone", field="timezone", remedy="write Asia/Shanghai or the like"
        ) from None


def _clearly_good(cells: str) -> bool:
    """Whether no check can find anything in these cells, a line each; it is so in most rows."""
    return (
        len(cells) <= _LONGEST_OTHER
        and not _SUSPECT.search(cells)
        and (cells.isascii() or unicodedata.is_normalized("NFKC", cells))
    )


def _check_cell(column: str, text: str) -> None:
    if not text:
        return
    if not text.isascii() and _BROKEN.search(text):
        raise BadInput("is not UTF-8", field=column)
    if not text.isprintable() and _CONTROL.search(text):
        raise BadInput("holds NUL or control characters", field=column)
    if len(text) > _LONGEST.get(column, _LONGEST_OTHER):
        raise BadInput("is too long", field=column)
    if column == "phone":
        return  # a number that does not normalise is refused there anyway
    if text.startswith(_FORMULA):
        raise BadInput("starts like a spreadsheet formula", field=column)
    found = find_sensitive(text)
    if found:
        what = "an identity-card number" if found == "id_card" else "a bank-card number"
        raise BadInput(f"holds {what}, which is never collected (D5)", field=column)


def _consent(cells: Mapping[str, str], place: str) -> Consent | None:
    if not any(cells[column] for column in CONSENT_COLUMNS):
        return None
    return Consent(
        id="",
        company=cells["consent_company"],
        purpose=cells["consent_purpose"],
        channel=cells["consent_channel"],
        given_at=_time(cells["consent_at"], place),
        explicit=_flag(cells, "consent_explicit"),
        preticked=_flag(cells, "consent_preticked"),
        names_ai_calling=_flag(cells, "consent_names_ai"),
        evidence=cells["consent_evidence"],
    )


def _flag(cells: Mapping[str, str], column: str) -> bool:
    text = cells[column].lower()
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    raise BadInput("must be yes or no", field=column)


@functools.lru_cache(maxsize=4096)
def _time(text: str, place: str) -> datetime | None:
    if not text:
        return None
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise BadInput("is not an ISO 8601 time", field="consent_at") from None
    if at.tzinfo is None:
        if not place:
            raise BadInput("has no time zone, and the contact has none", field="consent_at")
        at = at.replace(tzinfo=ZoneInfo(place))
    return at
