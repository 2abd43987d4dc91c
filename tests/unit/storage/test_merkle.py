# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import hashlib
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage import merkle
from storage.merkle import Frontier

# The eight inputs and roots that Certificate Transparency implementations share.
CT_INPUTS = [
    bytes.fromhex(h)
    for h in (
        "", "00", "10", "2021", "3031", "40414243",
        "5051525354555657", "606162636465666768696a6b6c6d6e6f",
    )
]  # fmt: skip
CT_ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]


def naive_root(data: Sequence[bytes]) -> bytes:
    """MTH of RFC 6962 section 2.1, as written there."""
    n = len(data)
    if n == 0:
        return hashlib.sha256().digest()
    if n == 1:
        return hashlib.sha256(b"\x00" + data[0]).digest()
    k = 1
    while k * 2 < n:
        k *= 2
    return hashlib.sha256(b"\x01" + naive_root(data[:k]) + naive_root(data[k:])).digest()


def naive_path(m: int, data: Sequence[bytes]) -> list[bytes]:
    """PATH of RFC 6962 section 2.1.1."""
    n = len(data)
    if n == 1:
        return []
    k = 1
    while k * 2 < n:
        k *= 2
    if m < k:
        return [*naive_path(m, data[:k]), naive_root(data[k:])]
    return [*naive_path(m - k, data[k:]), naive_root(data[:k])]


def naive_proof(m: int, data: Sequence[bytes], whole: bool = True) -> list[bytes]:
    """SUBPROOF of RFC 6962 section 2.1.2."""
    n = len(data)
    if m == n:
        return [] if whole else [naive_root(data)]
    k = 1
    while k * 2 < n:
        k *= 2
    if m <= k:
        return [*naive_proof(m, data[:k], whole), naive_root(data[k:])]
    return [*naive_proof(m - k, data[k:], False), naive_root(data[:k])]


def entries(n: int) -> list[bytes]:
    return [i.to_bytes(4, "big") for i in range(n)]


def test_empty_tree() -> None:
    assert merkle.root([]).hex() == hashlib.sha256().hexdigest()
    assert naive_root([]) == merkle.EMPTY_ROOT


@pytest.mark.parametrize("n", range(1, 9))
def test_known_roots(n: int) -> None:
    assert naive_root(CT_INPUTS[:n]).hex() == CT_ROOTS[n - 1]
    assert merkle.root(map(merkle.leaf_hash, CT_INPUTS[:n])).hex() == CT_ROOTS[n - 1]


def test_known_paths() -> None:
    leaves = [merkle.leaf_hash(d) for d in CT_INPUTS]
    assert [h.hex() for h in merkle.inclusion_proof(leaves, 0)] == [
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ]
    assert [h.hex() for h in merkle.consistency_proof(leaves[:8], 6)] == [
        "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ]


@given(st.integers(min_value=0, max_value=200))
def test_frontier_equals_the_definition(n: int) -> None:
    frontier = Frontier()
    perfect: list[tuple[int, int, bytes]] = []
    for data in entries(n):
        frontier.append(merkle.leaf_hash(data), perfect)
    assert frontier.root() == naive_root(entries(n))
    assert Frontier(n, frontier.hashes).root() == frontier.root()
    for level, index, node in perfect:
        assert node == naive_root(entries(n)[index << level : (index + 1) << level])
    assert len(perfect) == sum(n >> level for level in range(1, 9))


@given(st.lists(st.integers(min_value=0, max_value=3000), min_size=1, max_size=4))
def test_many_leaves_at_once_equal_one_by_one(parts: list[int]) -> None:
    together, single = Frontier(), Frontier()
    for number, part in enumerate(parts):
        leaves = [merkle.leaf_hash(b"%d %d" % (number, n)) for n in range(part)]
        together.extend(leaves)
        for leaf in leaves:
            single.append(leaf)
        assert (together.size, together.hashes) == (single.size, single.hashes)


@given(st.data())
def test_inclusion(data: st.DataObject) -> None:
    n = data.draw(st.integers(min_value=1, max_value=130))
    index = data.draw(st.integers(min_value=0, max_value=n - 1))
    leaves = [merkle.leaf_hash(d) for d in entries(n)]
    root = naive_root(entries(n))
    proof = merkle.inclusion_proof(leaves, index)
    assert proof == naive_path(index, entries(n))
    assert merkle.verify_inclusion(leaves[index], index, n, proof, root)
    assert not merkle.verify_inclusion(leaves[index], (index + 1) % n, n, proof, root) or n == 1
    assert not merkle.verify_inclusion(bytes(32), index, n, proof, root)
    assert not merkle.verify_inclusion(leaves[index], index, n, [*proof, bytes(32)], root)
    assert not proof or not merkle.verify_inclusion(leaves[index], index, n, proof[:-1], root)


@given(st.data())
def test_consistency(data: st.DataObject) -> None:
    new = data.draw(st.integers(min_value=1, max_value=130))
    old = data.draw(st.integers(min_value=1, max_value=new))
    leaves = [merkle.leaf_hash(d) for d in entries(new)]
    old_root, new_root = naive_root(entries(old)), naive_root(entries(new))
    proof = merkle.consistency_proof(leaves, old)
    assert proof == naive_proof(old, entries(new))
    assert merkle.verify_consistency(old, new, old_root, new_root, proof)
    assert not merkle.verify_consistency(old, new, bytes(32), new_root, proof)
    assert not merkle.verify_consistency(old, new, old_root, bytes(32), proof)
    assert not merkle.verify_consistency(old, new, old_root, new_root, [*proof, bytes(32)])
    for at in range(len(proof)):
        broken = [*proof[:at], bytes(32), *proof[at + 1 :]]
        assert not merkle.verify_consistency(old, new, old_root, new_root, broken)


def test_consistency_from_nothing() -> None:
    root = naive_root(entries(5))
    assert merkle.verify_consistency(0, 5, merkle.EMPTY_ROOT, root, [])
    assert not merkle.verify_consistency(0, 5, bytes(32), root, [])
    assert not merkle.verify_consistency(6, 5, root, root, [])


def test_impossible_questions() -> None:
    with pytest.raises(ValueError, match="not in a tree"):
        merkle.inclusion_ranges(3, 3)
    with pytest.raises(ValueError, match="prefix"):
        merkle.consistency_ranges(4, 3)
    with pytest.raises(ValueError, match="per set bit"):
        Frontier(3, [bytes(32)])
    assert not merkle.verify_inclusion(bytes(32), 3, 3, [], bytes(32))
