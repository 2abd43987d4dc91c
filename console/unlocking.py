# SPDX-License-Identifier: GPL-3.0-or-later
"""What opens a home's keys: from the environment, or asked for in a terminal."""

from __future__ import annotations

import getpass
import os
import sys

from compliance.errors import BadInput
from console.messages import text
from storage.key_sources import PASSPHRASE, PIN, Asked, KeyKind, KeySource
from storage.keys import Keyring


def unlock(source: KeySource, passphrase: str | None, language: str) -> tuple[Keyring, str | None]:
    """The open keys, and what opened them.

    ``passphrase`` is what ``CANDOR_PASSPHRASE`` says; a token's PIN comes from
    ``CANDOR_PIN``. What is missing is asked for where somebody sits at a terminal.

    Raises:
        BadInput: no keys there, or what should open them is wrong or missing.
    """
    secret = _secret(source, passphrase, source.asks(), language)
    try:
        return source.open(secret), secret
    except BadInput as error:
        if error.field != "passphrase":
            raise
        remedy = f"{error.remedy}; commands read it from {PASSPHRASE}"
        raise BadInput(
            error.detail.removeprefix("passphrase: "), field="passphrase", remedy=remedy
        ) from None


def secret_for_new(source: KeySource, passphrase: str | None, language: str) -> str | None:
    """What a new home's keys are to be opened with; None: a plain key file."""
    if source.kind is KeyKind.FILE:
        return passphrase
    return _secret(source, passphrase, source.asks(), language)


def _secret(source: KeySource, passphrase: str | None, asked: Asked, language: str) -> str | None:
    if asked is Asked.PIN:
        passphrase = os.environ.get(PIN) or None
    if passphrase is not None or asked is Asked.NOTHING or not _at_terminal():
        return passphrase
    return getpass.getpass(text(f"keys.ask_{asked}", language, token=source.token)) or None


def _at_terminal() -> bool:
    return sys.stdin.isatty() and sys.stderr.isatty()
