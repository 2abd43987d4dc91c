# SPDX-License-Identifier: GPL-3.0-or-later
"""Emergency, short, service and premium numbers: left out at the import, and refused by the gate
however they came into a request (D1)."""

from __future__ import annotations

import pytest

from compliance.errors import BadInput
from compliance.facts import Number
from compliance.gate import recheck
from storage.numbers import normalise
from tests.unit.compliance.builders import NOW, allowed_request, shipped_rulebook

PROFILES = {"CN": "cn_seed", "US": "us_federal", "GB": "uk", "FR": "fr"}
RULES = {"short_code_or_emergency_number", "number_not_e164"}

# As somebody might write them in a file, dialed from that country.
WRITTEN = {
    "CN": (
        "110 112 119 120 122 114 12110 12315 12345 12306 10000 10010 10086 10099 95188 95588 "
        "951234 95012345 96110 961234 400-810-8888 800-810-1234 +8612345 010-110 0755-120 "
        "010-12345 010-10086 021-95588 0571-96345 +86-10-95588 106575123456 16800000"
    ),
    "US": (
        "911 112 211 311 411 511 611 711 811 988 741741 1-900-555-1234 +1-976-555-1234 "
        "800-555-1212 +1-888-555-0100 +1-911 +1-500-555-1234 +1-212-976-1234 212-555-1212"
    ),
    "GB": (
        "999 112 111 101 105 116123 118118 118500 123 1471 09011-234567 0871-234-5678 "
        "0845-123-4567 0800-111-1111 0300-123-4567 070-1234-5678 +44-999 +44-118500 0800-1111"
    ),
    "FR": (
        "15 17 18 112 114 115 119 191 196 116000 116117 118218 3639 3919 1013 "
        "0899-123-456 0892-123-456 0800-123-456 0810-123-456 +33-15 +33-118218"
    ),
}
# As they would stand in a request that no import has seen.
E164 = {
    "CN": (
        "+86110 +86119 +8612345 +8610086 +8695588 +8695012345 +86961234 +86101 +861012345 "
        "+8675512345 +862195588 +864008108888 +868008101234 +86106575123456 +8616800000"
    ),
    "US": (
        "+1911 +1311 +1988 +1741741 +19005551234 +19765551234 +18005551212 +18335551212 "
        "+18775551212 +15005551234 +17005551234 +12129761234 +12125551212"
    ),
    "GB": (
        "+44999 +44112 +44116123 +44118500 +449011234567 +448712345678 +448001111 "
        "+448451234567 +443001234567 +447012345678"
    ),
    "FR": "+3315 +33112 +33114 +33116000 +33118218 +333639 +33899123456 +33800123456 +33969390000",
}
PEOPLE = {
    "CN": "139-0000-0001 010-6552-9988 0755-8888-9999 021-5555-6666 0571-8765-4321",
    "US": "212-555-0123 +1-415-555-2671 305-975-1234",
    "GB": "07400-123456 020-7946-0958 028-9018-1234",
    "FR": "06-12-34-56-78 01-42-68-53-00 07-56-78-90-12 09-75-18-12-34",
}


def pairs(table: dict[str, str]) -> list[tuple[str, str]]:
    return [(region, word) for region, words in table.items() for word in words.split()]


@pytest.mark.parametrize(("region", "written"), pairs(WRITTEN))
def test_an_import_leaves_it_out(region: str, written: str) -> None:
    with pytest.raises(BadInput) as told:
        normalise(written, region)
    assert written not in str(told.value)  # no number in a message


@pytest.mark.parametrize(("region", "number"), pairs(E164))
def test_the_gate_refuses_it(region: str, number: str) -> None:
    request = allowed_request(contact__number=Number(number))
    decision = recheck(request, shipped_rulebook(PROFILES[region]), NOW)
    assert RULES & {f.rule for f in decision.refusing}


@pytest.mark.parametrize(("region", "written"), pairs(PEOPLE))
def test_a_person_is_let_through(region: str, written: str) -> None:
    number = normalise(written, region)
    request = allowed_request(contact__number=number)
    decision = recheck(request, shipped_rulebook(PROFILES[region]), NOW)
    assert not RULES & {f.rule for f in decision.refusing}


def test_florida_refuses_what_the_federal_profile_refuses() -> None:
    for number in E164["US"].split():
        request = allowed_request(contact__number=Number(number))
        decision = recheck(request, shipped_rulebook("us_fl"), NOW)
        assert RULES & {f.rule for f in decision.refusing}, number
