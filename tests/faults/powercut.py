# SPDX-License-Identifier: GPL-3.0-or-later
"""What a disk may hold after a power cut, from the log that ``writelog.c`` wrote.

The model is the strictest POSIX allows: bytes are safe once their file was synced, a name once
its folder was; syncing a file saves no name. What was not synced may be there or not: see
:class:`Cut`. Sectors and names come through by a seeded coin, in any mixture, so that writes are
torn and files overtake each other.
"""

from __future__ import annotations

import enum
import json
import os
import random
import shutil
import struct
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

ROOT = Path(__file__).parents[2]
_HEAD = struct.Struct("=IIIIQQ")


class Cut(enum.IntEnum):
    """How much of what was not synced comes through."""

    DROPPED = 0  # nothing
    NEWEST = 1  # of each file and folder the last change, and none before it
    TORN_512 = 512  # some sectors of this size, some names
    TORN_4096 = 4096


@dataclass(frozen=True, slots=True)
class Event:
    """One record of the log; see ``writelog.c`` for what the fields hold."""

    op: str
    inode: int
    number: int
    a: str
    b: bytes

    @property
    def mark(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.b)
        return found


@dataclass(slots=True, eq=False)
class File:
    """Bytes that are safe, and writes (offset, data) and cuts (length, None) that are not."""

    safe: bytearray = field(default_factory=bytearray)
    waiting: list[tuple[int, bytes | None]] = field(default_factory=list)

    def sync(self) -> None:
        for at, data in self.waiting:
            _apply(self.safe, at, data)
        self.waiting.clear()

    def bytes(self, cut: Cut, coin: random.Random) -> bytes:
        if cut is Cut.DROPPED or not self.waiting:
            return bytes(self.safe)
        kept = bytearray(self.safe)
        if cut is Cut.NEWEST:
            _apply(kept, *self.waiting[-1])
            return bytes(kept)
        share = coin.choice((0.1, 0.5, 0.9, 1.0))
        for at, data in self.waiting:
            if data is None:
                if coin.random() < share:
                    _apply(kept, at, None)
                continue
            for start, piece in _sectors(at, data, cut):
                if coin.random() < share:
                    _apply(kept, start, piece)
        return bytes(kept)


@dataclass(slots=True, eq=False)
class Folder:
    """Names that are safe, and changes that are not: each a few names at once, or none of them."""

    safe: dict[str, Node] = field(default_factory=dict)
    waiting: list[dict[str, Node | None]] = field(default_factory=list)
    now: dict[str, Node] = field(default_factory=dict)

    def change(self, names: dict[str, Node | None]) -> None:
        _rename(self.now, names)
        self.waiting.append(names)

    def sync(self) -> None:
        self.safe = dict(self.now)
        self.waiting.clear()

    def names(self, cut: Cut, coin: random.Random) -> dict[str, Node]:
        if cut is Cut.DROPPED or not self.waiting:
            return self.safe
        kept = dict(self.safe)
        if cut is Cut.NEWEST:
            _rename(kept, self.waiting[-1])
            return kept
        for names in self.waiting:
            if coin.random() < 0.5:
                _rename(kept, names)
        return kept


Node: TypeAlias = File | Folder


class Disk:
    """The folder as the log tells it: what is safe of it, and what waits for a sync."""

    def __init__(self, inode: int) -> None:
        self.root = Folder()
        self._nodes: dict[int, Node] = {inode: self.root}

    def apply(self, event: Event) -> None:
        """Take the next record."""
        match event.op:
            case "C":
                self._nodes[event.inode] = file = File()
                self._change(event.a, file)
            case "M":
                self._nodes[event.inode] = folder = Folder()
                self._change(event.a, folder)
            case "W":
                self._file(event).waiting.append((event.number, event.b))
            case "T":
                self._file(event).waiting.append((event.number, None))
            case "S":
                self._nodes[event.inode].sync()
            case "U" | "D":
                self._change(event.a, None)
            case "L":
                self._change(event.b.decode(), self._find(event.a))
            case "R":
                self._move(event.a, event.b.decode())
            case "A":
                pass
            case _:
                raise ValueError(f"the log cannot tell what {event.a} did to {event.b.decode()}")

    def _file(self, event: Event) -> File:
        node = self._nodes[event.inode]
        assert isinstance(node, File), event.a
        return node

    def _folder(self, path: str) -> tuple[Folder, str]:
        *parents, name = path.split("/")
        folder = self.root
        for parent in parents:
            node = folder.now[parent]
            assert isinstance(node, Folder), path
            folder = node
        return folder, name

    def _find(self, path: str) -> Node:
        folder, name = self._folder(path)
        return folder.now[name]

    def _change(self, path: str, node: Node | None) -> None:
        folder, name = self._folder(path)
        folder.change({name: node})

    def _move(self, old: str, new: str) -> None:
        (source, was), (target, name) = self._folder(old), self._folder(new)
        assert source is target, "a rename between folders is safe in neither alone"
        source.change({name: source.now[was], was: None})

    @property
    def settled(self) -> bool:
        """Whether nothing waits for a sync: then every cut leaves the same."""
        return not any(node.waiting for node in _below(self.root))

    # ------------------------------------------------------------ after the cut

    def lay_out(self, where: Path, cut: Cut, seed: object) -> None:
        """Make the folder ``where`` as a power cut at this very moment may leave it."""
        coin = random.Random(f"{seed} {cut}")
        shutil.rmtree(where, ignore_errors=True)
        _lay_out(self.root, where, lambda f: f.names(cut, coin), lambda f: f.bytes(cut, coin), {})

    def lay_out_now(self, where: Path) -> None:
        """Make it as the running process sees it: every call took effect."""

        def everything(file: File) -> bytes:
            kept = bytearray(file.safe)
            for at, data in file.waiting:
                _apply(kept, at, data)
            return bytes(kept)

        _lay_out(self.root, where, lambda folder: folder.now, everything, {})


def _lay_out(folder: Folder, where: Path, names: Any, content: Any, made: dict[int, Path]) -> None:
    where.mkdir(mode=0o700)
    for name, node in names(folder).items():
        path = where / name
        if isinstance(node, Folder):
            _lay_out(node, path, names, content, made)
        elif id(node) in made:
            os.link(made[id(node)], path)
        else:
            with open(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), "wb") as file:
                file.write(content(node))
            made[id(node)] = path


def _below(node: Node) -> Iterator[Node]:
    yield node
    if isinstance(node, Folder):
        for inner in {*node.now.values(), *node.safe.values()}:
            yield from _below(inner)


def _apply(data: bytearray, at: int, piece: bytes | None) -> None:
    """Write ``piece`` at an offset, or cut to a length; a hole reads as zeros."""
    if piece is None:
        del data[at:]
    if len(data) < at:
        data.extend(bytes(at - len(data)))
    if piece is not None:
        data[at : at + len(piece)] = piece


def _sectors(at: int, data: bytes, size: int) -> Iterator[tuple[int, bytes]]:
    start = 0
    while start < len(data):
        stop = min(len(data), start + size - (at + start) % size)
        yield at + start, data[start:stop]
        start = stop


def _rename(names: dict[str, Node], changes: Mapping[str, Node | None]) -> None:
    for name, node in changes.items():
        if node is None:
            names.pop(name, None)
        else:
            names[name] = node


# ---------------------------------------------------------------- the log


def events(log: Path) -> list[Event]:
    """Every record, in order."""
    data, at, found = log.read_bytes(), 0, []
    while at < len(data):
        op, a, b, _, inode, number = _HEAD.unpack_from(data, at)
        at += _HEAD.size
        found.append(
            Event(chr(op), inode, number, data[at : at + a].decode(), data[at + a : at + a + b])
        )
        at += a + b
    return found


def logged(module: str, folder: Path, log: Path, shim: Path) -> None:
    """Run ``python -m module folder`` and log every change below ``folder``."""
    names = {"WRITELOG_ROOT": str(folder), "WRITELOG_FILE": str(log), "LD_PRELOAD": str(shim)}
    ran = subprocess.run(
        [sys.executable, "-m", module, str(folder)],
        cwd=ROOT,
        env=os.environ | names,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr


def compile_shim(folder: Path) -> Path:
    """The logger as a library in ``folder``."""
    library = folder / "writelog.so"
    source = Path(__file__).with_name("writelog.c")
    # Without fortifying: it would put calls of other names in the place of open and its like.
    flags = ["-Wall", "-O2", "-U_FORTIFY_SOURCE", "-shared", "-fPIC"]
    command = ["cc", *flags, "-o", str(library), str(source), "-lpthread"]
    subprocess.run(command, check=True, capture_output=True, text=True)
    return library
