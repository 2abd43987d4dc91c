# SPDX-License-Identifier: GPL-3.0-or-later
"""The store: the one door to what must last.

The path of a call is on the store itself (claim, authorise, finish …);
the rest is found under its noun: ``store.people``, ``store.contacts``,
``store.scripts``, ``store.lines``, ``store.campaigns``, ``store.refusals``.
Everything here is synchronous and may be called from any thread.
"""

from __future__ import annotations

import functools
import re

from sqlalchemy import Connection, Engine, insert, select
from sqlalchemy.orm import Session

from compliance.clock import Clock
from compliance.errors import BadInput
from compliance.facts import HomeKind
from storage import contradictions, ledger
from storage.agents import Agents
from storage.arms import Arms
from storage.attempts import Attempts, Caps
from storage.audits import Audits
from storage.call_notes import CallNotes
from storage.calls import AccessReason, Calls
from storage.campaigns import Campaigns, CampaignState
from storage.cases import Cases
from storage.checks import Checks
from storage.complaints import Complaints
from storage.contacts import Contacts, ImportResult
from storage.context import SYSTEM, Context, translated
from storage.duties import Duties
from storage.evidence import Evidence
from storage.exams import Exams
from storage.holds import Holds
from storage.journal import Journal
from storage.keys import Keyring
from storage.law import Law
from storage.leases import Leases
from storage.lines import Lines
from storage.listing import CallRow, GateRefusalRow, Listing
from storage.models import Home
from storage.monitoring import Monitoring
from storage.number_care import OwnNumbers
from storage.papers import Papers
from storage.people import People
from storage.previews import Previews
from storage.processing import Records
from storage.purposes import Assessments, Purposes
from storage.rechecks import Rechecks
from storage.refusals import Refusals
from storage.registries import Registries
from storage.report import Reports
from storage.retention import Retention
from storage.rotation import Rotation
from storage.rulebooks import Rulebooks
from storage.scripts import Scripts, ScriptVersion
from storage.spoken import Spoken
from storage.stops import Stops
from storage.subjects import Subjects
from storage.suppliers import Partners, Suppliers
from storage.testers import Testers
from storage.tickets import Tickets
from storage.trainings import Trainings
from storage.watching import Watching

__all__ = [
    "AccessReason",
    "CallRow",
    "CampaignState",
    "Caps",
    "GateRefusalRow",
    "ImportResult",
    "ScriptVersion",
    "Store",
    "init_home",
]

_TENANT = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")


def init_home(
    engine: Engine,
    keyring: Keyring,
    *,
    tenant: str,
    company: str,
    kind: HomeKind,
    clock: Clock,
    node: str = "node1",
) -> None:
    """Say once and for ever whose database this is and what may be dialed from it.

    Raises:
        BadInput: made before, or an unusable tenant or company name.
    """
    if not _TENANT.fullmatch(tenant):
        raise BadInput("write small letters, digits and dashes", field="tenant")
    if not company.strip():
        raise BadInput("name the company that calls", field="company")
    now = clock.wall()
    with translated(), Session(engine) as session, session.begin():
        if session.scalar(select(Home.id)) is not None:
            raise BadInput("this database has a home already", field="home")
        session.execute(
            insert(Home).values(
                id=1, tenant=tenant, company=company.strip(), kind=str(kind), created_at=now
            )
        )
        ledger.append(
            session,
            node=node,
            kind="home.init",
            actor=SYSTEM,
            at=now,
            body={
                "tenant": tenant,
                "company": company.strip(),
                "home": str(kind),
                "key": keyring.fingerprint(),
            },
        )


def note_upgrade(connection: Connection, was: str, now: str, *, node: str, clock: Clock) -> None:
    """Write down that a home's database was brought to another schema; for ``upgrade``."""
    with Session(connection) as session:
        if session.scalar(select(Home.id)) is None:
            return  # it is just being made
        body = {"from": was, "to": now}
        ledger.append(
            session, node=node, kind="db.upgrade", actor=SYSTEM, at=clock.wall(), body=body
        )
        session.flush()


class Store:
    """One home's records, opened with its keys, for one node of the fleet."""

    def __init__(self, engine: Engine, keyring: Keyring, *, node: str, clock: Clock) -> None:
        context = Context(engine, keyring, node=node, clock=clock)
        self.engine = engine
        self.keyring = keyring
        self.tenant = context.tenant
        self.company = context.company
        self.home = context.home

        self.people = People(context)
        self.contacts = Contacts(context)
        self.scripts = Scripts(context)
        self.lines = Lines(context)
        self.campaigns = Campaigns(context)
        self.papers = Papers(context)
        self.suppliers = Suppliers(context)
        self.partners = Partners(context)
        self.purposes = Purposes(context)
        self.assessments = Assessments(context)
        self.records = Records(context)
        self.refusals = Refusals(context)
        self.registries = Registries(context)
        self.own_numbers = OwnNumbers(context)
        self.agents = Agents(context)
        self.tickets = Tickets(context)
        self.spoken = Spoken(context)
        self.cases = Cases(context)
        self.testers = Testers(context)
        self.stops = Stops(context)
        self.previews = Previews(context)
        self.rulebooks = Rulebooks(context)
        self.law = Law(context)
        self.exams = Exams(context)
        self.trainings = Trainings(context)
        self.rechecks = Rechecks(context)
        self.checks = Checks(context)
        self.arms = Arms(context)
        self.reports = Reports(context)
        self.evidence = Evidence(context)
        self.journal = Journal(context)
        self.rotation = Rotation(context)
        self.watching = Watching(context)
        self.contradictions = functools.partial(contradictions.find, context)

        leases, attempts = Leases(context), Attempts(context)
        calls, listing = Calls(context), Listing(context)
        self.subjects = Subjects(context, leases.settle_expired)
        self.holds = Holds(context)
        self.call_notes = CallNotes(context)
        self.monitoring = Monitoring(context)
        self.audits = Audits(context)
        self.duties = Duties(context)
        self.complaints = Complaints(context, self.refusals, self.holds)
        self.retention = Retention(context, leases.settle_expired)

        # The path of a call, in its order.
        self.campaign_state = self.campaigns.campaign_state
        self.steering = self.stops.steering
        self.campaign_script = self.campaigns.campaign_script
        self.line_transport = self.lines.line_transport
        self.claim = leases.claim
        self.release = leases.release
        self.refuse = attempts.refuse
        self.authorise = attempts.authorise
        self.renew = leases.renew
        self.mark_answered = attempts.mark_answered
        self.open_recording_row = calls.open_recording_row
        self.record_refusal = self.refusals.record_refusal
        self.finish = calls.finish
        self.finish_attempt = calls.finish_attempt
        self.settle_expired = leases.settle_expired
        self.unsealed_recordings = calls.unsealed_recordings
        self.seal_recovered = calls.seal_recovered

        # Reading calls: masked, or raw with a reason.
        self.calls = listing.calls
        self.call = listing.call
        self.decision = listing.decision
        self.gate_refusals = listing.gate_refusals
        self.gate_refusal = listing.gate_refusal
        self.invites = calls.invites
        self.agent_legs = self.agents.agent_legs
        self.transcript = calls.transcript
        self.key_presses = calls.key_presses
        self.recording = calls.recording
