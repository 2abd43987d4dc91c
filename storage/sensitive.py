# SPDX-License-Identifier: GPL-3.0-or-later
"""Finds identity-card and bank-card numbers wherever somebody wrote them (D5)."""

from __future__ import annotations

import re
import unicodedata
from datetime import date

# Digests and UUIDs are references to proofs; their digits mean nothing.
_REFERENCE = re.compile(
    r"(?<![0-9a-z])(?:(?=[0-9]*[a-f])[0-9a-f]{32,128}"
    r"|[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})(?![0-9a-z])",
    re.IGNORECASE,
)
# Groups of digits with at most two separators between them, as cards are printed.
_RUN = re.compile(r"[0-9](?:[ \-.·_/]{0,2}[0-9])*(?:[ \-.·_/]{0,2}[xX])?")
_GROUP = re.compile(r"[0-9]+[xX]?|[xX]")
_DASHES = re.compile(r"[\u2010-\u2015\u2212\u3000\u00a0]")
_INVISIBLE = re.compile(r"[\u200b-\u200f\u202a-\u202e\u2060\ufeff]")
_ID_CARD = re.compile(r"[1-9][0-9]{16}[0-9xX]")
_BANK_CARD = re.compile(r"[1-9][0-9]{12,18}")
# A Chinese mobile number with its country code has 13 digits, and every tenth passes Luhn.
_MOBILE = re.compile(r"861[3-9][0-9]{9}")
_MAX_GROUPS = 12
SHORTEST = 13  # digits of the shortest card number
_ENOUGH = re.compile(rf"[0-9](?:[^0-9]*[0-9]){{{SHORTEST - 1}}}")
_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)  # GB 11643-1999
_CHECK = "10X98765432"


def find_sensitive(text: str) -> str:
    """``id_card``, ``bank_card`` or empty; what was found is never returned.

    Full-width digits and separators inside a number are seen through.
    """
    plain = text if text.isascii() else _INVISIBLE.sub("", unicodedata.normalize("NFKC", text))
    if len(plain) < SHORTEST or not _ENOUGH.search(plain):
        return ""
    plain = _REFERENCE.sub(" ; ", _DASHES.sub("-", plain))
    for run in _RUN.finditer(plain):
        if run.end() - run.start() < SHORTEST:
            continue
        found = _in_groups(_GROUP.findall(run.group()))
        if found:
            return found
    return ""


def _in_groups(groups: list[str]) -> str:
    """Any consecutive groups that make up a number: a card may stand beside something else."""
    for first in range(len(groups)):
        digits = ""
        for group in groups[first : first + _MAX_GROUPS]:
            digits += group
            if len(digits) > 19:
                break
            if len(digits) < SHORTEST:
                continue
            if is_id_card(digits):
                return "id_card"
            if is_bank_card(digits):
                return "bank_card"
    return ""


def is_id_card(text: str) -> bool:
    """18 characters with a real birth date and the right check character (GB 11643)."""
    if not _ID_CARD.fullmatch(text):
        return False
    try:
        born = date(int(text[6:10]), int(text[10:12]), int(text[12:14]))
    except ValueError:
        return False
    total = sum(int(digit) * weight for digit, weight in zip(text, _WEIGHTS, strict=False))
    return born.year >= 1850 and _CHECK[total % 11] == text[17].upper()


def is_bank_card(text: str) -> bool:
    """13 to 19 digits that pass Luhn (ISO/IEC 7812) and are no telephone number."""
    if not _BANK_CARD.fullmatch(text) or _MOBILE.fullmatch(text):
        return False
    total = 0
    for position, digit in enumerate(reversed(text)):
        value = int(digit) * (2 if position % 2 else 1)
        total += value - 9 if value > 9 else value
    return total % 10 == 0
