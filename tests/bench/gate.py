# SPDX-License-Identifier: GPL-3.0-or-later
"""Decisions of the gate on one core, with the whole rulebook, and where their time goes.

The gate is pure: a request holds one number's facts, so the size of the contact table cannot
reach it. What could grow with it is how a claim gathers them: see ``transactions``.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path

from compliance.canonical import canonical, digest
from compliance.clock import VirtualClock
from compliance.facts import DialRequest, Number
from compliance.gate import authorize, recheck
from compliance.permits import Permit
from compliance.rulebook import Rulebook
from compliance.rules import LINE_RULES, RULES
from tests.bench.figures import Figure, Sizes
from tests.unit.compliance.builders import (
    NOW,
    allowed_request,
    attempt,
    consent,
    line,
    shipped_rulebook,
)

_REQUESTS = 5_000
_ROUNDS = 7  # the quickest counts: what else the machine does only ever slows a round down


def measure(folder: Path, sizes: Sizes) -> list[Figure]:
    # As a preview has them: script, campaign and lines are the same objects in all of them.
    shared = _requests(own=False)
    # As single claims have them, read from the database one by one.
    own = _requests(own=True)
    one, two = shipped_rulebook(), shipped_rulebook("cn_seed", "fr")
    rules = f"{len(RULES)} rules and {len(LINE_RULES)} for each of 2 lines"
    whole = _seconds(lambda r: recheck(r, one, NOW), shared)
    written = _seconds(lambda r: digest(canonical(r)), shared)
    return [
        _rate("gate: decisions, one core", whole, rules),
        _rate("gate: the same, two profiles", _seconds(lambda r: recheck(r, two, NOW), shared)),
        _rate("gate: the same, nothing shared", _seconds(lambda r: recheck(r, one, NOW), own)),
        _rate("gate: with the permit", _permits(shared, one)),
        _part("gate: a decision", whole),
        _part("gate: of it canonical bytes and SHA-256", written),
        _part("gate: of it rules and findings", whole - written),
    ]


def _requests(*, own: bool) -> list[DialRequest]:
    """Requests for different numbers, with no to three earlier calls, all to be permitted."""
    first = allowed_request(
        lines=(line(), line(id="line-2", carrier="mobile", caller_id="+861055550001")),
        salt="ab" * 16,
    )
    made = []
    for i in range(_REQUESTS):
        calls = tuple(attempt(timedelta(days=2 + k, seconds=i)) for k in range(i % 4))
        request = first.evolve(
            attempt_id=f"{i:032x}",
            contact=first.contact.evolve(id=f"{i:032x}", number=Number(f"+86139{i:08}")),
            consents=(consent(id=f"{i:032x}"),),
            attempts=calls,
        )
        if own:
            request = request.evolve(
                script=request.script.evolve(),
                campaign=request.campaign.evolve(),
                lines=tuple(one.evolve() for one in request.lines),
            )
        made.append(request)
    return made


def _permits(requests: Sequence[DialRequest], rulebook: Rulebook) -> float:
    clock = VirtualClock(NOW)

    def permit(request: DialRequest) -> None:
        assert isinstance(authorize(request, rulebook, clock), Permit)

    return _seconds(permit, requests)


def _seconds(act: Callable[[DialRequest], object], requests: Sequence[DialRequest]) -> float:
    """Processor seconds for one request, in the quickest round."""
    best = float("inf")
    for _ in range(_ROUNDS):
        began = time.process_time()
        for request in requests:
            act(request)
        best = min(best, time.process_time() - began)
    return best / len(requests)


def _rate(what: str, seconds: float, beside: str = "") -> Figure:
    return Figure(what, 1 / seconds, "decisions/s", _REQUESTS, beside)


def _part(what: str, seconds: float) -> Figure:
    return Figure(what, seconds * 1e6, "µs", _REQUESTS)
