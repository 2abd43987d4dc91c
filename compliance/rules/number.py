# SPDX-License-Identifier: GPL-3.0-or-later
"""Which numbers may be dialed at all, and from which kind of home."""

from __future__ import annotations

import ipaddress
import re
from datetime import datetime, timedelta

from compliance.facts import DialRequest, HomeKind
from compliance.rulebook import Rulebook
from compliance.rules.base import Breach, forbids

# ITU-T E.164: at most 15 digits; no subscriber anywhere has fewer than 7 with country code.
_E164 = re.compile(r"\+[1-9][0-9]{6,14}")
# user part, host (IPv6 in brackets), port: enough for a lab phone; parameters could name
# another next hop (maddr, RFC 3261 19.1.1), so a URI with any is refused.
SIP_URI = re.compile(
    r"sips?:(?:[A-Za-z0-9_.+-]{1,64}@)?(?:\[([0-9A-Fa-f:.]+)\]|([^\[\]:;?@/\s]+))(?::(\d{1,5}))?"
)
_ADDRESS = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([^\[\]:;?@/\s]+))(?::(\d{1,5}))?")

_LOCAL_NETWORKS = tuple(
    ipaddress.ip_network(text)
    for text in (
        "127.0.0.0/8",
        "10.0.0.0/8",
        "172.16.0.0/12",
        "192.168.0.0/16",
        "::1/128",
        "fc00::/7",
    )
)


def _is_local(match: re.Match[str] | None) -> bool:
    if match is None or (match[3] is not None and not 0 < int(match[3]) < 65536):
        return False
    try:
        address = ipaddress.ip_address(match[1] or match[2])
    except ValueError:
        return False  # a name: what it resolves to can change after the check
    return any(address in network for network in _LOCAL_NETWORKS)


def is_local_uri(uri: str) -> bool:
    """Whether ``uri`` is a plain SIP URI whose host is a loopback or private address (RFC 1918,
    RFC 4193), written as an address."""
    return _is_local(SIP_URI.fullmatch(uri))


def is_local_address(address: str) -> bool:
    """The same for ``host:port``."""
    return _is_local(_ADDRESS.fullmatch(address))


@forbids("C4", source="ITU-T E.164; seed C4", why=("not_e164",))
def number_not_e164(request: DialRequest, rulebook: Rulebook, now: datetime) -> Breach | None:
    """Anything but one canonical spelling: caps and refusals count by it."""
    if request.home == HomeKind.LAB:
        return None  # a lab home dials SIP URIs only: unlisted_lab_address
    if not _E164.fullmatch(request.contact.number.e164):
        return Breach("not_e164")
    return None


@forbids("D1", source="short codes and emergency numbers", why=("listed",))
def short_code_or_emergency_number(
    request: DialRequest, rulebook: Rulebook, now: datetime
) -> Breach | None:
    """Numbers that belong to a service and not to a person who agreed."""
    never = rulebook.policy.never_dial
    if never is not None and never.fullmatch(request.contact.number.e164):
        return Breach("listed", source=rulebook.policy.cite("numbers"))
    return None


@forbids("D3", source="lab home: tester's confirmation", why=("no_uri", "not_local", "unlisted"))
def unlisted_lab_address(request: DialRequest, rulebook: Rulebook, now: datetime) -> Breach | None:
    """A lab home reaching anything but a confirmed URI on this machine or network."""
    if request.home != HomeKind.LAB:
        return None
    uri = request.contact.number.e164
    if not uri.startswith(("sip:", "sips:")):
        return Breach("no_uri")
    if not is_local_uri(uri):
        return Breach("not_local")
    if uri not in request.lab_allow:
        return Breach("unlisted")
    return None


@forbids("D1", source="national do-not-call registries", why=("unknown", "stale"))
def registry_not_looked_up(
    request: DialRequest, rulebook: Rulebook, now: datetime
) -> Breach | None:
    """A do-not-call registry the profile asks for that was not looked up, or in an edition
    that is too old: a list that was not read cannot clear anybody."""
    asked = rulebook.policy.registries
    if not asked:
        return None
    known = {r.name: r.as_of for r in request.registries if r.as_of <= now}
    source = rulebook.policy.cite("registries")
    missing = [r.name for r in asked if r.name not in known]
    if missing:
        return Breach("unknown", (("registries", ", ".join(missing)),), source=source)
    stale = [r.name for r in asked if now - known[r.name] > timedelta(days=r.max_age_days)]
    if stale:
        return Breach("stale", (("registries", ", ".join(stale)),), source=source)
    return None


@forbids("D1", source="national do-not-call registries", why=("listed",))
def on_registry(request: DialRequest, rulebook: Rulebook, now: datetime) -> Breach | None:
    """A number on a do-not-call list, of any age, whether a profile asks for the list or not:
    whoever brought it in wants it obeyed. A consent does not lift it."""
    if request.registries == ():
        return None
    listed = [r.name for r in request.registries if r.listed is not False]
    if not listed:
        return None
    named = (("registries", ", ".join(sorted(listed))),)
    return Breach("listed", named, source=rulebook.policy.cite("registries"))


NUMBER_RULES = (
    number_not_e164,
    short_code_or_emergency_number,
    unlisted_lab_address,
    registry_not_looked_up,
    on_registry,
)
