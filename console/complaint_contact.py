# SPDX-License-Identifier: GPL-3.0-or-later
"""Where people complain: set once, shown by the doctor, spoken on request (P1).

A script says it in its line ``complaint``. ``{complaint_phone}`` there is filled in when the
script is checked and handed in, so that what is signed is what is heard: another number is
another version.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from compliance.errors import BadInput, ConfigError
from compliance.facts import HomeKind
from console.diagnosis import Diagnosis, fail, ok, warn
from dialer.settings import CompanySettings, Home
from storage.store import Store

SLOT = "{complaint_phone}"
_DIGITS = dict(zip("0123456789", "零一二三四五六七八九", strict=True))
_LANGUAGE = re.compile(r"""^language:\s*["']?([a-z]{2})""", re.M)
_PLUS = {"zh": "加", "en": "plus"}


def published(company: CompanySettings) -> str:
    """Telephone and mailbox as people read them; empty: none is published."""
    return ", ".join(filter(None, (company.complaint_phone, company.complaint_mailbox)))


def spoken(phone: str, language: str) -> str:
    """The telephone digit by digit, as a voice says it."""
    signs = [sign for sign in phone if sign.isdigit() or sign == "+"]
    said = [_PLUS.get(language, "+") if sign == "+" else sign for sign in signs]
    if language == "zh":
        return "".join(_DIGITS.get(sign, sign) for sign in said)
    return " ".join(said)


def filled_in(source: str, company: CompanySettings) -> str:
    """The text of a script with the telephone in it, in the script's own language.

    Raises:
        BadInput: the script speaks it and none is set.
    """
    if SLOT not in source:
        return source
    if not company.complaint_phone:
        raise BadInput(
            f"{SLOT} is not set", field="script", remedy="company.complaint_phone in candor.toml"
        )
    named = _LANGUAGE.search(source)
    language = named[1] if named else "zh"
    return source.replace(SLOT, spoken(company.complaint_phone, language))


def require(home: Home, kind: HomeKind) -> None:
    """Before a campaign of a production home starts.

    Raises:
        ConfigError: no complaint telephone or mailbox is published.
    """
    if kind is HomeKind.PRODUCTION and not published(home.settings.company):
        raise ConfigError(
            "no complaint telephone or mailbox is published (P1)",
            field="candor.toml: company",
            remedy='[company] complaint_phone = "400-800-1234" or complaint_mailbox = "…"',
        )


def check(home: Home, store: Store) -> Iterator[Diagnosis]:
    """Red where none is published in production; yellow where no signed script speaks it."""
    company = home.settings.company
    if not published(company):
        tell = fail if store.home is HomeKind.PRODUCTION else ok
        yield tell("contact", "missing" if tell is fail else "none")
        return
    newest = {v.script: v for v in store.scripts.versions() if v.is_approved}
    silent = [
        version.script
        for version in newest.values()
        if company.complaint_phone
        and spoken(company.complaint_phone, version.language) not in version.text
    ]
    if silent:
        yield warn("contact", "silent", scripts=", ".join(silent), contact=published(company))
    else:
        yield ok("contact", contact=published(company))
