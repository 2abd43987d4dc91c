# SPDX-License-Identifier: GPL-3.0-or-later
"""`candor gate recheck`: recorded decisions come out the same, and what does not is named."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import text

from compliance.facts import Role
from compliance.rulebook import from_text
from console import homes, recheck
from dialer.policies import known, load_rulebook
from storage.rechecks import Recorded
from tests.console_home import ConsoleHome


def rechecked(calls: ConsoleHome, *words: str) -> tuple[int, dict[str, Any]]:
    calls.sign_in(Role.AUDITOR)
    ran = calls.candor("gate", "recheck", "--json", *words)
    return ran.code, json.loads(ran.out)


def recorded(calls: ConsoleHome) -> list[Recorded]:
    with homes.opened(calls.root) as it:
        auditor, start = calls.people[Role.AUDITOR], it.clock.wall().replace(year=2000)
        return list(it.store.rechecks.recorded(auditor, start))


@pytest.mark.parametrize("names", [[name] for name in known()] + [known()])
def test_a_kept_rulebook_is_read_back_whole(names: list[str]) -> None:
    law = load_rulebook(names)
    again = from_text(law.text)
    assert (again.digest, again.policy, again.calendars) == (law.digest, law.policy, law.calendars)


def test_every_decision_comes_out_the_same(calls: ConsoleHome) -> None:
    code, said = rechecked(calls)
    assert code == 0
    assert said["checked"] == said["same"] == len(recorded(calls)) > 1
    assert said["wrong"] == []


def test_only_those_since_then(calls: ConsoleHome) -> None:
    assert rechecked(calls, "--since", "2999-01-01T00:00Z")[1]["checked"] == 0


def test_the_reading_is_in_the_ledger_and_not_for_everybody(calls: ConsoleHome) -> None:
    rechecked(calls)
    assert "gate.recheck" in calls.kinds()
    calls.sign_in(Role.OPERATOR)
    assert calls.candor("gate", "recheck").code == 3


def test_a_finding_turned_round_is_named_by_its_rule(calls: ConsoleHome) -> None:
    first, *rest = recorded(calls)
    turned = tuple(
        f.evolve(passed=not f.passed) if f.rule == "over_call_cap" else f
        for f in first.decision.findings
    )
    altered = first.evolve(decision=first.decision.evolve(findings=turned))
    done = recheck.recheck([altered, *rest])
    assert done.wrong == [(first.attempt, recheck.DIFFERENT, ["over_call_cap"])]
    assert done.counts[recheck.SAME] == len(rest)


def test_another_request_is_named(calls: ConsoleHome) -> None:
    first = recorded(calls)[0]
    data = json.loads(first.request)
    data["attempts"] = []
    data["tenant"] = "another"
    done = recheck.recheck([first.evolve(request=json.dumps(data).encode())])
    assert done.wrong == [(first.attempt, recheck.ALTERED, [])]


def test_law_that_is_not_kept_is_named(calls: ConsoleHome) -> None:
    first = recorded(calls)[0]
    other = load_rulebook(["uk"]).text
    for law in (b"", b"{}", other):
        done = recheck.recheck([replace(first, rulebook=law)])
        assert done.wrong == [(first.attempt, recheck.NO_LAW, [])]


def test_a_request_destroyed_in_its_time_is_no_fault(calls: ConsoleHome) -> None:
    gone = text("UPDATE attempts SET request_sealed = NULL WHERE id = :id")
    first = {"id": recorded(calls)[0].attempt}
    with homes.opened(calls.root) as it, it.engine.begin() as connection:
        connection.execute(gone, first)
    code, said = rechecked(calls)
    assert (code, said["destroyed"]) == (0, 1)
