# SPDX-License-Identifier: GPL-3.0-or-later
"""The Merkle tree of RFC 6962 section 2.1 and RFC 9162 section 2.1: pure functions.

Proofs are first computed as ranges of leaves ``[start, stop)`` whose subtree
hashes they need; a caller fetches those hashes from wherever it keeps them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence

Range = tuple[int, int]
_BLOCK_BITS = 10  # leaves of a subtree that is computed at once
EMPTY_ROOT = hashlib.sha256(b"").digest()


def leaf_hash(data: bytes) -> bytes:
    """SHA-256 of 0x00 and the entry's bytes."""
    return hashlib.sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """SHA-256 of 0x01 and the two children."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def nodes_over(hashes: Sequence[bytes]) -> list[bytes]:
    """:func:`node_hash` of each two neighbours; ``hashes`` are an even number."""
    sha256 = hashlib.sha256
    pairs = zip(hashes[::2], hashes[1::2], strict=True)
    return [sha256(b"\x01" + left + right).digest() for left, right in pairs]


def perfect_root(hashes: Sequence[bytes]) -> bytes:
    """Root over hashes whose number is a power of two."""
    while len(hashes) > 1:
        hashes = nodes_over(hashes)
    return hashes[0]


def split(size: int) -> int:
    """The largest power of two smaller than ``size`` (``size`` >= 2)."""
    return 1 << ((size - 1).bit_length() - 1)


class Frontier:
    """A tree's right edge (RFC 9162's compact range): append costs O(log n), state too.

    ``hashes`` are the roots of the perfect subtrees that make up ``size``,
    largest first; both together restore a frontier.
    """

    def __init__(self, size: int = 0, hashes: Iterable[bytes] = ()) -> None:
        self._size = size
        self._stack = list(hashes)
        if size < 0 or len(self._stack) != size.bit_count():
            raise ValueError("a frontier has one hash per set bit of its size")

    @property
    def size(self) -> int:
        return self._size

    @property
    def hashes(self) -> tuple[bytes, ...]:
        return tuple(self._stack)

    def append(self, leaf: bytes, perfect: list[tuple[int, int, bytes]] | None = None) -> None:
        """Add a leaf hash. Subtrees it completes are added to ``perfect`` as
        (level, index on that level, hash); level 1 has two leaves.
        """
        node, level = leaf, 0
        while (self._size >> level) & 1:
            node = node_hash(self._stack.pop(), node)
            level += 1
            if perfect is not None:
                perfect.append((level, self._size >> level, node))
        self._stack.append(node)
        self._size += 1

    def extend(self, leaves: Sequence[bytes]) -> None:
        """Add many leaf hashes, in whole subtrees where they make some: as :meth:`append` does
        it one by one, but a check of all entries at a start takes half the time."""
        at = 0
        while at < len(leaves):
            bits = min((len(leaves) - at).bit_length() - 1, _BLOCK_BITS)
            if self._size:  # a subtree begins where its size divides what is before it
                bits = min(bits, (self._size & -self._size).bit_length() - 1)
            self._add(perfect_root(leaves[at : at + (1 << bits)]), bits)
            at += 1 << bits

    def _add(self, node: bytes, level: int) -> None:
        """A perfect subtree of 2^``level`` leaves, to a size that this divides."""
        grown = self._size + (1 << level)
        while (self._size >> level) & 1:
            node = node_hash(self._stack.pop(), node)
            level += 1
        self._stack.append(node)
        self._size = grown

    def root(self) -> bytes:
        """Root hash of the tree so far."""
        if not self._stack:
            return EMPTY_ROOT
        node = self._stack[-1]
        for left in reversed(self._stack[:-1]):
            node = node_hash(left, node)
        return node


def root(leaves: Iterable[bytes]) -> bytes:
    """Root over leaf hashes."""
    frontier = Frontier()
    for leaf in leaves:
        frontier.append(leaf)
    return frontier.root()


# ---------------------------------------------------------------- proofs


def inclusion_ranges(index: int, size: int) -> list[Range]:
    """Ranges whose subtree hashes prove leaf ``index`` in a tree of ``size``, leaf side first."""
    if not 0 <= index < size:
        raise ValueError(f"leaf {index} is not in a tree of {size}")
    path: list[Range] = []
    start, stop = 0, size
    while stop - start > 1:
        middle = start + split(stop - start)
        if index < middle:
            path.append((middle, stop))
            stop = middle
        else:
            path.append((start, middle))
            start = middle
    path.reverse()
    return path


def consistency_ranges(old: int, new: int) -> list[Range]:
    """Ranges that prove a tree of ``old`` leaves to be a prefix of one of ``new``."""
    if not 0 <= old <= new:
        raise ValueError(f"a tree of {old} leaves cannot be a prefix of one of {new}")
    if old in (0, new):
        return []
    path: list[Range] = []
    start, stop, whole = 0, new, True
    while stop != old:
        middle = start + split(stop - start)
        if old <= middle:
            path.append((middle, stop))
            stop = middle
        else:
            path.append((start, middle))
            start, whole = middle, False
    if not whole:  # an old tree that is a whole subtree here is known to the verifier
        path.append((start, stop))
    path.reverse()
    return path


def subtree(leaves: Sequence[bytes]) -> Callable[[int, int], bytes]:
    """A fetcher of subtree hashes over leaf hashes held in memory."""
    return lambda start, stop: root(leaves[start:stop])


def inclusion_proof(leaves: Sequence[bytes], index: int) -> list[bytes]:
    """Proof that leaf ``index`` is in the tree over ``leaves`` (leaf hashes)."""
    fetch = subtree(leaves)
    return [fetch(*r) for r in inclusion_ranges(index, len(leaves))]


def consistency_proof(leaves: Sequence[bytes], old: int) -> list[bytes]:
    """Proof that the tree over the first ``old`` leaves is a prefix of the whole."""
    fetch = subtree(leaves)
    return [fetch(*r) for r in consistency_ranges(old, len(leaves))]


def verify_inclusion(
    leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes
) -> bool:
    """RFC 9162 section 2.1.3.2."""
    if not 0 <= index < size:
        return False
    number, last, node = index, size - 1, leaf
    for sibling in proof:
        if last == 0:
            return False
        if number & 1 or number == last:
            node = node_hash(sibling, node)
            while not number & 1 and number:
                number >>= 1
                last >>= 1
        else:
            node = node_hash(node, sibling)
        number >>= 1
        last >>= 1
    return last == 0 and node == root


def verify_consistency(
    old: int, new: int, old_root: bytes, new_root: bytes, proof: Sequence[bytes]
) -> bool:
    """RFC 9162 section 2.1.4.2; an empty old tree is a prefix of every tree."""
    if not 0 <= old <= new:
        return False
    if old == 0:
        return not proof and old_root == EMPTY_ROOT
    if old == new:
        return not proof and old_root == new_root
    path = list(proof)
    if old & (old - 1) == 0:  # a perfect old tree is its own first hash
        path.insert(0, old_root)
    if not path:
        return False
    number, last = old - 1, new - 1
    while number & 1:
        number >>= 1
        last >>= 1
    was = now = path[0]
    for sibling in path[1:]:
        if last == 0:
            return False
        if number & 1 or number == last:
            was, now = node_hash(sibling, was), node_hash(sibling, now)
            while not number & 1 and number:
                number >>= 1
                last >>= 1
        else:
            now = node_hash(now, sibling)
        number >>= 1
        last >>= 1
    return last == 0 and was == old_root and now == new_root
