# SPDX-License-Identifier: GPL-3.0-or-later
"""`candor exam`, `training`, `policy` and `calendar` as people type them."""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
from collections.abc import Callable, Iterable
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from compliance.clock import VirtualClock
from compliance.errors import BadInput, PolicyError
from compliance.facts import Role
from console import exam_bank, homes, office_checks
from console.commands.exams import read_answers
from console.commands.policies import read_calendar
from console.diagnosis import Diagnosis
from dialer.law import check_adopted, rulebook_of
from dialer.policies import load_rulebook
from dialer.worker import take_over_law
from dialer.writer import Writer
from storage.store import Store
from tests.console_home import ConsoleHome
from tests.exams import adopt
from tests.unit.compliance.builders import DATA, load

OWN = {**load("policies/demo.yaml"), "id": "house", "title": "House rules"}


@pytest.fixture
def home(calls: ConsoleHome) -> ConsoleHome:
    calls.language("en")
    return calls


def write_profile(folder: Path, name: str = "house", **changes: Any) -> None:
    data = {**OWN, "id": name, **changes}
    (folder / f"{name}.yaml").write_text(yaml.safe_dump(data, allow_unicode=True), "utf-8")


def own_profile(home: ConsoleHome, **changes: Any) -> None:
    (home.root / "policies").mkdir(exist_ok=True)
    write_profile(home.root / "policies", **changes)


def use(home: ConsoleHome, *profiles: str) -> None:
    settings = home.root / "candor.toml"
    text = settings.read_text("utf-8")
    named = json.dumps(list(profiles))
    settings.write_text(text.replace('profiles = ["demo"]', f"profiles = {named}"), "utf-8")


# ---------------------------------------------------------------- exam


def add_person(home: ConsoleHome, role: Role) -> None:
    with homes.opened(home.root) as it:
        it.store.people.add_person(home.people[Role.ADMIN], "new", "long password", [role])
        actor = it.store.people.sign_in("new", "long password")
        homes.remember(home.root, it.store.people.issue_session(actor, timedelta(hours=1)))


def typed(answers: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("\n".join(answers) + "\n"))


def answers_of(questions: list[dict[str, Any]], language: str) -> dict[str, int]:
    """The place of each right answer, from 1."""
    right = {q.id: q.answers[0] for q in exam_bank.load(language).questions}
    return {q["id"]: q["answers"].index(right[q["id"]]) + 1 for q in questions}


def test_the_exam_at_a_terminal(home: ConsoleHome, monkeypatch: pytest.MonkeyPatch) -> None:
    add_person(home, Role.OPERATOR)
    typed(["9", "x", *["1"] * 20], monkeypatch)
    ran = home.candor("exam", "take")
    assert ran.code == 1, ran.err
    assert "Type a number from 1 to" in ran.out
    assert "20/20" in ran.out
    assert "✗" in ran.out
    assert "Not passed" in ran.out
    [standing] = home.candor("exam", "status", "--json").data
    assert (standing["name"], standing["state"], standing["tries"]) == ("new", "failed", 1)


def test_leaving_in_the_middle_hands_nothing_in(
    home: ConsoleHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_person(home, Role.OPERATOR)
    typed(["1"] * 3, monkeypatch)
    assert home.candor("exam", "take").code == 1
    [standing] = home.candor("exam", "status", "--json").data
    assert (standing["state"], standing["tries"]) == ("never", 0)


@pytest.mark.parametrize("language", ["zh", "en"])
def test_the_exam_for_machines(home: ConsoleHome, tmp_path: Path, language: str) -> None:
    add_person(home, Role.OPERATOR)
    refused = home.candor("contacts", "import", "x.csv", "--source", "own_crm", "--batch", "b")
    assert refused.code == 3
    assert "candor exam take" in refused.err
    drawn = home.candor("exam", "take", "--json", "--language", language).data
    file = tmp_path / "answers.json"
    answers = answers_of(drawn["questions"], language)
    file.write_text(json.dumps({"sitting": drawn["sitting"], "answers": answers}))
    words = ("exam", "take", "--json", "--language", language, "--answers", str(file))
    done = home.candor(*words).data
    assert done["passed"]
    assert (done["correct"], done["asked"], done["wrong"]) == (20, 20, [])
    assert home.candor(*words).code == 2  # handed in before
    assert home.kinds()[-2:] == ["exam.begin", "exam.hand_in"]


@pytest.mark.parametrize(
    "document",
    ["", "[]", "{}", '{"sitting": 1, "answers": {}}', '{"sitting": "x", "answers": {"caps": "1"}}',
     '{"sitting": "x", "answers": {"caps": true}}', '{"sitting": "x", "answers": {}, "more": 1}',
     "[" * 9999],
)  # fmt: skip
def test_answers_that_cannot_be_read(tmp_path: Path, document: str) -> None:
    file = tmp_path / "answers.json"
    file.write_text(document)
    with pytest.raises(BadInput):
        read_answers(file)


# ---------------------------------------------------------------- training


def test_trainings_are_recorded_and_listed(home: ConsoleHome, tmp_path: Path) -> None:
    home.sign_in(Role.COMPLIANCE)
    slides = tmp_path / "slides.pdf"
    slides.write_bytes(b"slides")
    added = home.candor(
        "training", "add", "--topic", "Refusals", "--date", "2026-01-20", "--role", "operator",
        "--material", str(slides), "--json",
    ).data  # fmt: skip
    found = home.candor("training", "list", "--json").data
    [training] = found["trainings"]
    assert training["id"] == added["training"]
    assert training["people"] == ["operator"]
    assert training["material"] == hashlib.sha256(b"slides").hexdigest()
    assert {one["name"] for one in found["due"]} == {str(role) for role in home.people}
    assert "Refusals" in home.candor("training", "list").out
    home.sign_in(Role.AUTHOR)
    found = home.candor("training", "list", "--json").data
    assert found["trainings"] == []
    assert [one["name"] for one in found["due"]] == ["author"]


# ---------------------------------------------------------------- law


def test_the_adopted_law_is_the_one_in_use(home: ConsoleHome) -> None:
    home.sign_in(Role.AUTHOR)
    diff = home.candor("policy", "diff", "--json")
    assert (diff.code, diff.data["same"], diff.data["changes"]) == (0, True, [])
    listed = {one["profile"]: one for one in home.candor("policy", "list", "--json").data}
    assert set(listed) == {path.stem for path in (DATA / "policies").glob("*.yaml")}
    assert [name for name, one in listed.items() if one["in_use"]] == ["demo"]
    shown = home.candor("policy", "show", "fr", "--json").data
    assert shown["hours"] == [{"start": 600, "end": 780}, {"start": 840, "end": 1200}]
    assert home.candor("policy", "show", "nowhere").code == 2
    with homes.opened(home.root) as it:
        check_adopted(it.home, it.store)


def test_an_own_profile_is_told_then_adopted(home: ConsoleHome) -> None:
    own_profile(home, caps=[{"calls": 1, "per": "day", "window": "rolling"}])
    use(home, "demo", "house")
    home.sign_in(Role.COMPLIANCE)
    with homes.opened(home.root) as it, pytest.raises(PolicyError, match="changed since"):
        check_adopted(it.home, it.store)
    diff = home.candor("policy", "diff", "--json")
    assert diff.code == 1
    told = {(c["document"], c["key"]): c["verdict"] for c in json.loads(diff.out)["changes"]}
    assert told == {("together", "caps"): "stricter", ("house", "profile"): "stricter"}
    assert "House rules" in home.candor("policy", "diff").out
    adopted = home.candor("policy", "adopt", "--reason", "house rules", "--json").data
    assert (adopted["by"], adopted["number"]) == ("compliance_officer", 2)
    assert home.candor("policy", "diff").code == 0
    listed = {one["profile"]: one for one in home.candor("policy", "list", "--json").data}
    assert (listed["house"]["own"], listed["house"]["in_use"]) == (True, True)


def test_only_an_officer_adopts(home: ConsoleHome) -> None:
    own_profile(home)
    use(home, "demo", "house")
    home.sign_in(Role.ADMIN)
    ran = home.candor("policy", "adopt", "--reason", "x")
    assert (ran.code, ran.out) == (3, "")


def misnamed(folder: Path) -> None:
    write_profile(folder)
    (folder / "house.yaml").rename(folder / "other.yaml")


def no_yaml(folder: Path) -> None:
    (folder / "house.yaml").write_text("a: [")


@pytest.mark.parametrize(
    ("spoil", "named", "told"),
    [
        (write_profile, ["house"], "stands alone"),
        (lambda f: write_profile(f, "cn_seed"), ["demo"], "comes with Candor"),
        (misnamed, ["demo", "other"], "its id must be other"),
        (lambda f: write_profile(f, hour=[]), ["demo", "house"], "hour: profile house"),
        (no_yaml, ["demo", "house"], "not YAML"),
        (lambda f: write_profile(f, title="x" * (65 << 10)), ["demo", "house"], "too large"),
        (write_profile, ["demo", "nowhere"], "no policies file"),
    ],
)
def test_own_profiles_that_are_refused(
    tmp_path: Path, spoil: Callable[[Path], None], named: list[str], told: str
) -> None:
    spoil(tmp_path)
    with pytest.raises(PolicyError, match=told):
        load_rulebook(named, tmp_path)


def test_a_refused_profile_is_one_line_on_the_screen(home: ConsoleHome) -> None:
    own_profile(home)
    use(home, "house")
    home.sign_in(Role.COMPLIANCE)
    ran = home.candor("policy", "diff")
    assert (ran.code, ran.out) == (2, "")
    assert "stands alone" in ran.err


def test_an_own_profile_can_but_be_stricter(tmp_path: Path) -> None:
    lax: dict[str, Any] = {
        "windows": {"hours": [["00:00", "24:00"]], "days": "all"},
        "caps": [],
        "exam": False,
        "adopted_law": False,
        "line_papers": ["filing"],
        "never_dial": [],
        "homes": ["production"],
    }
    write_profile(tmp_path, **lax)
    together = load_rulebook(["cn_seed", "house"], tmp_path).policy
    base = load_rulebook(["cn_seed"]).policy
    for key in ("hours", "days", "caps", "exam", "adopted_law", "line_papers", "never_dial"):
        assert getattr(together, key) == getattr(base, key)


# ---------------------------------------------------------------- calendars


def calendar_file(folder: Path, **changes: Any) -> Path:
    data = {
        "format": "candor-calendar/1", "region": "CN", "year": 2027, "official": True,
        "source": "a notice", "weekend": [6, 7],
        "holidays": [{"name": "元旦", "from": "2027-01-01", "to": "2027-01-03"}],
        "working_days": ["2027-01-10"],
    } | changes  # fmt: skip
    path = folder / "calendar.yaml"
    path.write_text(yaml.safe_dump(data, allow_unicode=True), "utf-8")
    return path


def test_a_calendar_is_imported_listed_and_must_be_adopted(
    home: ConsoleHome, tmp_path: Path
) -> None:
    home.sign_in(Role.COMPLIANCE)
    file = str(calendar_file(tmp_path))
    assert home.candor("calendar", "import", file).code == 0
    listed = {(c["region"], c["year"]): c for c in home.candor("calendar", "list", "--json").data}
    assert listed["CN", 2027]["imported_by"] == "compliance_officer"
    assert listed["CN", 2026]["imported_by"] == ""
    diff = home.candor("policy", "diff", "--json")
    assert diff.code == 1
    assert json.loads(diff.out)["changes"][0]["document"] == "calendar CN 2027"
    assert home.candor("policy", "adopt", "--reason", "calendar 2027").code == 0
    with homes.opened(home.root) as it:
        assert ("CN", 2027) in rulebook_of(it.home, it.store).calendars
        check_adopted(it.home, it.store)


def test_ours_is_replaced_only_when_it_is_said_why(home: ConsoleHome, tmp_path: Path) -> None:
    home.sign_in(Role.COMPLIANCE)
    changed = {"year": 2026, "holidays": [], "working_days": []}
    file = str(calendar_file(tmp_path, **changed))
    ran = home.candor("calendar", "import", file)
    assert ran.code == 2
    assert "--replace" in ran.err
    assert home.candor("calendar", "import", file, "--replace").code == 2
    words = ("calendar", "import", file, "--replace", "--reason", "the notice was changed")
    assert home.candor(*words, "--json").data == {"region": "CN", "year": 2026, "official": True}
    listed = {(c["region"], c["year"]): c for c in home.candor("calendar", "list", "--json").data}
    assert listed["CN", 2026]["holidays"] == 0
    assert listed["CN", 2026]["reason"] == "the notice was changed"


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"year": 2028}, "holidays[0].to"),
        ({"working_days": ["2027-01-11"]}, "working_days"),
        ({"working_days": ["2027-01-10", "2027-01-10"]}, "twice"),
        ({"region": ""}, "region"),
        ({"extra": 1}, "extra"),
        ({"format": "candor-calendar/2"}, "format"),
    ],
)
def test_calendars_that_are_refused(tmp_path: Path, change: dict[str, Any], told: str) -> None:
    with pytest.raises(PolicyError) as caught:
        read_calendar(calendar_file(tmp_path, **change))
    assert told in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"- a\n", b"a: [", b"\xff\xfe", b"x" * (65 << 10)])
def test_files_that_are_no_calendar(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "calendar.yaml"
    path.write_bytes(content)
    with pytest.raises(BadInput) as caught:
        read_calendar(path)
    assert len(str(caught.value).splitlines()) == 1


def test_the_calendar_schema_names_the_same_keys_as_the_reader() -> None:
    schema = json.loads((DATA / "calendars" / "calendar.schema.json").read_text("utf-8"))
    for path in (DATA / "calendars").glob("*.yaml"):
        assert set(load(f"calendars/{path.name}")) == set(schema["required"])
    assert set(schema["properties"]) == set(schema["required"])


# ---------------------------------------------------------------- the doctor


def told(found: Iterable[Diagnosis]) -> list[tuple[str, str, str]]:
    return [(one.check, str(one.level), one.case) for one in found]


def test_the_doctor_says_who_may_not_work_and_whether_law_changed(home: ConsoleHome) -> None:
    with homes.opened(home.root) as it:
        assert told(office_checks.law(it.home, it.store)) == [("law", "ok", "ok")]
        assert told(office_checks.exam(it.store)) == [("exam", "ok", "ok")]
        assert told(office_checks.training(it.store)) == [("training", "ok", "ok")]
    add_person(home, Role.AUTHOR)
    own_profile(home)
    use(home, "demo", "house")
    with homes.opened(home.root) as it:
        assert told(office_checks.law(it.home, it.store)) == [("law", "fail", "changed")]
        [found] = office_checks.exam(it.store)
        assert (found.level, found.params["people"]) == ("warn", "new")
        assert "candor exam take" in found.remedy("en")


def test_a_year_later_the_doctor_asks_for_exam_and_training(home: ConsoleHome) -> None:
    with homes.opened(home.root) as it:
        later = VirtualClock(it.clock.wall() + timedelta(days=366))
        store = Store(it.engine, it.keyring, node="node1", clock=later)
        assert told(office_checks.exam(store)) == [
            ("exam", "fail", "nobody"),
            ("exam", "warn", "lacking"),
        ]
        [found] = office_checks.training(store)
        assert found.case == "overdue"
        assert "operator" in found.message("en")


# ---------------------------------------------------------------- in the middle of a run


def test_a_run_takes_over_newly_adopted_law_and_holds_until_its_files_are_that_law(
    home: ConsoleHome,
) -> None:
    writer = Writer()

    async def take_over(adopted: str) -> bool:
        return await take_over_law(run, it.home, adopted)

    with homes.opened(home.root) as it:
        before = rulebook_of(it.home, it.store)
        run: Any = SimpleNamespace(rulebook=before, writer=writer, store=it.store)
        assert asyncio.run(take_over(before.digest))
        now = load_rulebook(["demo", "cn_seed"])
        adopt(it.store, home.people[Role.COMPLIANCE], now)  # at another machine
        assert not asyncio.run(take_over(now.digest))
        assert run.rulebook is before
        use(home, "demo", "cn_seed")
        assert asyncio.run(take_over(now.digest))
        assert run.rulebook == now
        settings = home.root / "candor.toml"
        settings.write_text(settings.read_text("utf-8") + "[", "utf-8")
        assert not asyncio.run(take_over(before.digest))
        assert run.rulebook == now
    writer.close()
