# SPDX-License-Identifier: GPL-3.0-or-later
"""A call described by hand and put to the rules: no database, no home, nothing dialed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from compliance.canonical import restore
from compliance.errors import BadInput
from compliance.facts import DialRequest, Evolve
from compliance.rulebook import Rulebook
from console.inputs import read_time
from storage.numbers import normalise, timezone_of

_BESIDE = ("at", "profiles")  # what a description says that is no fact of the request
_ASSUMED: dict[str, Any] = {
    "attempt_id": "described",
    "tenant": "described",
    "home": "production",
    "consents": [],
    "attempts": [],
    "refusals": [],
    "lines": [],
    "withdrawn_at": None,
    "clock_ahead_s": 0.0,
}
"""Left out means: there is none. Without consent or line the gate refuses. The time is told, so
no clock is off."""


IN_USE = "in_use"
"""Written for the adopted law's digest: the law the call is judged under is the adopted one."""


@dataclass(frozen=True, slots=True)
class Described(Evolve):
    """What was described, and under which law and when it is judged."""

    request: DialRequest
    profiles: tuple[str, ...]
    at: datetime

    def under(self, law: Rulebook) -> DialRequest:
        """The request, once it is known under which law it is judged."""
        request = self.request
        if request.standing.adopted_law != IN_USE:
            return request
        return request.evolve(standing=request.standing.evolve(adopted_law=law.digest))


def read(document: str, *, at: datetime, profiles: Sequence[str]) -> Described:
    """Read a description; ``at`` and ``profiles`` stand in where it names none.

    Raises:
        BadInput: no JSON object, an unknown or missing field, no telephone number.
    """
    try:
        data = json.loads(document)
    except ValueError as error:
        raise BadInput(
            "is not JSON", field="request", remedy="candor gate try --example prints one"
        ) from error
    if not isinstance(data, dict):
        raise BadInput("must be a JSON object", field="request")
    named = data.get("profiles", list(profiles))
    if not isinstance(named, list) or not all(isinstance(name, str) for name in named):
        raise BadInput("must be a list of names", field="profiles")
    when = data.get("at")
    if when is not None and not isinstance(when, str):
        raise BadInput("must be an ISO 8601 time", field="at")
    facts = {**_ASSUMED, **{key: value for key, value in data.items() if key not in _BESIDE}}
    contact = facts.get("contact")
    if isinstance(contact, dict):
        facts["contact"] = _with_number(contact)
    request = restore(json.dumps(facts))
    return Described(request, tuple(named), read_time(when) if when else at)


def _with_number(contact: dict[str, Any]) -> dict[str, Any]:
    """The number in one spelling, and its time zone where that follows from it, as an import
    would have it; a lab home's SIP URI stays."""
    raw = contact.get("number")
    if not isinstance(raw, str) or raw.startswith("sip:"):
        return contact
    number = normalise(raw)
    return {"timezone": timezone_of(number)} | contact | {"number": number.e164}


EXAMPLE: dict[str, Any] = {
    "at": "2026-11-24T10:30:00+08:00",
    "profiles": ["cn_seed"],
    "contact": {"id": "contact-1", "number": "139 1234 5678", "source": "own_crm"},
    "consents": [
        {
            "id": "consent-1",
            "company": "Example Ltd",
            "purpose": "member_service",
            "channel": "web_form",
            "given_at": "2026-10-01T09:00:00+08:00",
            "explicit": True,
            "preticked": False,
            "names_ai_calling": True,
            "evidence": "form-1",
        }
    ],
    "attempts": [
        {
            "id": "earlier-1",
            "at": "2026-10-20T10:00:00+08:00",
            "campaign": "campaign-1",
            "outcome": "no_answer",
        }
    ],
    "script": {
        "id": "script-1",
        "digest": "00",
        "author": "author-1",
        "approved_by": "officer-1",
        "approved_digest": "00",
        "disclosure_end_ms": 2600,
    },
    "campaign": {
        "id": "campaign-1",
        "company": "Example Ltd",
        "purpose": "member_service",
        "state": "running",
        "launched_by": "operator-1",
        "compliance_officer": "officer-1",
        "papers": {
            "created_by": "operator-1",
            "purpose_declared": True,
            "content": "00",
            "assessed": "00",
            "assessed_by": "officer-1",
            "assessed_at": "2026-10-20T09:00:00+08:00",
        },
    },
    "lines": [
        {
            "id": "line-1",
            "carrier": "telecom",
            "kind": "ai_line",
            "address": "192.0.2.10:5061",
            "caller_id": "+861055550000",
            "whitelisted_until": "2027-06-30T00:00:00+08:00",
            "registered_until": "2027-06-30T00:00:00+08:00",
            "filed_until": "2027-06-30T00:00:00+08:00",
            "encrypted": True,
            "own_number": {"number": "+861055550000", "calls": 12},
            "supplier": {
                "id": "supplier-1",
                "licence": "B24",
                "licence_until": "2027-06-30T00:00:00+08:00",
                "certificate_until": "2027-06-30T00:00:00+08:00",
                "checklist": ["encryption", "script_review", "block_response"],
                "checklist_until": "2027-06-30T00:00:00+08:00",
                "contract_until": "2027-06-30T00:00:00+08:00",
                "clauses": ["our_duties", "their_duties", "indemnity"],
            },
        }
    ],
    "standing": {
        "adopted_law": IN_USE,
        "launcher_exam_until": "2027-06-30T00:00:00+08:00",
        "officer_exam_until": "2027-06-30T00:00:00+08:00",
    },
}
"""A description that the default profile permits, to begin from."""
