# SPDX-License-Identifier: GPL-3.0-or-later
"""A demo home with calls in it, made without dialing, and commands run in this process."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import secrets
import shutil
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np

from compliance.facts import (
    Actor,
    Blame,
    CallRecord,
    HomeKind,
    KeyPress,
    LineFacts,
    Outcome,
    Role,
    SourceKind,
    Speaker,
    TranscriptLine,
)
from compliance.gate import authorize
from compliance.paperwork import SupplierFacts
from compliance.permits import Permit, Refusal
from console import cli, homes
from console.demo_papers import add_supplier, declare_purpose
from console.homes import Opened
from dialer.law import rulebook_of, wording_digest
from dialer.policies import load_rulebook
from storage.objects import FolderObjects
from storage.recordings import RecordingWriter
from tests.exams import adopt, pass_exam
from tests.storage_home import row, write_csv

COMPANY = "星辰公司"
CAMPAIGN = "autumn"
ROLES = (Role.ADMIN, Role.AUTHOR, Role.COMPLIANCE, Role.OPERATOR, Role.AUDITOR)
_PASSWORD = "correct horse battery"
_DIGEST = hashlib.sha256(b"x").hexdigest()
_CONSENT = {
    "consent_company": COMPANY,
    "consent_purpose": "membership",
    "consent_at": "2025-01-02T09:00:00+08:00",
}


@dataclass(frozen=True, slots=True)
class Ran:
    """What one command left behind."""

    code: int
    out: str
    err: str

    @property
    def data(self) -> Any:
        assert self.code == 0, self.err
        return json.loads(self.out)


@dataclass(frozen=True, slots=True)
class ConsoleHome:
    """``accepted`` was recorded whole, ``refused`` lost its callee's track, ``stopped`` was
    refused by the gate, ``live`` is on the line."""

    root: Path
    people: dict[Role, Actor]
    accepted: str
    refused: str
    stopped: str
    live: str

    def copy(self, root: Path) -> ConsoleHome:
        shutil.copytree(self.root, root)
        return ConsoleHome(root, self.people, self.accepted, self.refused, self.stopped, self.live)

    def sign_in(self, role: Role) -> None:
        with homes.opened(self.root) as it:
            token = it.store.people.issue_session(self.people[role], timedelta(hours=1))
        homes.remember(self.root, token)

    def candor(self, *words: str) -> Ran:
        """One command, by whoever signed in last."""
        return candor(*words, "--home", str(self.root))

    def kinds(self) -> list[str]:
        """Kinds of the ledger's entries, oldest first."""
        with homes.opened(self.root) as it, it.engine.connect() as connection:
            found = connection.exec_driver_sql("SELECT kind FROM ledger_outbox ORDER BY id")
            return [str(kind) for (kind,) in found]

    def language(self, language: str) -> None:
        settings = self.root / "candor.toml"
        text = settings.read_text("utf-8").replace('language = "zh"', f'language = "{language}"')
        settings.write_text(text, "utf-8")


def candor(*words: str) -> Ran:
    """One command in this process; its output and errors kept apart."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = cli.run(words)
    return Ran(code, out.getvalue(), err.getvalue())


def build(root: Path, database: str = "") -> ConsoleHome:
    """Make the home; the session's folder is ``XDG_STATE_HOME``."""
    assert "XDG_STATE_HOME" in os.environ
    homes.create(root, kind=HomeKind.DEMO, company=COMPANY, tenant="test", database=database)
    with homes.opened(root) as it:
        people = _hire(it)
        _campaign(it, people, root)
        accepted, refused, stopped, live = _calls(it)
    return ConsoleHome(root, people, accepted, refused, stopped, live)


def _hire(it: Opened) -> dict[Role, Actor]:
    people: dict[Role, Actor] = {}
    for role in ROLES:
        it.store.people.add_person(people.get(Role.ADMIN), role, _PASSWORD, [role])
        people[role] = it.store.people.sign_in(role, _PASSWORD)
    pass_exam(it.store, *people.values())
    law = rulebook_of(it.home, it.store)
    adopt(it.store, people[Role.COMPLIANCE], law, wording_digest(it.home))
    return people


def _campaign(it: Opened, people: dict[Role, Actor], root: Path) -> None:
    store = it.store
    version = store.scripts.submit(
        people[Role.AUTHOR],
        "welcome",
        "您好，我是机器人",
        flow_digest=_DIGEST,
        audio_digest=_DIGEST,
        disclosure_end_ms=2610.0,
    )
    store.scripts.approve(people[Role.COMPLIANCE], version)
    until = it.clock.wall() + timedelta(days=10, hours=1)
    simulator = LineFacts(
        "simulator", "simulator", "simulator", "127.0.0.1:5062", "4008887686",
        plaintext_exception_until=until, supplier=SupplierFacts(id="supplier1"),
    )  # fmt: skip
    officer, objects = people[Role.COMPLIANCE], it.home.open_objects()
    add_supplier(store, objects, officer, "supplier1", company="星线", now=it.clock.wall())
    declare_purpose(store, objects, officer, "membership")
    store.lines.add_line(people[Role.ADMIN], simulator)
    path = root.parent / f"{root.name}.csv"
    rows = [row(f"1390000010{n}", name="王小明", **_CONSENT) for n in (1, 2, 4)]
    rows.insert(2, row("13900000103", name="张三", **_CONSENT) | {"consent_explicit": "no"})
    write_csv(path, rows)
    store.contacts.import_file(
        path, actor=people[Role.OPERATOR], source=SourceKind.WEB_FORM, batch="b"
    )
    campaign = store.campaigns.create_campaign(
        people[Role.OPERATOR],
        name=CAMPAIGN,
        purpose="membership",
        script=version.id,
        batches=["b"],
        lines=["simulator"],
    )
    store.campaigns.start(people[Role.OPERATOR], campaign)


def _calls(it: Opened) -> tuple[str, str, str, str]:
    store, clock = it.store, it.clock
    campaign = store.campaigns.campaign_named(CAMPAIGN)
    rulebook = load_rulebook(["demo"])
    store.rulebooks.keep(rulebook.digest, rulebook.text)
    ids = []
    for n in range(4):
        claim = store.claim(campaign, worker="w", now=clock.wall(), lease_s=3600)
        assert claim is not None
        proven = tuple(line.evolve(simulator_proven=True) for line in claim.request.lines)
        claim = claim.evolve(request=claim.request.evolve(lines=proven))
        verdict = authorize(claim.request, rulebook, clock)
        ids.append(claim.lease_id)
        if isinstance(verdict, Refusal):
            store.refuse(claim, verdict.decision, clock.wall())
            continue
        assert isinstance(verdict, Permit)
        attempt = store.authorise(verdict, claim, clock.wall())
        if n == 3:
            store.mark_answered(attempt.id, clock.wall())
            continue
        writer = RecordingWriter.create(
            FolderObjects(it.home.objects),
            it.keyring,
            tenant=store.tenant,
            call_id=attempt.id,
            recording_id=secrets.token_hex(16),
        )
        store.open_recording_row(attempt.id, writer.opening)
        writer.write(bytes([0xD5]) * 16_000, bytes(np.full(16_000, 0x80, np.uint8)))
        sealed = writer.close(keep_callee=n == 0)
        store.finish(claim, _record(it, attempt.id, sealed.id, n), sealed)
    return ids[0], ids[1], ids[2], ids[3]


def _record(it: Opened, attempt: str, recording: str, n: int) -> CallRecord:
    at = it.clock.wall()
    record = CallRecord(
        attempt,
        Outcome.ACCEPTED,
        Blame.CALLEE,
        "simulator",
        sip_call_id=f"call-{n}@sip",
        sip_status=200,
        sip_reason="OK",
        invited_at=at,
        ringing_at=at + timedelta(milliseconds=40),
        answered_at=at + timedelta(milliseconds=1500),
        ended_at=at + timedelta(milliseconds=21_500),
        ended_by="bot",
        duration_ms=20_000,
        disclosed_ms=2_505,
        notice_ms=8_424,
        feedback="yes",
        recording=recording,
        transcript=(
            TranscriptLine(Speaker.BOT, "您好，我是机器人", 15, 2_505, mark="disclosure"),
            TranscriptLine(Speaker.CALLEE, "好的我叫王小明", 12_000, 13_000, confidence=0.9),
        ),
        keys=(KeyPress("2", 14_000),),
    )
    if n == 0:
        return record
    return record.evolve(
        outcome=Outcome.REFUSED,
        notice_ms=None,
        refused=True,
        refused_ms=2_649,
        farewell_ms=3_105,
        feedback="refusal",
        violations=("S6",),
        transcript=(
            TranscriptLine(Speaker.BOT, "您好，我是机器人", 15, 2_505, mark="disclosure"),
            TranscriptLine(Speaker.CALLEE, "不需要别打了", 1_239, 2_649, confidence=0.95),
            TranscriptLine(Speaker.BOT, "这次", 2_705, 3_095, 3_095, mark="purpose"),
        ),
        keys=(),
    )
