# SPDX-License-Identifier: GPL-3.0-or-later
"""Do-not-call lists on both databases: editions, bad rows, hashes only, asked at the dial (D1)."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from compliance.errors import AuthorisationDenied, BadInput, NotAllowed
from compliance.facts import Number
from storage import registries
from storage.registries import Imported
from tests.storage_home import TestHome

LIST = "谢绝来电"
LISTED = Number("+8613900000001")
DAY = date(2026, 11, 20)


def bring(home: TestHome, content: str | bytes, day: date = DAY, **more: Any) -> Imported:
    path = home.path / "list.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    name = more.pop("name", LIST)
    return home.store.registries.import_file(home.actors["officer"], name, path, day, **more)


def listed(home: TestHome, number: Number = LISTED) -> list[str]:
    found = home.store.registries.check(home.actors["auditor"], number)
    return [each.name for each in found if each.listed]


def count(home: TestHome, table: str) -> int:
    with home.engine.connect() as connection:
        return int(connection.execute(text(f"SELECT count(*) FROM {table}")).scalar() or 0)


def test_a_listed_number_is_refused_at_the_claim_and_once_more_at_the_dial(home: TestHome) -> None:
    campaign = home.campaign([LISTED.e164, "13900000002"])
    early = home.claim(campaign)  # claimed before the list came
    permit = home.permit(early)
    bring(home, "139 0000 0001\n0086-13900000003\n")
    with pytest.raises(AuthorisationDenied, match="on_registry"):
        home.store.authorise(permit, early, home.clock.wall())
    assert count(home, "attempts") == 0
    home.store.authorise(home.permit(other := home.claim(campaign)), other, home.clock.wall())
    later = home.claim(home.campaign([LISTED.e164], name="c2"))
    assert "on_registry" in {f.rule for f in home.refusal(later).decision.refusing}


def test_a_new_edition_replaces_the_old_as_a_whole(
    home: TestHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registries, "ROWS_AT_ONCE", 3)  # several transactions
    first = bring(home, "".join(f"1390000{n:04}\n" for n in range(1, 11)))
    assert (first.entries, first.replaced) == (10, None)
    assert listed(home) == [LIST]
    again = bring(home, "".join(f"1390000{n:04}\n" * 2 for n in range(2, 10)), date(2026, 11, 23))
    assert (again.entries, again.rows) == (8, 16)  # each number once
    assert again.replaced is not None
    assert again.replaced.date() == DAY
    assert listed(home) == []
    assert count(home, "registry_entries") == 8
    assert count(home, "registry_editions") == 1
    (edition,) = home.store.registries.editions()
    assert (edition.entries, edition.as_of.date()) == (8, date(2026, 11, 23))
    assert home.ledger_kinds().count("registry.import") == 2


def test_an_import_that_dies_changes_nothing_and_its_rows_go_with_the_next(
    home: TestHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registries, "ROWS_AT_ONCE", 2)
    bring(home, "13900000001\n")

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(registries.Registries, "_drop", lambda *_: None)  # as after a kill
    with pytest.raises(KeyboardInterrupt):
        bring(home, "13900000002\n13900000003\n" * 3, date(2026, 11, 21), progress=killed)
    assert listed(home) == [LIST]
    assert listed(home, Number("+8613900000002")) == []
    assert count(home, "registry_entries") == 3
    monkeypatch.undo()
    bring(home, "13900000009\n", date(2026, 11, 22))
    assert count(home, "registry_entries") == 1
    assert count(home, "registry_editions") == 1


def test_only_keyed_hashes_are_kept_and_they_outlive_an_erasure(home: TestHome) -> None:
    campaign = home.campaign([LISTED.e164])
    bring(home, f"{LISTED.e164}\n")
    assert campaign
    with home.engine.connect() as connection:
        rows = connection.execute(text("SELECT * FROM registry_entries")).all()
        told = connection.execute(text("SELECT body FROM ledger_outbox")).scalars().all()
    assert [len(bytes(row.refusal_index)) for row in rows] == [32]
    assert not any(b"13900000001" in bytes(body) for body in told)
    home.store.subjects.erase(home.actors["officer"], LISTED, keep_until=lambda at: at)
    assert listed(home) == [LIST]


FORMS = [
    ("phone\n13900000001\n", "CN", 1, 0),
    ("号码,日期\n13900000001,2020-01-01\n", "CN", 1, 0),
    ("\ufeff13900000001\r\n\r\n# a comment\r\n １３９０００００００２\r\n", "CN", 2, 0),
    ("07400 123456;x\n+44 7400 123457\t2020\n", "GB", 2, 0),
    ("201,5550123\n202,555-0143\n+12025550144\n", "US", 3, 0),
    ("13900000001\n" * 10 + "110\n", "CN", 1, 1),
]


def test_the_forms_a_list_comes_in(home: TestHome) -> None:
    for place, (content, region, entries, rejected) in enumerate(FORMS):
        done = bring(home, content, name=f"list {place}", region=region)
        assert (done.entries, done.rejected) == (entries, rejected), content
    (bad,) = bring(home, FORMS[-1][0], name="list 5").bad_rows
    assert (bad.row, "emergency" in bad.cause) == (11, True)
    assert "110" not in bad.cause


BAD = [
    (b"", "no telephone number"),
    (b"phone\n", "no telephone number"),
    (b"13900000001\nx\n", "1 of 2 rows are unusable; row 2"),
    (b"07400 123456\n", "no telephone number"),  # of another country
    ("13900000001\n号码".encode("gbk"), "row 2 is not UTF-8"),
    (b"1" * 2000, "row 1 is longer"),
    (b"\x00\xff\xfe", "row 1 is not UTF-8"),
]


def test_a_file_that_cannot_be_used_leaves_nothing(home: TestHome) -> None:
    bring(home, "13900000001\n")
    before = (home.ledger_kinds(), count(home, "registry_entries"))
    for content, told in BAD:
        with pytest.raises(BadInput, match=told):
            bring(home, content, date(2026, 11, 21))
    for day, told in ((date(2026, 11, 19), "in force and newer"), (date(2026, 11, 25), "to come")):
        with pytest.raises(BadInput, match=told):
            bring(home, "13900000001\n", day)
    for name in ("", "x" * 101, "a\nb"):
        with pytest.raises(BadInput, match="name"):
            bring(home, "13900000001\n", name=name)
    assert (home.ledger_kinds(), count(home, "registry_entries")) == before
    assert count(home, "registry_editions") == 1


def test_who_may_not(home: TestHome) -> None:
    path = Path(home.path / "x.csv")
    path.write_text("13900000001\n", "utf-8")
    for who in ("operator", "author", "auditor"):
        with pytest.raises(NotAllowed):
            home.store.registries.import_file(home.actors[who], LIST, path, DAY)
    with pytest.raises(NotAllowed):
        home.store.registries.check(home.actors["author"], LISTED)
