# SPDX-License-Identifier: GPL-3.0-or-later
"""Import: what is taken, what is left out and why, and that nothing is half-written
(D1, D3, D5)."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from compliance.errors import BadInput
from compliance.facts import Consent, SourceKind
from storage import contact_process, ledger
from storage.contact_rows import COLUMNS, REQUIRED_COLUMNS
from storage.models import Batch, ConsentRow, ContactRow
from storage.sensitive import find_sensitive, is_bank_card, is_id_card
from storage.store import ImportResult
from tests.storage_home import COMPANY, PURPOSE, START, TestHome, row, write_csv

# Made by the standards' own check digits; they belong to nobody (region code 999999).
ID_CARD = "99999919900101018X"
BANK_CARD = "6212345678901232"


def bring_in(home: TestHome, path: Path, batch: str = "b", **options: Any) -> ImportResult:
    options = {"source": SourceKind.OWN_CRM} | options
    return home.store.contacts.import_file(
        path, actor=home.actors["operator"], batch=batch, **options
    )


def rows_in(home: TestHome) -> dict[str, int]:
    with home.engine.connect() as connection:
        return {
            table: connection.execute(text(f"SELECT count(*) FROM {table}")).scalar() or 0
            for table in ("batches", "contacts", "consents", "ledger_outbox")
        }


def test_a_contact_arrives_with_its_consent(home: TestHome) -> None:
    home.contacts(["139 0000 0001"], notes="prefers mornings", interest="broadband")
    claim = home.claim(home.campaign(batches=["batch1"]))
    contact = claim.request.contact
    assert (contact.number.e164, contact.name) == ("+8613900000001", "测试甲")
    assert (contact.timezone, contact.language) == ("Asia/Shanghai", "zh")
    assert (contact.source, contact.batch) == (SourceKind.OWN_CRM, "batch1")
    (consent,) = claim.request.consents
    assert consent == Consent(
        id=consent.id,
        company=COMPANY,
        purpose=PURPOSE,
        channel="web_form",
        given_at=START.replace(month=10, day=1, hour=1, minute=0),
        explicit=True,
        preticked=False,
        names_ai_calling=True,
        evidence="form 7",
    )


def test_a_row_without_any_consent_is_kept_and_the_gate_refuses_it(home: TestHome) -> None:
    empty = {column: "" for column in COLUMNS if column.startswith("consent_")}
    home.contacts(["13900000001"], **empty)
    claim = home.claim(home.campaign(batches=["batch1"]))
    assert claim.request.consents == ()
    rules = {f.rule for f in home.refusal(claim).decision.refusing}
    assert "no_explicit_consent" in rules


def test_three_spellings_in_one_file_are_one_contact(home: TestHome) -> None:
    path = home.path / "in.csv"
    write_csv(path, [row(p) for p in ("+8613900000001", "0086 139 0000 0001", "13900000001")])
    result = bring_in(home, path)
    assert (result.accepted, result.duplicates, result.rejected_rows) == (1, 2, 0)
    assert result.rejects_file is None


@pytest.mark.parametrize(
    ("cells", "field", "cause"),
    [
        ({"phone": "12345"}, "phone", "short code"),
        ({"phone": "=1+1"}, "phone", "not a telephone number"),
        ({"name": ""}, "name", "empty"),
        ({"name": "a\x00b"}, "name", "NUL"),
        ({"name": "x" * 201}, "name", "too long"),
        ({"name": '=HYPERLINK("x")'}, "name", "formula"),
        ({"notes": "@SUM(A1)"}, "notes", "formula"),
        ({"timezone": "Asia/Nowhere"}, "timezone", "IANA"),
        ({"timezone": "../../etc/passwd"}, "timezone", "IANA"),
        ({"language": "Chinese!"}, "language", "language code"),
        ({"consent_at": "yesterday"}, "consent_at", "ISO 8601"),
        ({"consent_explicit": ""}, "consent_explicit", "yes or no"),
        ({"consent_preticked": "perhaps"}, "consent_preticked", "yes or no"),
        ({"notes": f"证件{ID_CARD}"}, "notes", "identity-card"),
        ({"name": ID_CARD}, "name", "identity-card"),
        ({"interest": "6212 3456 7890 1232"}, "interest", "bank-card"),
        ({"consent_evidence": f"card-{BANK_CARD}"}, "consent_evidence", "bank-card"),
    ],
)
def test_a_bad_row_is_left_out_with_its_number_and_cause(
    home: TestHome, cells: dict[str, str], field: str, cause: str
) -> None:
    path = home.path / "in.csv"
    write_csv(path, [row("13900000001"), row("13900000002") | cells, row("13900000003")])
    result = bring_in(home, path)
    assert (result.accepted, result.rejected_rows) == (2, 1)
    (rejection,) = result.rejected
    assert (rejection.row, rejection.field) == (3, field)
    assert cause in rejection.cause
    assert result.rejects_file == home.path / "in.rejects.csv"
    written = result.rejects_file.read_text("utf-8")
    assert written.splitlines()[0] == "row,field,cause"
    assert written.splitlines()[1].startswith(f"3,{field},")
    assert stat.S_IMODE(result.rejects_file.stat().st_mode) == 0o600
    # Neither file names what stood in the row, nor is a draft left behind.
    assert all(value not in written for value in cells.values() if value)
    assert sorted(p.name for p in home.path.glob("*in*rejects*")) == ["in.rejects.csv"]


def test_a_cause_tells_the_remedy(home: TestHome) -> None:
    path = home.path / "in.csv"
    write_csv(path, [row("13900000001"), row("12345", name="short"), row("13900000003")])
    (rejection,) = bring_in(home, path).rejected
    assert rejection.cause == "is a short code: write it with its country code"


def test_a_file_without_one_good_row_takes_no_batch_name(home: TestHome) -> None:
    path = home.path / "in.csv"
    write_csv(path, [row("12345"), row("13900000001", timezone="Asia/Nowhere")])
    before = rows_in(home)
    with pytest.raises(BadInput, match=r"row 2: phone: .*none of the 2 rows.*in\.rejects\.csv"):
        bring_in(home, path)
    assert rows_in(home) == before
    assert len((home.path / "in.rejects.csv").read_text("utf-8").splitlines()) == 3
    write_csv(path, [row("13900000001")])
    assert bring_in(home, path).accepted == 1


def test_bad_utf8_rejects_its_row_only(home: TestHome) -> None:
    path = home.path / "in.csv"
    write_csv(path, [row("13900000001"), row("13900000002", name="MARK"), row("13900000003")])
    path.write_bytes(path.read_bytes().replace(b"MARK", "王".encode("gbk")))
    result = bring_in(home, path)
    assert (result.accepted, result.rejected[0].row, result.rejected[0].field) == (2, 3, "name")
    assert "UTF-8" in result.rejected[0].cause


def test_a_byte_order_mark_quoted_newlines_and_empty_lines_are_read(home: TestHome) -> None:
    path = home.path / "in.csv"
    write_csv(path, [row("13900000001", notes="two\nlines"), row("13900000002", name="")])
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes() + b"\r\n")
    result = bring_in(home, path)
    assert (result.accepted, [r.row for r in result.rejected]) == (1, [3])


def test_a_row_of_another_length_is_left_out(home: TestHome) -> None:
    path = home.path / "in.csv"
    write_csv(path, [row("13900000001")])
    path.write_text(path.read_text("utf-8") + "one,two\n", "utf-8")
    result = bring_in(home, path)
    assert (result.accepted, result.rejected[0].cause) == (1, "has 2 cells, not 14")


def test_a_consent_time_without_a_zone_is_the_contacts_own(home: TestHome) -> None:
    home.contacts(["13900000001"], consent_at="2026-10-01 09:00", timezone="Asia/Tokyo")
    claim = home.claim(home.campaign(batches=["batch1"]))
    given = claim.request.consents[0].given_at
    assert given is not None
    assert given.isoformat() == "2026-10-01T00:00:00+00:00"


@pytest.mark.parametrize("column", REQUIRED_COLUMNS)
def test_a_missing_column_is_named(home: TestHome, column: str) -> None:
    path = home.path / "in.csv"
    write_csv(path, [row("13900000001")], [c for c in COLUMNS if c != column])
    before = rows_in(home)
    with pytest.raises(BadInput, match=f"'{column}' is missing -> add it"):
        bring_in(home, path)
    assert rows_in(home) == before


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (b"", "empty"),
        (b"\xff\xfe\x00", "not UTF-8"),
        (b"name,phone,name\n", "comes twice"),
        (b"name,phone,id_card\n", "unknown column 'id_card'"),
        (",".join(COLUMNS).encode() + b"\n", "no rows"),
        (",".join(COLUMNS).encode() + b'\n"never closed', "quotation mark"),
    ],
)
def test_unreadable_files_store_nothing(home: TestHome, content: bytes, match: str) -> None:
    path = home.path / "in.csv"
    path.write_bytes(content)
    before = rows_in(home)
    with pytest.raises(BadInput, match=match):
        bring_in(home, path)
    assert rows_in(home) == before


def test_a_break_near_the_end_of_a_large_file_stores_nothing(home: TestHome) -> None:
    path = home.path / "in.csv"
    write_csv(path, [row(f"139{n:08d}") for n in range(1200)] + [row("1", name="")])
    path.write_text(path.read_text("utf-8") + '"never closed', "utf-8")
    before = rows_in(home)
    with pytest.raises(BadInput, match="quotation mark"):
        bring_in(home, path)
    assert rows_in(home) == before
    assert list(home.path.glob("*rejects*")) == []


def test_more_rows_than_one_spool_block(home: TestHome) -> None:
    path = home.path / "in.csv"
    write_csv(path, [row(f"139{n:08d}") for n in range(1201)])
    assert bring_in(home, path).accepted == 1201
    after = rows_in(home)
    assert (after["contacts"], after["consents"]) == (1201, 1201)


def stored(home: TestHome, batch: str) -> list[dict[str, Any]]:
    """Everything of a batch in the clear, but for what differs from import to import."""
    context = home.store.contacts._context
    people = select(ContactRow, ConsentRow).join(Batch, Batch.id == ContactRow.batch)
    found = []
    with context.read() as session:
        query = people.outerjoin(ConsentRow, ConsentRow.contact == ContactRow.id)
        for person, consent in session.execute(
            query.where(Batch.name == batch).order_by(ContactRow.row)
        ):
            cells = {
                column.name.removesuffix("_sealed"): (
                    context.unseal(value, table, column.name.removesuffix("_sealed"), row.id)
                    if column.name.endswith("_sealed")
                    else value
                )
                for table, row in (("contacts", person), ("consents", consent))
                if row is not None
                for column in row.__table__.columns
                if column.name not in ("id", "batch", "contact")
                for value in [getattr(row, column.name)]
            }
            found.append(cells)
    return found


def test_a_second_process_says_the_same(home: TestHome, monkeypatch: pytest.MonkeyPatch) -> None:
    path, words = home.path / "in.csv", ("王芳", "O'Neil", "José", "x" * 150, "two\nlines")
    rows = [
        row(f"1{3 + n % 7}9{n * 7919 % 10**8:08d}", name=words[n % 5], notes=words[n % 3])
        | ({"consent_at": f"2026-09-{n % 28 + 1:02d}T08:00:00"} if n % 3 else {})
        | ({"timezone": "Asia/Urumqi"} if n % 4 else {"phone": f"+44 20 7946 {n:04d}"})
        for n in range(1, 400)
    ]
    rows[20]["notes"], rows[30]["name"], rows[40]["consent_at"] = "=1", "\x00", "soon"
    rows[50]["phone"] = rows[60]["phone"]
    for column in [c for c in COLUMNS if c.startswith("consent_")]:
        rows[70][column] = ""
    write_csv(path, rows)
    path.write_bytes(path.read_bytes().replace("王芳".encode(), "王".encode("gbk"), 2))
    one = bring_in(home, path, "one")
    rejects = (home.path / "in.rejects.csv").read_bytes()
    monkeypatch.setattr(contact_process, "LARGE_BYTES", 0)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1})
    seen: list[tuple[int, int]] = []
    two = bring_in(home, path, "two", progress=lambda *told: seen.append(told))
    assert two == one.evolve(batch="two")
    assert (one.duplicates, one.rejected_rows > 4) == (1, True)
    assert (home.path / "in.rejects.csv").read_bytes() == rejects
    assert stored(home, "two") == stored(home, "one")
    assert seen[-1] == (path.stat().st_size, path.stat().st_size)


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (b"", "is empty"),
        (b"name,phone,shoe\n", "unknown column 'shoe'"),
        (",".join(REQUIRED_COLUMNS).encode() + b'\n"never', "quotation mark"),
        (",".join(REQUIRED_COLUMNS).encode() + b"\n", "has no rows"),
    ],
)
def test_a_second_process_tells_its_error_as_the_first_does(
    home: TestHome, monkeypatch: pytest.MonkeyPatch, content: bytes, match: str
) -> None:
    path = home.path / "in.csv"
    path.write_bytes(content)
    with pytest.raises(BadInput, match=match) as one:
        bring_in(home, path)
    monkeypatch.setattr(contact_process, "LARGE_BYTES", 0)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1})
    with pytest.raises(BadInput) as two:
        bring_in(home, path)
    told = [(e.value.args, e.value.detail, e.value.remedy, e.value.params) for e in (one, two)]
    assert told[0] == told[1]


def test_source_and_batch_must_be_declared(home: TestHome) -> None:
    path = home.path / "in.csv"
    write_csv(path, [row("13900000001")])
    with pytest.raises(BadInput, match="D1"):
        bring_in(home, path, source="")
    with pytest.raises(BadInput, match="name of 1 to 100"):
        bring_in(home, path, batch=" ")
    with pytest.raises(BadInput, match="IANA"):
        bring_in(home, path, timezone="Nowhere")
    with pytest.raises(BadInput, match=r"in2\.csv cannot be read"):
        bring_in(home, home.path / "in2.csv")
    bring_in(home, path)
    with pytest.raises(BadInput, match="of this name exists"):
        bring_in(home, path)


def test_the_ledger_commits_to_the_very_file(home: TestHome) -> None:
    import hashlib
    import json

    home.contacts(["13900000001"])
    with Session(home.engine) as session:
        bodies = session.execute(
            text("SELECT body FROM ledger_outbox WHERE kind = 'contacts.import'")
        ).scalar_one()
    entry = json.loads(bodies)["body"]
    digest = hashlib.sha256((home.path / "batch1.csv").read_bytes()).digest()
    key = home.commitment_key("batches", "file_key")
    assert ledger.verify_commitment(digest, entry["file"], key)
    assert entry["accepted"] == 1


# ---------------------------------------------------------------- numbers nobody may collect


def test_the_planted_numbers_are_what_they_are_meant_to_be() -> None:
    assert is_id_card(ID_CARD)
    assert is_bank_card(BANK_CARD)


@pytest.mark.parametrize(
    "text_",
    [
        ID_CARD,
        ID_CARD.lower(),
        "999999 19900101 018X",
        "999999-19900101-018x",
        "９９９９９９１９９００１０１０１８Ｘ",
        f"身份证{ID_CARD}号",
        f"13900000001 {ID_CARD}",
        f"{ID_CARD} 13900000001",
    ],
)
def test_an_identity_card_is_seen_in_any_dress(text_: str) -> None:
    assert find_sensitive(text_) == "id_card"


@pytest.mark.parametrize(
    "text_",
    [
        BANK_CARD,
        "6212 3456 7890 1232",
        "6212-3456-7890-1232",
        "6212\u20133456\u20137890\u20131232",
        "6212\u200b345678901232",
        "６２１２３４５６７８９０１２３２",
        f"卡号{BANK_CARD}，谢谢",
        f"{BANK_CARD} 13900000001",
        "4222222222222",
    ],
)
def test_a_bank_card_is_seen_in_any_dress(text_: str) -> None:
    assert find_sensitive(text_) == "bank_card"


@pytest.mark.parametrize(
    "text_",
    [
        "",
        "call after 2026-11-24 10:30",
        "99999919900101019X",  # wrong check character
        "99999919901301018X",  # no such month
        "6212345678901233",  # fails Luhn
        "8613900000007 and +86 139 0000 0007",
        "008613900000001",
        "sha256:0a6212345678901232aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
        "d1a6212e-1234-5678-9012-320000000000",
    ],
)
def test_ordinary_text_is_left_alone(text_: str) -> None:
    assert find_sensitive(text_) == ""


@given(st.integers(0, 10**15 - 1), st.text(alphabet="银行卡: ，a", max_size=5))
def test_every_luhn_number_of_sixteen_digits_is_found(body: int, around: str) -> None:
    digits = f"6{body:015d}"[:15]
    check = next(c for c in "0123456789" if _luhn_by_table(digits + c))
    assert find_sensitive(f"{around}{digits}{check}{around}") == "bank_card"


def _luhn_by_table(digits: str) -> bool:
    doubled = (0, 2, 4, 6, 8, 1, 3, 5, 7, 9)
    odd, even = digits[-1::-2], digits[-2::-2]
    return (sum(map(int, odd)) + sum(doubled[int(d)] for d in even)) % 10 == 0
