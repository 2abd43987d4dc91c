# SPDX-License-Identifier: GPL-3.0-or-later
"""What people write on the command line: telephone numbers and times, and times shown to them."""

from __future__ import annotations

import sys
from datetime import UTC, datetime

from compliance.errors import BadInput
from compliance.facts import HomeKind, Number
from compliance.profiles import FOREVER
from console.homes import Opened
from console.messages import text
from storage.numbers import normalise

FROM_STDIN = "-"


def read_number(it: Opened, written: str) -> Number:
    """A number in any usual spelling; ``-`` reads it from the first line of standard input,
    which keeps it out of the shell's history. In a lab home it is a SIP URI.

    Raises:
        BadInput: no usable number; the message does not repeat it.
    """
    if written == FROM_STDIN:
        written = sys.stdin.readline()
    written = written.strip()
    if it.store.home is HomeKind.LAB:
        if not written.startswith(("sip:", "sips:")):
            raise BadInput(
                "a lab home knows SIP URIs only", field="number", remedy="write sip:name@host:port"
            )
        return Number(written)
    return normalise(written)


def read_words(written: str) -> str:
    """What somebody says in an option; ``-`` reads all of standard input, which keeps it out of
    the shell's history."""
    return sys.stdin.read() if written == FROM_STDIN else written


def read_time(written: str) -> datetime:
    """An ISO 8601 time; without a zone it is this machine's.

    Raises:
        BadInput: not such a time.
    """
    try:
        return datetime.fromisoformat(written.strip()).astimezone(UTC)
    except (ValueError, OverflowError):
        raise BadInput(
            "is no time", field="--at", remedy="write it like 2026-11-24T10:30+08:00"
        ) from None


def shown(at: datetime | None, language: str) -> str:
    """A time as people here read it: this machine's zone, to the minute."""
    if at is None:
        return ""
    if at == FOREVER:
        return text("time.never_ends", language)
    return at.astimezone().strftime("%Y-%m-%d %H:%M %z")
