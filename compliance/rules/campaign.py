# SPDX-License-Identifier: GPL-3.0-or-later
"""The campaign, its script, its people, and the rulebook itself."""

from __future__ import annotations

from datetime import UTC, datetime, time

from compliance.facts import DialRequest
from compliance.governance import SIGN_OFF_FAULTS, disclosure_in_time, sign_off_fault
from compliance.rulebook import Rulebook
from compliance.rules.base import Breach, forbids, seconds


@forbids("T2", source="seed T2", why=("missing",))
def incomplete_request(request: DialRequest, rulebook: Rulebook, now: datetime) -> Breach | None:
    """A call that could not be traced afterwards: an identifier is empty."""
    contact, campaign, script = request.contact.id, request.campaign.id, request.script.id
    if request.attempt_id and request.tenant and contact and campaign and script:
        return None
    named = (
        ("attempt_id", request.attempt_id),
        ("tenant", request.tenant),
        ("contact", contact),
        ("campaign", campaign),
        ("script", script),
    )
    empty = ", ".join(name for name, value in named if not value)
    return Breach("missing", (("fields", empty),))


@forbids("G5", source="seed G5", why=SIGN_OFF_FAULTS)
def unsigned_script(request: DialRequest, rulebook: Rulebook, now: datetime) -> Breach | None:
    """A script that is not approved, approved by its author, or changed since."""
    fault = sign_off_fault(request.script)
    return Breach(fault) if fault else None


@forbids(
    "S1",
    source="seed S1; AI Act art. 50(1)",
    why=("unmeasured", "late"),
)
def late_disclosure(request: DialRequest, rulebook: Rulebook, now: datetime) -> Breach | None:
    """A greeting that does not say "robot" and who calls in time, as measured."""
    end_ms, limit = request.script.disclosure_end_ms, rulebook.policy.disclosure_within_ms
    if disclosure_in_time(end_ms, limit):
        return None
    if end_ms is None or not end_ms > 0:
        return Breach("unmeasured")
    params = (("end_ms", f"{end_ms:.0f}"), ("within_ms", str(limit)))
    return Breach("late", params, source=rulebook.policy.cite("disclosure"))


@forbids("G1", source="PIPL art. 51, 52; seed G1", why=("missing",))
def no_compliance_officer(request: DialRequest, rulebook: Rulebook, now: datetime) -> Breach | None:
    """A campaign for which no compliance officer answers."""
    return None if request.campaign.compliance_officer else Breach("missing")


@forbids("G1", source="seed G1, T2", why=("state",))
def campaign_not_running(request: DialRequest, rulebook: Rulebook, now: datetime) -> Breach | None:
    """Dialing for a campaign that is a draft, paused, stopped or done."""
    if request.campaign.state == "running":
        return None
    return Breach("state", (("state", request.campaign.state),))


@forbids("G1", source="PIPL art. 51; seed G1", why=("in_force",))
def emergency_stop(request: DialRequest, rulebook: Rulebook, now: datetime) -> Breach | None:
    """Any call while the whole platform is stopped; a stop dated in the future holds too."""
    if request.stopped_at is None:
        return None
    return Breach("in_force", (("since", seconds(request.stopped_at)),))


@forbids("T2", source="seed T2", why=("unknown",))
def operator_unknown(request: DialRequest, rulebook: Rulebook, now: datetime) -> Breach | None:
    """A campaign nobody is known to have launched."""
    return None if request.campaign.launched_by else Breach("unknown")


@forbids("C1", source="policy profile: homes", why=("other_home",))
def profile_for_another_home(
    request: DialRequest, rulebook: Rulebook, now: datetime
) -> Breach | None:
    """A profile meant for demo or lab homes in a production home, and the like."""
    wrong = [p.id for p in rulebook.profiles if request.home not in p.homes]
    if not wrong:
        return None
    return Breach("other_home", (("profiles", ", ".join(wrong)), ("home", str(request.home))))


@forbids("C1", source="policy profile: effective dates", why=("not_yet", "ended"))
def profile_not_in_force(request: DialRequest, rulebook: Rulebook, now: datetime) -> Breach | None:
    """A profile before its first or after its last day, counted in UTC."""
    today = now.date()
    for profile in rulebook.profiles:
        named = ("profile", profile.id)
        if today < profile.effective_from:
            start = datetime.combine(profile.effective_from, time(), UTC)
            return Breach("not_yet", (named, ("day", str(profile.effective_from))), start)
        if profile.effective_until is not None and today > profile.effective_until:
            return Breach("ended", (named, ("day", str(profile.effective_until))))
    return None


CAMPAIGN_RULES = (
    incomplete_request,
    unsigned_script,
    late_disclosure,
    no_compliance_officer,
    campaign_not_running,
    emergency_stop,
    operator_unknown,
    profile_for_another_home,
    profile_not_in_force,
)
