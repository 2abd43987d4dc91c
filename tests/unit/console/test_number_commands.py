# SPDX-License-Identifier: GPL-3.0-or-later
"""Our own numbers and do-not-call lists on the command line (C4b, D1)."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest

from compliance.facts import Role
from compliance.own_numbers import State
from console.number_view import BAR_CELLS, as_json, bar, diagnose, table
from storage.number_care import Case, CaseState, Figures
from tests.console_home import ConsoleHome
from tests.unit.compliance.builders import NOW


@pytest.mark.parametrize(
    ("calls", "cap", "cells"),
    [(0, 200, 0), (1, 200, 1), (100, 200, 10), (199, 200, 19), (200, 200, 20), (350, 200, 20)],
)
def test_a_bar_is_full_only_when_nothing_is_left(calls: int, cap: int, cells: int) -> None:
    drawn = bar(calls, cap).plain
    assert len(drawn) == BAR_CELLS
    assert drawn.count("█") == cells


def test_without_a_cap_there_is_no_bar() -> None:
    assert bar(5, None).plain == "–"


CASE = Case("c" * 32, CaseState.OPEN, {}, "system", NOW - timedelta(days=2), NOW, None)
WELL = Figures("+861055550000", ("a",), 20, 20, 9, 1, None, None, "", False, State.WELL, None)
RESTING = WELL.evolve(
    number="+864008887686",
    rest_until=NOW + timedelta(hours=3),
    rest_reason="suspected",
    on_trial=True,
    case=CASE,
)


def test_what_the_doctor_says() -> None:
    class Numbers:
        def __init__(self, *found: Figures) -> None:
            self.found = found

        def figures(self) -> list[Figures]:
            return list(self.found)

    class Store:
        def __init__(self, *found: Figures) -> None:
            self.own_numbers = Numbers(*found)

    def said(*found: Figures, asked: int | None = 200) -> list[str]:
        return [d.case for d in diagnose(Store(*found), asked, NOW)]  # type: ignore[arg-type]

    assert said(WELL) == ["ok"]
    assert said(WELL, RESTING) == ["resting", "overdue"]
    assert said(RESTING.evolve(case=None)) == ["none_left", "resting"]
    assert said(WELL, asked=20) == ["none_left", "full"]
    assert said(WELL, WELL.evolve(number="b", calls=0), asked=20) == ["full"]
    assert said(WELL.evolve(day_cap=20), WELL.evolve(number="b")) == ["full"]
    assert as_json(RESTING, 200, NOW)["case"]["overdue"] is True
    assert table([RESTING, WELL], 200, NOW, "en").row_count == 2


def test_a_number_is_rested_noted_and_released(calls: ConsoleHome) -> None:
    home = calls
    home.sign_in(Role.OPERATOR)
    (before,) = home.candor("numbers", "list", "--json").data
    assert (before["state"], before["cap"]) == ("in_use", 200)
    assert before["calls_24h"] >= 1
    number = before["number"]
    assert home.candor("numbers", "rest", number, "--note", "fraud label").code == 0
    step = ("numbers", "case", number, "carrier_contacted", "--note", "ticket 4711")
    assert home.candor(*step).code == 0
    assert home.candor("numbers", "release", number, "--note", "x").code == 3  # not an operator's
    shown = home.candor("numbers", "list")
    assert "resting" in shown.out or "停用" in shown.out
    home.sign_in(Role.COMPLIANCE)
    assert home.candor("numbers", "limit", number, "120").code == 0
    assert home.candor("numbers", "release", number, "--note", "lifted").code == 0
    after = home.candor("numbers", "show", number, "--json").data
    assert (after["state"], after["cap"]) == ("trial", 120)
    (case,) = after["cases"]
    assert [n["state"] for n in case["notes"]] == ["open", "carrier_contacted", "released"]
    assert home.candor("numbers", "show", number).code == 0
    assert home.candor("numbers", "release", number, "--note", "again").code == 2
    assert home.candor("numbers", "rest", "4000000000").code == 2


def test_a_list_is_imported_looked_up_and_replaced(calls: ConsoleHome, tmp_path: Path) -> None:
    home = calls
    file = tmp_path / "no.csv"
    file.write_text("phone,since\n139 0000 0001,2020\n+86 139-0000-0002,2021\n", "utf-8")
    home.sign_in(Role.OPERATOR)
    words = ("registry", "import", "谢绝来电", str(file), "--as-of")
    assert home.candor(*words, "2026-01-05").code == 3
    home.sign_in(Role.COMPLIANCE)
    done = home.candor(*words, "2026-01-05", "--json").data
    assert (done["entries"], done["rejected"], done["asked_for"]) == (2, 0, False)
    listed = home.candor("registry", "check", "0086 13900000001", "--json")
    assert listed.code == 1
    assert json.loads(listed.out)["registries"] == [
        {"registry": "谢绝来电", "as_of": "2026-01-05", "listed": True}
    ]
    assert "13900000001" not in listed.out
    assert home.candor("registry", "check", "13900000009").code == 0
    (row,) = home.candor("registry", "list", "--json").data
    assert (row["state"], row["entries"], row["asked_by"]) == ("ok", 2, [])
    assert home.candor(*words, "2026-01-04").code == 2  # older than the one in force
    assert home.candor(*words, "2999-01-01").code == 2
    file.write_text(
        "13900000002\nnot a number\n" + "".join(f"139000010{n:02}\n" for n in range(30))
    )
    told = home.candor(*words, "2026-01-06")
    assert told.code == 0
    assert "2" in told.err
    assert home.candor("registry", "check", "13900000001").code == 0
    assert home.candor("registry", "check", "13900000002").code == 1


def test_a_refusal_reaches_what_is_asked_for(calls: ConsoleHome) -> None:
    home = calls
    home.sign_in(Role.COMPLIANCE)
    withdraw = ("subject", "13900000777", "withdraw", "--json")
    assert home.candor(*withdraw, "--scope", "campaign").code == 2  # which one?
    everything = home.candor(*withdraw, "--scope", "everything").data
    assert everything["until"].startswith("9999")
    company = home.candor(*withdraw).data
    assert company["scope"] == "company"
    held = home.candor("subject", "13900000777", "show", "--json").data
    assert [r["scope"] for r in held["refusals"]] == ["company", "everything"]
