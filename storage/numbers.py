# SPDX-License-Identifier: GPL-3.0-or-later
"""One canonical spelling of every telephone number: caps and refusals count by it (C4).

Numbering plans come from the ``phonenumbers`` metadata. No message of this
module ever holds a number (D8).
"""

from __future__ import annotations

import functools
import re
import unicodedata

import phonenumbers
from phonenumbers import PhoneNumberType, carrier, shortnumberinfo, timezone

from compliance.errors import BadInput
from compliance.facts import Number

# Spaces, dashes, dots, brackets, slashes and invisible marks people put between digits.
_SEPARATORS = re.compile(
    r"[\s\-\u2010-\u2015\u2212\u30fc.·()\[\]/\u200b-\u200f\u202a-\u202e\u2060\ufeff]+"
)
_DIALABLE = re.compile(r"\+?[0-9]{3,20}")
# The plan's metadata takes these for subscribers: services behind a Chinese area code, directory
# enquiries and 976 numbers in North America.
_SERVICE = re.compile(r"\+86[0-9]{3,9}|\+1[0-9]{3}(?:976[0-9]{4}|5551212)")
_CHINESE_MOBILE = re.compile(r"(\+86|)(1[0-9]{6})([0-9]{4})")
# Numbers at which a person answers; premium, toll-free, shared-cost, pagers and personal numbers
# (070 in the UK, charged as premium ones) are services.
_PERSONAL = frozenset(
    {
        PhoneNumberType.MOBILE,
        PhoneNumberType.FIXED_LINE,
        PhoneNumberType.FIXED_LINE_OR_MOBILE,
        PhoneNumberType.VOIP,
    }
)


def normalise(raw: str, region: str = "CN") -> Number:
    """The E.164 number behind any usual spelling, dialed as if from ``region`` (ISO 3166).

    ``+86``, ``0086``, ``86``, a national number, separators and full-width digits
    all give the same number.

    Raises:
        BadInput: no number, an emergency or short code, a premium or other service
            number, or not valid in its numbering plan. The message has no digits of it.
    """
    # As nearly all of a list are written; what follows says the same of them.
    national = region == "CN" and len(raw) == 11 and raw[0] == "1"
    if national and raw.isascii() and raw.isdigit() and _block(raw[:7])[0]:
        return Number(f"+86{raw}")
    text = _SEPARATORS.sub("", unicodedata.normalize("NFKC", raw))
    mobile = _CHINESE_MOBILE.fullmatch(text)
    if mobile and (mobile[1] or region == "CN") and _block(mobile[2])[0]:
        return Number(f"+86{mobile[2]}{mobile[3]}")
    if not text:
        raise _bad("is empty")
    if not _DIALABLE.fullmatch(text):
        raise _bad("is not a telephone number")
    if shortnumberinfo.is_emergency_number(text, region):
        raise _bad("is an emergency number")
    try:
        parsed = phonenumbers.parse(text, region)
    except phonenumbers.NumberParseException:
        raise _bad("is not a telephone number") from None
    if not phonenumbers.is_valid_number(parsed):
        if shortnumberinfo.is_valid_short_number_for_region(parsed, region):
            raise _bad("is a short code")
        raise _bad("is not valid in its country's numbering plan")
    if _SERVICE.fullmatch(f"+{parsed.country_code}{parsed.national_number}"):
        raise _bad("belongs to a service, not to a person")
    if phonenumbers.number_type(parsed) not in _PERSONAL:
        raise _bad("belongs to a service, not to a person")
    return Number(phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164))


@functools.lru_cache(maxsize=10_000)
def own_number(caller_id: str, region: str = "CN") -> str:
    """One spelling of a number of ours, so that lines which show the same one share its cap (C4b).

    E.164 where it can be read as a number of any kind (400, toll-free and fixed lines are
    usual), else as written without separators. Ours, so it is no personal data.
    """
    text = _SEPARATORS.sub("", unicodedata.normalize("NFKC", caller_id))
    try:
        parsed = phonenumbers.parse(text, region)
    except phonenumbers.NumberParseException:
        return text.lower()[:64]
    if not phonenumbers.is_valid_number(parsed):
        return text.lower()[:64]
    return str(phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164))


def carrier_of(number: Number) -> str:
    """The carrier its block was given to (porting is not seen), in English; empty: unknown."""
    parsed = _parse(number)
    return "" if parsed is None else str(carrier.name_for_number(parsed, "en"))


def timezone_of(number: Number) -> str:
    """The IANA time zone, where the number's prefix leaves one possible; else empty (C3)."""
    if number.e164.startswith("+86") and len(number.e164) == 14:
        known, place = _block(number.e164[3:10])
        if known:
            return place
    return _timezone_of(_parse(number))


def _timezone_of(parsed: phonenumbers.PhoneNumber | None) -> str:
    if parsed is None:
        return ""
    zones = timezone.time_zones_for_number(parsed)
    if len(zones) != 1 or zones[0] == phonenumbers.timezone.UNKNOWN_TIMEZONE:
        return ""
    return str(zones[0])


@functools.lru_cache(maxsize=100_000)
def _block(start: str) -> tuple[bool, str]:
    """Whether Chinese mobile numbers of 11 digits begin so, and their time zone.

    Numbers are given out in blocks by their first 7 digits, and the plan looks no further;
    a list of a million has some thousand of them.
    """
    parsed = phonenumbers.parse(f"+86{start}0000", None)
    mobile = phonenumbers.number_type(parsed) == PhoneNumberType.MOBILE
    return mobile, _timezone_of(parsed) if mobile else ""


def _parse(number: Number) -> phonenumbers.PhoneNumber | None:
    try:
        return phonenumbers.parse(number.e164, None)
    except phonenumbers.NumberParseException:
        return None  # a lab home's SIP URI


def _bad(cause: str) -> BadInput:
    return BadInput(cause, field="phone", remedy="write it with its country code")
