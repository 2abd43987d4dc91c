# SPDX-License-Identifier: GPL-3.0-or-later
"""What calls left and the database does not have is told, and guarded from the key's end."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path

from compliance.clock import SystemClock
from compliance.facts import Role
from console import homes
from console.diagnosis import Diagnosis, Level
from console.home_checks import HomeCheckup
from dialer.settings import Home
from storage import verify
from storage.call_entries import Answered, Refused, kind_of, to_text
from storage.call_journal import ASIDE, CallJournal
from storage.call_replay import Replay
from tests.console_home import CAMPAIGN, ConsoleHome


def leave(calls: ConsoleHome) -> Path:
    """A process died that noted an answer and a refusal of the live call."""
    with homes.opened(calls.root) as it:
        file = CallJournal.create(it.home.journal, "node1/r/w1.a", it.keyring, it.store.tenant)
        hashes, at = (bytes(32), bytes([1]) * 32), it.clock.wall()
        for entry in (
            Answered(calls.live, at, "x"),
            Refused(calls.live, "voice", at, at + timedelta(days=180), *hashes),
        ):
            file.append(kind_of(entry), calls.live, to_text(entry))
        os.close(file._file)
    return file.path


def looked_at(calls: ConsoleHome) -> Diagnosis:
    """What the doctor says of the call journal."""
    checks = HomeCheckup(Home(calls.root), SystemClock()).run()
    return next(found for found in checks if found.check == "journal")


def test_the_doctor_and_the_status_say_what_waits(calls: ConsoleHome) -> None:
    calls.language("en")
    calls.sign_in(Role.OPERATOR)
    nothing = {"records": 0, "refusals": 0, "aside": 0}
    status = ("campaign", "status", CAMPAIGN)
    assert calls.candor(*status, "--json").data["journal"] == nothing
    assert "waiting for the database" not in calls.candor(*status).out
    assert looked_at(calls).level is Level.OK
    path = leave(calls)
    waits = {"records": 2, "refusals": 1, "aside": 0}
    assert calls.candor(*status, "--json").data["journal"] == waits
    assert "waiting for the database" in calls.candor(*status).out
    found = looked_at(calls)
    assert found.level is Level.WARN
    assert "2 records of calls, 1 of them refusals" in found.message("en")
    assert "`candor dial`" in found.remedy("en")
    path.rename(path.with_suffix(ASIDE))
    found = looked_at(calls)
    assert found.level is Level.FAIL
    assert "nobody is called from here" in found.message("en")


def test_the_pack_of_a_call_whose_outcome_was_corrected_is_valid(
    calls: ConsoleHome, tmp_path: Path
) -> None:
    leave(calls)
    with homes.opened(calls.root) as it:
        later = it.clock.wall() + timedelta(hours=2)
        assert it.store.settle_expired(later) == [calls.live]  # by another machine, say
        assert it.store.call(calls.live).outcome == "aborted"
        assert Replay(it.home.journal, it.store).run().records == 2
        assert it.store.call(calls.live).outcome == "refused"
        kinds = [entry.kind for entry in it.store.journal.entries(calls.live)]
        assert kinds[-3:] == ["attempt.settle", "attempt.correct", "refusal.record"]
        key = it.keyring.fingerprint()
    calls.sign_in(Role.AUDITOR)
    pack = tmp_path / "p.zip"
    ran = calls.candor("evidence", calls.live, "--reason", "dispute", "-o", str(pack))
    assert ran.code == 0, ran.err
    report = verify.verify_pack(pack, key)
    assert report.status == 0, report.faults
    assert "outcome" in report.bound


def test_a_master_key_stays_while_records_wait(calls: ConsoleHome) -> None:
    calls.sign_in(Role.ADMIN)
    (old,) = [key["key"] for key in calls.candor("keys", "list", "--json").data["keys"]]
    assert calls.candor("keys", "rotate").code == 0
    leave(calls)
    ran = calls.candor("keys", "retire", old, "--yes")
    assert ran.code == 1
    assert "records of calls wait" in ran.err
