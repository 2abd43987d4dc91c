# SPDX-License-Identifier: GPL-3.0-or-later
"""One PKCS#11 token in this process: its library, its login, its errors as ours."""

from __future__ import annotations

import hmac
import threading
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import pkcs11
from pkcs11 import Mechanism

from compliance.errors import BadInput, ConfigError, StorageAway, StorageError

T = TypeVar("T")

# The library is told of no threads of ours, and a token's login is the whole process's.
_calls = threading.RLock()
_devices: dict[tuple[str, str], Device] = {}

LOST = (
    pkcs11.SessionHandleInvalid,
    pkcs11.SessionClosed,
    pkcs11.UserNotLoggedIn,
    pkcs11.DeviceRemoved,
    pkcs11.TokenNotPresent,
    pkcs11.KeyHandleInvalid,  # another process removed the object
    pkcs11.ObjectHandleInvalid,
)


class Device:
    """One token in this process: logged in once, and again when its session is lost."""

    def __init__(self, module: str, label: str, pin: str) -> None:
        self._module, self._label, self._pin = module, label, pin
        self._session: Any = None
        self.logins = 0  # handles found before a login mean nothing after it

    @staticmethod
    def of(module: str, label: str, pin: str) -> Device:
        """The process's one device for a token.

        Raises:
            ConfigError: no such library or token. BadInput: the PIN is wrong.
            StorageAway: the token does not answer.
        """
        with _calls:
            known = _devices.get((module, label))
            if known is not None:
                if not hmac.compare_digest(known._pin.encode(), pin.encode()):
                    raise _wrong_pin()
                return known
            device = Device(module, label, pin)
            device.call(lambda session: None)
            _devices[module, label] = device
            return device

    def call(self, work: Callable[[Any], T]) -> T:
        """``work`` with a session; once more with a new one where the old one was lost."""
        with _calls:
            try:
                return work(self._live())
            except LOST:
                self._session = None
            except pkcs11.PKCS11Error as error:
                raise _told(error) from None
            try:
                return work(self._live())
            except pkcs11.PKCS11Error as error:
                self._session = None
                raise _told(error) from None

    def change(self, work: Callable[[Any], T]) -> T:
        """``work`` with a session that may write."""

        def within(_session: Any) -> T:
            writing = self._token().open(rw=True)  # the login is the process's already
            try:
                return work(writing)
            finally:
                writing.close()

        return self.call(within)

    def missing(self, needed: Sequence[Mechanism]) -> list[str]:
        """Names of mechanisms this token lacks."""

        def look(_session: Any) -> list[str]:
            has = self._token().slot.get_mechanisms()
            return [mechanism.name for mechanism in needed if mechanism not in has]

        return self.call(look)

    def _live(self) -> Any:
        if self._session is None:
            token = self._token()
            try:
                self._session = token.open(user_pin=self._pin)
            except pkcs11.UserAlreadyLoggedIn:
                self._session = token.open()
            self.logins += 1
        return self._session

    def _token(self) -> Any:
        try:
            library = pkcs11.lib(self._module)
        except (pkcs11.PKCS11Error, OSError, AttributeError):
            raise ConfigError(
                "this is no PKCS#11 library, or it cannot be loaded",
                field="keys.module",
                remedy="name the library of your HSM, such as /usr/lib/softhsm/libsofthsm2.so",
            ) from None
        try:
            return library.get_token(token_label=self._label)
        except pkcs11.NoSuchToken:
            raise ConfigError(
                f"there is no token {self._label!r}",
                field="keys.token",
                remedy="look at its label and whether it is plugged in",
            ) from None
        except pkcs11.MultipleTokensReturned:
            raise ConfigError(
                f"several tokens are named {self._label!r}",
                field="keys.token",
                remedy="give this home's token a label of its own",
            ) from None


def _told(error: pkcs11.PKCS11Error) -> StorageError | BadInput:
    """The library's error as ours; it never holds a value."""
    if isinstance(error, pkcs11.PinIncorrect | pkcs11.PinInvalid | pkcs11.PinLenRange):
        return _wrong_pin()
    if isinstance(error, pkcs11.PinLocked):
        return BadInput(
            "the token's PIN is locked after too many wrong ones",
            field="PIN",
            remedy="unlock it with the security officer's PIN",
        )
    return StorageAway(
        f"the HSM does not answer ({type(error).__name__})", remedy="look at it and try again"
    )


def _wrong_pin() -> BadInput:
    return BadInput("the token does not take this PIN", field="PIN", remedy="set CANDOR_PIN")
