# SPDX-License-Identifier: GPL-3.0-or-later
"""Who may sign what: the script's sign-off, bound to its digest (G1, G5)."""

from __future__ import annotations

from compliance.errors import NotAllowed, ScriptError
from compliance.facts import Actor, Role, ScriptFacts

SIGN_OFF_FAULTS = ("no_digest", "no_author", "not_approved", "self_approved", "changed")


def sign_off_fault(script: ScriptFacts) -> str:
    """Why this version may not be spoken: one of :data:`SIGN_OFF_FAULTS`, or empty (G5)."""
    if not script.digest:
        return "no_digest"
    if not script.author:
        return "no_author"
    if not script.approved_by or not script.approved_digest:
        return "not_approved"
    if script.approved_by == script.author:
        return "self_approved"
    if script.approved_digest != script.digest:
        return "changed"
    return ""


def disclosure_in_time(end_ms: float | None, within_ms: int) -> bool:
    """Whether a measured disclosure ends in time; not measured, zero or NaN is no (S1)."""
    return end_ms is not None and 0 < end_ms <= within_ms


def submit(script: ScriptFacts, author: Actor) -> ScriptFacts:
    """The version as its author hands it in: unsigned, whatever it carried before.

    Raises:
        NotAllowed: the actor is not an author.
    """
    if not author.has(Role.AUTHOR):
        raise NotAllowed("only an author submits scripts")
    return script.evolve(author=author.id, approved_by="", approved_digest="")


def approve(
    script: ScriptFacts, officer: Actor, seen_digest: str, *, within_ms: int = 3000
) -> ScriptFacts:
    """The signed version; any later change of a byte changes the digest and voids it (G5).

    Args:
        seen_digest: SHA-256 hex of what the officer read and heard.
        within_ms: the latest end of the disclosure, ms after answer (S1).

    Raises:
        NotAllowed: not a compliance officer, or the author.
        ScriptError: no author, another version than the one seen, or a disclosure that
            was not measured or ends too late.
    """
    if not officer.has(Role.COMPLIANCE):
        raise NotAllowed("only a compliance officer approves scripts")
    if not script.author:
        raise ScriptError("nobody submitted this script", field="author")
    if officer.id == script.author:
        raise NotAllowed("an author does not approve their own script")
    if not script.digest or script.digest != seen_digest:
        raise ScriptError("the script changed after it was read", field="digest")
    if not disclosure_in_time(script.disclosure_end_ms, within_ms):
        raise ScriptError(
            f"the disclosure must be measured and end within {within_ms} ms", field="disclosure"
        )
    return script.evolve(approved_by=officer.id, approved_digest=script.digest)
