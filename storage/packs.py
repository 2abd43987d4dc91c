# SPDX-License-Identifier: GPL-3.0-or-later
"""The evidence pack as a file: ``docs/formats/evidence.md``; pure.

A pack is written in one way only, so that a verifier can write it again from
its members and compare every byte: nothing hides in a header or behind the end.
"""

from __future__ import annotations

import base64
import json
import re
import struct
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from compliance.errors import BadInput
from compliance.facts import Evolve

MANIFEST, LEDGER = "manifest.json", "ledger.json"
STAMP, STAMPED_NOTE, STAMP_CERTIFICATE = "stamp.tsr", "stamp.note", "stamp.pem"
MANIFEST_FORMAT, LEDGER_FORMAT = "candor-evidence/1", "candor-evidence-ledger/1"
BYTES_MAX = 2**31 - 1
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_DATE = 0x21  # 1980-01-01, the first a ZIP file can say
_MADE_BY = 0x0314  # Unix, ZIP 2.0
_NEEDS = 10  # ZIP 1.0: stored files
_MODE = 0o100600 << 16


@dataclass(frozen=True, slots=True)
class ProvenEntry(Evolve):
    """A ledger entry with its inclusion proof (hashes of 32 bytes, leaf side first)."""

    index: int
    data: bytes
    proof: tuple[bytes, ...]


def canonical(value: object) -> bytes:
    """JSON in its one form: sorted keys, no spaces, UTF-8."""
    return json.dumps(
        value, ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False
    ).encode()


def ledger_member(
    key: str,
    checkpoint: str,
    entries: Iterable[ProvenEntry],
    stamped: Iterable[bytes] | None = None,
) -> bytes:
    """``ledger.json``; ``key`` is the C2SP verifier key, ``checkpoint`` a signed note.

    ``stamped`` proves that its tree grew from that of ``stamp.note``; None: there is none.
    """
    rows = [
        {
            "index": entry.index,
            "bytes": base64.b64encode(entry.data).decode(),
            "proof": [base64.b64encode(node).decode() for node in entry.proof],
        }
        for entry in sorted(entries, key=lambda entry: entry.index)
    ]
    member: dict[str, object] = {
        "format": LEDGER_FORMAT,
        "key": key,
        "checkpoint": checkpoint,
        "entries": rows,
    }
    if stamped is not None:
        member["stamped"] = [base64.b64encode(node).decode() for node in stamped]
    return canonical(member)


def zip_file(members: Mapping[str, bytes]) -> bytes:
    """The members as a ZIP file: by name, stored, of one date, without extra fields.

    Raises:
        BadInput: a name no pack may hold, or more than 2 GiB.
    """
    bodies, directory, offset = [], [], 0
    for name, data in sorted(members.items()):
        if not _NAME.fullmatch(name):
            raise BadInput("a member's name has letters, digits, dots and dashes", field="member")
        label = name.encode()
        common = struct.pack(
            "<HHHHHIIIHH",
            _NEEDS, 0, 0, 0, _DATE, zlib.crc32(data), len(data), len(data), len(label), 0,
        )  # fmt: skip
        local = b"PK\3\4" + common + label
        directory.append(
            b"PK\1\2"
            + struct.pack("<H", _MADE_BY)
            + common
            + struct.pack("<HHHII", 0, 0, 0, _MODE, offset)
            + label
        )
        bodies += [local, data]
        offset += len(local) + len(data)
        if offset > BYTES_MAX:
            raise BadInput(
                "the recording is too long for one pack",
                field="call",
                remedy="write its sound apart with `candor replay --wav`",
            )
    listing = b"".join(directory)
    end = struct.pack("<HHHHIIH", 0, 0, len(directory), len(directory), len(listing), offset, 0)
    return b"".join([*bodies, listing, b"PK\5\6", end])
