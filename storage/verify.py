#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Verify an exported Candor ledger, independently of Candor.

Needs Python 3.11 and nothing else: copy this one file anywhere. It recomputes
everything from the exported bytes: leaf hashes, each node's chain, the Merkle
root of every checkpoint (RFC 6962), every signature (Ed25519, RFC 8032), and
with --objects the digests of the sealed recordings. Format and checks:
docs/formats/ledger.md.

    python verify.py EXPORT --key KEY [--checkpoint NOTE] [--objects DIR] [--json]

KEY is what the signer told you by another way than the export: a fingerprint
(ed25519:...), the line `candor ledger key` prints, a public key in hex or PEM,
or a file holding one of these.

Exit status: 0 valid; 1 invalid, the faults are named; 2 the input cannot be
used; 3 consistent, but the signer is unproven because no --key was given.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ZERO = bytes(32)
FAULTS_SHOWN = 20
REORDER_SEARCH = 1500  # entries between two checkpoints among which a swapped pair is looked for

# ---------------------------------------------------------------- Ed25519 (RFC 8032, section 5.1)

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
SQRT_M1 = pow(2, (P - 1) // 4, P)
Point = tuple[int, int, int, int]  # extended coordinates X, Y, Z, T with x = X/Z, T = XY/Z
IDENTITY: Point = (0, 1, 1, 0)


def add(a: Point, b: Point) -> Point:
    e = (a[1] - a[0]) * (b[1] - b[0]) % P
    f = (a[1] + a[0]) * (b[1] + b[0]) % P
    g = 2 * a[3] * b[3] * D % P
    h = 2 * a[2] * b[2] % P
    u, v, w, x = f - e, h - g, h + g, f + e
    return (u * v % P, w * x % P, v * w % P, u * x % P)


def double(a: Point) -> Point:
    e = a[0] * a[0] % P
    f = a[1] * a[1] % P
    g = 2 * a[2] * a[2] % P
    h = e + f
    i = h - (a[0] + a[1]) ** 2 % P
    j = e - f
    k = g + j
    return (i * k % P, j * h % P, k * j % P, i * h % P)


def decode_point(data: bytes) -> Point | None:
    """A point from 32 bytes; None when they are not the one encoding of a point."""
    y = int.from_bytes(data, "little")
    sign, y = y >> 255, y & ((1 << 255) - 1)
    if y >= P:
        return None
    square = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * SQRT_M1 % P
    if (x * x - square) % P or (x == 0 and sign):
        return None
    if x & 1 != sign:
        x = P - x
    return (x, y, 1, x * y % P)


BASE = decode_point((4 * pow(5, P - 2, P) % P).to_bytes(32, "little")) or IDENTITY


def verify_ed25519(public_key: bytes, message: bytes, signature: bytes) -> bool:
    """Whether ``public_key`` signed ``message``; strict: S < L, R compared as bytes."""
    if len(public_key) != 32 or len(signature) != 64:
        return False
    key = decode_point(public_key)
    s = int.from_bytes(signature[32:], "little")
    if key is None or s >= L:
        return False
    x, y, z, _ = double(double(double(key)))
    if x == 0 and y == z:
        return False  # a key of small order "signs" anything
    digest = hashlib.sha512(signature[:32] + public_key + message).digest()
    k = int.from_bytes(digest, "little") % L
    # R = [s]B - [k]A, both multiplications in one pass over the bits.
    minus = (P - key[0], key[1], key[2], P - key[3])
    both = add(BASE, minus)
    point = IDENTITY
    for bit in range(max(s.bit_length(), k.bit_length()) - 1, -1, -1):
        point = double(point)
        which = (s >> bit & 1) | (k >> bit & 1) << 1
        if which:
            point = add(point, (BASE, minus, both)[which - 1])
    inverse = pow(point[2], P - 2, P)
    x, y = point[0] * inverse % P, point[1] * inverse % P
    return (y | (x & 1) << 255).to_bytes(32, "little") == signature[:32]


# ---------------------------------------------------------------- Merkle tree (RFC 6962)


class Tree:
    """The right edge of a growing tree."""

    def __init__(self, size: int = 0, edge: Iterable[bytes] = ()) -> None:
        self.size, self.edge = size, list(edge)

    def add(self, leaf: bytes) -> None:
        node, left = leaf, self.size
        while left & 1:
            node = hashlib.sha256(b"\x01" + self.edge.pop() + node).digest()
            left >>= 1
        self.edge.append(node)
        self.size += 1

    def root(self) -> bytes:
        if not self.edge:
            return hashlib.sha256(b"").digest()
        node = self.edge[-1]
        for left in reversed(self.edge[:-1]):
            node = hashlib.sha256(b"\x01" + left + node).digest()
        return node

    def copy(self) -> Tree:
        return Tree(self.size, self.edge)


# ---------------------------------------------------------------- what is found


class Unusable(Exception):
    """The input is not an export, or a key cannot be read."""


@dataclass(frozen=True)
class Fault:
    kind: str
    index: int | None  # entry, or tree size for a checkpoint's fault
    message: str


@dataclass
class Report:
    entries: int = 0
    checkpoints: int = 0
    signed: int = 0  # entries under a valid checkpoint
    objects: int = 0
    signer: str = ""
    proven: bool = False
    faults: list[Fault] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def fault(self, kind: str, index: int | None, message: str) -> None:
        self.faults.append(Fault(kind, index, message))

    @property
    def status(self) -> int:
        return 1 if self.faults else 0 if self.proven else 3


class Order:
    """Numbers that must come one after the other; tells moved from missing."""

    def __init__(self, first: int) -> None:
        self.expected = first
        self.gaps: list[tuple[int, int, int]] = []  # first missing, behind the last, found at
        self.late: list[tuple[int, int]] = []  # number, found at

    def feed(self, number: int, at: int) -> bool:
        if number == self.expected:
            self.expected += 1
            return True
        if number > self.expected:
            self.gaps.append((self.expected, number, at))
            self.expected = number + 1
        else:
            self.late.append((number, at))
        return False

    def judge(self, report: Report, what: str) -> None:
        moved = {number for number, _ in self.late}
        for number, at in self.late:
            if any(low <= number < high for low, high, _ in self.gaps):
                report.fault("reordered", at, f"{what} {number} stands out of order")
            else:
                report.fault("duplicated", at, f"{what} {number} appears twice")
        for low, high, at in self.gaps:
            gone = [n for n in range(low, min(high, low + 10_000)) if n not in moved]
            if gone:
                span = f"{gone[0]}" if len(gone) == 1 else f"{gone[0]} to {gone[-1]}"
                report.fault("deleted", at, f"{what} {span} is missing")


# ---------------------------------------------------------------- checkpoints and keys


@dataclass(frozen=True)
class Note:
    text: str
    origin: str
    size: int
    root: bytes
    signatures: tuple[tuple[str, bytes, bytes], ...]  # name, key id, signature


def parse_note(note: str) -> Note:
    """A C2SP checkpoint note; ValueError when it is none."""
    text, gap, tail = note.rpartition("\n\n")
    text += "\n"
    lines = text.split("\n")
    if not gap or not tail.endswith("\n") or len(lines) < 4 or "" in lines[:-1]:
        raise ValueError("not a checkpoint note")
    if not re.fullmatch(r"0|[1-9][0-9]{0,18}", lines[1]):
        raise ValueError("tree size")
    root = unbase64(lines[2])
    signatures = []
    for line in tail[:-1].split("\n"):
        match = re.fullmatch(r"\u2014 ([^ +]+) ([A-Za-z0-9+/=]+)", line)
        if not match:
            raise ValueError("signature line")
        raw = unbase64(match[2])
        signatures.append((match[1], raw[:4], raw[4:]))
    if len(root) != 32:
        raise ValueError("root hash")
    return Note(text, lines[0], int(lines[1]), root, tuple(signatures))


def check_signature(report: Report, note: Note, key: bytes, where: str) -> bool:
    key_id = hashlib.sha256(note.origin.encode() + b"\n\x01" + key).digest()[:4]
    ours = [s for name, kid, s in note.signatures if name == note.origin and kid == key_id]
    if not ours:
        report.fault("wrong_key", note.size, f"{where} is not signed by this key")
        return False
    for signature in ours:
        if not verify_ed25519(key, note.text.encode(), signature):
            report.fault("bad_signature", note.size, f"the signature of {where} is false")
            return False
    return True


def unbase64(text: str) -> bytes:
    """Strict: ValueError unless ``text`` is the one base64 spelling of its bytes."""
    raw = base64.b64decode(text, validate=True)
    if base64.b64encode(raw).decode() != text:
        raise ValueError("base64")
    return raw


def fingerprint(key: bytes) -> str:
    return "ed25519:" + hashlib.sha256(key).hexdigest()


def parse_verifier_key(text: str) -> bytes:
    """The key of a ``name+hash+base64`` line; ValueError when it is none."""
    parts = text.strip().split("+", 2)
    raw = unbase64(parts[2]) if len(parts) == 3 else b""
    if len(raw) != 33 or raw[0] != 1:
        raise ValueError("verifier key")
    if hashlib.sha256(parts[0].encode() + b"\n" + raw).digest()[:4].hex() != parts[1]:
        raise ValueError("verifier key")
    return raw[1:]


def trusted_fingerprint(given: str) -> str:
    """The fingerprint that --key stands for: a text, or a file holding one."""
    path = Path(given)
    try:
        if path.is_file():
            given = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise Unusable(f"--key: the file cannot be read as text: {error}") from None
    text = given.strip()
    if re.fullmatch(r"ed25519:[0-9a-f]{64}", text):
        return text
    try:
        if re.fullmatch(r"[0-9a-f]{64}", text):
            return fingerprint(bytes.fromhex(text))
        if text.startswith("-----BEGIN PUBLIC KEY-----"):
            der = unbase64("".join(text.splitlines()[1:-1]))
            if len(der) == 44 and der[:12].hex() == "302a300506032b6570032100":
                return fingerprint(der[12:])
        return fingerprint(parse_verifier_key(text))
    except ValueError:
        raise Unusable("--key: neither a fingerprint, a public key, nor a file with one") from None


# ---------------------------------------------------------------- the export


@dataclass
class Export:
    """One pass over an export; collects what the judgements need."""

    report: Report
    leaves: list[bytes] = field(default_factory=list)
    notes: list[tuple[str, Note]] = field(default_factory=list)
    live: dict[str, tuple[str, int]] = field(default_factory=dict)  # object: digest, entry
    chains: dict[str, tuple[Order, bytes]] = field(default_factory=dict)
    labels: Order = field(default_factory=lambda: Order(0))
    last_of: dict[str, int] = field(default_factory=dict)  # node: position of its last entry

    def entry(self, line: dict[str, Any]) -> None:
        at = len(self.leaves)
        data = unbase64(line["bytes"])
        leaf = hashlib.sha256(b"\x00" + data).digest()
        self.leaves.append(leaf)
        in_place = self.labels.feed(int(line["entry"]), at)
        if leaf.hex() != line["leaf"]:
            self.report.fault("edited", at, f"entry {at}: its bytes do not hash to its leaf")
        try:
            content = json.loads(data)
            node, seq, prev = str(content["node"]), int(content["seq"]), str(content["prev"])
            body = content["body"]
        except (ValueError, KeyError, TypeError):
            self.report.fault("edited", at, f"entry {at}: its bytes are not a ledger entry")
            return
        if (node, seq, prev) != (line["node"], line["seq"], line["prev"]):
            self.report.fault("edited", at, f"entry {at}: the fields beside its bytes differ")
        self._chain(at, node, seq, prev, leaf, in_place)
        self._objects(at, body)

    def _chain(self, at: int, node: str, seq: int, prev: str, leaf: bytes, in_place: bool) -> None:
        order, tail = self.chains.get(node) or (Order(1), ZERO)
        in_order = order.feed(seq, at)
        if in_order and in_place and prev != tail.hex():
            first = self.last_of.get(node, at)
            what = f"entry {at}" if first == at else f"entry {first} or {at}"
            self.report.fault(
                "edited", first, f"{what} was altered: node {node}'s chain breaks between them"
            )
        if seq == order.expected - 1:  # one that comes late does not carry the chain on
            self.chains[node], self.last_of[node] = (order, leaf), at

    def _objects(self, at: int, body: Any) -> None:
        if not isinstance(body, dict):
            return
        for row in body.get("objects") or ():
            self.live[str(row[0])] = (str(row[1]), at)
        for name in body.get("destroyed") or ():
            self.live.pop(str(name), None)


def read_export(path: Path, report: Report) -> tuple[Export, dict[str, Any]]:
    export = Export(report)
    header: dict[str, Any] = {}
    end: dict[str, Any] | None = None
    try:
        # A broken character makes its line malformed, not the whole export unreadable.
        with path.open(encoding="utf-8", errors="replace") as file:
            for number, text in enumerate(file, 1):
                if not header:
                    header = _header(text)
                    continue
                try:
                    line = json.loads(text)
                    if end is not None:
                        raise ValueError("after the end")
                    if "entry" in line:
                        export.entry(line)
                    elif "checkpoint" in line:
                        note = parse_note(line["note"])
                        if note.size != line["checkpoint"]:
                            raise ValueError("size")
                        export.notes.append((f"the checkpoint at {note.size}", note))
                    else:
                        end = line["end"]
                except (ValueError, KeyError, TypeError, IndexError, RecursionError):
                    report.fault("malformed", None, f"line {number} of the export is damaged")
    except OSError as error:
        raise Unusable(f"the export cannot be read: {error}") from None
    if not header:
        raise Unusable("the export is empty")
    report.entries, report.checkpoints = len(export.leaves), len(export.notes)
    export.labels.judge(report, "entry")
    for node, (order, _) in export.chains.items():
        order.judge(report, f"node {node}: its entry")
    if end is None:
        report.fault("truncated", report.entries, "the export is cut: its end line is missing")
    counted = {"entries": report.entries, "checkpoints": report.checkpoints}
    if (end is not None and end != counted) or header["size"] != report.entries:
        report.fault(
            "truncated",
            report.entries,
            f"the export announces {header['size']} entries and holds {report.entries}, with "
            f"{report.checkpoints} checkpoints",
        )
    return export, header


def _header(text: str) -> dict[str, Any]:
    try:
        header = json.loads(text)
        if header["candor_ledger"] != 1:
            raise Unusable("the export is of a version this verifier does not know")
        if not isinstance(header["size"], int) or not isinstance(header["origin"], str):
            raise ValueError("header")
        return dict(header, public=parse_verifier_key(header["key"]))
    except (ValueError, KeyError, TypeError, RecursionError):
        raise Unusable("this is not a Candor ledger export") from None


# ---------------------------------------------------------------- judgements


def check_roots(report: Report, export: Export) -> set[int]:
    """Recompute the root at every checkpoint; returns the tree sizes that hold."""
    good = {0}
    tree, base = Tree(), Tree()
    for where, note in sorted(export.notes, key=lambda n: n[1].size):
        if note.size > len(export.leaves):
            report.fault(
                "truncated",
                len(export.leaves),
                f"{where} covers {note.size} entries, but only {len(export.leaves)} are here: "
                "the end was cut off or the ledger rolled back",
            )
            continue
        while tree.size < note.size:
            tree.add(export.leaves[tree.size])
        if tree.root() == note.root:
            good.add(note.size)
            base = tree.copy()
        elif note.size in good:
            report.fault("forked", note.size, f"{where} has a second, different root")
        else:
            _blame(report, export, base, note, where)
    return good


def _blame(report: Report, export: Export, base: Tree, note: Note, where: str) -> None:
    low, high = base.size, note.size
    known = [f for f in report.faults if f.index is not None and low <= f.index <= high]
    span = f"entry {low}" if high - low == 1 else f"entries {low} to {high - 1}"
    if known:
        report.fault("root", high, f"{where} does not match {span}, as the fault above explains")
        return
    if high - low <= REORDER_SEARCH:
        for i in range(low, high - 1):
            swapped = export.leaves[low:high]
            swapped[i - low], swapped[i - low + 1] = swapped[i - low + 1], swapped[i - low]
            tree = base.copy()
            for leaf in swapped:
                tree.add(leaf)
            if tree.root() == note.root:
                report.fault("reordered", i, f"entries {i} and {i + 1} changed places")
                return
    report.fault(
        "edited",
        low,
        f"{where} does not match {span}: altered, replaced or reordered, with the chains remade",
    )


def check_objects(report: Report, export: Export, folder: Path) -> None:
    owner = {digest: name for name, (digest, _) in export.live.items()}
    for name, (digest, at) in sorted(export.live.items()):
        report.objects += 1
        path = next((p for p in (folder / name, folder / name[:2] / name) if p.is_file()), None)
        if not re.fullmatch(r"[0-9a-f]{32}", name) or path is None:
            report.fault("object_missing", at, f"recording object {name} is missing")
            continue
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        if found == digest:
            continue
        if found in owner:
            report.fault("swapped", at, f"object {name} holds the bytes of object {owner[found]}")
        else:
            report.fault("object_altered", at, f"recording object {name} was altered")


def outside_notes(given: Iterable[str]) -> Iterator[tuple[str, Note]]:
    for text in given:
        path = Path(text)
        files = sorted(path.glob("*.note")) if path.is_dir() else [path]
        if not files:
            raise Unusable(f"--checkpoint: no note in {text}")
        for file in files:
            try:
                yield f"the outside checkpoint {file.name}", parse_note(file.read_text("utf-8"))
            except (OSError, ValueError) as error:
                raise Unusable(f"--checkpoint: {file.name} is not a note: {error}") from None


def verify(
    path: Path,
    key: str | None = None,
    checkpoints: Iterable[str] = (),
    objects: Path | None = None,
) -> Report:
    """Check an export; never raises for a fault, only :class:`Unusable`."""
    report = Report()
    trusted = None if key is None else trusted_fingerprint(key)
    export, header = read_export(path, report)
    report.signer = fingerprint(header["public"])
    export.notes += outside_notes(checkpoints)
    if trusted is not None and trusted != report.signer:
        report.fault("wrong_key", None, f"signed by {report.signer}, not by {trusted}")
    if report.entries and not export.notes:
        report.fault("unsigned", None, "no checkpoint: nothing in this export is signed")
    good = check_roots(report, export)
    for where, note in export.notes:
        if note.origin != header["origin"]:
            report.fault("wrong_key", note.size, f"{where} is of another ledger")
        elif check_signature(report, note, header["public"], where) and note.size in good:
            report.signed = max(report.signed, note.size)
    if objects is not None:
        check_objects(report, export, objects)
    if report.signed < report.entries and not report.faults:
        waiting = report.entries - report.signed
        report.notes.append(f"the last {waiting} entries wait for their checkpoint")
    report.proven = trusted == report.signer
    if trusted is None:
        report.notes.append("ask the signer for the fingerprint by another way; give it by --key")
    return report


# ---------------------------------------------------------------- command line

WORDS = {0: "valid", 1: "invalid", 3: "consistent, signer unproven"}


def show(report: Report) -> None:
    print(WORDS[report.status].upper())
    print(f"  entries      {report.entries} ({report.signed} under a signed checkpoint)")
    print(f"  checkpoints  {report.checkpoints}")
    print(f"  recordings   {report.objects} sealed objects compared")
    print(f"  signer       {report.signer}")
    for fault in report.faults[:FAULTS_SHOWN]:
        print(f"  FAULT {fault.kind}: {fault.message}")
    if len(report.faults) > FAULTS_SHOWN:
        print(f"  and {len(report.faults) - FAULTS_SHOWN} more faults")
    for note in report.notes:
        print(f"  note: {note}")


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Verify an exported Candor ledger.")
    option = parser.add_argument
    option("export", type=Path)
    option("--key", help="fingerprint or public key of the signer, or a file with it")
    option("--checkpoint", action="append", default=[], help="an outside note, or a folder of them")
    option("--objects", type=Path, help="folder of the sealed recordings")
    option("--json", action="store_true", help="write the result as JSON")
    given = parser.parse_args(arguments)
    try:
        report = verify(given.export, given.key, given.checkpoint, given.objects)
    except Unusable as error:
        if given.json:
            print(json.dumps({"result": "unusable", "error": str(error)}))
        else:
            print(f"UNUSABLE: {error}", file=sys.stderr)
        return 2
    if given.json:
        faults = [vars(fault) for fault in report.faults]
        print(json.dumps(vars(report) | {"result": WORDS[report.status], "faults": faults}))
    else:
        show(report)
    return report.status


if __name__ == "__main__":
    sys.exit(main())
