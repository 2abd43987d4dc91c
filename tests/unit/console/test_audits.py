# SPDX-License-Identifier: GPL-3.0-or-later
"""`candor audit` and `candor duty`, as people type them, the page of an audit, the doctor."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from compliance.audits import Answer, Stratum, draw, parse_checklist, size_of
from compliance.clock import SystemClock, VirtualClock
from compliance.errors import PolicyError
from compliance.facts import Role
from console import audit_page, duty_checks, homes
from console.audit_view import load_checklist, question_text
from console.diagnosis import Level
from console.messages import LANGUAGES
from storage.audit_rows import Answered, Audit, Item
from tests.console_desk import Desk, desk_at

NOW = datetime.now(UTC)
LAST_MONTH = f"{NOW.replace(day=1) - timedelta(days=2):%Y-%m}"


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    folder = tmp_path_factory.mktemp("desk")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(folder / "state"))
        yield desk_at(folder / "home")


def test_an_audit_goes_from_the_draw_to_the_signature(desk: Desk) -> None:
    auditor, officer = Role.AUDITOR, Role.COMPLIANCE
    assert desk.candor(auditor, "audit", "walk").code == 2  # none was drawn
    assert desk.candor(auditor, "audit", "draw", "--month", "2999-01").code == 2
    assert desk.candor(auditor, "audit", "draw", "--month", LAST_MONTH).code == 2  # no checkpoint
    assert desk.candor(auditor, "ledger", "checkpoint").code == 0
    audit = desk.data(auditor, "audit", "draw", "--month", LAST_MONTH)
    waiting = desk.data(auditor, "audit", "walk")
    assert audit["open"] == len(waiting) == 6
    for entry in waiting[1:]:
        assert desk.candor(auditor, "audit", "answer", entry["item"], "yes").code == 0
    assert desk.candor(officer, "audit", "sign").code == 2
    first = waiting[0]["item"]
    assert desk.candor(auditor, "audit", "answer", first, "no").code == 2
    asked = desk.candor(auditor, "audit", "walk", "--ask", stdin="perhaps\nno\n王 had no source\n")
    assert asked.code == 0, asked.err
    assert desk.candor(auditor, "audit", "sign").code == 3
    signed = desk.data(officer, "audit", "sign", "--month", LAST_MONTH)
    assert (signed["result"], signed["findings"]) == ("findings", [first])
    (case,) = desk.data(auditor, "case", "list")
    assert (case["kind"], case["subject"]) == (
        "audit_finding",
        f"{LAST_MONTH}:0:sources_declared",
    )
    page = desk.root / "audit.html"
    assert desk.candor(auditor, "audit", "show", "--html", str(page)).code == 0
    assert "王" not in page.read_text("utf-8")
    assert desk.candor(auditor, "audit", "show", "--notes", "--html", str(page)).code == 2
    again = ("audit", "show", "--notes", "--html", str(page), "--force")
    assert desk.candor(auditor, *again).code == 0
    assert "王 had no source" in page.read_text("utf-8")
    assert page.stat().st_mode & 0o777 == 0o600
    for command in (("audit", "list"), ("audit", "show"), ("audit", "show", "--notes")):
        assert LAST_MONTH in desk.candor(auditor, *command).out


@pytest.mark.parametrize("item", ["x.y", "sources_declared", "²." + "y", "99999.caps_kept", "-1.x"])
def test_an_item_that_is_none(desk: Desk, item: str) -> None:
    assert desk.candor(Role.AUDITOR, "audit", "answer", "--", item, "yes").code == 2


def test_duties_are_listed_and_closed(desk: Desk) -> None:
    month, half = f"{NOW:%Y-%m}", f"{NOW.year}-H{1 if NOW.month < 7 else 2}"
    listed = desk.data(Role.OPERATOR, "duty", "list")["duties"]
    assert [(d["kind"], d["period"], d["overdue"]) for d in listed] == [
        ("script_review", month, False),
        ("security", half, False),
    ]
    review = ("duty", "close", "script_review", "--period", month, "--text", "-")
    assert desk.candor(Role.OPERATOR, *review, stdin="kept").code == 3
    assert desk.candor(Role.COMPLIANCE, *review, stdin="kept").code == 0
    report = desk.root / "report.txt"
    close = ("duty", "close", "security", "--period", half, "--text", "ok", "--file", str(report))
    assert desk.candor(Role.ADMIN, *close).code == 2  # there is no such file
    report.write_text("no finding")
    assert desk.candor(Role.ADMIN, *close).code == 0
    digest = hashlib.sha256(b"no finding").hexdigest()
    with homes.opened(desk.root) as it, it.engine.connect() as connection:
        bodies = connection.exec_driver_sql("SELECT body FROM ledger_outbox").scalars().all()
    assert any(digest.encode() in bytes(body) for body in bodies)
    assert desk.data(Role.OPERATOR, "duty", "list")["duties"] == []
    assert half in desk.candor(Role.OPERATOR, "duty", "list", "--done").out


def test_the_doctor_is_red_before_the_deadline_and_for_overdue_duties(desk: Desk) -> None:
    clock = SystemClock()
    for hours, level in ((1, Level.OK), (13, Level.WARN), (21, Level.FAIL), (25, Level.FAIL)):
        received = (datetime.now(UTC) - timedelta(hours=hours)).isoformat()
        desk.data(
            Role.OPERATOR, *("complaint", "add", "--kind", "other", "--channel", "web"),
            *("--number", "13900000001", "--text", "x", "--received", received),
        )  # fmt: skip
        with homes.opened(desk.root) as it:
            found = list(duty_checks.complaints(clock, it.store))
        assert found[0].level is level, hours
    later = VirtualClock(NOW + timedelta(days=90))
    with homes.opened(desk.root) as it:
        it.store.duties._context.clock = later  # as if nobody had looked for so long
        found = list(duty_checks.duties(it.home, later, it.store))
    assert {d.case for d in found} == {"blocks", "overdue"}
    for diagnosis in found:
        for language in LANGUAGES:
            assert "doctor." not in diagnosis.message(language) + diagnosis.remedy(language)


# ---------------------------------------------------------------- pure parts


def test_every_question_has_words_in_both_languages() -> None:
    for question in load_checklist().questions:
        for language in LANGUAGES:
            assert "audit.question" not in question_text(question, language)


@pytest.mark.parametrize(
    ("population", "size"),
    [(0, 0), (1, 1), (10, 10), (11, 10), (100, 10), (101, 11), (2500, 50), (10**6, 50)],
)
def test_the_size_of_a_sample(population: int, size: int) -> None:
    assert size_of(population) == size
    ids = [f"{n:08}" for n in range(min(population, 3000))]
    if len(ids) == population:
        drawn = draw("seed", Stratum.CONTACT, ids)
        assert (len(set(drawn.sample)), drawn.population) == (size, population)
        assert drawn.sample != draw("other", Stratum.CONTACT, ids).sample or size < 2


def test_a_broken_checklist_is_refused() -> None:
    good = {"id": "x", "about": "month", "requirements": ["G2"]}
    head = {"format": "candor-checklist/1", "edition": 1, "source": "s"}
    every = [{**good, "id": str(s), "about": str(s)} for s in Stratum]
    assert parse_checklist({**head, "questions": every}).edition == 1
    for questions in ([], [good], [*every, every[0]], [*every, {**good, "why": "?"}]):
        with pytest.raises(PolicyError):
            parse_checklist({**head, "questions": questions})


def test_what_people_wrote_is_escaped_on_the_page() -> None:
    checklist = load_checklist()
    answered = Answered(Answer.NO, "p", NOW, "n", True)
    item = Item(0, Stratum.MONTH, "2026-11", {"caps_kept": answered})
    audit = Audit(
        month="2026-11", drawn_by="p", drawn_at=NOW, size=9, root="ab", seed="cd",
        checklist=checklist.digest, population={"contact": 0}, items=(item,), digest="",
        result="", signed_by="", signed_at=None,
    )  # fmt: skip
    for language in LANGUAGES:
        page = audit_page.page(audit, checklist, {"p": "<i>"}, {"n": "<script>"}, "A&B", language)
        assert "<script>" not in page
        assert "&lt;script&gt;" in page
        assert "<i>" not in page
        assert "A&amp;B" in page
