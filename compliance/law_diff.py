# SPDX-License-Identifier: GPL-3.0-or-later
"""What changed between two rulebooks, key by key, and whether it is stricter or laxer (T2).

Which of two demands is the stricter is asked of ``combine`` itself, which joins profiles to
the strictest: what the joined policy keeps of one alone is the stricter.
"""

from __future__ import annotations

import dataclasses
import enum
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from compliance.calendar import Calendar
from compliance.evolve import Evolve
from compliance.profiles import Profile, Term
from compliance.rulebook import Policy, Rulebook, combine

TOGETHER = "together"  # the document's name for what all profiles come to
_TEXTS = frozenset({"id", "citations"})  # never a demand of its own
_TERMS_FROM = datetime(2026, 1, 1, tzinfo=UTC)  # terms are compared from some day


class Verdict(enum.StrEnum):
    STRICTER = "stricter"
    LAXER = "laxer"
    OTHER = "other"  # both in part, or neither


@dataclass(frozen=True, slots=True)
class Change(Evolve):
    """One key of one document; ``before`` or ``now`` is empty where it was or is not there."""

    document: str  # a profile's id, `calendar CN 2027`, or TOGETHER
    key: str
    before: str
    now: str
    verdict: Verdict


def changes(before: Rulebook, now: Rulebook) -> tuple[Change, ...]:
    """Everything that differs: first what all profiles come to, then each document."""
    joined = combine((*before.profiles, *now.profiles))
    found = [
        Change(
            TOGETHER, name, plain(old), plain(new), _judge(name, before.policy, now.policy, joined)
        )
        for name, old, new in _differing(before.policy, now.policy)
        if _comparable(old) != _comparable(new)
    ]
    found += _profiles(before, now)
    found += _calendars(before.calendars, now.calendars)
    return tuple(found)


def _differing(old: object, new: object) -> Iterator[tuple[str, Any, Any]]:
    for field in dataclasses.fields(old):  # type: ignore[arg-type]
        was, is_now = getattr(old, field.name), getattr(new, field.name)
        if was != is_now and field.name not in _TEXTS:
            yield field.name, was, is_now


def _judge(name: str, before: Policy, now: Policy, joined: Policy) -> Verdict:
    was, is_now, both = (_comparable(getattr(p, name)) for p in (before, now, joined))
    if both == is_now and both != was:
        return Verdict.STRICTER
    return Verdict.LAXER if both == was and both != is_now else Verdict.OTHER


def _comparable(value: Any) -> Any:
    """Terms of several profiles as the latest end they ask for."""
    if isinstance(value, tuple) and value and isinstance(value[0], Term):
        return max(term.after(_TERMS_FROM) for term in value)
    return value


def _profiles(before: Rulebook, now: Rulebook) -> Iterator[Change]:
    old, new = ({p.id: p for p in law.profiles} for law in (before, now))
    for name in sorted({*old, *new}):
        if name not in old:
            yield Change(name, "profile", "", new[name].title, Verdict.STRICTER)
        elif name not in new:
            yield Change(name, "profile", old[name].title, "", Verdict.LAXER)
        else:
            yield from _profile(old[name], new[name])


def _profile(old: Profile, new: Profile) -> Iterator[Change]:
    one, other = combine([old]), combine([new])
    joined = combine([old, new])
    for key, was, is_now in _differing(old, new):
        known = hasattr(one, key)
        verdict = _judge(key, one, other, joined) if known else Verdict.OTHER
        yield Change(old.id, key, plain(was), plain(is_now), verdict)


def _calendars(
    before: Mapping[tuple[str, int], Calendar], now: Mapping[tuple[str, int], Calendar]
) -> Iterator[Change]:
    for key in sorted({*before, *now}):
        old, new = before.get(key), now.get(key)
        document = f"calendar {key[0]} {key[1]}"
        if old is None and new is not None:  # a year without a table refuses every call
            yield Change(document, "table", "", new.source, Verdict.LAXER)
        elif new is None and old is not None:
            yield Change(document, "table", old.source, "", Verdict.STRICTER)
        elif old is not None and new is not None and old != new:
            yield from _table(document, old, new)


def _table(document: str, old: Calendar, new: Calendar) -> Iterator[Change]:
    for key, was, is_now in _differing(old, new):
        verdict = Verdict.OTHER
        if isinstance(was, frozenset):
            more, less = (was, is_now) if key == "working_days" else (is_now, was)
            if more > less:
                verdict = Verdict.STRICTER
            elif more < less:
                verdict = Verdict.LAXER
        yield Change(document, key, plain(was), plain(is_now), verdict)


def plain(value: Any) -> str:
    """A demand in a few characters, for people."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if value is None or value == () or value == frozenset():
        return "none"
    if isinstance(value, re.Pattern):
        return str(value.pattern).replace(r"\d", "?").replace(r"\+", "+").replace("|", ", ")
    if dataclasses.is_dataclass(value) and "__str__" not in type(value).__dict__:
        parts = ((f.name, getattr(value, f.name)) for f in dataclasses.fields(value))
        said = (f"{name} {plain(part)}" for name, part in parts if part not in ("", False, 0))
        return " ".join(said)
    if isinstance(value, list | tuple):
        return ", ".join(plain(part) for part in value)
    if isinstance(value, frozenset):
        return ", ".join(sorted(plain(part) for part in value))
    if isinstance(value, date):
        return value.isoformat()
    return str(value)
