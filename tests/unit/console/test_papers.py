# SPDX-License-Identifier: GPL-3.0-or-later
"""Papers, suppliers, partners, purposes, assessments and records by their commands."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from compliance.facts import Role
from console import homes
from tests.console_home import CAMPAIGN, ConsoleHome
from tests.storage_home import row, write_csv


@pytest.fixture
def officer(calls: ConsoleHome) -> ConsoleHome:
    calls.language("en")
    calls.sign_in(Role.COMPLIANCE)
    return calls


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "paper.pdf"
    path.write_bytes(b"%PDF a paper")
    return path


def far(officer: ConsoleHome, days: int = 400) -> str:
    with homes.opened(officer.root) as it:
        return f"{it.clock.wall() + timedelta(days=days):%Y-%m-%d}"


def test_a_supplier_from_nothing_to_good(officer: ConsoleHome, file: Path, tmp_path: Path) -> None:
    assert (
        officer.candor("suppliers", "add", "star", "--company", "星线", "--exemplary", "3").code
        == 0
    )
    bare = officer.candor("suppliers", "check", "star")
    assert bare.code == 1
    assert "AI software certificate: missing or ended" in bare.out

    paper = ("papers", "add", str(file), "--supplier", "star", "--valid-until", far(officer))
    assert officer.candor(*paper, "--kind", "licence", "--class", "B26").code == 0
    assert officer.candor(*paper, "--kind", "certificate").code == 0
    assert officer.candor(*paper, "--kind", "script_review").code == 0
    for item in ("encryption", "block_response"):
        assert officer.candor("suppliers", "note", "star", item, "seen on site").code == 0
    clauses = ("--our-duties", "4", "--their-duties", "5")
    contract = officer.candor(*paper, "--kind", "contract", *clauses, "--json").data["paper"]
    assert officer.candor("suppliers", "check", "star").code == 1  # no word on indemnity
    assert officer.candor(*paper, "--kind", "contract", *clauses, "--indemnity", "9").code == 0
    assert officer.candor("papers", "withdraw", contract[:8]).code == 0
    good = officer.candor("suppliers", "check", "star")
    assert good.code == 0, good.out
    assert "the call-centre class is B24" in good.out
    assert "3 exemplary clients: preferred" in good.out
    told = officer.candor("suppliers", "list", "--json").data
    assert [s["supplier"] for s in told] == ["star", "supplier1"]
    assert told[0]["remarks"] == ["class_b26", "preferred"]
    assert "withdrawn" in officer.candor("suppliers", "show", "star").out

    out = tmp_path / "copy.pdf"
    opened = officer.candor("papers", "open", contract, "-o", str(out), "--reason", "dispute")
    assert opened.code == 0, opened.err
    assert out.read_bytes() == file.read_bytes()
    assert out.stat().st_mode & 0o777 == 0o600
    again = officer.candor("papers", "open", contract, "-o", str(out), "--reason", "dispute")
    assert again.code == 2
    assert officer.candor("papers", "show", contract, "--json").data["state"] == "withdrawn"
    officer.sign_in(Role.OPERATOR)
    assert officer.candor(*paper, "--kind", "certificate").code == 3


def test_owners_of_a_paper_are_named_one_at_a_time(officer: ConsoleHome, file: Path) -> None:
    for owners in ((), ("--supplier", "supplier1", "--line", "simulator")):
        ran = officer.candor("papers", "add", str(file), "--kind", "contract", *owners)
        assert ran.code == 2
        assert "one owner" in ran.err
    assert officer.candor("papers", "list", "--owner", "moon").code == 2
    assert officer.candor("papers", "show", "abc").code == 2


def test_the_doctor_and_the_list_tell_of_ends(officer: ConsoleHome, file: Path) -> None:
    licence = next(
        p["paper"]
        for p in officer.candor("papers", "list", "--json").data
        if p["kind"] == "licence"
    )
    add = ("papers", "add", str(file), "--line", "simulator", "--kind", "filing")
    assert officer.candor(*add, "--valid-until", far(officer, 10)).code == 0
    assert officer.candor(*add, "--valid-until", "2020-01-01").code == 0
    assert officer.candor("papers", "withdraw", licence).code == 0
    found = officer.candor("papers", "list", "--json").data
    assert {"valid", "soon", "expired", "withdrawn"} == {p["state"] for p in found}
    told = " ".join(officer.candor("doctor").out.split())
    assert "supplier1: missing or ended: licence" in told
    assert "expired: filing simulator" in told
    assert "end within 30 days: filing simulator" in told
    assert officer.candor("gate", "explain", "13900000104", "--campaign", CAMPAIGN).code in (0, 1)


def test_a_purpose_an_assessment_and_a_record(officer: ConsoleHome, file: Path) -> None:
    assert officer.candor("purposes", "add", "survey", "--description", "调查").code == 0
    bad = officer.candor("purposes", "add", "x", "--description", "y", "--legal-basis", "hope")
    assert bad.code == 2
    listed = {p["purpose"]: p for p in officer.candor("purposes", "list", "--json").data}
    assert listed["survey"]["assessed_at"] is None
    assert listed["membership"]["assessed_at"] is not None
    signed = officer.candor("assessment", "add", "--purpose", "survey", "--file", str(file))
    assert signed.code == 0, signed.err
    assert officer.candor("assessment", "confirm", CAMPAIGN).code == 2  # it has none of its own
    assert officer.candor("assessment", "add", "--file", str(file)).code == 2
    told = officer.candor("assessment", "list", "--json").data
    assert told[0]["purpose"] == "survey"
    assert told[0]["current"] is True
    assert officer.candor("purposes", "end", "survey").code == 0
    [record] = officer.candor("records", "list", "--json").data
    assert (record["campaign"], record["persons"]) == (CAMPAIGN, 4)
    assert record["recipients"] == [["simulator", "simulator", "星线"]]
    assert record["retention"]["record_months"] == 36
    assert "consent (PIPL 13(1))" in " ".join(officer.candor("records", "list").out.split())
    officer.sign_in(Role.OPERATOR)
    running = officer.candor("campaign", "purpose", CAMPAIGN, "membership")
    assert running.code == 2
    assert "running" in running.err


def test_a_contact_of_a_partner_resolves_to_its_papers(
    officer: ConsoleHome, file: Path, tmp_path: Path
) -> None:
    assert officer.candor("partners", "add", "good", "--company", "良源").code == 0
    proof = ("--partner", "good", "--kind", "provenance")
    assert officer.candor("papers", "add", str(file), *proof).code == 0
    write_csv(tmp_path / "p.csv", [row("13900000155")])
    officer.sign_in(Role.OPERATOR)
    take = ("contacts", "import", str(tmp_path / "p.csv"), "--source", "partner", "--batch", "p")
    assert officer.candor(*take).code == 2
    assert officer.candor(*take, "--partner", "good").code == 0
    officer.sign_in(Role.COMPLIANCE)
    [origin] = officer.candor("contacts", "origin", "139 0000 0155", "--json").data
    assert (origin["partner"], origin["batch"], origin["row"]) == ("good", "p", 2)
    assert [p["kind"] for p in origin["papers"]] == ["provenance"]
    assert "良源" in officer.candor("contacts", "origin", "13900000155").out
    assert officer.candor("contacts", "origin", "13900000156").code == 1
    assert "good: missing or ended: licence" in " ".join(officer.candor("doctor").out.split())
    [partner] = officer.candor("partners", "list", "--json").data
    assert (partner["batches"], partner["licence_until"]) == (["p"], None)
