# SPDX-License-Identifier: GPL-3.0-or-later
"""Keys from the environment: ``CANDOR_KEYRING`` holds a keyring document in base64.

For containers, whose orchestrator keeps secrets and has no file to write to. A
process cannot change its environment for others: whoever rotates keys gets the new
document (:meth:`EnvironmentKeyring.document`) and deploys it.
"""

from __future__ import annotations

from typing import Self

from storage import key_document
from storage.key_document import Lock, Secrets
from storage.keys_memory import MemoryKeyring

VARIABLE = "CANDOR_KEYRING"


class EnvironmentKeyring(MemoryKeyring):
    """A keyring document's keys; changes stay in this process until they are deployed."""

    def __init__(self, keys: Secrets, lock: Lock | None) -> None:
        super().__init__(keys)
        self._lock = lock

    @classmethod
    def open(cls, text: str, passphrase: str | None = None) -> Self:
        """Read the variable's value.

        Raises:
            BadInput: no keyring document, or its passphrase is wrong or missing.
            Corrupt: the document is damaged.
        """
        return cls(*key_document.read(key_document.from_text(text), passphrase))

    @staticmethod
    def is_sealed(text: str) -> bool:
        """Whether the document asks for a passphrase; raises as :meth:`open` does."""
        return key_document.is_sealed(key_document.from_text(text))

    def document(self) -> str:
        """The keys as they are now, for the variable: secret, to be deployed, never logged."""
        return key_document.to_text(key_document.write(self._masters.keys, self._lock))


def new_document(passphrase: str | None = None) -> str:
    """Fresh keys for a new home, as :data:`VARIABLE` takes them.

    Raises:
        BadInput: the passphrase is empty.
    """
    lock = key_document.lock_with(passphrase)
    return key_document.to_text(key_document.write(key_document.fresh(), lock))
