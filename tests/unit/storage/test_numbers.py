# SPDX-License-Identifier: GPL-3.0-or-later
"""One spelling for every number, and no service number through."""

from __future__ import annotations

import re

import phonenumbers
import pytest
from hypothesis import given
from hypothesis import strategies as st

from compliance.errors import BadInput
from compliance.facts import Number
from storage.numbers import _PERSONAL, carrier_of, normalise, timezone_of


@pytest.mark.parametrize(
    "raw",
    [
        "13900000001",
        "013900000001",
        "+8613900000001",
        "008613900000001",
        "8613900000001",
        " +86 139 0000 0001 ",
        "+86-139-0000-0001",
        "(+86) 139.0000.0001",
        "＋８６　１３９００００　０００１",
        "+86\u2011139\u20110000\u20110001",
        "\u202a+8613900000001\u202c",
        "139\u00a00000\u200b0001",
    ],
)
def test_every_spelling_gives_one_number(raw: str) -> None:
    assert normalise(raw) == Number("+8613900000001")


@given(
    st.integers(13900000000, 13999999999),
    st.sampled_from(["", "+86", "0086", "86", "+86 ", "0086-", "(+86)"]),
    st.lists(st.sampled_from(["", " ", "-", "\u2013", "\u3000"]), min_size=11, max_size=11),
    st.booleans(),
)
def test_spelling_never_matters(
    mobile: int, prefix: str, separators: list[str], full_width: bool
) -> None:
    text = prefix + "".join(d + s for d, s in zip(str(mobile), separators, strict=True))
    if full_width:
        text = text.translate({ord("0") + n: 0xFF10 + n for n in range(10)})
    assert normalise(text).e164 == f"+86{mobile}"


@pytest.mark.parametrize(
    ("raw", "region", "e164"),
    [
        ("010-12345678", "CN", "+861012345678"),
        ("020 7946 0958", "GB", "+442079460958"),
        ("+33 1 23 45 67 89", "CN", "+33123456789"),
        ("(202) 456-1414", "US", "+12024561414"),
    ],
)
def test_landlines_and_other_countries(raw: str, region: str, e164: str) -> None:
    assert normalise(raw, region).e164 == e164


@pytest.mark.parametrize(
    ("raw", "cause"),
    [
        ("", "empty"),
        (" - ", "empty"),
        ("110", "emergency"),
        ("１２０", "emergency"),
        ("10086", "short code"),
        ("12306", "short code"),
        ("95588", "short code"),
        ("400 123 4567", "service"),
        ("800 810 1234", "service"),
        ("+1 900 555 1234", "service"),
        ("1390000000", "not valid"),
        ("139000000011", "not valid"),
        ("11900000001", "not valid"),
        ("1-800-FLOWERS", "not a telephone number"),
        ("13900000001 ext 8", "not a telephone number"),
        ("sip:alice@192.0.2.1", "not a telephone number"),
        ("++8613900000001", "not a telephone number"),
        ("13900000001\x00", "not a telephone number"),
        ("1" * 500, "not a telephone number"),
    ],
)
def test_what_no_person_answers_is_refused_without_showing_it(raw: str, cause: str) -> None:
    with pytest.raises(BadInput, match=cause) as refused:
        normalise(raw)
    assert not re.search(r"[0-9]{3}", f"{refused.value!s} {refused.value!r}")
    assert refused.value.field == "phone"


def test_carrier_and_time_zone() -> None:
    assert carrier_of(Number("+8613900000001")) == "China Mobile"
    assert timezone_of(Number("+8613900000001")) == "Asia/Shanghai"
    assert timezone_of(Number("+12024561414")) == "America/New_York"
    # A toll-free American number may ring anywhere: unknown, and unknown refuses (C3).
    assert timezone_of(Number("+18005551234")) == ""
    assert timezone_of(Number("sip:lab@127.0.0.1")) == ""
    assert carrier_of(Number("sip:lab@127.0.0.1")) == ""


@given(st.integers(10_000_000_000, 19_999_999_999), st.sampled_from(["", "+86", "0086", "86"]))
def test_the_short_way_for_chinese_mobiles_says_what_the_numbering_plan_says(
    national: int, prefix: str
) -> None:
    parsed = phonenumbers.parse(f"+86{national}", None)
    person = phonenumbers.is_valid_number(parsed) and phonenumbers.number_type(parsed) in _PERSONAL
    try:
        found = normalise(f"{prefix}{national}")
    except BadInput:
        assert not person
        return
    assert person
    assert found.e164 == f"+86{national}"
    (place,) = phonenumbers.timezone.time_zones_for_number(parsed)
    assert timezone_of(found) == place


def test_a_chinese_mobile_without_its_country_code_is_none_elsewhere() -> None:
    with pytest.raises(BadInput):
        normalise("13900000001", "FR")
    assert normalise("+8613900000001", "FR") == Number("+8613900000001")
