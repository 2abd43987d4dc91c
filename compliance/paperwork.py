# SPDX-License-Identifier: GPL-3.0-or-later
"""Papers the gate asks for: of a line's supplier, a batch's data partner, a campaign.

The store picks the paper that counts (begun, not withdrawn, ending last); a paper without an
end has :data:`NO_END`. An empty value says there is none, and a rule that asks for it refuses.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from compliance.evolve import Evolve

NO_END = datetime.max.replace(tzinfo=UTC)
LICENCE_CLASSES = ("B24", "B26")  # B24 is the call-centre class, B26 the one the seed names
CALL_CENTRE_CLASS = "B24"
CHECKLIST = ("encryption", "script_review", "block_response")  # V2
CLAUSES = ("our_duties", "their_duties", "indemnity")  # V4
SUPPLIER_PAPERS = ("licence", "certificate", "checklist", "contract")
PARTNER_PAPERS = ("licence", "provenance")
LEGAL_BASES = ("consent", "contract", "legal_duty", "other_law")  # PIPL art. 13


@dataclass(frozen=True, slots=True)
class SupplierFacts(Evolve):
    """Whom a line was bought from (V1, V2, V4)."""

    id: str = ""  # empty: nobody is on record
    licence: str = ""  # class of the value-added telecom licence
    licence_until: datetime | None = None
    certificate_until: datetime | None = None  # of the AI software
    checklist: tuple[str, ...] = ()  # of CHECKLIST, those with a note or a paper
    checklist_until: datetime | None = None  # the first end of a paper among them
    contract_until: datetime | None = None
    clauses: tuple[str, ...] = ()  # of CLAUSES, those the contract is known to hold


@dataclass(frozen=True, slots=True)
class PartnerFacts(Evolve):
    """Who gave a batch of contacts (D2)."""

    id: str = ""
    licence_until: datetime | None = None
    provenance_until: datetime | None = None


@dataclass(frozen=True, slots=True)
class CampaignPapers(Evolve):
    """A campaign's declared purpose and its impact assessment (D11, PIPL 55)."""

    created_by: str = ""  # actor id
    purpose_declared: bool = False
    content: str = ""  # digest of what the campaign is now
    assessed: str = ""  # digest of what the newest assessment covers
    assessed_by: str = ""  # actor id
    assessed_at: datetime | None = None


NO_SUPPLIER, NO_PARTNER, NO_PAPERS = SupplierFacts(), PartnerFacts(), CampaignPapers()
