# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the number comes from, what its owner agreed to, and whether they said no since."""

from __future__ import annotations

from datetime import datetime

from compliance.facts import Consent, DialRequest, RefusalRecord, RefusalScope, SourceKind
from compliance.profiles import FOREVER
from compliance.rulebook import Rulebook
from compliance.rules.base import Breach, forbids, seconds


def _not_agreed(consent: Consent, now: datetime) -> Breach | None:
    if consent.explicit is not True:
        return Breach("not_explicit")
    if consent.given_at is None:
        return Breach("undated")
    if consent.given_at > now:
        return Breach("in_future", (("given", seconds(consent.given_at)),), consent.given_at)
    if consent.expires_at is not None and consent.expires_at <= now:
        return Breach("expired", (("expired", seconds(consent.expires_at)),))
    return None


def _not_specific(consent: Consent) -> Breach | None:
    if consent.preticked is not False:
        return Breach("preticked")
    if not consent.company.strip():
        return Breach("no_company")
    if consent.names_ai_calling is not True:
        return Breach("no_ai_calling")
    return None


def _other_use(consent: Consent, request: DialRequest) -> Breach | None:
    campaign = request.campaign
    if not campaign.purpose or consent.purpose != campaign.purpose:
        return Breach(
            "other_purpose", (("consented", consent.purpose), ("campaign", campaign.purpose))
        )
    if not campaign.company or consent.company != campaign.company:
        return Breach(
            "other_company", (("consented", consent.company), ("campaign", campaign.company))
        )
    return None


def last_withdrawal(request: DialRequest) -> datetime | None:
    """The latest moment consent ended: a recorded withdrawal, or a refusal that reaches
    this campaign, since refusing is withdrawing (S12)."""
    if request.refusals == ():
        return request.withdrawn_at
    times = [r.at for r in request.refusals if _reaches(r.scope, r.campaign, request)]
    if request.withdrawn_at is not None:
        times.append(request.withdrawn_at)
    return max(times, default=None)


def _reaches(scope: RefusalScope, campaign: str, request: DialRequest) -> bool:
    # A campaign-wide refusal that names no campaign is unreadable, so it counts for all.
    return scope != RefusalScope.CAMPAIGN or not campaign or campaign == request.campaign.id


def _withdrawn(consent: Consent, withdrawn: datetime | None) -> Breach | None:
    if withdrawn is None:
        return None
    if consent.given_at is None or consent.given_at <= withdrawn:
        return Breach("withdrawn", (("withdrawn", seconds(withdrawn)),))
    return None


def _candidate(request: DialRequest, now: datetime) -> Consent | None:
    """The consent the call would rest on: the one with the fewest faults.

    All consent rules judge this one. If each looked for any consent that suits it, an
    explicit consent for one purpose and a vague one for another would add up to a
    permit nobody gave.
    """
    if len(request.consents) < 2:
        return request.consents[0] if request.consents else None
    withdrawn = last_withdrawal(request)

    def faults(consent: Consent) -> int:
        return sum(
            breach is not None
            for breach in (
                _not_agreed(consent, now),
                _not_specific(consent),
                _other_use(consent, request),
                _withdrawn(consent, withdrawn),
            )
        )

    return min(request.consents, key=faults)


def _on_allow_list(request: DialRequest, rulebook: Rulebook) -> bool:
    # In a lab home the tester's confirmed URI stands for consent; the profile says so.
    return rulebook.policy.consent == "tester" and request.contact.number.e164 in request.lab_allow


@forbids("D1", source="PIPL art. 6, 10, 13; seed D1", why=("missing",))
def undeclared_source(request: DialRequest, rulebook: Rulebook, now: datetime) -> Breach | None:
    """A contact whose batch declares no lawful source."""
    if not isinstance(request.contact.source, SourceKind):
        return Breach("missing")
    return None


@forbids(
    "D3",
    source="PIPL art. 13(1), 14, 24; seed D3",
    why=("missing", "not_explicit", "undated", "in_future", "expired"),
)
def no_explicit_consent(request: DialRequest, rulebook: Rulebook, now: datetime) -> Breach | None:
    """Calling without a dated, explicit, unexpired consent."""
    if _on_allow_list(request, rulebook):
        return None
    consent = _candidate(request, now)
    return Breach("missing") if consent is None else _not_agreed(consent, now)


@forbids(
    "D4",
    source="PIPL art. 14, 17; seed D4",
    why=("preticked", "no_company", "no_ai_calling"),
)
def preticked_or_vague_consent(
    request: DialRequest, rulebook: Rulebook, now: datetime
) -> Breach | None:
    """A box ticked beforehand, or a text that names neither the company nor AI calling."""
    consent = _candidate(request, now)
    if consent is None or _on_allow_list(request, rulebook):
        return None
    return _not_specific(consent)


@forbids(
    "D12",
    source="PIPL art. 6, 14(2); seed D11, D12",
    why=("other_purpose", "other_company"),
)
def consent_for_another_use(
    request: DialRequest, rulebook: Rulebook, now: datetime
) -> Breach | None:
    """Using a consent for a purpose or a company it was not given to."""
    consent = _candidate(request, now)
    if consent is None or _on_allow_list(request, rulebook):
        return None
    breach = _other_use(consent, request)
    if breach is not None and breach.why == "other_company":
        return Breach("other_company", breach.params, requirement="D11")
    return breach


@forbids("S12", source="PIPL art. 15, 24; seed S12", why=("withdrawn",))
def withdrawn_consent(request: DialRequest, rulebook: Rulebook, now: datetime) -> Breach | None:
    """Consent no newer than the last refusal or withdrawal; a refusal's expiry restores nothing."""
    withdrawn = last_withdrawal(request)
    # A lab's confirmed URI has no date to compare; its refusal list still holds.
    if withdrawn is None or _on_allow_list(request, rulebook):
        return None
    consent = _candidate(request, now)
    if consent is None:
        return Breach("withdrawn", (("withdrawn", seconds(withdrawn)),))
    return _withdrawn(consent, withdrawn)


def _end(refusal: RefusalRecord, rulebook: Rulebook) -> datetime:
    everything = refusal.scope == RefusalScope.EVERYTHING
    return rulebook.policy.refusal_until(refusal.at, everything=everything)


@forbids("S12", source="seed S11, S12", why=("until", "for_good"))
def number_on_refusal_list(
    request: DialRequest, rulebook: Rulebook, now: datetime
) -> Breach | None:
    """Calling somebody who said no, within the term of the refusal."""
    if request.refusals == ():
        return None
    reaching = [r for r in request.refusals if _reaches(r.scope, r.campaign, request)]
    if not reaching:
        return None
    # The stored end may come from a milder profile than the one in force today.
    until = max(max(r.until, _end(r, rulebook)) for r in reaching)
    source = rulebook.policy.cite("refusal")
    if until == FOREVER:
        return Breach("for_good", source=source)
    if until > now:
        return Breach("until", (("until", seconds(until)),), until, source=source)
    return None


CONSENT_RULES = (
    undeclared_source,
    no_explicit_consent,
    preticked_or_vague_consent,
    consent_for_another_use,
    withdrawn_consent,
    number_on_refusal_list,
)
