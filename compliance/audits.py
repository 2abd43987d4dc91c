# SPDX-License-Identifier: GPL-3.0-or-later
"""The monthly audit: what is asked, and a sample nobody can choose (G2).

The seed comes from the month and the first checkpoint of the ledger after its end, which
nobody knows before. Each thing's rank is a hash of the seed and its id, so that the same
population gives the same sample on any machine.
"""

from __future__ import annotations

import enum
import hashlib
import heapq
import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from compliance.errors import BadInput
from compliance.facts import Evolve
from compliance.mapping import Fields

FORMAT = "candor-checklist/1"
FEW, MOST = 10, 50
_ID = re.compile(r"[a-z0-9_]{1,32}")
_MONTH = re.compile(r"[0-9]{4}-(0[1-9]|1[0-2])")


class Stratum(enum.StrEnum):
    """What is drawn from; ``month`` is the month as a whole, asked once."""

    MONTH = "month"
    CONTACT = "contact"  # imported or called in the month: where from, and with which consent
    RECORDING = "recording"  # of calls answered in the month
    COMPLAINT = "complaint"  # received in the month


class Answer(enum.StrEnum):
    """One answer of the checklist."""

    YES = "yes"
    NO = "no"  # a finding: it opens a case
    NOT_APPLICABLE = "na"


@dataclass(frozen=True, slots=True)
class Question(Evolve):
    id: str
    about: Stratum
    requirements: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Checklist(Evolve):
    """The questions of one edition; ``digest`` is the SHA-256 of what was parsed."""

    edition: int
    questions: tuple[Question, ...]
    digest: str

    def about(self, stratum: Stratum) -> tuple[Question, ...]:
        return tuple(q for q in self.questions if q.about is stratum)


def parse_checklist(data: Mapping[str, object]) -> Checklist:
    """Read a checklist.

    Raises:
        PolicyError: unknown or missing key, wrong type, an id twice, a stratum without a
            question.
    """
    fields = Fields(data, "checklist")
    fields.choice("format", (FORMAT,))
    edition = fields.integer("edition", low=1, high=9999)
    fields.text("source")
    questions = []
    for part in fields.sections("questions", empty=False):
        name = part.text("id")
        if not _ID.fullmatch(name):
            raise part.error("id", "is up to 32 small letters, digits and _")
        about = Stratum(part.choice("about", tuple(Stratum)))
        questions.append(Question(name, about, part.texts("requirements", empty=False)))
        part.finish()
    fields.finish()
    if len({q.id for q in questions}) < len(questions):
        raise fields.error("questions", "holds an id twice")
    if {q.about for q in questions} != set(Stratum):
        raise fields.error("questions", f"must ask about each of: {', '.join(Stratum)}")
    written = json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return Checklist(edition, tuple(questions), hashlib.sha256(written.encode()).hexdigest())


def month_of(written: str) -> str:
    """Raises BadInput: not a month like 2026-11."""
    if not _MONTH.fullmatch(written):
        raise BadInput("is no month", field="month", remedy="write it like 2026-11")
    return written


def seed_of(month: str, size: int, root: str) -> str:
    """The seed as 64 hex digits. ``root``: of the checkpoint of ``size`` entries, in hex."""
    return hashlib.sha256(f"candor-audit/1|{month}|{size}|{root}".encode()).hexdigest()


def size_of(population: int) -> int:
    """How many are drawn of so many: all up to 10, then the square root, at least 10 and at
    most 50."""
    return min(population, max(FEW, math.isqrt(max(population - 1, 0)) + 1), MOST)


@dataclass(frozen=True, slots=True)
class Drawn(Evolve):
    """The sample of one stratum, in its order; ``digest`` is the SHA-256 of every id it was
    drawn from, sorted, each followed by a line feed."""

    sample: tuple[str, ...]
    population: int
    digest: str


def draw(seed: str, stratum: Stratum, ids: Iterable[str]) -> Drawn:
    """Draw from ``ids``, which come sorted and once each."""
    whole, count = hashlib.sha256(), 0

    def ranked() -> Iterable[tuple[bytes, str]]:
        nonlocal count
        for name in ids:
            count += 1
            whole.update(f"{name}\n".encode())
            yield hashlib.sha256(f"{seed}|{stratum}|{name}".encode()).digest(), name

    lowest = heapq.nsmallest(MOST, ranked())
    chosen = tuple(name for _, name in lowest[: size_of(count)])
    return Drawn(chosen, count, whole.hexdigest())


def launched_by_signer(signer: str, launchers: Iterable[str], officers: Sequence[str]) -> bool:
    """Whether the signer launched what they audit while another officer, who did not, could
    sign instead."""
    by = set(launchers)
    return signer in by and any(officer not in by for officer in officers)
