#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Verify what Candor exports, independently of Candor.

Needs Python 3.11 and nothing else: copy this one file anywhere. It takes

  a ledger       python verify.py ledger.jsonl --key KEY [--checkpoint NOTE] [--objects DIR]
  an evidence    python verify.py pack.zip --key KEY [--recording WAV] [--ledger LEDGER]
  pack                                               [--checkpoint NOTE]
  a proof        python verify.py entry.tlog-proof --key KEY
                 python verify.py consistency.json --key KEY

and recomputes everything from the bytes: leaf hashes, each node's chain, the
Merkle root of every checkpoint (RFC 6962), every signature (Ed25519, RFC 8032),
the digest of every recording; of a pack every member, every inclusion proof
and every commitment that the call's own entries made. A time stamp (RFC 3161)
must be one of exactly its checkpoint; whether its authority signed it, openssl
tells. What is checked, and what it proves: docs/formats/ledger.md and docs/formats/evidence.md.

KEY is what the signer told you by another way than the file: a fingerprint
(ed25519:...), the line `candor ledger key` prints, a public key in hex or PEM,
or a file holding one of these.

Exit status: 0 valid; 1 invalid, the faults are named; 2 the input cannot be
used; 3 consistent, but the signer is unproven because no --key was given.
"""

from __future__ import annotations

import argparse
import array
import base64
import hashlib
import hmac
import io
import json
import re
import struct
import sys
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
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


def is_included(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> bool:
    """RFC 9162, section 2.1.3.2."""
    first, last, node = index, size - 1, leaf
    if not 0 <= first <= last:
        return False
    for sibling in proof:
        if last == 0:
            return False
        if first & 1 or first == last:
            node = hashlib.sha256(b"\x01" + sibling + node).digest()
            while not first & 1 and first:
                first, last = first >> 1, last >> 1
        else:
            node = hashlib.sha256(b"\x01" + node + sibling).digest()
        first, last = first >> 1, last >> 1
    return last == 0 and node == root


def is_prefix(old: Note, new: Note, proof: Sequence[bytes]) -> bool:
    """RFC 9162, section 2.1.4.2: whether the newer tree only added to the older one."""
    if old.size == new.size or old.size == 0:
        return not proof and (old.size == 0 or old.root == new.root)
    path = list(proof) if old.size & (old.size - 1) else [old.root, *proof]
    if not path or old.size > new.size:
        return False
    first, last = old.size - 1, new.size - 1
    while first & 1:
        first, last = first >> 1, last >> 1
    was = now = path[0]
    for sibling in path[1:]:
        if last == 0:
            return False
        if first & 1 or first == last:
            was = hashlib.sha256(b"\x01" + sibling + was).digest()
            now = hashlib.sha256(b"\x01" + sibling + now).digest()
            while not first & 1 and first:
                first, last = first >> 1, last >> 1
        else:
            now = hashlib.sha256(b"\x01" + now + sibling).digest()
        first, last = first >> 1, last >> 1
    return last == 0 and was == old.root and now == new.root


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
    what: str = "ledger"  # evidence, inclusion, consistency
    entries: int = 0
    checkpoints: int = 0
    signed: int = 0  # entries under a valid checkpoint
    objects: int = 0
    call: str = ""  # of an evidence pack: the id of its call
    members: int = 0
    bound: list[str] = field(default_factory=list)  # what entries of the call's time fix
    stamps: int = 0  # time stamps that are of exactly their checkpoint
    stamped_at: str = ""  # the newest of their times, as claimed
    stamped: int = 0  # entries of the file that were there at that time
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
    note.encode()  # half a surrogate pair, which JSON can spell, is a ValueError here
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


# ---------------------------------------------------------------- time stamps (RFC 3161)

STAMP_BYTES_MAX = 1 << 20
SIGNED_DATA = (6, bytes.fromhex("2a864886f70d010702"))  # OBJECT IDENTIFIERs
TST_INFO = (6, bytes.fromhex("2a864886f70d0109100104"))
SHA256 = (6, bytes.fromhex("608648016503040201"))


def der(data: bytes) -> list[tuple[int, bytes]]:
    """Tag and content of the DER values in ``data``; ValueError or IndexError if malformed."""
    found, at = [], 0
    while at < len(data):
        tag, size, at = data[at], data[at + 1], at + 2
        if size & 0x80:
            count = size & 0x7F
            if not 1 <= count <= 4:
                raise ValueError("length")
            size, at = int.from_bytes(data[at : at + count], "big"), at + count
        if at + size > len(data):
            raise ValueError("cut off")
        found.append((tag, data[at : at + size]))
        at += size
    return found


def read_stamp(reply: bytes) -> tuple[bytes, str]:
    """What an authority's answer (TimeStampResp) claims: the SHA-256 it is of, and when.

    Nobody's signature is looked at. ValueError or IndexError: it is no time stamp of a SHA-256.
    """
    if len(reply) > STAMP_BYTES_MAX:
        raise ValueError("size")
    ((_, answer),) = der(reply)
    status, token = der(answer)
    if der(status[1])[0] not in ((2, b"\0"), (2, b"\1")):  # granted, granted with changes
        raise ValueError("not granted")
    kind, content = der(token[1])
    wrapped = der(der(der(content[1])[0][1])[2][1])  # SignedData, its third field
    info = der(der(der(wrapped[1][1])[0][1])[0][1])
    imprint = der(info[2][1])
    if (kind, wrapped[0], der(imprint[0][1])[0]) != (SIGNED_DATA, TST_INFO, SHA256):
        raise ValueError("kind")
    time = re.fullmatch(r"(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d(?:\.\d+)?)Z", info[4][1].decode())
    if time is None or info[4][0] != 0x18:
        raise ValueError("time")
    return imprint[1][1], "{}-{}-{}T{}:{}:{}Z".format(*time.groups())


def check_stamp(report: Report, name: str, reply: bytes, note: bytes, size: int) -> None:
    """Whether a stamp is of exactly this checkpoint; its time stays a claim."""
    try:
        imprint, at = read_stamp(reply)
    except (ValueError, IndexError):
        report.fault("stamp", size, f"{name} is not a time stamp")
        return
    if imprint != hashlib.sha256(note).digest():
        report.fault("stamp", size, f"{name} is the time stamp of something else")
        return
    report.stamps += 1
    report.stamped_at = max(report.stamped_at, at)
    report.stamped = max(report.stamped, size)


def check_stamps(report: Report, given: Iterable[str]) -> None:
    """Every stamp that lies beside the outside notes."""
    for text in given:
        path = Path(text)
        for file in sorted(path.glob("*.tsr")) if path.is_dir() else [path.with_suffix(".tsr")]:
            beside = file.with_suffix(".note")
            if not file.exists():
                continue
            try:
                reply, note = file.read_bytes(), beside.read_bytes() if beside.exists() else b""
                size = parse_note(note.decode()).size if note else 0
            except (OSError, ValueError) as error:
                raise Unusable(f"--checkpoint: {file.name} cannot be read: {error}") from None
            if note:
                check_stamp(report, file.name, reply, note, size)
            else:
                report.fault("stamp", None, f"{file.name} has no checkpoint beside it")


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
    about: dict[str, list[tuple[int, str]]] = field(default_factory=dict)  # call: entry, kind

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
        if isinstance(body, dict) and isinstance(body.get("attempt"), str):
            self.about.setdefault(body["attempt"], []).append((at, str(content.get("kind"))))

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


def accept_signer(report: Report, public: bytes, trusted: str | None) -> None:
    """Whether the key that signed is the one the verifying person was told of."""
    report.signer = fingerprint(public)
    report.proven = trusted == report.signer
    if trusted is None:
        report.notes.append("ask the signer for the fingerprint by another way; give it by --key")
    elif not report.proven:
        report.fault("wrong_key", None, f"signed by {report.signer}, not by {trusted}")


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
    return verify_ledger(path, key, checkpoints, objects)[0]


def verify_ledger(
    path: Path, key: str | None, checkpoints: Iterable[str] = (), objects: Path | None = None
) -> tuple[Report, Export]:
    """As :func:`verify`, with what was read."""
    report = Report()
    trusted = None if key is None else trusted_fingerprint(key)
    export, header = read_export(path, report)
    export.notes += outside_notes(checkpoints)
    check_stamps(report, checkpoints)
    accept_signer(report, header["public"], trusted)
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
    return report, export


# ---------------------------------------------------------------- evidence pack: the ZIP file

PACK_BYTES_MAX = 2**31 - 1
MEMBER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
Members = dict[str, bytes]


def container(members: Mapping[str, bytes]) -> bytes:
    """The one ZIP file that holds these members: by name, stored, dated 1980-01-01, no extras."""
    body, directory = bytearray(), bytearray()
    for name, data in sorted(members.items()):
        size, label = len(data), name.encode()
        about = struct.pack(
            "<5H3I2H", 10, 0, 0, 0, 0x21, zlib.crc32(data), size, size, len(label), 0
        )
        directory += b"PK\x01\x02\x14\x03" + about
        directory += struct.pack("<3H2I", 0, 0, 0, 0o100600 << 16, len(body)) + label
        body += b"PK\x03\x04" + about + label + data
    count = len(members)
    end = struct.pack("<4H2IH", 0, 0, count, count, len(directory), len(body), 0)
    return bytes(body + directory + b"PK\x05\x06" + end)


def read_pack(path: Path, report: Report) -> Members:
    """Every member that can be read; what is wrong with the ZIP file becomes faults."""
    try:
        if path.stat().st_size > PACK_BYTES_MAX:
            raise Unusable("the pack is larger than any pack can be")
        data = path.read_bytes()
    except OSError as error:
        raise Unusable(f"the pack cannot be read: {error}") from None
    members: Members = {}
    left = PACK_BYTES_MAX
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            for info in archive.infolist():
                name = info.orig_filename
                if not MEMBER.fullmatch(name):
                    report.fault("added", None, f"a member is named {name[:80]!r}, as none is")
                elif name in members:
                    report.fault("duplicated", None, f"{name} is in the pack twice")
                else:
                    members[name] = _read_member(archive, info, left, report)
                    left -= len(members[name])
    except Exception as error:  # zipfile raises whatever a damaged directory leads it to
        report.fault("container", None, f"not a whole ZIP file: {type(error).__name__}")
        return members
    if not report.faults and container(members) != data:
        report.fault(
            "container",
            None,
            "the ZIP file is not the one that was written: a header was altered, something was "
            "added outside the members, or they were packed anew",
        )
    return members


def _read_member(
    archive: zipfile.ZipFile, info: zipfile.ZipInfo, left: int, report: Report
) -> bytes:
    name = info.orig_filename
    try:
        with archive.open(info) as file:
            data = file.read(left + 1)  # never more than asked for, whatever the header claims
        if len(data) <= left:
            return data
        report.fault("altered", None, f"{name} is larger than any member can be")
    except Exception as error:  # as above
        report.fault("altered", None, f"{name} is damaged: {type(error).__name__}")
    return b""


# ---------------------------------------------------------------- evidence pack: its entries


@dataclass(frozen=True)
class Proven:
    """A ledger entry whose place in the signed tree was shown."""

    index: int
    leaf: str
    kind: str
    actor: str
    body: dict[str, Any]


def canonical(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()


def read_proofs(raw: bytes, report: Report) -> tuple[list[Proven], Note, bytes, list[bytes] | None]:
    """Entries with their proofs, the checkpoint, the key, and how the tree grew from the stamped
    one, if one is; ValueError and the like if malformed."""
    data = json.loads(raw)
    fields = {"format", "key", "checkpoint", "entries"}
    if canonical(data) != raw or set(data) - {"stamped"} != fields:
        raise ValueError("ledger.json is not in its one form")
    grown = [unbase64(h) for h in data["stamped"]] if "stamped" in data else None
    if data["format"] != "candor-evidence-ledger/1":
        raise ValueError("format")
    public, note = parse_verifier_key(data["key"]), parse_note(data["checkpoint"])
    if len(note.signatures) != 1 or data["key"].partition("+")[0] != note.origin:
        raise ValueError("one signature, by the ledger's own key")
    entries: list[Proven] = []
    for row in data["entries"]:
        if set(row) != {"index", "bytes", "proof"} or type(row["index"]) is not int:
            raise ValueError("entry")
        index, content = row["index"], unbase64(row["bytes"])
        leaf = hashlib.sha256(b"\x00" + content).digest()
        if not is_included(leaf, index, note.size, [unbase64(h) for h in row["proof"]], note.root):
            report.fault("edited", index, f"entry {index} is not in the signed tree: altered")
        if entries and index <= entries[-1].index:
            report.fault("reordered", index, f"entry {index} stands out of order")
        entry = json.loads(content)
        entries.append(Proven(index, leaf.hex(), entry["kind"], entry["actor"], entry["body"]))
    report.entries, report.checkpoints = len(entries), 1
    return entries, note, public, grown


def check_pack_stamp(
    report: Report,
    members: Members,
    entries: list[Proven],
    note: Note,
    public: bytes,
    grown: list[bytes] | None,
) -> None:
    """A pack's time stamp: of a checkpoint of ours, from which the pack's tree grew."""
    names = [name for name in ("stamp.note", "stamp.tsr") if name in members]
    if not names and grown is None:
        return
    if len(names) < 2 or grown is None:
        report.fault("stamp", None, "the time stamp is not whole: stamp.note, stamp.tsr, its proof")
        return
    older = parse_note(members["stamp.note"].decode())
    check_signature(report, older, public, "stamp.note")
    if older.origin != note.origin or not is_prefix(older, note, grown):
        report.fault("forked", older.size, "the pack's tree did not grow from that of stamp.note")
    check_stamp(report, "stamp.tsr", members["stamp.tsr"], members["stamp.note"], older.size)
    report.stamped = sum(entry.index < older.size for entry in entries)


def check_members(report: Report, members: Members, manifest: dict[str, Any]) -> None:
    """Every member against the manifest: missing, added, altered, or another one's bytes."""
    listed = {row["name"]: row["sha256"] for row in manifest["members"]}
    holder = {digest: name for name, digest in listed.items()}
    for name, digest in listed.items():
        if name not in members:
            report.fault("missing", None, f"{name} was removed")
            continue
        found = hashlib.sha256(members[name]).hexdigest()
        if found == digest:
            report.members += 1
        elif found in holder:
            report.fault("swapped", None, f"{name} holds the bytes of {holder[found]}")
        else:
            report.fault("altered", None, f"{name} was altered")
    for name in members:
        if name not in listed and name not in ("manifest.json", "ledger.json"):
            report.fault("added", None, f"{name} does not belong to the pack")


def check_export(
    report: Report, entries: list[Proven], manifest: dict[str, Any], digest: str
) -> None:
    """The entry that fixes the manifest, and that no entry was left out or slipped in."""
    naming = [e for e in entries if e.kind == "evidence.export" and e.body["manifest"] == digest]
    if len(naming) != 1:
        report.fault("altered", None, "manifest.json is not the one its ledger entry names")
        return
    export = naming[0]
    stated = (manifest["attempt"], manifest["reason"], manifest["made_by"])
    if (export.body["attempt"], export.body["reason"], export.actor) != stated:
        report.fault("altered", export.index, "manifest.json and its ledger entry disagree")
    there = {e.leaf for e in entries if e is not export}
    for leaf in set(manifest["entries"]) - there:
        report.fault("deleted", None, f"the ledger entry {leaf[:16]}… was removed")
    for entry in entries:
        if entry is not export and entry.leaf not in manifest["entries"]:
            report.fault("added", entry.index, f"entry {entry.index} does not belong to the pack")


# ---------------------------------------------------------------- evidence pack: what it says


@dataclass
class Dossier:
    """A pack whose bytes are intact, read for what its members and entries say of one call."""

    report: Report
    members: Members
    manifest: dict[str, Any]
    entries: list[Proven]

    def json(self, name: str) -> Any:
        return json.loads(self.members[name])

    def last(self, kind: str) -> Proven | None:
        """The call's newest entry of this kind."""
        found = [e for e in self.entries if e.kind == kind and e.body.get("attempt") == self.call]
        return found[-1] if found else None

    @property
    def call(self) -> str:
        return str(self.manifest["attempt"])

    def bind(self, what: str, holds: bool, member: str, entry: Proven) -> None:
        if holds:
            self.report.bound.append(what)
        else:
            where = f"{entry.kind}, entry {entry.index}"
            self.report.fault("commitment", entry.index, f"{member} is not what {where} fixed")

    def fixed(self, what: str, member: str, entry: Proven | None, field: str) -> str:
        """What ``entry`` says of ``member``; empty, with a note, where one of both is not there."""
        stated = "" if entry is None else str(entry.body.get(field) or "")
        if stated and member not in self.members:
            self.report.notes.append(f"not in this pack: the {what} that an entry fixes")
            return ""
        if member in self.members and not stated:
            self.report.notes.append(f"{member} is fixed by this export, by no entry of the call")
        return stated

    # ------------------------------------------------------------ before the call

    def check_home(self) -> None:
        for entry in self.entries:
            if entry.kind == "home.init":
                fields = ("home", "tenant", "company")
                same = all(entry.body[name] == self.manifest[name] for name in fields)
                self.bind("home", same, "manifest.json", entry)
        if self.manifest["home"] == "demo":
            self.report.notes.append("DEMO: a home that can only call its own simulator made this")

    def check_decision(self) -> None:
        entry = self.last("attempt.authorise")
        if entry is None:
            self.report.fault("missing", None, "no entry says that this call was permitted")
            return
        body = entry.body
        for what, member, name in (
            ("request", "request.json", "inputs"),
            ("decision", "decision.json", "decision"),
            ("rulebook", "rulebook.json", "rulebook"),
        ):
            stated = self.fixed(what, member, entry, name)
            if stated:
                found = hashlib.sha256(self.members[member]).hexdigest()
                self.bind(what, found == stated, member, entry)
        if "decision.json" in self.members:
            decision = self.json("decision.json")
            same = (decision["attempt"], decision["rulebook"], decision["inputs"])
            fits = same == (self.call, body["rulebook"], body["inputs"]) and decision["permitted"]
            self.bind("permission", bool(fits), "decision.json", entry)
        self._check_number(entry)
        self._check_script(entry)

    def _check_number(self, entry: Proven) -> None:
        if "consent.json" not in self.members:
            return
        consent = self.json("consent.json")
        key = self.json("commitments.json").get("number", "")
        if key:
            fits = opens(key, consent["number"].encode(), entry.body["number"])
            self.bind("number", fits, "consent.json", entry)
        if "request.json" in self.members:
            request = self.json("request.json")
            same = consent["number"] == request["contact"]["number"]
            same = same and consent["consents"] == request["consents"]
            self.bind("consent", same, "consent.json", entry)
            if "line.json" in self.members:
                self.bind("line", self.json("line.json") in request["lines"], "line.json", entry)

    def _check_script(self, entry: Proven) -> None:
        if not self.fixed("script", "script.yaml", entry, "script"):
            return
        signed = self.json("script.json")
        text = hashlib.sha256(self.members["script.yaml"]).hexdigest()
        lines = f"candor-script/1\n{text}\n{signed['flow_digest']}\n{signed['audio_digest']}\n"
        digest = hashlib.sha256(lines.encode()).hexdigest()
        self.bind("script", digest == entry.body["script"], "script.yaml", entry)
        mine = [e for e in self.entries if e.body.get("version") == signed["version"]]
        authors = {e.actor for e in mine if e.kind == "script.submit"}
        for approval in mine:
            if approval.kind == "script.approve":
                fits = approval.body["digest"] == digest and approval.actor not in authors
                fits = fits and approval.actor == signed["approved_by"]
                self.bind("sign-off", fits, "script.json", approval)

    def check_papers(self) -> None:
        """Papers of supplier, line, data partner, campaign, purpose and script, as filed."""
        if "papers.json" not in self.members:
            return
        added = {e.body.get("paper"): e for e in self.entries if e.kind == "paper.add"}
        for row in self.json("papers.json"):
            entry = added.get(row["id"])
            if entry is None:
                why = f"papers.json names paper {row['id']}, which no entry filed"
                self.report.fault("missing", None, why)
                continue
            body = entry.body
            told = (row["kind"], row["owner_kind"], row["owner"], row["sha256"], row["valid_until"])
            fixed = (body["paper_kind"], body["owner_kind"], body["owner"], body["sha256"])
            self.bind("papers", told == (*fixed, body["until"]), "papers.json", entry)

    # ------------------------------------------------------------ the call itself

    def check_record(self) -> None:
        finish = self.last("call.finish")
        key = self.json("commitments.json").get("transcript", "")
        for what, member, name, mark in (
            ("transcript", "transcript.json", "transcript", b""),
            ("keys pressed", "keys.json", "keys", b"keys\n"),
            ("record", "call.json", "record", b"record\n"),
        ):
            stated = self.fixed(what, member, finish, name)
            if stated and finish is not None:
                fits = opens(key, mark + self.members[member], stated)
                self.bind(what, fits, member, finish)
        settle = self.last("attempt.correct") or self.last("attempt.settle")
        if finish is None and settle is not None:
            same = self.json("call.json")["outcome"] == settle.body["outcome"]
            self.bind("outcome", same, "call.json", settle)

    def tracks(self) -> dict[str, tuple[Proven, list[Any]]]:
        """What the ledger says of each kept track: digests, samples; the newest segment counts."""
        live: dict[str, tuple[Proven, list[Any]]] = {}
        for entry in self.entries:
            if entry.body.get("attempt") == self.call:
                live |= {str(row[0]): (entry, row) for row in entry.body.get("objects") or ()}
            for name in entry.body.get("destroyed") or ():
                live.pop(str(name), None)
        return {str(row[3]): (e, row) for e, row in sorted(live.values(), key=lambda t: t[1][4])}

    def check_recording(self, opened: Path | None) -> None:
        tracks, sealed = self.tracks(), self.manifest["sealed"]
        name, data = "recording.wav", self.members.get("recording.wav")
        if sealed is not None and opened is None:
            self.report.notes.append(
                f"the recording is sealed to {sealed['to']}: open it, give it by --recording"
            )
            return
        if opened is not None:
            try:
                name, data = opened.name, opened.read_bytes()
            except OSError as error:
                raise Unusable(f"--recording cannot be read: {error}") from None
            if sealed is None:
                raise Unusable("--recording is for a pack whose recording is sealed to somebody")
            if hashlib.sha256(data).hexdigest() != sealed["sha256"]:
                self.report.fault("altered", None, f"{name} is not the recording that was sealed")
                return
        if data is None:
            if tracks:
                self.report.notes.append("not in this pack: the recording that an entry fixes")
            return
        for side, track in enumerate(("callee", "bot")):
            sound = alaw_of(data, side)
            if track not in tracks:
                if sound is None or sound:
                    why = f"no entry fixes the {track} side of {name}"
                    self.report.fault("commitment", None, why)
                continue
            entry, row = tracks[track]
            fits = sound is not None and len(sound) == row[6]
            fits = fits and hashlib.sha256(sound or b"").hexdigest() == row[2]
            self.bind(f"sound of the {track}", fits, f"the {track} side of {name}", entry)
            self.report.objects += fits
            if not row[7]:
                self.report.notes.append(f"the {track} side ends where a crash cut it off")


def opens(key: str, value: bytes, commitment: str) -> bool:
    return hmac.digest(bytes.fromhex(key), value, "sha256").hex() == commitment


def _levels() -> dict[int, int]:
    """The sample each A-law code stands for (ITU-T G.711), turned round: sample to code."""
    levels = {}
    for code in range(256):
        bits = code ^ 0x55
        power, step = bits >> 4 & 7, (bits & 15) * 16
        size = step + 8 if power == 0 else step + 264 << power - 1
        levels[size if bits & 0x80 else -size] = code
    return levels


def alaw_of(wav: bytes, side: int) -> bytes | None:
    """One side of an 8 kHz stereo WAV file as A-law; silence that filled it up is left out.

    None: it is no such file, or holds samples that no A-law code stands for.
    """
    at, form, sound = 12, b"", b""
    if wav[:4] != b"RIFF" or wav[8:12] != b"WAVE":
        return None
    while at + 8 <= len(wav):
        size = int.from_bytes(wav[at + 4 : at + 8], "little")
        chunk = wav[at + 8 : at + 8 + size]
        form = chunk if wav[at : at + 4] == b"fmt " else form
        sound = chunk if wav[at : at + 4] == b"data" else sound
        at += 8 + size + size % 2
    if form != struct.pack("<HHIIHH", 1, 2, 8000, 32000, 4, 16) or len(sound) % 4:
        return None
    samples = array.array("h", sound)
    if sys.byteorder == "big":
        samples.byteswap()
    mine, levels = samples[side::2], _levels()
    end = len(mine)
    while end and mine[end - 1] == 0:  # no A-law code stands for zero
        end -= 1
    try:
        return bytes(map(levels.__getitem__, mine[:end]))
    except KeyError:
        return None


# ---------------------------------------------------------------- evidence pack: all of it


def verify_pack(
    path: Path,
    key: str | None = None,
    checkpoints: Iterable[str] = (),
    recording: Path | None = None,
    ledger: Path | None = None,
) -> Report:
    """Check an evidence pack; never raises for a fault, only :class:`Unusable`."""
    report = Report("evidence")
    trusted = None if key is None else trusted_fingerprint(key)
    members = read_pack(path, report)
    for name in ("manifest.json", "ledger.json"):
        if name not in members:
            report.fault("missing", None, f"{name} is not in the pack")
            return report
    where = "ledger.json"
    try:
        entries, note, public, grown = read_proofs(members["ledger.json"], report)
        accept_signer(report, public, trusted)
        if check_signature(report, note, public, "the checkpoint"):
            report.signed = len(entries)
        where = "manifest.json"
        manifest = json.loads(members["manifest.json"])
        check_export(
            report, entries, manifest, hashlib.sha256(members["manifest.json"]).hexdigest()
        )
        report.call = str(manifest["attempt"])
        check_members(report, members, manifest)
        if not report.faults:  # what the members say counts only once their bytes are intact
            where = "a member"
            dossier = Dossier(report, members, manifest, entries)
            dossier.check_home()
            dossier.check_decision()
            dossier.check_papers()
            dossier.check_record()
            dossier.check_recording(recording)
            where = "stamp.note"
            check_pack_stamp(report, members, entries, note, public, grown)
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError):
        report.fault("malformed", None, f"{where} is not what a pack holds there")
        return report
    for outside, other in outside_notes(checkpoints):
        _compare(report, note, outside, other, public)
    if ledger is not None:
        _compare_ledger(report, ledger, key, entries, note)
    return report


def _compare(report: Report, note: Note, outside: str, other: Note, public: bytes) -> None:
    """An outside checkpoint against the pack's: of one size they must be one."""
    if not check_signature(report, other, public, outside):
        return
    if other.size == note.size and other.root != note.root:
        report.fault("forked", note.size, f"{outside} has another root than the pack's checkpoint")
    elif other.size != note.size:
        report.notes.append(
            f"{outside} is of {other.size} entries, the pack's of {note.size}: give --ledger too"
        )


def _compare_ledger(
    report: Report, path: Path, key: str | None, entries: list[Proven], note: Note
) -> None:
    """The whole ledger: it must grow from the pack's tree, and tell no more of the call."""
    whole, export = verify_ledger(path, key)
    report.faults += whole.faults
    if whole.signer != report.signer:
        report.fault("wrong_key", None, "the ledger is signed by another key than the pack")
    if len(export.leaves) < note.size:
        report.fault("truncated", len(export.leaves), "the ledger is shorter than the pack's tree")
        return
    tree = Tree()
    for leaf in export.leaves[: note.size]:
        tree.add(leaf)
    if tree.root() != note.root:
        report.fault("forked", note.size, "the pack's checkpoint is not of this ledger")
    inside = {entry.index for entry in entries}
    for index, kind in export.about.get(report.call, ()):
        if index < note.size and index not in inside:
            report.fault("deleted", index, f"the pack leaves out entry {index}, {kind}")


# ---------------------------------------------------------------- proofs alone


TLOG_PROOF = "c2sp.org/tlog-proof@v1"


def verify_inclusion(path: Path, key: str | None = None) -> Report:
    """One entry's proof as C2SP tlog-proof; its extra line holds entry and key."""
    report = Report("inclusion", checkpoints=1)
    trusted = None if key is None else trusted_fingerprint(key)
    try:
        text = path.read_text("utf-8")
        proof, gap, tail = text.partition("\n\n")
        lines, note = proof.split("\n"), parse_note(tail)
        if not gap or not lines[1].startswith("extra ") or not lines[2].startswith("index "):
            raise ValueError("tlog-proof")
        extra = json.loads(raw := unbase64(lines[1][6:]))
        content, public = unbase64(extra["entry"]), parse_verifier_key(extra["key"])
        index, hashes = int(lines[2][6:]), [unbase64(line) for line in lines[3:]]
        if canonical(extra) != raw or lines[0] != TLOG_PROOF or str(index) != lines[2][6:]:
            raise ValueError("tlog-proof")
    except (OSError, ValueError, KeyError, TypeError, IndexError, RecursionError):
        raise Unusable("this is not a proof that `candor ledger prove` wrote") from None
    accept_signer(report, public, trusted)
    leaf = hashlib.sha256(b"\x00" + content).digest()
    if not is_included(leaf, index, note.size, hashes, note.root):
        report.fault("edited", index, f"entry {index} is not in the signed tree of {note.size}")
    if check_signature(report, note, public, "the checkpoint"):
        report.entries = report.signed = 1
    report.notes.append(f"entry {index}: {content.decode('utf-8', 'replace')}")
    return report


def verify_consistency(path: Path, key: str | None = None) -> Report:
    """Two checkpoints and the proof that the newer tree only added to the older one."""
    report = Report("consistency", checkpoints=2)
    trusted = None if key is None else trusted_fingerprint(key)
    try:
        data = json.loads(raw := path.read_bytes())
        if canonical(data) + b"\n" != raw or data["format"] != "candor-consistency/1":
            raise ValueError("consistency")
        old, new = parse_note(data["old"]), parse_note(data["new"])
        public = parse_verifier_key(data["key"])
        hashes = [unbase64(line) for line in data["proof"]]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        raise Unusable("this is not a proof that `candor ledger consistency` wrote") from None
    accept_signer(report, public, trusted)
    signed = [check_signature(report, n, public, f"the checkpoint at {n.size}") for n in (old, new)]
    if old.origin != new.origin or not is_prefix(old, new, hashes):
        why = f"the tree of {new.size} did not grow from that of {old.size}"
        report.fault("forked", old.size, why)
    report.entries, report.signed = new.size, new.size if all(signed) else 0
    return report


# ---------------------------------------------------------------- command line

WORDS = {0: "valid", 1: "invalid", 3: "consistent, signer unproven"}


def show(report: Report) -> None:
    print(WORDS[report.status].upper())
    if report.what == "evidence":
        print(f"  call         {report.call}")
        print(f"  members      {report.members} as the manifest names them")
        print(f"  bound        {', '.join(report.bound)}")
        print(f"  recordings   {report.objects} tracks compared with the ledger")
    elif report.what == "ledger":
        print(f"  recordings   {report.objects} sealed objects compared")
    print(f"  entries      {report.entries} ({report.signed} under a signed checkpoint)")
    print(f"  checkpoints  {report.checkpoints}")
    if report.stamps:
        name, what = "checkpoint-SIZE", f"{report.stamps} checkpoints, the newest at"
        if report.what == "evidence":
            name, what = "stamp", f"{report.stamped} entries were there at"
        print(f"  time stamp   {what} {report.stamped_at}, as claimed; check with")
        print(f"               openssl ts -verify -in {name}.tsr -data {name}.note -CAfile CA.pem")
    print(f"  signer       {report.signer}")
    for fault in report.faults[:FAULTS_SHOWN]:
        print(f"  FAULT {fault.kind}: {fault.message}")
    if len(report.faults) > FAULTS_SHOWN:
        print(f"  and {len(report.faults) - FAULTS_SHOWN} more faults")
    for note in report.notes:
        print(f"  note: {note}")


def is_pack(path: Path) -> bool:
    if path.suffix.lower() == ".zip":
        return True
    try:
        with path.open("rb") as file:
            return file.read(2) == b"PK"
    except OSError:
        return False


def check(given: argparse.Namespace) -> Report:
    """The file, by what it is."""
    path: Path = given.file
    if is_pack(path):
        return verify_pack(path, given.key, given.checkpoint, given.recording, given.ledger)
    if path.suffix == ".tlog-proof":
        return verify_inclusion(path, given.key)
    if path.suffix == ".json":
        return verify_consistency(path, given.key)
    return verify(path, given.key, given.checkpoint, given.objects)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Verify what Candor exports.")
    option = parser.add_argument
    option("file", type=Path, help="a ledger, an evidence pack (.zip) or a proof")
    option("--key", help="fingerprint or public key of the signer, or a file with it")
    option("--checkpoint", action="append", default=[], help="an outside note, or a folder of them")
    option("--objects", type=Path, help="of a ledger: folder of the sealed recordings")
    option("--recording", type=Path, help="of a pack: its sealed recording, opened")
    option("--ledger", type=Path, help="of a pack: the whole ledger, to see what was left out")
    option("--json", action="store_true", help="write the result as JSON")
    given = parser.parse_args(arguments)
    try:
        report = check(given)
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
