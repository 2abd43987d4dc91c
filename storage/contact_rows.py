# SPDX-License-Identifier: GPL-3.0-or-later
"""One CSV row to one checked contact with its consent; pure (D1, D4, D5)."""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple
from zoneinfo import ZoneInfo

from compliance.errors import BadInput
from compliance.facts import Evolve, Number
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
_FLAGS = ("consent_explicit", "consent_preticked", "consent_names_ai")
_ISO_TIME = re.compile(r"[0-9]{4}(-[0-9]{2}){2}T[0-9]{2}(:[0-9]{2}){1,2}(Z|[+-][0-9]{2}:[0-9]{2})?")
_LANGUAGE = re.compile(r"[a-z]{2,3}(-[A-Za-z0-9]{2,8})?")


@dataclass(frozen=True, slots=True)
class Defaults(Evolve):
    """What a row means where it says nothing. Consent has no defaults (D4)."""

    region: str = "CN"  # national numbers are read as dialed from here
    timezone: str = ""  # empty: from the number's prefix, where that leaves one
    language: str = "zh"


class GivenConsent(NamedTuple):
    """What a row says of consent; see ``facts.Consent``."""

    company: str
    purpose: str
    channel: str
    given_at: datetime | None
    explicit: bool
    preticked: bool
    names_ai_calling: bool
    evidence: str


class ParsedContact(NamedTuple):
    """A row that may be stored. ``consent`` is None where the row says nothing of any.

    A tuple, because a million of them are made in an import.
    """

    number: Number
    name: str
    interest: str
    notes: str
    timezone: str
    language: str
    consent: GivenConsent | None

    def __repr__(self) -> str:
        return f"ParsedContact(timezone={self.timezone!r}, language={self.language!r})"


def parse_row(row: Mapping[str, str], defaults: Defaults) -> ParsedContact:
    """Check and read one row by column name.

    Raises:
        BadInput: names the column and the cause, never the value.
    """
    get = row.get
    cells = [get(column, "").strip() for column in COLUMNS]
    name, phone, interest, timezone, language, *consent, evidence, notes = cells
    company, purpose, channel, at, *flags = consent
    written = f"{name}\n{interest}\n{evidence}\n{notes}"
    repeated = (timezone, language, company, purpose, channel, *flags)
    if not (_clearly_good(written) and _clearly_good_again(repeated)):
        for column, cell in zip(COLUMNS, cells, strict=True):
            if column not in ("phone", "consent_at"):
                _check_cell(column, cell)
    if not (len(phone) < _LONGEST_OTHER and phone.isascii() and phone.isprintable()):
        _check_cell("phone", phone)
    if not _ISO_TIME.fullmatch(at):  # whose digits are no card
        _check_cell("consent_at", at)
    if not name:
        raise BadInput("is empty", field="name")
    number = normalise(phone, defaults.region)
    place = timezone or defaults.timezone or timezone_of(number)
    if place:
        check_timezone(place)
    language = language or defaults.language
    _check_language(language)
    given = None
    if at or evidence or any(consent):
        explicit, preticked, names_ai = map(_flag, flags, _FLAGS)
        times = _time(at, place), explicit, preticked, names_ai
        given = GivenConsent(company, purpose, channel, *times, evidence)
    return ParsedContact(number, name, interest, notes, place, language, given)


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


@functools.lru_cache(maxsize=4096)
def _clearly_good_again(cells: tuple[str, ...]) -> bool:
    """:func:`_clearly_good` for what most rows of a file have in common."""
    return _clearly_good("\n".join(cells))


@functools.lru_cache(maxsize=256)
def _check_language(language: str) -> None:
    if not _LANGUAGE.fullmatch(language):
        raise BadInput("is not a language code such as zh or en", field="language")


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


@functools.lru_cache(maxsize=256)
def _flag(text: str, column: str) -> bool:
    text = text.lower()
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
