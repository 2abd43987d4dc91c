# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a home's keys come from: a file, the environment, or an HSM; opens any of them."""

from __future__ import annotations

import enum
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from compliance.errors import BadInput, ConfigError
from compliance.facts import Evolve
from storage.keys import FileKeyring, Keyring
from storage.keys_environment import VARIABLE as KEYRING
from storage.keys_environment import EnvironmentKeyring

if TYPE_CHECKING:
    from storage.keys_pkcs11 import Pkcs11Keyring


PASSPHRASE, PIN = "CANDOR_PASSPHRASE", "CANDOR_PIN"
SECRET_VARIABLES = frozenset({PASSPHRASE, PIN, KEYRING})
"""Variables that hold a secret; processes that have no use for them are started without."""


class KeyKind(enum.StrEnum):
    FILE = "file"
    ENVIRONMENT = "environment"
    PKCS11 = "pkcs11"


class Asked(enum.StrEnum):
    """What a person must know to open the keys."""

    NOTHING = ""
    PASSPHRASE = "passphrase"
    PIN = "pin"


@dataclass(frozen=True, slots=True)
class KeySource(Evolve):
    """``path`` of the key file; ``module`` and ``token`` of the HSM."""

    kind: KeyKind
    path: Path
    module: str = ""
    token: str = ""

    def asks(self, environment: Mapping[str, str] = os.environ) -> Asked:
        """What opens these keys beside themselves.

        Raises:
            BadInput: there are none, or they are no keyring. Corrupt: damaged.
        """
        match self.kind:
            case KeyKind.PKCS11:
                return Asked.PIN
            case KeyKind.ENVIRONMENT:
                sealed = EnvironmentKeyring.is_sealed(_variable(environment))
            case KeyKind.FILE:
                sealed = FileKeyring.is_sealed(self.path)
        return Asked.PASSPHRASE if sealed else Asked.NOTHING

    def open(
        self, secret: str | None = None, environment: Mapping[str, str] = os.environ
    ) -> Keyring:
        """The keys; ``secret`` is the passphrase or the token's PIN.

        Raises:
            BadInput: missing, unusable, or the secret is wrong or missing.
            Corrupt: damaged. StorageAway: the HSM does not answer.
        """
        match self.kind:
            case KeyKind.PKCS11:
                return _pkcs11().open(self.module, self.token, _pin(secret))
            case KeyKind.ENVIRONMENT:
                return EnvironmentKeyring.open(_variable(environment), secret)
            case KeyKind.FILE:
                return FileKeyring.open(self.path, secret)

    def create(
        self, secret: str | None = None, environment: Mapping[str, str] = os.environ
    ) -> Keyring:
        """The keys of a new home: made in a file or a token, or as the environment gives them.

        Raises:
            BadInput: there are keys already, the secret is wrong, or the variable is not set.
            StorageError: they cannot be written.
        """
        match self.kind:
            case KeyKind.PKCS11:
                return _pkcs11().create(self.module, self.token, _pin(secret))
            case KeyKind.ENVIRONMENT:
                return EnvironmentKeyring.open(_variable(environment), secret)
            case KeyKind.FILE:
                return FileKeyring.create(self.path, secret)


def _variable(environment: Mapping[str, str]) -> str:
    text = environment.get(KEYRING, "")
    if not text:
        raise BadInput(
            "is not set, and this home's keys come from it",
            field=KEYRING,
            remedy="set it to this home's keyring; `candor keys new` makes one for a new home",
        )
    return text


def _pin(secret: str | None) -> str:
    if not secret:
        raise BadInput("the token asks for a PIN", field="PIN", remedy="set CANDOR_PIN")
    return secret


def _pkcs11() -> type[Pkcs11Keyring]:
    """The HSM's part, whose library is an optional package."""
    try:
        from storage.keys_pkcs11 import Pkcs11Keyring
    except ImportError:
        raise ConfigError(
            "keys in an HSM need the package python-pkcs11",
            field="keys.source",
            remedy="pip install 'candor[hsm]'",
        ) from None
    return Pkcs11Keyring
