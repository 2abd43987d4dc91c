# SPDX-License-Identifier: GPL-3.0-or-later
"""Keys in an HSM, through PKCS#11: root keys are made in the token and never leave it (D7).

What the token holds, every key sensitive and not extractable:

* a master key, twice: AES-256 that wraps data keys (AES-GCM) and a secret for HMAC-SHA-256
  that derives column keys; both carry its id, and a generation number in their label;
* two secrets for HMAC-SHA-256: the index of numbers, and that of the refusal list;
* an Ed25519 key pair that signs checkpoints.

The newest generation is the current master key: whoever shares the token sees a new one
at once. Derived column keys and opened data keys are in this process's memory while it
runs, as with a key file; numbers are looked up inside the token, one call each.

Needs the optional package ``candor[hsm]`` (python-pkcs11).
"""

from __future__ import annotations

import contextlib
import os
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Self, TypeVar

import pkcs11
from pkcs11 import Attribute, KeyType, Mechanism, MechanismFlag, ObjectClass
from pkcs11.mechanisms import GCMParams

from compliance.errors import BadInput, Corrupt, StorageAway
from storage.key_document import NONCE_BYTES, new_key_id
from storage.keys_memory import (
    does_not_open,
    fingerprint_of,
    is_current,
    lacks,
    length_prefixed,
    no_such_key,
    purpose_bytes,
    split_wrapped,
    wrapped_head,
)
from storage.pkcs11_token import LOST, Device

T = TypeVar("T")

RECHECK_S = 5.0
"""How soon a running process seals under a master key that another one made current."""

NEEDED = (
    Mechanism.AES_KEY_GEN,
    Mechanism.AES_GCM,
    Mechanism.GENERIC_SECRET_KEY_GEN,
    Mechanism.SHA256_HMAC,
    Mechanism.EC_EDWARDS_KEY_PAIR_GEN,
    Mechanism.EDDSA,
)
# The curve by object identifier (RFC 8410), and by the name PKCS#11 v3.0 gives it.
_ED25519 = (bytes.fromhex("06032b6570"), b"\x13\x0cedwards25519")
_MASTER = re.compile(r"candor master ([0-9]{8})")
_INDEX, _REFUSAL, _SIGNING = "candor index", "candor refusal", "candor signing"
_GUARDED: Mapping[Attribute, Any] = {
    Attribute.PRIVATE: True,
    Attribute.SENSITIVE: True,
    Attribute.EXTRACTABLE: False,
}


@dataclass(frozen=True, slots=True)
class _Handles:
    """Where the token's keys are, found in one look."""

    logins: int
    wrapping: Mapping[str, Any]  # by key id
    deriving: Mapping[str, Any]
    current: str
    generation: int
    index: Any
    refusal: Any
    signing: Any
    public: bytes


class Pkcs11Keyring:
    """A keyring whose roots stay in a token; see the module's description."""

    def __init__(self, device: Device, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._device = device
        self._monotonic = monotonic
        self._derived: dict[tuple[str, str], bytes] = {}
        self._handles = device.call(self._find)
        self._public = self._handles.public
        self._looked = monotonic()

    def __repr__(self) -> str:
        return f"Pkcs11Keyring(current={self._handles.current}, signer={self.fingerprint()})"

    @classmethod
    def create(cls, module: str, token: str, pin: str) -> Self:
        """Make a home's keys in a token that holds none yet; nothing is left when it fails.

        Raises:
            ConfigError: no such library or token. BadInput: the PIN is wrong, the token has
                a home's keys already, or it lacks a mechanism.
            StorageAway: the token does not answer.
        """
        device = Device.of(module, token, pin)
        if missing := device.missing(NEEDED):
            raise BadInput(
                f"this token cannot do {', '.join(missing)}",
                field="keys.token",
                remedy="use another HSM, or a key file",
            )

        def make(session: Any) -> None:
            if any(o.label.startswith("candor ") for o in list(session.get_objects())):
                raise BadInput(
                    "this token has the keys of a home already",
                    field="keys.token",
                    remedy="use a token of its own for each home; keys are never overwritten",
                )
            made: list[Any] = []
            try:
                made += _make_pair(session)
                made += [_make_secret(session, name, b"") for name in (_INDEX, _REFUSAL)]
                made += _make_master(session, new_key_id(), 1)
            except BaseException:
                for key in made:
                    key.destroy()
                raise

        device.change(make)
        return cls(device)

    @classmethod
    def open(
        cls,
        module: str,
        token: str,
        pin: str,
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> Self:
        """Find a home's keys in a token.

        Raises:
            ConfigError: no such library or token. BadInput: the PIN is wrong or locked, or
                the token holds no keys of a home.
            StorageAway: the token does not answer.
        """
        return cls(Device.of(module, token, pin), monotonic)

    # ------------------------------------------------------------ use

    def key_id(self) -> str:
        now = self._monotonic()
        if now - self._looked >= RECHECK_S:
            self._looked = now
            with contextlib.suppress(StorageAway):  # sealing says so, if it is still away
                self._look_again()
        return self._handles.current

    def key_ids(self) -> tuple[str, ...]:
        self._look_again()
        return tuple(sorted(self._handles.wrapping))

    def prepared(self) -> str | None:
        return None

    def derive(self, purpose: str, key_id: str | None = None) -> bytes:
        key_id = self.key_id() if key_id is None else key_id
        known = self._derived.get((purpose, key_id))
        if known is None:
            message = b"candor/derive/1/" + purpose_bytes(purpose)
            known = self._derived[purpose, key_id] = self._ask(
                lambda keys: _hmac(_of(keys.deriving, key_id), message), key_id
            )
        return known

    def wrap(self, key: bytes, context: bytes) -> bytes:
        key_id = self.key_id()
        head, nonce = wrapped_head(key_id), os.urandom(NONCE_BYTES)
        sealed = self._ask(
            lambda keys: _gcm(_of(keys.wrapping, key_id), "encrypt", key, nonce, head + context),
            key_id,
        )
        return head + nonce + sealed

    def unwrap(self, wrapped: bytes, context: bytes) -> bytes:
        key_id, head, nonce, sealed = split_wrapped(wrapped)

        def work(keys: _Handles) -> bytes:
            key = _of(keys.wrapping, key_id)
            try:
                return _gcm(key, "decrypt", sealed, nonce, head + context)
            except LOST:
                raise
            except pkcs11.PKCS11Error:
                # A wrong tag has no error of its own everywhere: is it the value or the token?
                once = os.urandom(NONCE_BYTES)
                probe = _gcm(key, "encrypt", b"probe", once, b"")
                if _gcm(key, "decrypt", probe, once, b"") != b"probe":
                    raise
                raise does_not_open() from None

        return self._ask(work, key_id)

    def blind(self, purpose: str, value: bytes) -> bytes:
        message = b"candor/blind/1/" + length_prefixed(purpose_bytes(purpose), value)
        return self._ask(
            lambda keys: _hmac(keys.refusal if purpose == "refusal" else keys.index, message)
        )

    def sign(self, data: bytes) -> bytes:
        return self._ask(lambda keys: bytes(keys.signing.sign(data, mechanism=Mechanism.EDDSA)))

    def public_key(self) -> bytes:
        return self._public

    def fingerprint(self) -> str:
        return fingerprint_of(self._public)

    # ------------------------------------------------------------ rotation

    def add_master(self, key_id: str, *, use: bool = True) -> None:
        if not use:
            raise BadInput(
                "an HSM needs no prepared key: whoever shares the token sees a new one at once",
                field="keys",
                remedy="candor keys rotate",
            )
        self._look_again()
        if key_id in self._handles.wrapping:
            raise BadInput("there is a master key of this id", field="key")
        generation = self._handles.generation + 1
        self._device.change(lambda session: _make_master(session, key_id, generation))
        self._look_again()

    def use_master(self, key_id: str) -> None:
        self._look_again()
        if key_id not in self._handles.wrapping:
            raise no_such_key(key_id)
        if key_id != self._handles.current:
            raise BadInput(
                "in an HSM the newest master key is the current one",
                field="key",
                remedy="candor keys rotate makes a new one",
            )

    def remove_master(self, key_id: str) -> None:
        self._look_again()
        if key_id not in self._handles.wrapping:
            raise no_such_key(key_id)
        if key_id == self._handles.current:
            raise is_current(key_id)

        def remove(session: Any) -> None:
            for key in list(session.get_objects({Attribute.ID: bytes.fromhex(key_id)})):
                key.destroy()

        self._device.change(remove)
        self._derived = {known: key for known, key in self._derived.items() if known[1] != key_id}
        self._look_again()

    # ------------------------------------------------------------ the token

    def _ask(self, work: Callable[[_Handles], T], key_id: str = "") -> T:
        """``work`` with live handles that include the master key ``key_id``, if there is one."""

        def within(session: Any) -> T:
            keys = self._handles
            if keys.logins != self._device.logins or (key_id and key_id not in keys.wrapping):
                keys = self._handles = self._find(session)
            try:
                return work(keys)
            except (pkcs11.KeyHandleInvalid, pkcs11.ObjectHandleInvalid):
                keys = self._handles = self._find(session)
                return work(keys)

        return self._device.call(within)

    def _look_again(self) -> None:
        self._handles = self._device.call(self._find)

    def _find(self, session: Any) -> _Handles:
        wrapping: dict[str, Any] = {}
        deriving: dict[str, Any] = {}
        generations: dict[str, int] = {}
        for key in list(session.get_objects({Attribute.CLASS: ObjectClass.SECRET_KEY})):
            if found := _MASTER.fullmatch(key.label):
                wrapping[key.id.hex()] = key
                generations[key.id.hex()] = int(found.group(1))
            elif key.label.startswith("candor derive "):
                deriving[key.id.hex()] = key
        if not wrapping:
            raise BadInput(
                "this token holds no keys of a home",
                field="keys.token",
                remedy="name the token `candor init` made the keys in",
            )
        current = max(wrapping, key=lambda key_id: (generations[key_id], key_id))
        public = _one(session, _SIGNING, ObjectClass.PUBLIC_KEY)
        return _Handles(
            logins=self._device.logins,
            wrapping=wrapping,
            deriving=deriving,
            current=current,
            generation=generations[current],
            index=_one(session, _INDEX, ObjectClass.SECRET_KEY),
            refusal=_one(session, _REFUSAL, ObjectClass.SECRET_KEY),
            signing=_one(session, _SIGNING, ObjectClass.PRIVATE_KEY),
            public=_raw_point(public[Attribute.EC_POINT]),
        )


def _one(session: Any, label: str, kind: ObjectClass) -> Any:
    found = list(session.get_objects({Attribute.LABEL: label, Attribute.CLASS: kind}))
    if len(found) != 1:
        raise Corrupt(
            f"the token holds {len(found)} objects {label!r}, not one",
            remedy="restore the token from its backup",
        )
    return found[0]


def _of(keys: Mapping[str, Any], key_id: str) -> Any:
    if key_id not in keys:
        raise lacks(key_id)
    return keys[key_id]


def _hmac(key: Any, message: bytes) -> bytes:
    return bytes(key.sign(message, mechanism=Mechanism.SHA256_HMAC))


def _gcm(key: Any, what: str, data: bytes, nonce: bytes, aad: bytes) -> bytes:
    how = {"mechanism": Mechanism.AES_GCM, "mechanism_param": GCMParams(nonce, aad, 128)}
    return bytes(getattr(key, what)(data, **how))


def _raw_point(value: bytes) -> bytes:
    """The public key's 32 bytes, out of an OCTET STRING, a BIT STRING or as they are."""
    for head in (b"\x04\x20", b"\x03\x21\x00"):
        if len(value) == len(head) + 32 and value.startswith(head):
            return value[len(head) :]
    if len(value) != 32:
        raise Corrupt("the token's signing key is no Ed25519 key")
    return value


# ---------------------------------------------------------------- making keys


def _make_master(session: Any, key_id: str, generation: int) -> list[Any]:
    """The deriving half first: without the wrapping half there is no master key."""
    identity = bytes.fromhex(key_id)
    for left in list(session.get_objects({Attribute.ID: identity})):
        left.destroy()  # of an attempt that was killed half-way; nothing was sealed under it
    deriving = _make_secret(session, f"candor derive {generation:08}", identity)
    try:
        wrapping = session.generate_key(
            KeyType.AES,
            256,
            id=identity,
            label=f"candor master {generation:08}",
            store=True,
            capabilities=MechanismFlag.ENCRYPT | MechanismFlag.DECRYPT,
            template=dict(_GUARDED),
        )
    except BaseException:
        deriving.destroy()
        raise
    return [deriving, wrapping]


def _make_secret(session: Any, label: str, identity: bytes) -> Any:
    return session.generate_key(
        KeyType.GENERIC_SECRET,
        256,
        id=identity,
        label=label,
        store=True,
        mechanism=Mechanism.GENERIC_SECRET_KEY_GEN,
        capabilities=MechanismFlag.SIGN | MechanismFlag.VERIFY,
        template=dict(_GUARDED),
    )


def _make_pair(session: Any) -> list[Any]:
    for last, curve in ((False, _ED25519[0]), (True, _ED25519[1])):
        parameters = session.create_domain_parameters(
            KeyType.EC_EDWARDS, {Attribute.EC_PARAMS: curve}, local=True
        )
        try:
            return list(
                parameters.generate_keypair(
                    label=_SIGNING,
                    store=True,
                    mechanism=Mechanism.EC_EDWARDS_KEY_PAIR_GEN,
                    capabilities=MechanismFlag.SIGN | MechanismFlag.VERIFY,
                    private_template=dict(_GUARDED),
                )
            )
        except pkcs11.PKCS11Error:
            if last:
                raise
    raise AssertionError("unreachable")
