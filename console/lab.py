# SPDX-License-Identifier: GPL-3.0-or-later
"""A lab home, and what a call to a tester's own softphone needs.

A lab is a real home with a real gate: people, papers and sign-offs are there, only the
telephones are the testers' own. What it asks for is made here in one go, so that
somebody hears the robot five minutes after they got the source.
"""

from __future__ import annotations

import ipaddress
import shutil
import socket
from dataclasses import dataclass
from datetime import timedelta
from importlib import resources
from pathlib import Path

from compliance.errors import BadInput, NotAllowed
from compliance.facts import Actor, HomeKind, LineFacts, Role
from compliance.rules.number import SIP_URI, is_local_uri
from console import homes, submissions
from console.homes import Opened
from storage.campaigns import CampaignState
from storage.people import check_person
from storage.scripts import ScriptVersion
from storage.testers import check_uri

SCRIPT = "example"
LINE = "lab"
PURPOSE = "test"
SIP_PORT = 5060
# Distinct people, as a real home must have them: who writes does not approve (G1, G5).
STAFF = (
    ("admin", Role.ADMIN),
    ("author", Role.AUTHOR),
    ("officer", Role.COMPLIANCE),
    ("operator", Role.OPERATOR),
    ("auditor", Role.AUDITOR),
)
_COMPANIES = {"zh": "星辰公司", "en": "Star Company"}  # whom the example scripts name
_PAPERS = timedelta(days=365)  # how long the exception for plain sound holds


# ---------------------------------------------------------------- making one


@dataclass(frozen=True, slots=True)
class Made:
    """What ``make`` left: the approved script, and the operator's session token."""

    version: ScriptVersion
    token: str


def make(
    root: Path,
    *,
    password: str,
    tenant: str = "main",
    company: str = "",
    language: str = "zh",
    passphrase: str | None = None,
) -> Made:
    """A lab home that can call at once: five people, a line, the example script approved.

    Everybody gets ``password``. ``company`` replaces the one the example script names.
    Nothing is left behind when it fails.

    Raises:
        BadInput: password too short, unknown language, or the folder is not empty.
        ScriptError: the company's name is too long to be said within 3 s (S1).
    """
    for name, role in STAFF:
        check_person(name, password, [role])
    if language not in _COMPANIES:
        raise BadInput("is neither zh nor en", field="--language")
    examples = Path(str(resources.files("console"))).parent / "examples" / "demo"
    source = (examples / f"script.{language}.yaml").read_text("utf-8")
    named = company.strip() or _COMPANIES[language]
    source = source.replace(_COMPANIES[language], named)
    homes.check_empty(root)
    try:
        homes.create(
            root,
            kind=HomeKind.LAB,
            company=named,
            tenant=tenant,
            language=language,
            passphrase=passphrase,
        )
        with homes.opened(root, passphrase) as it:
            return _furnish(it, source, password)
    except BaseException:
        shutil.rmtree(root, ignore_errors=True)
        raise


def _furnish(it: Opened, source: str, password: str) -> Made:
    people = it.store.people
    staff: dict[Role, Actor] = {}
    for name, role in STAFF:
        people.add_person(staff.get(Role.ADMIN), name, password, [role])
        staff[role] = people.sign_in(name, password)
    it.store.lines.add_line(
        staff[Role.ADMIN],
        LineFacts(
            LINE,
            "lab",
            "lab",
            f"127.0.0.1:{SIP_PORT}",
            "candor",
            plaintext_exception_until=it.clock.wall() + _PAPERS,
        ),
    )
    version = submissions.submit(it, staff[Role.AUTHOR], source, SCRIPT)
    version = it.store.scripts.approve(staff[Role.COMPLIANCE], version)
    return Made(version, people.issue_session(staff[Role.OPERATOR], timedelta(hours=8)))


# ---------------------------------------------------------------- calling a tester


def check(it: Opened, actor: Actor, uri: str) -> None:
    """Whether this home and this person may call ``uri``, and whether a packet gets there.

    Raises:
        BadInput: not a lab home, no plain local SIP URI, nothing listens there, or
            ``sip.host`` is an address from which it cannot be reached.
        NotAllowed: not an operator.
    """
    if it.store.home is not HomeKind.LAB:
        raise BadInput(
            f"this is a {it.store.home} home: it never calls a SIP URI",
            field="home",
            remedy="make a lab home: candor init --lab --home NEW_FOLDER",
        )
    if not actor.has(Role.OPERATOR):
        raise NotAllowed("only an operator dials", remedy="candor login operator")
    match = SIP_URI.fullmatch(uri)
    if match is None or not uri.startswith("sip:") or not is_local_uri(uri) or match[1]:
        raise BadInput(
            "is no plain SIP URI on this machine or on a private IPv4 address",
            field="--to",
            remedy="write the address as digits: sip:me@127.0.0.1:5060 or sip:me@192.168.1.20",
        )
    check_uri(uri)
    host, port = match[2], int(match[3] or SIP_PORT)
    _check_host(host, it.home.settings.sip.host)
    if _nothing_listens(host, port):
        raise BadInput(
            f"nothing listens on UDP port {port} of this machine",
            field="--to",
            remedy="start the softphone, and see which port it uses: ss -lunp",
        )


def _check_host(theirs: str, ours: str) -> None:
    try:
        bound = ipaddress.ip_address(ours)
    except ValueError:
        return
    if bound.is_loopback and not ipaddress.ip_address(theirs).is_loopback:
        raise BadInput(
            f"is {ours}: from there only telephones on this machine are reached",
            field="candor.toml: sip.host",
            remedy=f'set host = "{_own_address(theirs)}" under [sip]',
        )


def _own_address(theirs: str) -> str:
    """This machine's address on the way there, by its routing table; nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        try:
            sock.connect((theirs, SIP_PORT))
        except OSError:
            return "this machine's address"
        return str(sock.getsockname()[0])


def _nothing_listens(host: str, port: int) -> bool:
    """True when the address is this machine's and the port is free; else nobody can say."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        try:
            sock.bind((host, port))
        except OSError:
            return False
        return True


def campaign(it: Opened, actor: Actor, uri: str, script: str) -> tuple[str, str]:
    """A campaign for one call to a confirmed ``uri``, started; its id and name.

    Raises:
        BadInput: no approved script of this name, or no line.
    """
    version = it.store.scripts.current_approved(script)
    if version is None:
        raise BadInput(
            f"there is no approved script {script!r}",
            field="--script",
            remedy="candor script submit, then candor script approve",
        )
    batch = it.store.testers.contact(actor, uri, version.language)
    campaigns = it.store.campaigns
    name = _next_name([name for _, name, _ in campaigns.campaigns()])
    made = campaigns.create_campaign(
        actor,
        name=name,
        purpose=PURPOSE,
        script=version.id,
        batches=[batch],
        lines=[_line(it)],
    )
    campaigns.start(actor, made)
    return made, name


def close(it: Opened, actor: Actor, campaign: str) -> None:
    """A test whose call the gate put off is over all the same: nothing rings later."""
    if it.store.campaign_state(campaign) is CampaignState.RUNNING:
        it.store.campaigns.stop(actor, campaign)


def _next_name(taken: list[str]) -> str:
    numbers = [
        int(name.removeprefix("test-"))
        for name in taken
        if name.startswith("test-") and name.removeprefix("test-").isdecimal()
    ]
    return f"test-{max(numbers, default=0) + 1}"


def _line(it: Opened) -> str:
    now = it.clock.wall()
    for line in it.store.lines.lines():
        until = line.plaintext_exception_until
        if line.kind == "lab" and line.enabled and until is not None and until > now:
            return line.id
    raise BadInput(
        "there is no line of kind lab whose exception for plain sound is in date",
        field="lines",
        remedy="candor login admin; candor lines add lab2 --kind lab --address 127.0.0.1:5060"
        " --caller-id candor --plaintext-until DATE",
    )
