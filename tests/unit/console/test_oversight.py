# SPDX-License-Identifier: GPL-3.0-or-later
"""`candor stop-all`, `gate explain`, `campaign preview`, `subject`, as people type them."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from sqlalchemy import text, update
from typer.testing import CliRunner, Result

from compliance.errors import BadInput, NotAllowed, SignInFailed
from compliance.facts import Actor, HomeKind, LineFacts, Number, Role, SourceKind
from compliance.paperwork import SupplierFacts
from console import gate_view, homes
from console.cli import app
from console.demo_papers import add_supplier, declare_purpose
from dialer.law import rulebook_of
from dialer.policies import load_rulebook
from storage.campaigns import CampaignState
from storage.paper_tables import AssessmentRow
from tests.exams import adopt, pass_exam
from tests.storage_home import row, write_csv

COMPANY = "星辰公司"
DIGEST = hashlib.sha256(b"x").hexdigest()
ROLES = (Role.ADMIN, Role.AUTHOR, Role.COMPLIANCE, Role.OPERATOR, Role.AUDITOR)
MORNING = "2026-11-24T10:00:00+08:00"  # a Tuesday
NOON = "2026-11-24T12:00:00+08:00"
# The gate's clock here is the machine's: consent long before it, papers long after.
CONSENT = {"consent_company": COMPANY, "consent_at": "2025-01-02T09:00:00+08:00"}


@dataclass(frozen=True, slots=True)
class Desk:
    """A home, and whoever is signed in at it."""

    root: Path
    people: dict[Role, Actor]

    def sign_in(self, role: Role) -> None:
        with homes.opened(self.root) as it:
            token = it.store.people.issue_session(self.people[role], timedelta(hours=1))
        homes.remember(self.root, token)

    def candor(self, role: Role, *words: str, stdin: str = "") -> Result:
        self.sign_in(role)
        return CliRunner().invoke(app, [*words, "--home", str(self.root)], input=stdin)

    def data(self, role: Role, *words: str, stdin: str = "") -> Any:
        result = self.candor(role, *words, "--json", stdin=stdin)
        assert result.exit_code == 0, (result.output, result.exception)
        return json.loads(result.stdout)

    def kinds(self) -> list[str]:
        """What the ledger holds, signing in apart."""
        with homes.opened(self.root) as it, it.engine.connect() as connection:
            rows = connection.execute(text("SELECT kind FROM ledger_outbox ORDER BY id"))
            return [found.kind for found in rows if found.kind != "session.issue"]

    def import_people(self, batch: str, *rows: dict[str, str]) -> None:
        path = self.root.parent / f"{batch}.csv"
        write_csv(path, rows)
        with homes.opened(self.root) as it:
            it.store.contacts.import_file(
                path, actor=self.people[Role.OPERATOR], source=SourceKind.WEB_FORM, batch=batch
            )

    def campaign(self, name: str, *batches: str) -> str:
        with homes.opened(self.root) as it:
            version = it.store.scripts.current_approved("greeting")
            assert version is not None
            return it.store.campaigns.create_campaign(
                self.people[Role.OPERATOR],
                name=name,
                purpose="product_info",
                script=version.id,
                batches=batches,
                lines=["line1"],
            )


def person(phone: str, **cells: str) -> dict[str, str]:
    return row(phone, **{"name": "王小明", **CONSENT, **cells})


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    """A home with people, an approved script, a line, and a draft campaign over four contacts."""
    root = tmp_path_factory.mktemp("desk") / "home"
    homes.create(root, kind=HomeKind.PRODUCTION, company=COMPANY, tenant="t", language="en")
    people: dict[Role, Actor] = {}
    with homes.opened(root) as it:
        admin: Actor | None = None
        for role in ROLES:
            it.store.people.add_person(admin, str(role), "correct horse", [role])
            people[role] = it.store.people.sign_in(str(role), "correct horse")
            admin = people[Role.ADMIN]
        pass_exam(it.store, *people.values())
        adopt(it.store, people[Role.COMPLIANCE], rulebook_of(it.home, it.store))
        scripts = it.store.scripts
        version = scripts.submit(
            people[Role.AUTHOR],
            "greeting",
            "您好，我是智能机器人",
            flow_digest=DIGEST,
            audio_digest=DIGEST,
            disclosure_end_ms=2700.0,
            lint_findings=(),
        )
        scripts.approve(people[Role.COMPLIANCE], version)
        far = datetime(2099, 1, 1, tzinfo=UTC)
        line = LineFacts(
            "line1", "telecom", "ai_line", "127.0.0.1:5060", "95000",
            whitelisted_until=far, registered_until=far, filed_until=far,
            plaintext_exception_until=far, supplier=SupplierFacts(id="s"),
        )  # fmt: skip
        officer, objects = people[Role.COMPLIANCE], it.home.open_objects()
        add_supplier(it.store, objects, officer, "s", company="星线", now=far)
        declare_purpose(it.store, objects, officer, "product_info")
        with it.engine.begin() as connection:  # days are asked for that lie before today
            long_ago = datetime(2026, 1, 5, tzinfo=UTC)
            connection.execute(update(AssessmentRow).values(at=long_ago))
        it.store.lines.add_line(people[Role.ADMIN], line)
    desk = Desk(root, people)
    desk.import_people(
        "autumn",
        person("13900000001"),
        person("13900000002"),
        person("13900000003", **{k: "" for k in row("1") if k.startswith("consent")}),
        person("13900000004", consent_preticked="yes", consent_purpose="survey"),
    )
    desk.campaign("autumn", "autumn")
    return desk


@pytest.fixture
def desk(template: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    shutil.copytree(template.root, tmp_path / "home")
    return Desk(tmp_path / "home", template.people)


def start(desk: Desk, name: str = "autumn") -> None:
    with homes.opened(desk.root) as it:
        it.store.campaigns.start(
            desk.people[Role.OPERATOR], it.store.campaigns.campaign_named(name)
        )


# ---------------------------------------------------------------- stop-all


def test_stop_all_and_lift(desk: Desk) -> None:
    said = desk.data(Role.OPERATOR, "stop-all", "--reason", "complaint")
    assert (said["stopped"], said["changed"]) == (True, True)
    again = desk.candor(Role.ADMIN, "stop-all")
    assert again.exit_code == 0
    assert "nothing changed" in again.output
    assert isinstance(desk.candor(Role.OPERATOR, "stop-all", "--lift").exception, NotAllowed)
    assert "Nothing starts by itself" in desk.candor(Role.COMPLIANCE, "stop-all", "--lift").output
    assert "not stopped" in desk.candor(Role.ADMIN, "stop-all", "--lift").output
    kinds = desk.kinds()
    assert (kinds.count("platform.stop"), kinds.count("platform.lift")) == (1, 1)


def test_dialing_under_a_stop_says_so_and_starts_nothing(desk: Desk) -> None:
    desk.candor(Role.COMPLIANCE, "stop-all")
    refused = desk.candor(Role.OPERATOR, "dial", "autumn")
    assert refused.exit_code == 1
    assert "candor stop-all --lift" in refused.output
    with homes.opened(desk.root) as it:
        campaign = it.store.campaigns.campaign_named("autumn")
        assert it.store.campaign_state(campaign) is CampaignState.DRAFT


# ---------------------------------------------------------------- gate explain


def test_explain_names_every_rule_and_the_earliest_time(desk: Desk) -> None:
    start(desk)
    words = ("gate", "explain", "139 0000 0001", "--campaign", "autumn", "--at")
    allowed = desk.data(Role.AUDITOR, *words, MORNING)
    assert (allowed["permitted"], allowed["in_campaign"]) == (True, True)
    assert not allowed["as_if_started"]
    assert allowed["number"] == "139****0001"
    assert allowed["lines"] == ["line1"]
    assert datetime.fromisoformat(allowed["earliest"]) == datetime.fromisoformat(MORNING)
    assert all(f["passed"] for f in allowed["findings"])
    refused = desk.data(Role.OPERATOR, *words, NOON)
    assert not refused["permitted"]
    (hours,) = [f for f in refused["findings"] if not f["passed"]]
    assert (hours["rule"], hours["requirement"]) == ("outside_calling_hours", "C1")
    assert "12:00:00" in hours["why"]
    assert hours["source"]
    opens = datetime.fromisoformat("2026-11-24T14:30:00+08:00")
    assert datetime.fromisoformat(refused["earliest"]) == opens
    # As many rules are told of when refused as when allowed, the line's own among them.
    assert len(refused["findings"]) == len(allowed["findings"])
    assert {f["line"] for f in refused["findings"]} == {"", "line1"}


def test_explain_on_a_screen(desk: Desk) -> None:
    start(desk)
    shown = desk.candor(
        Role.COMPLIANCE, "gate", "explain", "13900000004", "--campaign", "autumn", "--at", MORNING
    )
    assert shown.exit_code == 0
    for words in ("139****0004", "preticked_or_vague_consent", "ticked beforehand", "refuse"):
        assert words in shown.output
    assert "waiting alone does not mend it" in shown.output
    assert "13900000004" not in shown.output


def test_a_narrow_screen_gets_every_rule_too(desk: Desk) -> None:
    with homes.opened(desk.root) as it:
        rulebook = load_rulebook(it.home.settings.policy.profiles)
        actor, at = desk.people[Role.OPERATOR], datetime.fromisoformat(NOON)
        found = gate_view.explain(it, actor, "autumn", Number("+8613900000001"), rulebook, at)
    for width, columns in ((80, 3), (150, 6)):
        table = gate_view.table(found.decision, "en", width)
        assert len(table.columns) == columns
        assert table.row_count == len(found.decision.findings)
        screen = Console(width=width, file=io.StringIO(), record=True)
        screen.print(table)
        assert "over_call_cap" in screen.export_text()


def test_explain_from_standard_input_leaves_a_look_up_and_nothing_else(desk: Desk) -> None:
    before = desk.kinds()
    said = desk.data(
        Role.OPERATOR, "gate", "explain", "-", "--campaign", "autumn", "--at", MORNING,
        stdin="+86 139-0000-0001\n",
    )  # fmt: skip
    assert (said["permitted"], said["as_if_started"]) == (True, True)
    assert desk.kinds() == [*before, "gate.explain"]


def test_explain_for_a_number_nobody_imported(desk: Desk) -> None:
    start(desk)
    said = desk.data(
        Role.OPERATOR, "gate", "explain", "13900000099", "--campaign", "autumn", "--at", MORNING
    )
    assert not said["in_campaign"]
    refusing = {f["rule"] for f in said["findings"] if not f["passed"]}
    assert refusing == {"undeclared_source", "no_explicit_consent"}
    assert said["earliest"] is None


@pytest.mark.parametrize(
    ("number", "campaign", "at", "words"),
    [
        ("12345", "autumn", MORNING, "telephone number|short code|numbering plan"),
        ("110", "autumn", MORNING, "emergency"),
        ("13900000001", "nothing", MORNING, "campaign"),
        ("13900000001", "autumn", "yesterday", "--at"),
    ],
)
def test_explain_of_something_unusable(
    desk: Desk, number: str, campaign: str, at: str, words: str
) -> None:
    result = desk.candor(
        Role.OPERATOR, "gate", "explain", number, "--campaign", campaign, "--at", at
    )
    assert isinstance(result.exception, BadInput)
    assert any(word in str(result.exception) for word in words.split("|"))
    assert number not in str(result.exception)
    assert "gate.explain" not in desk.kinds()


def test_who_may_not_look(desk: Desk) -> None:
    for words in (
        ("gate", "explain", "13900000001", "--campaign", "autumn"),
        ("campaign", "preview", "autumn"),
        ("subject", "13900000001", "show"),
        ("subject", "13900000001", "withdraw"),
        ("subject", "13900000001", "erase", "--yes"),
    ):
        assert isinstance(desk.candor(Role.AUTHOR, *words).exception, NotAllowed)
    (desk.root.parent / "state").rename(desk.root.parent / "gone")
    result = CliRunner().invoke(app, ["stop-all", "--home", str(desk.root)])
    assert isinstance(result.exception, SignInFailed)


# ---------------------------------------------------------------- campaign preview


def test_preview_of_a_draft(desk: Desk) -> None:
    before = desk.kinds()
    said = desk.data(Role.OPERATOR, "campaign", "preview", "autumn", "--at", MORNING)
    assert (said["state"], said["stopped_at"]) == ("draft", None)
    assert (said["contacts"], said["now"], said["later"], said["refused"]) == (4, 2, 0, 2)
    rules = {r["rule"]: (r["first"], r["refused"], r["later"]) for r in said["rules"]}
    assert rules == {
        "no_explicit_consent": (1, 1, 0),
        "preticked_or_vague_consent": (1, 1, 0),
        "consent_for_another_use": (0, 1, 0),
    }
    assert desk.kinds() == before
    with homes.opened(desk.root) as it:
        campaign = it.store.campaigns.campaign_named("autumn")
        assert it.store.campaign_state(campaign) is CampaignState.DRAFT


def test_preview_says_when_the_first_window_opens(desk: Desk) -> None:
    desk.import_people("again", person("0086 139 0000 0001"))
    desk.campaign("twice", "autumn", "again")
    said = desk.data(Role.OPERATOR, "campaign", "preview", "twice", "--at", MORNING)
    assert (said["contacts"], said["now"], said["later"], said["refused"]) == (5, 2, 1, 2)
    said = desk.data(Role.OPERATOR, "campaign", "preview", "twice", "--at", NOON)
    assert (said["now"], said["later"], said["refused"]) == (0, 3, 2)
    opens = datetime.fromisoformat("2026-11-24T14:30:00+08:00")
    assert datetime.fromisoformat(said["first_opening"]) == opens
    shown = desk.candor(Role.COMPLIANCE, "campaign", "preview", "twice", "--at", NOON)
    assert shown.exit_code == 0
    assert "3 only later" in shown.output
    assert "outside_calling_hours" in shown.output


def test_preview_under_a_stop(desk: Desk) -> None:
    desk.candor(Role.ADMIN, "stop-all")
    said = desk.data(Role.OPERATOR, "campaign", "preview", "autumn", "--at", MORNING)
    assert said["stopped_at"] is not None
    assert (said["now"], said["later"], said["refused"]) == (0, 0, 4)
    shown = desk.candor(Role.OPERATOR, "campaign", "preview", "autumn", "--at", MORNING)
    assert "nothing is dialed" in shown.output


# ---------------------------------------------------------------- subject


def test_subject_shows_all_that_is_held(desk: Desk) -> None:
    held = desk.data(Role.COMPLIANCE, "subject", "139-0000-0001", "show")
    assert held["number"] == "139****0001"
    (contact,) = held["contacts"]
    assert (contact["name"], contact["batch"], contact["campaigns"]) == (
        "王小明",
        "autumn",
        ["autumn"],
    )
    (consent,) = held["consents"]
    assert (consent["company"], consent["purpose"]) == (COMPANY, "product_info")
    assert held["calls"] == held["refusals"] == held["destructions"] == []
    shown = desk.candor(Role.AUDITOR, "subject", "-", "show", "--reason", "audit",
                        stdin="13900000001\n")  # fmt: skip
    for words in ("王小明", COMPANY, "web form", "ticked by hand"):
        assert words in shown.output
    assert desk.kinds().count("pii.read") == 2
    nobody = desk.candor(Role.COMPLIANCE, "subject", "13900000099", "show")
    assert "Nothing is held of 139****0099" in nobody.output


def test_withdrawing_ends_consent_and_lists_the_number(desk: Desk) -> None:
    start(desk)
    said = desk.data(Role.OPERATOR, "subject", "13900000001", "withdraw")
    until, at = (datetime.fromisoformat(said[k]) for k in ("until", "withdrawn_at"))
    assert timedelta(days=180) < until - at < timedelta(days=185)  # six calendar months
    found = desk.data(
        Role.OPERATOR, "gate", "explain", "13900000001", "--campaign", "autumn", "--at", MORNING
    )
    refusing = {f["rule"] for f in found["findings"] if not f["passed"]}
    assert {"withdrawn_consent", "number_on_refusal_list"} <= refusing
    held = desk.data(Role.COMPLIANCE, "subject", "13900000001", "show")
    assert held["withdrawn_at"] == said["withdrawn_at"]
    assert [r["how"] for r in held["refusals"]] == ["request"]


def test_erasing_asks_first_and_is_done_once(desk: Desk) -> None:
    words = ("subject", "13900000001", "erase")
    declined = desk.candor(Role.COMPLIANCE, *words, stdin="n\n")
    assert declined.exit_code == 1
    assert "subject.erase" not in desk.kinds()
    done = desk.candor(Role.COMPLIANCE, *words, stdin="y\n")
    assert done.exit_code == 0
    assert "Destruction record" in done.output
    again = desk.data(Role.COMPLIANCE, *words, "--yes")
    assert (again["erased"], again["record"], again["what"]) == (False, "", {})
    held = desk.data(Role.COMPLIANCE, "subject", "13900000001", "show")
    assert held["contacts"] == held["consents"] == []
    (record,) = held["destructions"]
    assert record["operator"] == str(Role.COMPLIANCE)
    assert record["what"] == {"consents": 1, "contacts": 1, "targets": 1}
    # The old file again: its consent is older than the erasure.
    desk.import_people("old-file", person("13900000001"))
    desk.campaign("second", "old-file")
    start(desk, "second")
    said = desk.data(
        Role.OPERATOR, "gate", "explain", "13900000001", "--campaign", "second", "--at", MORNING
    )
    assert "withdrawn_consent" in {f["rule"] for f in said["findings"] if not f["passed"]}


def test_a_number_from_standard_input_and_the_question_after_it(desk: Desk) -> None:
    done = desk.candor(Role.COMPLIANCE, "subject", "-", "erase", stdin="13900000002\ny\n")
    assert done.exit_code == 0
    assert "139****0002" in done.output
    assert desk.kinds()[-1] == "subject.erase"
