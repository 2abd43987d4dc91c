# SPDX-License-Identifier: GPL-3.0-or-later
"""What a script claims of an offer, and the evidence of each claim (S7).

A script may declare ``claims:``, a list of ``text`` and ``paper`` (the id of a filed paper of
kind ``claim`` of the script). ``voicebot.script`` checks the format; here the papers are asked for.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import yaml
from sqlalchemy.orm import Session

from compliance.errors import BadInput, ScriptError
from compliance.facts import Evolve
from storage import papers


@dataclass(frozen=True, slots=True)
class Claim(Evolve):
    """One sentence that promises something; ``paper`` is empty while none is named."""

    text: str
    paper: str = ""


def claims_of(text: str) -> tuple[Claim, ...]:
    """The claims a version's text declares, in their order.

    Raises:
        ScriptError: the list cannot be read: what cannot be read is not signed.
    """
    try:
        document = yaml.safe_load(text)
    except yaml.YAMLError:
        raise ScriptError("not valid YAML", field="claims") from None
    declared = document.get("claims") if isinstance(document, dict) else None
    if declared is None:
        return ()
    if not isinstance(declared, list) or not all(isinstance(one, dict) for one in declared):
        raise ScriptError("is a list of `text` and `paper`", field="claims")
    return tuple(Claim(str(c.get("text") or ""), str(c.get("paper") or "")) for c in declared)


def check(session: Session, script: str, text: str, now: datetime) -> list[str]:
    """Ids of the papers that prove what version ``text`` of ``script`` claims.

    Raises:
        ScriptError: a claim names no paper, or one that is not valid evidence of this script.
    """
    proofs = []
    for place, claim in enumerate(claims_of(text), 1):
        field = f"claims[{place}]"
        if not claim.paper:
            raise ScriptError(
                "this claim names no evidence (S7)",
                field=field,
                remedy="candor papers add FILE --kind claim --script NAME, then write its id there",
            )
        try:
            row = papers.find(session, claim.paper)
        except BadInput as error:
            raise ScriptError(error.detail, field=field, remedy=error.remedy) from None
        ended = papers.end_of(row) <= now or row.withdrawn_at is not None
        if (row.kind, row.owner_kind, row.owner) != ("claim", "script", script) or ended:
            raise ScriptError(
                "this paper is no valid evidence of this script (S7)",
                field=field,
                remedy="a paper of kind claim, filed for this script and in date",
            )
        proofs.append(row.id)
    return proofs
