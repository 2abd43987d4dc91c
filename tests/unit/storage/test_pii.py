# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from compliance.errors import Corrupt
from compliance.facts import Number
from storage.keys import FileKeyring
from storage.pii import number_index, refusal_index, seal, unseal

WHERE = {"tenant": "t1", "table": "contact", "column": "name", "row": "r1"}


@pytest.fixture(scope="module")
def ring(tmp_path_factory: pytest.TempPathFactory) -> FileKeyring:
    return FileKeyring.create(tmp_path_factory.mktemp("keys") / "keys.json")


@given(st.text())
def test_round_trip(ring: FileKeyring, text: str) -> None:
    assert unseal(ring, seal(ring, text, **WHERE), **WHERE) == text


def test_same_value_seals_differently_and_hides(ring: FileKeyring) -> None:
    first, second = (seal(ring, "王小明", **WHERE) for _ in range(2))
    assert first != second
    assert "王小明".encode() not in first


@pytest.mark.parametrize("moved", ["tenant", "table", "column", "row"])
def test_moved_value_does_not_open(ring: FileKeyring, moved: str) -> None:
    sealed = seal(ring, "王小明", **WHERE)
    with pytest.raises(Corrupt) as caught:
        unseal(ring, sealed, **(WHERE | {moved: "other"}))
    assert "王小明" not in str(caught.value)


def test_parts_of_the_place_cannot_be_shifted(ring: FileKeyring) -> None:
    sealed = seal(ring, "x", tenant="t", table="ab", column="c", row="1")
    with pytest.raises(Corrupt):
        unseal(ring, sealed, tenant="t", table="a", column="bc", row="1")


def test_every_flip_and_cut_is_refused(ring: FileKeyring) -> None:
    sealed = seal(ring, "Alice", **WHERE)
    for at in range(len(sealed)):
        with pytest.raises(Corrupt):
            unseal(ring, sealed[:at] + bytes([sealed[at] ^ 1]) + sealed[at + 1 :], **WHERE)
        with pytest.raises(Corrupt):
            unseal(ring, sealed[:at], **WHERE)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(min_value=0, max_value=9999))
def test_indexes_are_stable_equal_only_for_equal_numbers(ring: FileKeyring, tail: int) -> None:
    number = Number(f"+861380000{tail:04d}")
    assert number_index(ring, number) == number_index(ring, Number(number.e164))
    assert number_index(ring, number) != number_index(ring, Number("+8613912345678"))
    assert number_index(ring, number) != refusal_index(ring, number)
    assert len(refusal_index(ring, number)) == 32


def test_another_ring_has_other_indexes(ring: FileKeyring, tmp_path: Path) -> None:
    other = FileKeyring.create(tmp_path / "other.json")
    number = Number("+8613800000000")
    assert number_index(ring, number) != number_index(other, number)
    with pytest.raises(Corrupt, match="master key"):
        unseal(other, seal(ring, "x", **WHERE), **WHERE)
