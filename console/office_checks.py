# SPDX-License-Identifier: GPL-3.0-or-later
"""What the doctor says of adopted law, exams and trainings; reads only (G1, G3, G4)."""

from __future__ import annotations

from collections.abc import Iterator

from compliance.facts import HomeKind, Role
from console.diagnosis import Diagnosis, fail, ok, warn
from dialer.law import rulebook_of, wording_digest
from dialer.settings import Home
from storage.exams import ExamState
from storage.store import Store

_COUNTS = (ExamState.VALID, ExamState.ENDS_SOON)


def law(home: Home, store: Store) -> Iterator[Diagnosis]:
    """Whether the rulebook in use is the adopted one."""
    rulebook, adopted = rulebook_of(home, store), store.law.adopted()
    if not rulebook.policy.adopted_law:
        yield ok("law", "unasked")
    elif adopted is None:
        yield fail("law", "never")
    elif adopted.rulebook != rulebook.digest:
        yield fail("law", "changed")
    elif adopted.wording != wording_digest(home):
        yield warn("law", "wording")
    else:
        by = store.people.names().get(adopted.by, adopted.by)
        yield ok("law", by=by, day=f"{adopted.at:%Y-%m-%d}")


def exam(store: Store) -> Iterator[Diagnosis]:
    """Whether somebody may launch, and who may not work."""
    if store.home is HomeKind.LAB:
        yield ok("exam", "unasked")
        return
    people = store.exams.in_office()
    for role in (Role.OPERATOR, Role.COMPLIANCE):
        if not any(role in one.roles and one.state in _COUNTS for one in people):
            yield fail("exam", "nobody")
            break
    lacking = [one.name for one in people if one.state not in _COUNTS]
    soon = [one.name for one in people if one.state is ExamState.ENDS_SOON]
    if lacking:
        yield warn("exam", "lacking", people=", ".join(lacking))
    if soon:
        yield warn("exam", "soon", people=", ".join(soon))
    if not lacking and not soon:
        yield ok("exam", count=len(people))


def training(store: Store) -> Iterator[Diagnosis]:
    """Who is overdue."""
    late = [one.name for one in store.trainings.due() if one.overdue]
    if late:
        yield warn("training", "overdue", people=", ".join(late))
    else:
        yield ok("training")
