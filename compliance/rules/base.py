# SPDX-License-Identifier: GPL-3.0-or-later
"""What a rule is: a function that finds a breach, with requirement, source and messages.

A rule is named after what it forbids and returns a :class:`Breach` or None; the
decorator turns that into a :class:`~compliance.facts.Finding`. Every reason a rule
may give is declared, so that the message catalogues can be checked for holes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache

from compliance.facts import DialRequest, Finding, LineFacts
from compliance.rulebook import Rulebook


@dataclass(frozen=True, slots=True)
class Breach:
    """Why a rule refuses: one of the rule's declared reasons, and what to say about it.

    ``params`` never hold personal data. ``earliest`` is set where time alone would
    mend it; ``requirement`` and ``source`` replace the rule's own where they differ.
    """

    why: str
    params: tuple[tuple[str, str], ...] = ()
    earliest: datetime | None = None
    requirement: str = ""
    source: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class _Named:
    name: str
    requirement: str
    source: str
    why: tuple[str, ...]
    passed: Finding = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(
            self,
            "passed",
            Finding(self.name, self.requirement, True, f"rule.{self.name}", source=self.source),
        )

    @property
    def message_ids(self) -> tuple[str, ...]:
        """What it forbids, then one id for each reason it may give."""
        return (f"rule.{self.name}", *(f"rule.{self.name}.{why}" for why in self.why))

    def finding(self, breach: Breach, line: str = "") -> Finding:
        if breach.why not in self.why:
            raise ValueError(f"{self.name} gave an undeclared reason")
        return Finding(
            rule=self.name,
            requirement=breach.requirement or self.requirement,
            passed=False,
            message=f"rule.{self.name}.{breach.why}",
            params=breach.params,
            source=breach.source or self.source,
            earliest=breach.earliest,
            line=line,
        )


@dataclass(frozen=True, slots=True, eq=False)
class Rule(_Named):
    """A rule about the request as a whole: ``rule(request, rulebook, now) -> Finding``."""

    judge: Callable[[DialRequest, Rulebook, datetime], Breach | None]

    def __call__(self, request: DialRequest, rulebook: Rulebook, now: datetime) -> Finding:
        breach = self.judge(request, rulebook, now)
        return self.passed if breach is None else self.finding(breach)


@dataclass(frozen=True, slots=True, eq=False)
class LineRule(_Named):
    """A rule about one line: ``rule(request, line, rulebook, now) -> Finding``."""

    judge: Callable[[DialRequest, LineFacts, Rulebook, datetime], Breach | None]

    def __call__(
        self, request: DialRequest, line: LineFacts, rulebook: Rulebook, now: datetime
    ) -> Finding:
        breach = self.judge(request, line, rulebook, now)
        if breach is None:
            return all_passed_on((self,), line.id)[0]
        return self.finding(breach, line.id)


@lru_cache(maxsize=64)
def all_passed(rules: tuple[Rule, ...]) -> tuple[Finding, ...]:
    """What is found where every rule passes; made once, as rules do not change."""
    return tuple(rule.passed for rule in rules)


@lru_cache(maxsize=4096)
def all_passed_on(rules: tuple[LineRule, ...], line: str) -> tuple[Finding, ...]:
    """The same for one line; lines are few."""
    return tuple(rule.passed.evolve(line=line) for rule in rules)


def forbids(
    requirement: str, *, source: str, why: tuple[str, ...]
) -> Callable[[Callable[[DialRequest, Rulebook, datetime], Breach | None]], Rule]:
    """Make a rule of a function; its name says what is forbidden."""

    def make(judge: Callable[[DialRequest, Rulebook, datetime], Breach | None]) -> Rule:
        return Rule(judge.__name__, requirement, source, why, judge)

    return make


def forbids_line(
    requirement: str, *, source: str, why: tuple[str, ...]
) -> Callable[[Callable[[DialRequest, LineFacts, Rulebook, datetime], Breach | None]], LineRule]:
    """The same for a rule about one line."""

    def make(
        judge: Callable[[DialRequest, LineFacts, Rulebook, datetime], Breach | None],
    ) -> LineRule:
        return LineRule(judge.__name__, requirement, source, why, judge)

    return make


def seconds(at: datetime) -> str:
    """A time as a message parameter: UTC, whole seconds."""
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")
