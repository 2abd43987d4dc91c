# SPDX-License-Identifier: GPL-3.0-or-later
"""A home on disk for tests of the store: people, an approved script, a line, contacts."""

from __future__ import annotations

import csv
import hashlib
import secrets
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, text

from compliance.clock import Clock, VirtualClock
from compliance.facts import (
    Actor,
    Attempt,
    Blame,
    CallRecord,
    Claim,
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
from console.demo_papers import add_supplier, declare_purpose
from dialer.policies import load_rulebook
from storage.contact_rows import COLUMNS
from storage.context import Context
from storage.database import make_engine, upgrade
from storage.keys import FileKeyring
from storage.objects import FolderObjects
from storage.recordings import RecordingWriter
from storage.store import ScriptVersion, Store, init_home
from tests.databases import Databases
from tests.duties import keep_duties
from tests.exams import adopt, pass_exam

START = datetime(2026, 11, 24, 2, 0, tzinfo=UTC)  # Tuesday, 10:00 in Shanghai
RULEBOOK = load_rulebook(["cn_seed"])
TENANT, COMPANY, PURPOSE = "test", "Candor Test", "product_info"
SUPPLIER = "supplier1"
PASSWORD = "correct horse"
DIGEST = hashlib.sha256(b"x").hexdigest()
ROLES = {
    "admin": Role.ADMIN,
    "author": Role.AUTHOR,
    "officer": Role.COMPLIANCE,
    "operator": Role.OPERATOR,
    "auditor": Role.AUDITOR,
}
LINE = LineFacts(
    id="line1",
    carrier="China Mobile",
    kind="ai_line",
    address="127.0.0.1:5060",
    caller_id="95000",
    whitelisted_until=START + timedelta(days=365),
    registered_until=START + timedelta(days=365),
    filed_until=START + timedelta(days=365),
    encrypted=True,
    supplier=SupplierFacts(id=SUPPLIER),
)


@dataclass(slots=True)
class TestHome:
    """An open home; ``actors`` by the names of :data:`ROLES`."""

    __test__ = False

    path: Path
    engine: Engine
    keyring: FileKeyring
    clock: VirtualClock
    store: Store
    actors: dict[str, Actor]

    def close(self) -> None:
        self.engine.dispose()

    def script(self) -> ScriptVersion:
        """An approved version."""
        submitted = self.submit()
        return self.store.scripts.approve(self.actors["officer"], submitted)

    def submit(self, *, end_ms: float | None = 2700.0, lint: Sequence[str] = ()) -> ScriptVersion:
        return self.store.scripts.submit(
            self.actors["author"],
            "greeting",
            "您好，我是智能机器人",
            flow_digest=DIGEST,
            audio_digest=DIGEST,
            disclosure_end_ms=end_ms,
            lint_findings=lint,
        )

    def contacts(self, phones: Sequence[str], batch: str = "batch1", **cells: str) -> None:
        """Import one consenting contact a phone."""
        path = self.path / f"{batch}.csv"
        write_csv(path, [row(phone, **cells) for phone in phones])
        result = self.store.contacts.import_file(
            path, actor=self.actors["operator"], source=SourceKind.OWN_CRM, batch=batch
        )
        assert result.accepted == len(phones), result

    def campaign(
        self,
        phones: Sequence[str] = ("13900000001",),
        *,
        name: str = "c1",
        start: bool = True,
        batches: Sequence[str] = (),
        lines: Sequence[LineFacts] = (LINE,),
    ) -> str:
        """A campaign over fresh contacts, or over ``batches`` imported before."""
        if not batches:
            self.contacts(phones, f"{name}-batch")
            batches = (f"{name}-batch",)
        known = {line.id for line in self.store.lines.lines()}
        for line in lines:
            if line.id not in known:
                self.store.lines.add_line(self.actors["admin"], line, {"password": "line secret"})
        script = self.store.scripts.current_approved("greeting") or self.script()
        campaign = self.store.campaigns.create_campaign(
            self.actors["operator"],
            name=name,
            purpose=PURPOSE,
            script=script.id,
            batches=batches,
            lines=[line.id for line in lines],
        )
        if start:
            keep_duties(self.engine, self.clock.wall())
            self.store.campaigns.start(self.actors["operator"], campaign)
        return campaign

    def claim(self, campaign: str, worker: str = "w1", lease_s: float = 60) -> Claim:
        claim = self.store.claim(campaign, worker=worker, now=self.clock.wall(), lease_s=lease_s)
        assert claim is not None
        return claim

    def permit(self, claim: Claim) -> Permit:
        return permit_for(claim, self.clock)

    def refusal(self, claim: Claim) -> Refusal:
        verdict = authorize(claim.request, RULEBOOK, self.clock)
        assert isinstance(verdict, Refusal)
        return verdict

    def attempt(self, campaign: str = "") -> tuple[Claim, Attempt]:
        """A committed attempt of the campaign's next contact."""
        claim = self.claim(campaign or self.campaign())
        return claim, self.store.authorise(self.permit(claim), claim, self.clock.wall())

    def record(self, claim: Claim, **fields: Any) -> CallRecord:
        """What an answered, accepted call leaves; ``fields`` override."""
        now = self.clock.wall()
        blank = CallRecord(
            claim.request.attempt_id,
            Outcome.ACCEPTED,
            Blame.NOBODY,
            LINE.id,
            sip_call_id="abc@sip",
            sip_status=200,
            sip_reason="OK",
            invited_at=now,
            answered_at=now,
            ended_at=now + timedelta(seconds=20),
            ended_by="bot",
            duration_ms=20000,
            disclosed_ms=2700,
            notice_ms=6000,
            feedback="yes",
            transcript=(
                TranscriptLine(Speaker.BOT, "您好，我是智能机器人", 0, 2700, mark="disclosure"),
                TranscriptLine(Speaker.CALLEE, "好的，我叫测试甲", 7000, 8200, confidence=0.9),
            ),
            keys=(KeyPress("1", 9000),),
        )
        return blank.evolve(**fields)

    def recorder(self, attempt_id: str) -> RecordingWriter:
        """An open recording whose keys are in the database."""
        writer = RecordingWriter.create(
            FolderObjects(self.path / "objects"),
            self.keyring,
            tenant=TENANT,
            call_id=attempt_id,
            recording_id=secrets.token_hex(16),
        )
        self.store.open_recording_row(attempt_id, writer.opening)
        return writer

    def call(self, *, keep_callee: bool = True) -> str:
        """A finished, recorded call; returns the attempt's id."""
        claim, attempt = self.attempt()
        writer = self.recorder(attempt.id)
        writer.write(bytes([0xD5]) * 9000, bytes([0x55]) * 9000)
        sealed = writer.close(keep_callee)
        self.store.finish(claim, self.record(claim, recording=sealed.id), sealed)
        return attempt.id

    def commitment_key(self, table: str, column: str) -> str:
        """The key of a ledger's commitment, from the one row of ``table`` that has it."""
        with self.engine.connect() as connection:
            row = connection.execute(text(f"SELECT id, {column} AS kept FROM {table}")).one()
        context = Context(self.engine, self.keyring, node="node1", clock=self.clock)
        return context.reveal(row.kept, table, column, row.id)

    def ledger_kinds(self) -> list[str]:
        with self.engine.connect() as connection:
            rows = connection.execute(text("SELECT kind FROM ledger_outbox ORDER BY id"))
            return [row.kind for row in rows]


def permit_for(claim: Claim, clock: Clock) -> Permit:
    verdict = authorize(claim.request, RULEBOOK, clock)
    assert isinstance(verdict, Permit), [f.rule for f in verdict.decision.refusing]
    return verdict


def row(phone: str, **cells: str) -> dict[str, str]:
    """A row with a full consent; ``cells`` override columns."""
    return {
        "name": "测试甲",
        "phone": phone,
        "interest": "",
        "timezone": "",
        "language": "",
        "consent_company": COMPANY,
        "consent_purpose": PURPOSE,
        "consent_channel": "web_form",
        "consent_at": "2026-10-01T09:00:00+08:00",
        "consent_explicit": "yes",
        "consent_preticked": "no",
        "consent_names_ai": "yes",
        "consent_evidence": "form 7",
        "notes": "",
    } | cells


def write_csv(
    path: Path, rows: Sequence[Mapping[str, str]], columns: Sequence[str] = COLUMNS
) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, columns, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)


def build(path: Path, databases: Databases, kind: HomeKind = HomeKind.PRODUCTION) -> None:
    """The template every test's home is copied from."""
    path.mkdir(parents=True, exist_ok=True)
    keyring = FileKeyring.create(path / "keys.json")
    clock = VirtualClock(START - timedelta(days=30))
    url = databases.new()
    (path / "url").write_text(url)
    engine = make_engine(url)
    upgrade(engine)
    init_home(
        engine,
        keyring,
        tenant=TENANT,
        company=COMPANY,
        kind=kind,
        clock=clock,
    )
    store = Store(engine, keyring, node="node1", clock=clock)
    store.people.add_person(None, "admin", PASSWORD, [Role.ADMIN])
    admin = store.people.sign_in("admin", PASSWORD)
    people = {"admin": admin}
    for name, role in ROLES.items():
        if name != "admin":
            person = store.people.add_person(admin, name, PASSWORD, [role])
            people[name] = Actor(person, name, frozenset({role}), TENANT)
    pass_exam(store, *people.values())
    adopt(store, people["officer"], RULEBOOK)
    officer = store.people.sign_in("officer", PASSWORD)
    objects = FolderObjects(path / "papers")  # apart: tests count the objects of recordings
    add_supplier(store, objects, officer, SUPPLIER, company="Candor Lines", now=clock.wall())
    declare_purpose(store, objects, officer, PURPOSE)
    engine.dispose()


def open_home(path: Path, *, node: str = "node1") -> TestHome:
    """Open a home by its folder alone, as other processes do; ``url`` in it names the database."""
    engine = make_engine((path / "url").read_text())
    keyring = FileKeyring.open(path / "keys.json")
    clock = VirtualClock(START)
    store = Store(engine, keyring, node=node, clock=clock)
    with engine.connect() as connection:
        people = connection.execute(text("SELECT id, name FROM people")).all()
    actors = {
        person.name: Actor(person.id, person.name, frozenset({ROLES[person.name]}), TENANT)
        for person in people
    }
    return TestHome(path, engine, keyring, clock, store, actors)


def copy_home(template: Path, path: Path, databases: Databases) -> TestHome:
    shutil.copytree(template, path)
    (path / "url").write_text(databases.copy((template / "url").read_text(), path))
    return open_home(path)
