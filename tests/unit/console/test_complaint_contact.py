# SPDX-License-Identifier: GPL-3.0-or-later
"""The published complaint telephone: required in production, and spoken by scripts (P1)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from compliance.errors import BadInput, ConfigError
from compliance.facts import HomeKind, Role
from console import complaint_contact, homes
from console.complaint_contact import filled_in, spoken
from console.diagnosis import Level
from dialer.settings import CompanySettings, Home
from tests.console_desk import Desk, desk_at

SCRIPT = Path(__file__).parents[3] / "examples" / "demo" / "script.zh.yaml"
PHONE = "400-800-1234"


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    folder = tmp_path_factory.mktemp("desk")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(folder / "state"))
        yield desk_at(folder / "home")


def publish(desk: Desk, line: str) -> None:
    settings = desk.root / "candor.toml"
    head = settings.read_text("utf-8").partition("\n[company]")[0]
    settings.write_text(f"{head}\n[company]\n{line}\n" if line else head, "utf-8")


def test_a_production_campaign_needs_a_published_contact(desk: Desk) -> None:
    publish(desk, "")
    refused = desk.candor(Role.OPERATOR, "campaign", "start", "autumn")
    assert refused.code == 2
    assert "P1" in refused.err
    for line in (f'complaint_phone = "{PHONE}"', 'complaint_mailbox = "care@example.com"'):
        publish(desk, line)
        started = desk.candor(Role.OPERATOR, "campaign", "start", "autumn")
        assert "P1" not in started.err  # there is no such campaign, which is another matter
    publish(desk, "")
    for kind in (HomeKind.DEMO, HomeKind.LAB):
        complaint_contact.require(Home(desk.root), kind)


@pytest.mark.parametrize(
    "line",
    ['complaint_phone = "call us"', 'complaint_mailbox = "care"', 'complaint_fax = "1"'],
)
def test_an_unusable_contact_is_refused(desk: Desk, line: str) -> None:
    publish(desk, line)
    with pytest.raises(ConfigError, match="company"):
        Home(desk.root)
    publish(desk, "")


def test_the_telephone_is_spoken_digit_by_digit() -> None:
    assert spoken(PHONE, "zh") == "四零零八零零一二三四"
    assert spoken("+86 10 65", "en") == "plus 8 6 1 0 6 5"
    company = CompanySettings(complaint_phone="12315")
    assert filled_in("language: en\nx: call {complaint_phone}", company).endswith("1 2 3 1 5")
    assert filled_in("language: zh\nx: {complaint_phone}", company).endswith("一二三一五")
    assert filled_in("x: y", CompanySettings()) == "x: y"
    with pytest.raises(BadInput, match="not set"):
        filled_in("x: {complaint_phone}", CompanySettings())


def test_what_is_handed_in_says_the_number_and_the_doctor_knows(desk: Desk, tmp_path: Path) -> None:
    source = SCRIPT.read_text("utf-8")
    publish(desk, f'complaint_phone = "{PHONE}"')

    def signed() -> None:
        with homes.opened(desk.root) as it:
            newest = it.store.scripts.versions()[-1]
            it.store.scripts.approve(desk.people[Role.COMPLIANCE], newest)

    def found() -> tuple[Level, str]:
        with homes.opened(desk.root) as it:
            (diagnosis,) = complaint_contact.check(it.home, it.store)
        return diagnosis.level, diagnosis.case

    with homes.opened(desk.root) as it:
        it.store.scripts.submit(
            desk.people[Role.AUTHOR], "main", source, flow_digest="0" * 64, audio_digest="0" * 64,
            disclosure_end_ms=2700.0, lint_findings=(),
        )  # fmt: skip
    signed()
    assert found() == (Level.WARN, "silent")
    file = tmp_path / "script.yaml"
    file.write_text(source.replace("非常抱歉，", "非常抱歉，投诉电话{complaint_phone}，"), "utf-8")
    assert desk.candor(Role.AUTHOR, "script", "submit", str(file)).code == 0
    signed()
    assert found() == (Level.OK, "ok")
    with homes.opened(desk.root) as it:
        assert "投诉电话四零零八零零一二三四" in it.store.scripts.versions()[-1].text
    publish(desk, 'complaint_phone = "400-800-9999"')
    assert found() == (Level.WARN, "silent")  # what is signed says the old one
    publish(desk, "")
    assert found() == (Level.FAIL, "missing")
