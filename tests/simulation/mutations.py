# SPDX-License-Identifier: GPL-3.0-or-later
"""Faults planted in the gate, one after the other: the judge must complain about each.

``python -m tests.simulation.mutations [RULE …]`` takes one rule out at a time, lets a small
quarter run in which the gate alone stands before the INVITE, and prints what the judge saw.
Exit code 1 if it saw nothing of a fault that it should see.
"""

from __future__ import annotations

import contextlib
import sys
from collections import Counter
from collections.abc import Iterator
from typing import Any

from rich.console import Console

from compliance import gate
from compliance.rules import LINE_RULES, RULES, LineRule, Rule
from tests.simulation.run import simulate

SEED, ATTEMPTS = 5, 2_000

ONE_HOME = "the simulated home is a production home"
NOT_PLAYED = "not played: its facts stay as they are all quarter; tests/unit/compliance judges it"
UNSEEN = {
    "unlisted_lab_address": ONE_HOME,
    "line_for_another_home": "a simulator's or a lab's line is no carrier's AI line either: "
    "line_not_whitelisted refuses it as well",
    "unproven_data_partner": NOT_PLAYED,
    "registry_not_looked_up": NOT_PLAYED,
    "on_registry": NOT_PLAYED,
    "rulebook_not_adopted": NOT_PLAYED,
    "own_number_over_cap": NOT_PLAYED,
    "own_number_resting": NOT_PLAYED,
}
"""Rules whose absence this judge cannot see, and why."""


def _pass(*_: Any) -> None:
    return None


@contextlib.contextmanager
def without(rule: Rule | LineRule) -> Iterator[None]:
    """The gate with a rule that passes everything in place of ``rule``."""
    judge = rule.judge
    object.__setattr__(rule, "judge", _pass)
    try:
        yield
    finally:
        object.__setattr__(rule, "judge", judge)


@contextlib.contextmanager
def permits_past_the_hour() -> Iterator[None]:
    """Permits that hold five seconds whatever ends meanwhile."""
    holds = gate._holds_s
    gate._holds_s = lambda *_: 5.0  # type: ignore[assignment]
    try:
        yield
    finally:
        gate._holds_s = holds


def seen(rule: Rule | LineRule, *, attempts: int = ATTEMPTS) -> Counter[str]:
    """What the judge says of a quarter without ``rule``."""
    with without(rule):
        result = simulate(SEED, attempts, careful=False, at_once=True)
    return Counter(reason for reason, _ in result.violations)


def seen_at_once(*, attempts: int = ATTEMPTS) -> Counter[str]:
    """The whole gate, and no time in which anything could change: nothing to complain of."""
    result = simulate(SEED, attempts, careful=False, at_once=True)
    return Counter(reason for reason, _ in result.violations)


def seen_without_second_look(*, attempts: int = ATTEMPTS) -> Counter[str]:
    """The whole gate, but a store that commits what the gate said moments before."""
    result = simulate(SEED, attempts, careful=False)
    return Counter(reason for reason, _ in result.violations)


def seen_past_the_hour(*, attempts: int = ATTEMPTS) -> Counter[str]:
    with permits_past_the_hour():
        result = simulate(SEED, attempts)
    return Counter(reason for reason, _ in result.violations)


def main(names: list[str]) -> int:
    console = Console(width=None if sys.stdout.isatty() else 130)
    wrong: list[str] = []

    def tell(fault: str, found: Counter[str], *, expected: bool, why: str = "") -> None:
        said = ", ".join(f"{reason} {count}" for reason, count in found.most_common())
        console.print(f"{fault}: {found.total():,} seen. {said or why}", highlight=False)
        if bool(found) is not expected and not (why and expected):
            wrong.append(fault)

    console.print(f"faults planted, {ATTEMPTS:,} attempts each")
    tell("nothing", seen_at_once(), expected=False)
    for rule in (*RULES, *LINE_RULES):
        if not names or rule.name in names:
            why = UNSEEN.get(rule.name, "")
            tell(f"without {rule.name}", seen(rule), expected=True, why=why)
    if not names:
        tell("without the store's second look", seen_without_second_look(), expected=True)
        tell("permits past the hour", seen_past_the_hour(), expected=True)
    for fault in wrong:
        console.print(f"NOT AS IT SHOULD BE: {fault}", highlight=False)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
