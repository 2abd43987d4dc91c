# SPDX-License-Identifier: GPL-3.0-or-later
"""A lab home made with one password, and what `candor campaign test` refuses to do."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from compliance.errors import BadInput, NotAllowed, ScriptError
from compliance.facts import Actor, HomeKind, Role
from console import lab as labs
from console.homes import Opened, create, opened
from storage.campaigns import CampaignState
from tests.labs import PASSWORD, Lab

FREE_PORT = "nothing listens on UDP port"


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    return Lab.make(tmp_path_factory.mktemp("lab"), "en")


@pytest.fixture
def it(lab: Lab) -> Iterator[Opened]:
    with opened(lab.root) as it:
        yield it


@pytest.fixture
def phone() -> Iterator[str]:
    """Something that listens where a softphone would; its address."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{sock.getsockname()[1]}"


def signed_in(it: Opened, name: str) -> Actor:
    return it.store.people.sign_in(name, PASSWORD)


# ---------------------------------------------------------------- making one


def test_one_password_makes_a_lab_that_can_call(lab: Lab, it: Opened) -> None:
    assert it.store.home is HomeKind.LAB
    assert it.home.settings.policy.profiles == ("lab",)
    ids = set()
    for name, role in labs.STAFF:
        actor = signed_in(it, name)
        assert actor.roles == {role}
        ids.add(actor.id)
    assert len(ids) == 5
    version = it.store.scripts.current_approved(labs.SCRIPT)
    assert version is not None
    assert version.author == signed_in(it, "author").id
    assert version.approved_by == signed_in(it, "officer").id
    assert version.language == "en"
    assert version.disclosure_end_ms is not None
    assert version.disclosure_end_ms <= 3000
    assert [line.kind for line in it.store.lines.lines()] == ["lab"]


def test_the_command_asks_for_one_password(tmp_path: Path) -> None:
    """Typed on standard input where there is no terminal; the next command is printed."""
    made = Lab(tmp_path / "home", tmp_path / "state")
    code, out, err = made.candor("init", "--lab", stdin=PASSWORD + "\n")
    assert code == 0, err
    for name, role in labs.STAFF:
        assert f"{name:<10}{role}" in out
    assert f"candor campaign test --to sip:me@127.0.0.1:5060 --home {made.root}" in out
    assert PASSWORD not in out + err
    with pytest.raises(BadInput, match="not empty"):
        labs.make(made.root, password=PASSWORD)
    assert (made.root / "candor.toml").exists()


def test_another_company_speaks_under_its_own_name(tmp_path: Path) -> None:
    labs.make(tmp_path / "home", password=PASSWORD, company="月光社")
    with opened(tmp_path / "home") as it:
        assert it.store.company == "月光社"
        version = it.store.scripts.current_approved(labs.SCRIPT)
        assert version is not None
        assert "月光社" in version.text
        assert "星辰公司" not in version.text


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"password": "short"}, BadInput),
        ({"password": PASSWORD, "language": "fr"}, BadInput),
        ({"password": PASSWORD, "tenant": "Not A Tenant"}, BadInput),
        (
            {"password": PASSWORD, "company": "长名称股份有限责任公司华东区域服务分公司"},
            ScriptError,
        ),
    ],
)
def test_nothing_half_made(tmp_path: Path, fields: dict[str, str], error: type[Exception]) -> None:
    with pytest.raises(error):
        labs.make(tmp_path / "home", **fields)
    assert not (tmp_path / "home").exists()


# ---------------------------------------------------------------- who may call whom


def test_a_production_home_calls_no_softphone(tmp_path: Path, phone: str) -> None:
    root = tmp_path / "home"
    create(root, kind=HomeKind.PRODUCTION, company="x", tenant="t")
    with opened(root) as it:
        it.store.people.add_person(None, "root", PASSWORD, [Role.ADMIN, Role.OPERATOR])
        with pytest.raises(BadInput, match=r"production home.*init --lab"):
            labs.check(it, it.store.people.sign_in("root", PASSWORD), f"sip:me@{phone}")
    made = Lab(root, tmp_path / "state")
    assert made.candor("login", "root", stdin=PASSWORD + "\n")[0] == 0
    code, out, err = made.candor("campaign", "test", "--to", f"sip:me@{phone}", "--yes")
    assert (code, out) == (2, "")
    assert "production home" in err
    assert phone not in err


@pytest.mark.parametrize(
    "uri",
    [
        "sip:me@192.0.2.1:5060",  # public
        "sip:me@169.254.1.1:5060",  # link-local
        "sip:me@localhost:5060",  # a name may lead elsewhere after the check
        "sip:me@phone.example",
        "sips:me@127.0.0.1:5061",
        "sip:me@[::1]:5060",  # the endpoint speaks IPv4
        "sip:me@127.0.0.1:5060;maddr=192.0.2.1",
        "sip:me@127.0.0.1:99999",
        "tel:+8613900000101",
        "+8613900000101",
        "someone",
    ],
)
def test_only_plain_addresses_of_this_machine_or_network(it: Opened, uri: str) -> None:
    with pytest.raises(BadInput, match="no plain SIP URI") as caught:
        labs.check(it, signed_in(it, "operator"), uri)
    assert uri not in str(caught.value)
    assert it.store.testers.testers() == []


@pytest.mark.parametrize(
    "name", ["13900000101", "+8613900000101", "139-0000-0101", "0.1.3.9.0.0.0"]
)
def test_no_telephone_behind_an_exchange(it: Opened, name: str, phone: str) -> None:
    """A PBX at a private address would dial it."""
    with pytest.raises(BadInput, match="telephone number"):
        labs.check(it, signed_in(it, "operator"), f"sip:{name}@{phone}")
    labs.check(it, signed_in(it, "operator"), f"sip:1001@{phone}")


@pytest.mark.parametrize("name", ["admin", "author", "officer", "auditor"])
def test_only_an_operator_calls(it: Opened, name: str, phone: str) -> None:
    with pytest.raises(NotAllowed, match="operator"):
        labs.check(it, signed_in(it, name), f"sip:me@{phone}")


def test_a_port_where_nothing_listens_is_said_at_once(it: Opened, phone: str) -> None:
    operator = signed_in(it, "operator")
    labs.check(it, operator, f"sip:me@{phone}")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        free = sock.getsockname()[1]
    with pytest.raises(BadInput, match=f"{FREE_PORT} {free}"):
        labs.check(it, operator, f"sip:me@127.0.0.1:{free}")


def test_a_telephone_in_the_network_needs_an_address_of_ours_there(it: Opened) -> None:
    with pytest.raises(BadInput, match=r"sip\.host.*under \[sip\]"):
        labs.check(it, signed_in(it, "operator"), "sip:me@192.168.1.20")


def test_who_did_not_agree_is_not_called(lab: Lab, it: Opened, phone: str) -> None:
    """No terminal to ask at, and no --yes: nothing is recorded, nothing dialed."""
    uri = f"sip:me@{phone}"
    code, out, err = lab.candor("campaign", "test", "--to", uri)
    assert (code, out) == (2, "")
    assert "--yes" in err  # and nobody had to sign in first: the operator is
    assert it.store.testers.testers() == []
    assert it.store.campaigns.campaigns() == []
    with pytest.raises(BadInput, match="nobody confirmed"):
        labs.campaign(it, signed_in(it, "operator"), uri, labs.SCRIPT)


def test_a_stopped_platform_tests_nothing_and_says_who_may_lift(
    lab: Lab, it: Opened, phone: str
) -> None:
    operator, officer = signed_in(it, "operator"), signed_in(it, "officer")
    it.store.stops.stop(operator)
    try:
        code, _, err = lab.candor("campaign", "test", "--to", f"sip:me@{phone}", "--yes")
    finally:
        it.store.stops.lift(officer)
    assert code == 1
    assert "candor stop-all --lift" in err
    assert it.store.campaigns.campaigns() == []


def test_nobody_signed_in(lab: Lab, tmp_path: Path, phone: str) -> None:
    stranger = Lab(lab.root, tmp_path)
    code, _, err = stranger.candor("campaign", "test", "--to", f"sip:me@{phone}", "--yes")
    assert code == 3
    assert "candor login" in err


def test_tests_are_numbered_and_end(it: Opened, phone: str) -> None:
    operator, uri = signed_in(it, "operator"), f"sip:me@{phone}"
    with pytest.raises(BadInput, match="no approved script"):
        labs.campaign(it, operator, uri, "other")
    it.store.testers.confirm(operator, uri)
    first, second = (labs.campaign(it, operator, uri, labs.SCRIPT) for _ in range(2))
    assert (first[1], second[1]) == ("test-1", "test-2")
    labs.close(it, operator, first[0])
    assert it.store.campaign_state(first[0]) is CampaignState.STOPPED
    labs.close(it, operator, first[0])  # harmless
    labs.close(it, operator, second[0])
    it.store.testers.remove(operator, uri)
