# SPDX-License-Identifier: GPL-3.0-or-later
"""Lines: which may carry an AI call, with which papers, from which home."""

from __future__ import annotations

from datetime import datetime

from compliance.facts import DialRequest, HomeKind, LineFacts
from compliance.rulebook import Rulebook
from compliance.rules.base import Breach, forbids_line, seconds
from compliance.rules.number import is_local_address

AI_KINDS = frozenset({"ai_line", "5g"})
KINDS = AI_KINDS | {"ordinary", "simulator", "lab"}


def _over(until: datetime | None, now: datetime) -> bool:
    return until is None or until <= now


@forbids_line("C5", source="seed C5", why=("disabled", "unnamed", "twice"))
def disabled_line(
    request: DialRequest, line: LineFacts, rulebook: Rulebook, now: datetime
) -> Breach | None:
    """A line that is switched off, or that a permit could not name without doubt."""
    if not line.id:
        return Breach("unnamed")
    if [other.id for other in request.lines].count(line.id) != 1:
        return Breach("twice")
    return None if line.enabled is True else Breach("disabled")


@forbids_line(
    "C5",
    source="seed C5",
    why=("not_ai_line", "missing", "expired"),
)
def line_not_whitelisted(
    request: DialRequest, line: LineFacts, rulebook: Rulebook, now: datetime
) -> Breach | None:
    """A line the carrier has not listed for AI outbound calls."""
    if "whitelist" not in rulebook.policy.line_papers:
        return None
    until = line.whitelisted_until
    if line.kind in AI_KINDS and until is not None and until > now:
        return None
    source = rulebook.policy.cite("lines")
    if line.kind not in AI_KINDS:
        return Breach("not_ai_line", (("kind", line.kind),), source=source)
    if until is None:
        return Breach("missing", source=source)
    return Breach("expired", (("until", seconds(until)),), source=source)


@forbids_line(
    "C6",
    source="seed C6",
    why=("registration", "filing"),
)
def unregistered_line(
    request: DialRequest, line: LineFacts, rulebook: Rulebook, now: datetime
) -> Breach | None:
    """A line whose real-name registration or script filing is missing or expired."""
    papers = rulebook.policy.line_papers
    for paper, until in (
        ("registration", line.registered_until),
        ("filing", line.filed_until),
    ):
        if paper in papers and _over(until, now):
            return Breach(
                paper,
                (("until", "-" if until is None else seconds(until)),),
                source=rulebook.policy.cite("lines"),
            )
    return None


@forbids_line("D7", source="PIPL art. 51(3); seed D7", why=("no_exception", "expired"))
def plaintext_line(
    request: DialRequest, line: LineFacts, rulebook: Rulebook, now: datetime
) -> Breach | None:
    """Unencrypted SIP or RTP without a recorded exception that is still in date."""
    if line.encrypted is True:
        return None
    until = line.plaintext_exception_until
    if until is None:
        return Breach("no_exception")
    if _over(until, now):
        return Breach("expired", (("until", seconds(until)),))
    return None


@forbids_line(
    "C5",
    source="homes: demo, lab, production",
    why=(
        "unknown_kind",
        "not_simulator",
        "unproven",
        "not_lab",
        "not_local",
        "simulator",
        "lab",
    ),
)
def line_for_another_home(
    request: DialRequest, line: LineFacts, rulebook: Rulebook, now: datetime
) -> Breach | None:
    """A demo home reaches proven simulators only, a lab home local addresses only."""
    if line.kind not in KINDS:
        return Breach("unknown_kind", (("kind", line.kind),))
    if request.home == HomeKind.DEMO:
        if line.kind != "simulator":
            return Breach("not_simulator", (("kind", line.kind),))
        return None if line.simulator_proven is True else Breach("unproven")
    if line.kind == "simulator":
        return Breach("simulator")
    if request.home == HomeKind.LAB:
        if line.kind != "lab":
            return Breach("not_lab", (("kind", line.kind),))
        return None if is_local_address(line.address) else Breach("not_local")
    return Breach("lab") if line.kind == "lab" else None


LINE_RULES = (
    disabled_line,
    line_not_whitelisted,
    unregistered_line,
    plaintext_line,
    line_for_another_home,
)
