# SPDX-License-Identifier: GPL-3.0-or-later
"""What every keyring must do, asked of all three: file, environment and HSM."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

import storage.key_document
from compliance.errors import BadInput, Corrupt
from compliance.facts import Number
from storage import pii
from storage.key_document import new_key_id
from storage.key_sources import Asked, KeyKind, KeySource
from storage.keys import Keyring, fingerprint_of
from storage.keys_environment import VARIABLE, EnvironmentKeyring, new_document
from tests import hsm

SECRETS = {KeyKind.FILE: "passphrase", KeyKind.ENVIRONMENT: "passphrase", KeyKind.PKCS11: hsm.PIN}
WHERE = {"tenant": "t1", "table": "contacts", "column": "name", "row": "r1"}


@dataclass(slots=True)
class Kept:
    """Keys of one source, just made; ``again`` opens them as another process would."""

    source: KeySource
    environment: dict[str, str]
    ring: Keyring

    def again(self) -> Keyring:
        if isinstance(self.ring, EnvironmentKeyring):  # what whoever rotated deploys
            self.environment[VARIABLE] = self.ring.document()
        return self.source.open(SECRETS[self.source.kind], self.environment)


Make = Callable[[], Kept]


@pytest.fixture(params=list(KeyKind))
def make(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Make:
    monkeypatch.setattr(storage.key_document, "_SCRYPT_N", 2**10)
    kind = KeyKind(request.param)

    def made() -> Kept:
        source = KeySource(kind, tmp_path / f"{new_key_id()}.json")
        if kind is KeyKind.PKCS11:
            token = hsm.token()
            source = source.evolve(module=token.module, token=token.label)
        environment = {VARIABLE: new_document(SECRETS[kind])}
        return Kept(source, environment, source.create(SECRETS[kind], environment))

    return made


@pytest.fixture
def kept(make: Make) -> Kept:
    return make()


def test_same_keys_after_opening(kept: Kept) -> None:
    ring, again = kept.ring, kept.again()
    assert again.public_key() == ring.public_key()
    assert again.key_id() == ring.key_id()
    assert again.key_ids() == ring.key_ids() == (ring.key_id(),)
    assert again.derive("column") == ring.derive("column")
    assert again.blind("number", b"x") == ring.blind("number", b"x")
    assert again.unwrap(ring.wrap(bytes(32), b"here"), b"here") == bytes(32)
    sealed = pii.seal(ring, "王小明", **WHERE)
    assert pii.unseal(again, sealed, **WHERE) == "王小明"


def test_a_secret_is_asked_for_and_the_wrong_one_opens_nothing(kept: Kept) -> None:
    source = kept.source
    assert source.asks(kept.environment) in (Asked.PASSPHRASE, Asked.PIN)
    for wrong in ("not it", None):
        with pytest.raises(BadInput) as caught:
            source.open(wrong, kept.environment)
        assert caught.value.field in ("passphrase", "PIN")
        assert "not it" not in str(caught.value)
    source.open(SECRETS[source.kind], kept.environment)


def test_wrap_binds_context_and_detects_every_flip(kept: Kept) -> None:
    ring = kept.ring
    wrapped = ring.wrap(b"k" * 32, b"a")
    assert wrapped != ring.wrap(b"k" * 32, b"a")
    assert b"k" * 32 not in wrapped
    with pytest.raises(Corrupt):
        ring.unwrap(wrapped, b"b")
    for at in range(len(wrapped)):
        altered = bytearray(wrapped)
        altered[at] ^= 0x80
        with pytest.raises(Corrupt):
            ring.unwrap(bytes(altered), b"a")
    for cut in (0, 4, 20, len(wrapped) - 1):
        with pytest.raises(Corrupt):
            ring.unwrap(wrapped[:cut], b"a")
    assert ring.unwrap(wrapped, b"a") == b"k" * 32


def test_purposes_have_separate_keys_and_refusals_a_root_of_their_own(kept: Kept) -> None:
    ring = kept.ring
    indexes = [ring.blind(p, b"+8613800000000") for p in ("number", "refusal", "arm")]
    assert len(set(indexes)) == 3
    assert all(len(index) == 32 for index in indexes)
    assert ring.derive("column") != ring.derive("wrap")
    assert len(ring.derive("column")) == 32
    for ask in (lambda: ring.blind("Not A Purpose", b""), lambda: ring.derive("Not A Purpose")):
        with pytest.raises(ValueError, match="purpose"):
            ask()


def test_two_homes_share_nothing(make: Make) -> None:
    mine, other = make().ring, make().ring
    number = Number("+8613800000000")
    assert pii.number_index(mine, number) != pii.number_index(other, number)
    assert pii.refusal_index(mine, number) != pii.refusal_index(other, number)
    assert mine.public_key() != other.public_key()
    with pytest.raises(Corrupt, match=mine.key_id()):
        other.unwrap(mine.wrap(bytes(32), b""), b"")
    with pytest.raises(Corrupt, match=mine.key_id()):
        pii.unseal(other, pii.seal(mine, "x", **WHERE), **WHERE)


def test_signature_and_fingerprint(kept: Kept) -> None:
    ring = kept.ring
    Ed25519PublicKey.from_public_bytes(ring.public_key()).verify(ring.sign(b"data"), b"data")
    assert len(ring.sign(b"")) == 64
    assert ring.fingerprint() == fingerprint_of(ring.public_key())


def test_repr_holds_no_secret(kept: Kept) -> None:
    shown = repr(kept.ring) + repr(kept.source)
    assert SECRETS[kept.source.kind] not in shown
    assert kept.environment[VARIABLE] not in shown
    assert kept.ring.derive("column").hex() not in shown


def test_many_threads_at_once(kept: Kept) -> None:
    ring, failures = kept.ring, []

    def work(number: int) -> None:
        try:
            for round_ in range(20):
                context = f"{number}/{round_}".encode()
                assert (
                    ring.unwrap(ring.wrap(context.ljust(32), context), context).strip() == context
                )
                assert ring.blind("number", context) == ring.blind("number", context)
                Ed25519PublicKey.from_public_bytes(ring.public_key()).verify(
                    ring.sign(context), context
                )
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


# ---------------------------------------------------------------- rotation


def test_a_new_master_seals_and_the_old_one_still_opens(kept: Kept) -> None:
    ring, old = kept.ring, kept.ring.key_id()
    wrapped, sealed = ring.wrap(bytes(32), b"c"), pii.seal(ring, "old", **WHERE)
    index = ring.blind("number", b"n"), ring.blind("refusal", b"n")
    new = new_key_id()
    ring.add_master(new)
    for each in (ring, kept.again()):
        assert each.key_id() == new
        assert each.key_ids() == tuple(sorted((old, new)))
        assert each.unwrap(wrapped, b"c") == bytes(32)
        assert pii.unseal(each, sealed, **WHERE) == "old"
        assert pii.sealed_under(pii.seal(each, "new", **WHERE)) == new
        assert each.derive("column", old) != each.derive("column", new)
        # Look-ups and the ledger's signer are untouched.
        assert (each.blind("number", b"n"), each.blind("refusal", b"n")) == index
        assert each.public_key() == ring.public_key()


def test_a_removed_master_opens_nothing_any_more(kept: Kept) -> None:
    ring, old = kept.ring, kept.ring.key_id()
    wrapped, sealed = ring.wrap(bytes(32), b"c"), pii.seal(ring, "old", **WHERE)
    ring.add_master(new_key_id())
    ring.remove_master(old)
    for each in (ring, kept.again()):
        assert each.key_ids() == (ring.key_id(),)
        with pytest.raises(Corrupt, match=old):
            each.unwrap(wrapped, b"c")
        with pytest.raises(Corrupt, match=old):
            pii.unseal(each, sealed, **WHERE)


def test_what_rotation_refuses(kept: Kept) -> None:
    ring, current = kept.ring, kept.ring.key_id()
    with pytest.raises(BadInput, match="current"):
        ring.remove_master(current)
    for ask in (lambda: ring.remove_master("00000000"), lambda: ring.use_master("00000000")):
        with pytest.raises(BadInput, match="no master key"):
            ask()
    with pytest.raises(BadInput, match="this id"):
        ring.add_master(current)
    ring.use_master(current)
    assert ring.key_ids() == (current,)


def test_create_never_replaces_keys(kept: Kept) -> None:
    before = kept.ring.public_key()
    if kept.source.kind is KeyKind.ENVIRONMENT:
        pass  # creating takes what is there
    else:
        with pytest.raises(BadInput, match="already"):
            kept.source.create(SECRETS[kept.source.kind], kept.environment)
    assert kept.again().public_key() == before
