# SPDX-License-Identifier: GPL-3.0-or-later
"""A call never waits for the database, and no further call is placed past what it left."""

from __future__ import annotations

import asyncio
import errno
import threading
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest

from compliance.errors import StorageAway
from compliance.facts import Claim, Outcome
from dialer.campaign import DialContext, _keep_lease
from dialer.journal import Journal
from dialer.settling import GRACE_S, Settling
from dialer.writer import Writer
from storage import pii
from storage.call_entries import Answered, Ended, Refused
from storage.call_journal import CallJournal, Frame, read, waiting
from storage.call_replay import Replay
from tests.storage_home import TENANT, TestHome
from tests.unit.storage.test_call_replay import leave, refusals

pytestmark = pytest.mark.parametrize("databases", ["sqlite"], indirect=True)


def refused(home: TestHome, claim: Claim) -> Refused:
    at, number = home.clock.wall(), claim.request.contact.number
    return Refused(
        claim.request.attempt_id,
        "key",
        at,
        at + timedelta(days=180),
        pii.number_index(home.keyring, number),
        pii.refusal_index(home.keyring, number),
    )


class Away:
    """Stands before a home's store: ``gate`` closed, whoever asks waits; ``broken``, is refused."""

    def __init__(self, home: TestHome, monkeypatch: pytest.MonkeyPatch) -> None:
        self.gate = threading.Event()
        self.gate.set()
        self.broken = False
        for name in ("mark_answered", "record_refusal", "finish_attempt"):
            monkeypatch.setattr(home.store, name, self._guarded(getattr(home.store, name)))

    def _guarded(self, real: Callable[..., object]) -> Callable[..., object]:
        def asked(*args: object, **more: object) -> object:
            self.gate.wait()
            if self.broken:
                raise StorageAway("the database does not answer")
            return real(*args, **more)

        return asked


Test = Callable[[Journal, CallJournal, Away, Claim], Awaitable[None]]


@pytest.fixture
def played(
    home: TestHome, monkeypatch: pytest.MonkeyPatch
) -> Callable[[Test], list[BaseException]]:
    """Plays a test with a journal; returns what the disk was said to have failed with."""

    def play(test: Test) -> list[BaseException]:
        claim, _ = home.attempt()
        away = Away(home, monkeypatch)
        failures: list[BaseException] = []

        async def whole() -> None:
            files, database = Writer("files"), Writer()
            file = CallJournal.create(home.path / "journal", "node1/r/w1.a", home.keyring, TENANT)
            journal = Journal(
                file, home.store, files=files, database=database, disk_failed=failures.append
            )
            try:
                await test(journal, file, away, claim)
            finally:
                away.gate.set()
                await journal.close()
                files.close()
                database.close()

        monkeypatch.setattr("dialer.journal.PATIENCE_S", 0.2)
        monkeypatch.setattr("dialer.journal._BEHIND_S", 0.05)
        asyncio.run(asyncio.wait_for(whole(), 20))
        return failures

    return play


def test_what_is_noted_is_moved_and_the_file_is_gone(
    home: TestHome, played: Callable[[Test], list[BaseException]]
) -> None:
    async def test(journal: Journal, file: CallJournal, away: Away, claim: Claim) -> None:
        assert await journal.clear()
        await journal.note(refused(home, claim))
        record = home.record(claim, outcome=Outcome.REFUSED, refused=True)
        moved = await journal.note(Ended(claim.request.attempt_id, claim.fencing, record, None))
        assert await journal.is_moved(moved)
        assert len(moved.result()) == 64
        assert await journal.clear()
        assert not journal.behind

    assert not played(test)
    assert refusals(home) == 1
    assert home.store.call(home.store.invites()[0].attempt_id).outcome == Outcome.REFUSED
    assert not list((home.path / "journal").iterdir())


def test_a_database_that_hangs_keeps_nothing_from_the_disk_and_holds_the_next_call(
    home: TestHome, played: Callable[[Test], list[BaseException]]
) -> None:
    async def test(journal: Journal, file: CallJournal, away: Away, claim: Claim) -> None:
        away.gate.clear()
        await journal.note(Answered(claim.request.attempt_id, home.clock.wall(), "x"))
        await journal.note(refused(home, claim))  # at once, though the first one is stuck
        assert waiting(file.path.parent).refusals == 1
        assert not await journal.clear()
        assert journal.behind
        away.broken = True
        away.gate.set()
        assert not await journal.clear()
        assert len(read(file.path.read_bytes()).frames) == 2  # not before they are taken
        away.broken = False
        while not await journal.clear():
            await asyncio.sleep(0.05)

    assert not played(test)
    assert refusals(home) == 1
    kinds = home.ledger_kinds()
    assert kinds.index("attempt.answer") < kinds.index("refusal.record")


def test_a_cancelled_call_still_leaves_what_it_noted(
    home: TestHome,
    played: Callable[[Test], list[BaseException]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def test(journal: Journal, file: CallJournal, away: Away, claim: Claim) -> None:
        slow, append = threading.Event(), file.append

        def slowly(*args: Any) -> Frame:
            slow.wait()
            return append(*args)

        monkeypatch.setattr(file, "append", slowly)
        noting = asyncio.create_task(journal.note(refused(home, claim)))
        await asyncio.sleep(0.05)
        noting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await noting
        slow.set()

    assert not played(test)
    assert refusals(home) == 1
    assert not list((home.path / "journal").iterdir())


def test_another_process_refusal_holds_the_next_call(
    home: TestHome, played: Callable[[Test], list[BaseException]]
) -> None:
    async def test(journal: Journal, file: CallJournal, away: Away, claim: Claim) -> None:
        attempt, now = claim.request.attempt_id, home.clock.wall()
        answered = leave(home, [Answered(attempt, now, "x")])
        assert await journal.clear()  # an answer only: it changes nobody's right to call
        path = leave(home, [refused(home, claim)])
        assert not await journal.clear()
        path.unlink()
        assert await journal.clear()
        answered.unlink()

    assert not played(test)


def test_with_a_failing_disk_a_refusal_goes_to_the_database_at_once(
    home: TestHome,
    played: Callable[[Test], list[BaseException]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(_descriptor: int) -> None:
        raise OSError(errno.EIO, "input/output error")

    async def test(journal: Journal, file: CallJournal, away: Away, claim: Claim) -> None:
        monkeypatch.setattr("storage.call_journal.os.fsync", broken)
        await journal.note(refused(home, claim))
        assert refusals(home) == 1
        away.broken = True
        with pytest.raises(StorageAway):  # neither has it: the call must know
            await journal.note(Answered(claim.request.attempt_id, home.clock.wall(), "x"))
        assert not await journal.clear()
        away.broken = False  # it is tried on, as long as this process lives
        while not await journal.clear():
            await asyncio.sleep(0.05)
        monkeypatch.undo()

    causes = played(test)
    assert {getattr(cause, "errno", None) for cause in causes} <= {errno.EIO, None}
    assert getattr(causes[0], "errno", None) == errno.EIO
    assert "attempt.answer" in home.ledger_kinds()


def test_what_is_never_taken_is_kept_for_a_person_and_holds_every_call(
    home: TestHome, played: Callable[[Test], list[BaseException]]
) -> None:
    async def test(journal: Journal, file: CallJournal, away: Away, claim: Claim) -> None:
        moved = await journal.note(Answered("ab" * 16, home.clock.wall(), "x"))  # of no attempt
        assert await journal.is_moved(moved)
        assert not await journal.clear()

    assert not played(test)
    assert waiting(home.path / "journal").aside == 1


# ---------------------------------------------------------------- leases, settling


def test_a_lease_renewed_by_a_database_that_hung_holds_from_then_on(home: TestHome) -> None:
    claim, attempt = home.attempt()

    async def hang() -> None:
        writer, back = Writer(), threading.Event()
        nothing: Any = None
        ctx = DialContext(
            campaign=claim.request.campaign.id,
            store=home.store,
            writer=writer,
            files=nothing,
            journal=nothing,
            endpoint=nothing,
            speech=nothing,
            rulebook=nothing,
            scripts=nothing,
            voice=nothing,
            words=nothing,
            clock=home.clock,
            worker="w1",
            tenant=TENANT,
            objects=nothing,
            disk=nothing,
            ring_timeout_s=1.0,
            lease_s=0.3,
            simulator_key=None,
            switchboard=nothing,
            report=lambda _event, _facts: None,
        )
        stuck = asyncio.create_task(writer.run(back.wait))
        keeping = asyncio.create_task(_keep_lease(ctx, claim))
        await asyncio.sleep(0.2)  # it asked to renew, and waits behind what hangs
        keeping.cancel()  # what was begun is finished
        home.clock.advance(600)
        back.set()
        await stuck
        await asyncio.to_thread(writer.close)

    asyncio.run(hang())
    assert home.store.settle_expired(home.clock.wall()) == []
    home.clock.advance(61)
    assert home.store.settle_expired(home.clock.wall()) == [attempt.id]


def test_after_the_database_was_away_live_calls_get_time_and_the_dead_get_none(
    home: TestHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    campaign = home.campaign(["13900000001", "13900000002"])
    claims = [home.claim(campaign, worker=f"node1/r/w{n}", lease_s=20) for n in (1, 2)]
    for claim in claims:
        home.store.authorise(home.permit(claim), claim, home.clock.wall())
    live, dead = (claim.request.attempt_id for claim in claims)
    settled: list[str] = []
    replay = Replay(home.path / "journal", home.store)
    settling = Settling(replay, home.store, home.clock, settled.extend)
    leave(home, [refused(home, claims[1])])
    settling.bury("node1/r/w2")

    def away(*_args: object, **_more: object) -> None:
        raise StorageAway("the database does not answer")

    with monkeypatch.context() as broken:
        broken.setattr(home.store, "record_refusal", away)
        with pytest.raises(StorageAway):
            settling.look()
    assert settling.owed
    assert not settled
    home.clock.advance(30)  # both leases ran out while it was away
    with monkeypatch.context() as broken:
        broken.setattr(home.store, "record_refusal", away)
        with pytest.raises(StorageAway):
            settling.look()
    settling.look()
    assert settled == [dead]
    assert not settling.owed
    assert home.store.call(dead).outcome == Outcome.REFUSED
    home.store.renew(claims[0], home.clock.wall())
    home.clock.advance(GRACE_S)
    settling.look()
    assert settled == [dead]
    home.clock.advance(30)
    settling.look()
    assert settled == [dead, live]
