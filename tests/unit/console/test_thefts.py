# SPDX-License-Identifier: GPL-3.0-or-later
"""What docs/security.md says of stolen files and of a writer of the database, tried out.

Changed records of a call are in ``test_evidence``, an older database in ``test_backup``,
guessed numbers in ``storage/test_store``, planted names and numbers in ``faults/test_leaks``.
"""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from compliance.clock import SystemClock
from compliance.errors import Corrupt, LedgerError
from compliance.facts import Actor, Number, Role
from console import homes, run
from console.home_checks import HomeCheckup
from dialer.settings import Home
from storage import ledger
from storage.stops import StopReason
from storage.subjects import SubjectReason
from tests.console_home import ConsoleHome

NUMBER = Number("+8613900000101")


def write(calls: ConsoleHome, *statements: str) -> None:
    """Once all is sequenced and signed: as somebody writes who has the database and no key."""
    with homes.opened(calls.root) as it:
        run.sequence(it)
        it.sequencer().checkpoint(it.clock.wall(), force=True)
        with it.engine.begin() as connection:
            for statement in statements:
                assert connection.execute(text(statement)).rowcount > 0, statement


# ---------------------------------------------------------------- noticed


@pytest.mark.parametrize(
    ("statement", "says"),
    [
        ('DELETE FROM ledger_leaf WHERE "index" = 3', "entry 3 is missing"),
        ('DELETE FROM ledger_leaf WHERE "index" >= 9', "rolled back or cut"),
        ('UPDATE ledger_leaf SET leaf_hash = zeroblob(32) WHERE "index" = 3', "are not those"),
    ],
)
def test_entries_cut_or_replaced_stop_the_start(
    calls: ConsoleHome, statement: str, says: str
) -> None:
    write(calls, statement)
    with pytest.raises(LedgerError, match=says), homes.opened(calls.root):
        pass


def test_the_words_of_an_entry_are_checked_by_the_verifier_not_by_the_start(
    calls: ConsoleHome, capfd: pytest.CaptureFixture[str]
) -> None:
    other = "CAST(replace(CAST(body AS TEXT), 'sign_in', 'sign_on') AS BLOB)"
    one = "(SELECT min(id) FROM ledger_outbox WHERE kind = 'person.sign_in')"
    write(calls, f"UPDATE ledger_outbox SET body = {other} WHERE id = {one}")
    calls.sign_in(Role.AUDITOR)
    assert calls.candor("ledger", "verify").code == 1
    assert "edited: entry 2: its bytes do not hash" in capfd.readouterr().out


def test_a_sealed_value_opens_in_its_own_place_only(calls: ConsoleHome) -> None:
    write(
        calls,
        "UPDATE contacts SET name_sealed ="
        " (SELECT name_sealed FROM contacts ORDER BY id DESC LIMIT 1)"
        " WHERE id = (SELECT min(id) FROM contacts)",
    )
    numbers = [Number(f"+861390000010{n}") for n in range(1, 5)]
    broken = 0
    with homes.opened(calls.root) as it:
        for number in numbers:
            try:
                it.store.subjects.show(calls.people[Role.AUDITOR], number, SubjectReason.AUDIT)
            except Corrupt:
                broken += 1
    assert broken == 1


# ---------------------------------------------------------------- not noticed


def rows(calls: ConsoleHome) -> dict[str, str]:
    """What the doctor says of rows that the ledger contradicts."""
    found = HomeCheckup(Home(calls.root), SystemClock()).run()
    return {one.case: one.message("en") for one in found if one.check == "rows"}


def test_what_stops_nothing_and_what_the_doctor_says_of_it(calls: ConsoleHome) -> None:
    """A refusal deleted, consent never given, a role nobody gave, a stop lifted by nobody."""
    with homes.opened(calls.root) as it:
        now = it.clock.wall()
        officer = calls.people[Role.COMPLIANCE]
        it.store.refusals.refuse_number(
            officer, NUMBER, how="request", at=now, until=now + timedelta(days=9)
        )
        it.store.stops.stop(officer, StopReason.OTHER)
    assert set(rows(calls)) == {"ok"}
    write(
        calls,
        "DELETE FROM refusals",
        "DELETE FROM withdrawals",
        "UPDATE consents SET explicit = 1, preticked = 0",
        "UPDATE emergency_stops SET lifted_at = at",
        "UPDATE ledger_outbox SET kind = 'hidden' WHERE kind = 'refusal.record'",
        f"UPDATE people SET roles = '{Role.OPERATOR},{Role.COMPLIANCE}'"
        f" WHERE name = '{Role.OPERATOR}'",
        # A role nobody was examined for opens nothing: the exam is forged as well.
        f"UPDATE exams SET roles = '{Role.OPERATOR},{Role.COMPLIANCE}'"
        f" WHERE person = '{calls.people[Role.OPERATOR].id}'",
    )
    calls.sign_in(Role.AUDITOR)
    assert calls.candor("ledger", "verify").code == 0
    operator = calls.people[Role.OPERATOR]
    grabbed = Actor(operator.id, operator.name, frozenset({Role.COMPLIANCE}), operator.tenant)
    with homes.opened(calls.root) as it:
        held = it.store.subjects.show(grabbed, NUMBER, SubjectReason.AUDIT)
        assert it.store.stops.in_force() is None
    said = rows(calls)
    assert set(said) == {"refusals", "people", "stops"}
    assert "1 refusals" in said["refusals"]
    assert said["people"].endswith(operator.id)
    assert (held.refusals, held.withdrawn_at) == ((), None)
    assert all(consent.explicit for consent in held.consents)


def test_an_invented_entry_is_signed_with_the_others(calls: ConsoleHome) -> None:
    write(calls, "UPDATE ledger_chain SET seq = seq")
    with homes.opened(calls.root) as it:
        now, node = it.clock.wall(), it.home.settings.node
        with Session(it.engine) as session, session.begin():
            ledger.append(session, node=node, kind="person.add", actor="x", at=now, body={})
        run.sequence(it)
        assert it.sequencer().checkpoint(now, force=True) is not None
    calls.sign_in(Role.AUDITOR)
    assert calls.candor("ledger", "verify").code == 0


# ---------------------------------------------------------------- stolen files


def test_no_key_lies_beside_the_sound(calls: ConsoleHome) -> None:
    """Neither wrapped nor open: sound opens with the database and the key file only."""
    with homes.opened(calls.root) as it, it.engine.connect() as connection:
        kept = connection.execute(
            text(
                "SELECT wrapped_key FROM recording_tracks WHERE length(wrapped_key) > 0"
                " UNION ALL SELECT wrapped_key FROM papers"
            )
        )
        wrapped = [bytes(key) for (key,) in kept]
    sound = [path.read_bytes() for path in (calls.root / "objects").rglob("*") if path.is_file()]
    assert (len(wrapped), len(sound)) == (7, 7)
    for key in wrapped:
        assert not any(key[at : at + 12] in one for at in range(0, 48, 4) for one in sound)
