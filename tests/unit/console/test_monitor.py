# SPDX-License-Identifier: GPL-3.0-or-later
"""`candor monitor`: content, frequency and feedback, of calls that were made (T1)."""

from __future__ import annotations

from compliance.facts import Role
from tests.console_home import CAMPAIGN, ConsoleHome


def test_the_three_figures_are_those_of_the_calls(calls: ConsoleHome) -> None:
    calls.sign_in(Role.OPERATOR)
    listed = calls.candor("calls", "list", CAMPAIGN, "--json").data
    called = [row for row in listed if row["outcome"] != "gate_refused" and not row["rules"]]
    refused = [row for row in listed if row["rules"]]
    found = calls.candor("monitor", "--days", "366", "--json").data
    assert found["frequency"]["attempts"] == len(called) > 0
    assert sum(found["frequency"]["refused"].values()) == sum(len(r["rules"]) for r in refused)
    spoken = [row["feedback"] for row in called if row["feedback"]]
    assert sum(found["feedback"]["spoken"].values()) == len(spoken)
    assert calls.candor("calls", "note", calls.accepted[:8], "called back").code == 0
    assert calls.candor("monitor", "--json").data["feedback"]["notes"] == 1
    shown = calls.candor("monitor", "--days", "366")
    assert shown.code == 0
    assert "monitor." not in shown.out
    assert calls.candor("calls", "notes", calls.accepted[:8]).out.endswith("called back\n")
    assert calls.candor("monitor", "--days", "0").code == 2
