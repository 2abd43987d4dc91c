# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from sqlalchemy import Engine, delete, func, select, update
from sqlalchemy.orm import Session

from compliance.errors import BadInput, LedgerError, StorageAway
from storage import ledger, merkle
from storage.checkpoint import parse_note
from storage.database import make_engine
from storage.key_document import Secrets
from storage.keys import FileKeyring
from storage.keys_memory import MemoryKeyring
from storage.ledger import FolderAnchor, Sequencer
from storage.ledger_tables import (
    LedgerCheckpoint,
    LedgerHead,
    LedgerLeaf,
    LedgerOutbox,
    LedgerSubtree,
)
from tests.databases import Databases, migrated

NOW = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
ORIGIN = "candor.example/ledger"


@pytest.fixture
def anchor(tmp_path: Path) -> FolderAnchor:
    return FolderAnchor(tmp_path / "anchor")


@pytest.fixture
def sequencer(engine: Engine, ring: FileKeyring, anchor: FolderAnchor) -> Sequencer:
    return Sequencer(engine, ring, [anchor], ORIGIN)


def append(engine: Engine, n: int = 1, node: str = "node-1", at: datetime = NOW) -> list[str]:
    with Session(engine) as session, session.begin():
        return [
            ledger.append(
                session, node=node, kind="test.entry", actor="a1", at=at, body={"i": i, "s": "话"}
            )
            for i in range(n)
        ]


def test_entry_is_canonical_and_hashed_as_stored(engine: Engine) -> None:
    with Session(engine) as session, session.begin():
        leaf = ledger.append(
            session,
            node="n",
            kind="call.finished",
            actor="a1",
            at=NOW.astimezone(UTC),
            body={"z": None, "a": [1, ["x", True]], "b": "中文"},
        )
    with Session(engine) as session:
        row = session.scalars(select(LedgerOutbox)).one()
    assert row.body.decode() == (
        '{"actor":"a1","at":"2026-11-24T09:00:00.000000Z",'
        '"body":{"a":[1,["x",true]],"b":"中文","z":null},"kind":"call.finished","node":"n",'
        '"prev":"' + "0" * 64 + '","seq":1,"v":1}'
    )
    assert leaf == merkle.leaf_hash(row.body).hex() == row.leaf_hash.hex()


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.text(),
    lambda items: st.lists(items, max_size=3) | st.lists(items, max_size=3).map(tuple),
    max_leaves=6,
)


@given(st.dictionaries(st.from_regex(r"[a-z][a-z0-9_]{0,8}", fullmatch=True), _VALUES))
@example({"s": '\x00\x1f\x7f"\\/\u2028é话\U0001f600', "b": False, "a": 0})
def test_an_entry_is_what_json_writes(body: dict[str, Any]) -> None:
    entry = ledger.Entry("test.entry", "a1", NOW, body)
    try:
        written = ledger._encode("n", 1, bytes(32), entry).decode()
    except BadInput:  # drawn like a telephone number
        return
    read = json.loads(written)
    assert read["body"] == json.loads(json.dumps(body))
    assert written == json.dumps(
        read, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )


def test_many_at_once_equal_one_by_one(engine: Engine, sequencer: Sequencer) -> None:
    append(engine, 2)
    with Session(engine) as session, session.begin():
        entries = [ledger.Entry("test.entry", "a1", NOW, {"i": i}) for i in range(3)]
        leaves = ledger.append_all(session, node="node-1", entries=entries)
        assert ledger.append_all(session, node="node-1", entries=[]) == []
    append(engine, 1)
    assert len(set(leaves)) == 3
    assert sequencer.run_once(NOW) == 6
    with Session(engine) as session:
        assert [ledger.index_of(session, leaf) for leaf in leaves] == [2, 3, 4]


def test_entries_of_a_node_are_chained(engine: Engine) -> None:
    first, second = append(engine, 2)
    (other,) = append(engine, 1, node="node-2")
    with Session(engine) as session:
        rows = {r.leaf_hash.hex(): r for r in session.scalars(select(LedgerOutbox))}
    assert rows[second].prev_hash.hex() == first
    assert (rows[second].node_seq, rows[other].node_seq) == (2, 1)
    assert rows[other].prev_hash == bytes(32)


def test_a_rolled_back_change_leaves_no_entry_and_no_gap(
    engine: Engine, sequencer: Sequencer
) -> None:
    append(engine)
    with Session(engine) as session:
        ledger.append(session, node="node-1", kind="k", actor="a", at=NOW, body={})
        session.rollback()
    append(engine)
    assert sequencer.run_once(NOW) == 2


@pytest.mark.parametrize(
    "value",
    ["+8613812345678", "13812345678", "8613812345678", "sip:bob@example.com", ["+8613812345678"],
     1.5, {"a": 1}, 2**53, b"raw"],
)  # fmt: skip
def test_refused_values(engine: Engine, value: object) -> None:
    with Session(engine) as session, pytest.raises(BadInput) as caught:
        ledger.append(
            session,
            node="n",
            kind="k",
            actor="a",
            at=NOW,
            body={"x": value},  # type: ignore[dict-item]
        )
    assert "138" not in str(caught.value)


def test_refused_names_and_times(engine: Engine) -> None:
    with Session(engine) as session:
        for node, kind, key in (("a b", "k", "x"), ("n", "Kind", "x"), ("n", "k", "Key")):
            with pytest.raises(BadInput):
                ledger.append(session, node=node, kind=kind, actor="a", at=NOW, body={key: 1})
        with pytest.raises(BadInput, match="time zone"):
            ledger.append(
                session, node="n", kind="k", actor="a", at=NOW.replace(tzinfo=None), body={}
            )


def test_commitment_opens_only_with_its_key() -> None:
    commitment, key = ledger.commit_to(b"+8613812345678")
    assert ledger.verify_commitment(b"+8613812345678", commitment, key)
    assert not ledger.verify_commitment(b"+8613812345679", commitment, key)
    assert ledger.commit_to(b"+8613812345678")[0] != commitment


def test_indices_follow_and_lag_tells(engine: Engine, sequencer: Sequencer) -> None:
    assert ledger.lag(engine, NOW) == 0.0
    assert sequencer.run_once(NOW) == 0
    leaves = append(engine, 3)
    with Session(engine) as session:
        assert ledger.index_of(session, leaves[0]) is None
    assert ledger.lag(engine, NOW + timedelta(seconds=61)) == 61.0
    assert sequencer.run_once(NOW) == 3
    assert sequencer.run_once(NOW) == 0
    assert ledger.lag(engine, NOW + timedelta(seconds=61)) == 0.0
    with Session(engine) as session:
        assert [ledger.index_of(session, leaf) for leaf in leaves] == [0, 1, 2]


def test_batches(engine: Engine, ring: FileKeyring) -> None:
    append(engine, 10)
    append(engine, 10, node="node-2")
    sequencer = Sequencer(engine, ring, [], ORIGIN, batch=7)
    assert [sequencer.run_once(NOW) for _ in range(4)] == [7, 7, 6, 0]
    assert ledger.verify_start(engine, [], ring) == 20


def test_inclusion_and_consistency_across_kept_subtrees(
    engine: Engine, sequencer: Sequencer
) -> None:
    append(engine, 700)
    sequencer.run_once(NOW)
    assert sequencer.checkpoint(NOW) is not None
    append(engine, 100)
    sequencer.run_once(NOW)
    with Session(engine) as session:
        leaves = list(session.scalars(select(LedgerLeaf.leaf_hash).order_by(LedgerLeaf.index)))
        assert session.scalar(select(func.count()).select_from(LedgerSubtree)) == 3
        for index in (0, 1, 255, 256, 511, 512, 699, 700, 799):
            found = ledger.inclusion(session, index)
            assert found.size == (700 if index < 700 else 800)
            assert bool(found.note) == (index < 700)
            assert found.leaf_hash == leaves[index]
            assert found.root == merkle.root(leaves[: found.size])
            assert list(found.proof) == merkle.inclusion_proof(leaves[: found.size], index)
        for old in (1, 255, 256, 257, 512, 700, 800):
            assert list(ledger.consistency(session, old, 800)) == merkle.consistency_proof(
                leaves, old
            )
        with pytest.raises(LedgerError):
            ledger.inclusion(session, 800)
        with pytest.raises(LedgerError):
            ledger.consistency(session, 5, 801)


def test_checkpoint_every_60_s_or_1000_entries(
    engine: Engine, sequencer: Sequencer, anchor: FolderAnchor, ring: FileKeyring
) -> None:
    assert sequencer.checkpoint(NOW) is None
    append(engine, 5)
    sequencer.run_once(NOW)
    first = sequencer.checkpoint(NOW)
    assert first is not None
    assert first.size == 5
    append(engine, 999)
    sequencer.run_once(NOW)
    assert sequencer.checkpoint(NOW + timedelta(seconds=59.9)) is None
    at_time = sequencer.checkpoint(NOW + timedelta(seconds=60))
    assert at_time is not None
    assert at_time.size == 1004
    append(engine, 1000)
    sequencer.run_once(NOW)
    by_count = sequencer.checkpoint(NOW + timedelta(seconds=61))
    assert by_count is not None
    append(engine)
    sequencer.run_once(NOW)
    assert sequencer.checkpoint(NOW + timedelta(seconds=62)) is None
    assert sequencer.checkpoint(NOW + timedelta(seconds=62), force=True) is not None
    append(engine)
    sequencer.run_once(NOW)
    back = NOW - timedelta(hours=2)  # a clock set back does not silence it
    assert sequencer.checkpoint(back) is not None
    latest = anchor.latest()
    assert latest is not None
    note = parse_note(latest)
    assert note.checkpoint.size == 2006
    assert note.verify(ORIGIN, ring.public_key())


class AwayAnchor(FolderAnchor):
    """A folder that can be taken away."""

    away = False

    def write(self, size: int, note: str) -> None:
        if self.away:
            raise StorageAway("unmounted")
        super().write(size, note)


def test_anchors_that_are_away(engine: Engine, ring: FileKeyring, tmp_path: Path) -> None:
    here, gone = AwayAnchor(tmp_path / "a"), AwayAnchor(tmp_path / "b")
    sequencer = Sequencer(engine, ring, [here, gone], ORIGIN)
    gone.away = True
    append(engine)
    sequencer.run_once(NOW)
    assert sequencer.checkpoint(NOW) is not None
    assert sequencer.behind == ("folder b",)
    assert sequencer.checkpoint(NOW) is None
    gone.away = False
    assert sequencer.checkpoint(NOW) is None
    assert not sequencer.behind
    assert gone.latest() == here.latest()
    here.away = gone.away = True
    append(engine)
    sequencer.run_once(NOW)
    with pytest.raises(StorageAway):
        sequencer.checkpoint(NOW, force=True)
    with Session(engine) as session:
        assert session.scalar(select(func.count()).select_from(LedgerCheckpoint)) == 1
    here.away = False
    assert sequencer.checkpoint(NOW, force=True) is not None


def test_anchor_refuses_a_fork(anchor: FolderAnchor) -> None:
    assert anchor.latest() is None
    anchor.write(5, "one\n")
    anchor.write(5, "one\n")
    with pytest.raises(LedgerError, match="forked"):
        anchor.write(5, "two\n")
    anchor.write(10, "three\n")
    assert anchor.latest() == "three\n"


def test_start_accepts_an_honest_ledger(
    engine: Engine, sequencer: Sequencer, anchor: FolderAnchor, ring: FileKeyring
) -> None:
    assert ledger.verify_start(engine, [anchor], ring) == 0
    append(engine, 300)
    sequencer.run_once(NOW)
    sequencer.checkpoint(NOW)
    append(engine, 10)
    sequencer.run_once(NOW)
    append(engine, 10)
    assert ledger.verify_start(engine, [anchor], ring) == 310


def test_start_refuses_a_rolled_back_database(
    engine: Engine,
    sequencer: Sequencer,
    anchor: FolderAnchor,
    ring: FileKeyring,
    databases: Databases,
    empty_url: str,
) -> None:
    append(engine, 20)
    sequencer.run_once(NOW)
    sequencer.checkpoint(NOW)
    engine.dispose()
    old = make_engine(databases.copy(empty_url))
    append(engine, 5)
    sequencer.run_once(NOW)
    sequencer.checkpoint(NOW, force=True)
    with pytest.raises(LedgerError, match="holds 20 entries, but folder anchor anchors 25"):
        ledger.verify_start(old, [anchor], ring)
    # Grown again after the restore, it is long enough but another tree.
    append(old, 7, node="node-9")
    Sequencer(old, ring, [], ORIGIN).run_once(NOW)
    with pytest.raises(LedgerError, match="first 25 entries are not those"):
        ledger.verify_start(old, [anchor], ring)
    # And signing it again forks visibly at the anchor.
    append(old, 1, node="node-9")
    with pytest.raises(LedgerError):
        ledger.verify_start(old, [anchor], ring)
    old.dispose()


def test_start_refuses_a_fresh_database_under_an_old_anchor(
    engine: Engine,
    sequencer: Sequencer,
    anchor: FolderAnchor,
    ring: FileKeyring,
    databases: Databases,
    tmp_path: Path,
) -> None:
    append(engine, 3)
    sequencer.run_once(NOW)
    sequencer.checkpoint(NOW)
    fresh = make_engine(migrated(databases))
    with pytest.raises(LedgerError, match="holds 0 entries"):
        ledger.verify_start(fresh, [anchor], ring)
    fresh.dispose()
    with pytest.raises(LedgerError, match="no anchor outside"):
        ledger.verify_start(engine, [FolderAnchor(tmp_path / "wiped")], ring)
    other = FileKeyring.create(tmp_path / "other.json")
    with pytest.raises(LedgerError, match="another key"):
        ledger.verify_start(engine, [anchor], other)
    append(engine)
    with pytest.raises(LedgerError, match="another key"):
        Sequencer(engine, other, [], ORIGIN).run_once(NOW)


def test_start_refuses_edited_and_missing_leaves(
    engine: Engine, sequencer: Sequencer, anchor: FolderAnchor, ring: FileKeyring
) -> None:
    append(engine, 10)
    sequencer.run_once(NOW)
    sequencer.checkpoint(NOW)
    append(engine, 2)
    sequencer.run_once(NOW)
    with engine.begin() as connection:
        connection.execute(
            update(LedgerLeaf).where(LedgerLeaf.index == 11).values(leaf_hash=bytes(32))
        )
    with pytest.raises(LedgerError, match="head differs"):
        ledger.verify_start(engine, [anchor], ring)
    with engine.begin() as connection:
        connection.execute(delete(LedgerLeaf).where(LedgerLeaf.index == 4))
    with pytest.raises(LedgerError, match="entry 4 is missing"):
        ledger.verify_start(engine, [anchor], ring)


def test_sequencer_refuses_what_was_altered_before_it_came(
    engine: Engine, sequencer: Sequencer
) -> None:
    append(engine, 4)
    with engine.begin() as connection:
        connection.execute(
            update(LedgerOutbox).where(LedgerOutbox.node_seq == 2).values(body=b"{}")
        )
    with pytest.raises(LedgerError, match="entry 2 of node node-1 was altered"):
        sequencer.run_once(NOW)
    with engine.begin() as connection:
        connection.execute(delete(LedgerOutbox).where(LedgerOutbox.node_seq == 2))
    with pytest.raises(LedgerError, match="entry 3 of node node-1 follows 1"):
        sequencer.run_once(NOW)
    with Session(engine) as session:
        assert session.scalar(select(func.count()).select_from(LedgerLeaf)) == 0


def test_two_sequencers_and_two_nodes_make_no_fork(
    engine: Engine, ring: FileKeyring, anchor: FolderAnchor
) -> None:
    """Experiment 21: threads append and sequence at once."""
    errors: list[BaseException] = []
    done = threading.Event()

    def guarded(work: object, *args: object) -> None:
        try:
            work(*args)  # type: ignore[operator]
        except BaseException as error:
            errors.append(error)

    def sequence() -> None:
        sequencer = Sequencer(engine, ring, [anchor], ORIGIN, batch=16)
        while not done.is_set():
            sequencer.run_once(NOW)
            sequencer.checkpoint(NOW, force=True)

    def write(node: str) -> None:
        for _ in range(25):
            append(engine, 2, node=node)

    sequencers = [threading.Thread(target=guarded, args=(sequence,)) for _ in range(2)]
    writers = [threading.Thread(target=guarded, args=(write, f"n{i}")) for i in range(3)]
    for thread in sequencers + writers:
        thread.start()
    for thread in writers:
        thread.join()
    done.set()
    for thread in sequencers:
        thread.join()
    assert errors == []
    sequencer = Sequencer(engine, ring, [anchor], ORIGIN)
    while sequencer.run_once(NOW):
        pass
    sequencer.checkpoint(NOW, force=True)
    assert ledger.verify_start(engine, [anchor], ring) == 150
    with Session(engine) as session:
        assert session.scalar(select(func.count(LedgerLeaf.outbox_id.distinct()))) == 150


def test_export_holds_the_exact_bytes(engine: Engine, sequencer: Sequencer, tmp_path: Path) -> None:
    with pytest.raises(LedgerError, match="no entry yet"):
        ledger.export(engine, tmp_path / "none.jsonl")
    leaves = append(engine, 3)
    sequencer.run_once(NOW)
    sequencer.checkpoint(NOW)
    append(engine, 1)
    path = tmp_path / "ledger.jsonl"
    assert ledger.export(engine, path) == 3
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line["leaf"] for line in lines[1:4]] == leaves
    assert lines[-1] == {"end": {"checkpoints": 1, "entries": 3}}
    assert sorted(p.name for p in tmp_path.iterdir() if "jsonl" in p.name) == ["ledger.jsonl"]


def test_damaged_head_is_named(engine: Engine, sequencer: Sequencer, ring: FileKeyring) -> None:
    append(engine, 3)
    sequencer.run_once(NOW)
    with engine.begin() as connection:
        connection.execute(update(LedgerHead).values(frontier=b"short"))
    with pytest.raises(LedgerError, match="head row is damaged"):
        ledger.verify_start(engine, [], ring)


def vector_export(engine: Engine, tmp_path: Path) -> Path:
    """Two nodes, five entries, two checkpoints under the key of RFC 8032's first test."""
    seed = bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
    ring = MemoryKeyring(
        Secrets(
            masters={"00000000": bytes(32)},
            current="00000000",
            index=bytes(32),
            refusal=bytes(32),
            signing=seed,
        )
    )
    sequencer = Sequencer(engine, ring, [], ORIGIN)
    append(engine, 2, node="node-1")
    append(engine, 1, node="node-2")
    sequencer.run_once(NOW)
    sequencer.checkpoint(NOW)
    append(engine, 1, node="node-2", at=NOW + timedelta(seconds=90))
    append(engine, 1, node="node-1", at=NOW + timedelta(seconds=90))
    sequencer.run_once(NOW)
    sequencer.checkpoint(NOW + timedelta(seconds=90))
    ledger.export(engine, tmp_path / "vector.jsonl")
    return tmp_path / "vector.jsonl"


def test_vector_of_the_format_document(engine: Engine, tmp_path: Path) -> None:
    kept = Path(__file__).parents[2] / "vectors" / "ledger.jsonl"
    assert vector_export(engine, tmp_path).read_bytes() == kept.read_bytes()
