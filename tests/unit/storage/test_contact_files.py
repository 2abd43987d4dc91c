# SPDX-License-Identifier: GPL-3.0-or-later
"""Spreadsheets as people save them: what is read, and what is refused with its row."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import openpyxl
import pytest

from compliance.errors import BadInput
from compliance.facts import SourceKind
from storage.contact_files import ContactFile, Rejection
from storage.contact_rows import COLUMNS
from tests.storage_home import TestHome, row, write_csv


def sheet(path: Path, rows: Sequence[Sequence[Any]], header: Sequence[str] = COLUMNS) -> Path:
    book = openpyxl.Workbook()
    page = book.active
    assert page is not None
    for cells in (header, *rows):
        page.append(list(cells))
    book.save(path)
    return path


def person(phone: Any, **cells: Any) -> list[Any]:
    filled: dict[str, Any] = {**row("x"), "phone": phone, **cells}
    return [filled[column] for column in COLUMNS]


def read(path: Path) -> list[tuple[int, Any]]:
    return list(ContactFile(path).rows())


def test_a_sheet_says_the_same_as_a_csv(tmp_path: Path) -> None:
    rows = [row("13900000001"), row("13900000002", notes="周末, 不在")]
    write_csv(tmp_path / "p.csv", rows)
    path = sheet(tmp_path / "p.xlsx", [[r[c] for c in COLUMNS] for r in rows])
    assert read(path) == read(tmp_path / "p.csv")
    file = ContactFile(path)
    list(file.rows())
    assert len(file.digest) == 32


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (13900000001, "13900000001"),
        (1.3900000001e10, "13900000001"),
        ("13900000001", "13900000001"),
        (True, "yes"),
        (False, "no"),
        (datetime(2026, 10, 1, 9), "2026-10-01T09:00:00"),
        (None, ""),
    ],
)
def test_cells_are_taken_for_what_they_are(tmp_path: Path, value: Any, text: str) -> None:
    path = sheet(tmp_path / "p.xlsx", [person("13900000001", notes=value)])
    ((number, cells),) = read(path)
    assert (number, cells["notes"]) == (2, text)


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ("=1+1", "formula"),
        ("=HYPERLINK(1)", "formula"),
        (1.5, "fraction"),
        (123456789012345678, "too long"),
        ("#N/A", "error"),
    ],
)
def test_what_is_no_plain_value_rejects_its_row_alone(tmp_path: Path, value: Any, why: str) -> None:
    rows = [person("13900000001"), person(value), person("13900000003")]
    found = read(sheet(tmp_path / "p.xlsx", rows))
    assert [number for number, _ in found] == [2, 3, 4]
    rejection = found[1][1]
    assert isinstance(rejection, Rejection)
    assert (rejection.row, rejection.field) == (3, "phone")
    assert why in rejection.cause
    assert str(value) not in rejection.cause
    assert isinstance(found[0][1], dict)
    assert isinstance(found[2][1], dict)


def test_empty_rows_are_nobody_and_a_cell_beside_the_table_is_told(tmp_path: Path) -> None:
    rows = [[None] * len(COLUMNS), [*person("13900000001"), "stray"], person("13900000002")]
    found = read(sheet(tmp_path / "p.xlsx", rows, [*COLUMNS, ""]))
    assert [number for number, _ in found] == [3, 4]
    assert "behind the last column" in found[0][1].cause


def test_files_that_are_no_sheet_of_people(tmp_path: Path) -> None:
    (tmp_path / "text.xlsx").write_text("name,phone\n")
    (tmp_path / "old.xls").write_bytes(b"\xd0\xcf\x11\xe0")
    with zipfile.ZipFile(tmp_path / "other.xlsx", "w") as archive:
        archive.writestr("hello.txt", "hello")
    with zipfile.ZipFile(tmp_path / "bomb.xlsx", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/worksheets/sheet1.xml", b"0" * 60_000_000)
    two = openpyxl.Workbook()
    two.create_sheet("more")
    two.save(tmp_path / "two.xlsx")
    sheet(tmp_path / "empty.xlsx", [], [])
    for name, why in {
        "text.xlsx": "is no workbook",
        "old.xls": "save it as .xlsx",
        "other.xlsx": "no whole workbook",
        "bomb.xlsx": "unpacks to more",
        "two.xlsx": "2 visible sheets",
        "empty.xlsx": "is empty",
        "none.xlsx": "cannot be read",
    }.items():
        with pytest.raises(BadInput, match=why) as caught:
            read(tmp_path / name)
        assert caught.value.field == "file"


def test_columns_are_checked_as_in_a_csv(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="'wechat'"):
        read(sheet(tmp_path / "p.xlsx", [], [*COLUMNS, "wechat"]))
    with pytest.raises(BadInput, match="'consent_at' is missing"):
        read(sheet(tmp_path / "q.xlsx", [], [c for c in COLUMNS if c != "consent_at"]))


def test_a_header_in_gbk_is_told_apart(tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_bytes("姓名,phone\n".encode("gb18030"))
    with pytest.raises(BadInput, match=r"GBK.*CSV UTF-8"):
        read(tmp_path / "p.csv")


def test_progress_tells_how_much_is_read(tmp_path: Path) -> None:
    write_csv(tmp_path / "p.csv", [row(f"139{n:08d}") for n in range(2500)])
    told: list[tuple[int, int]] = []
    rows = ContactFile(tmp_path / "p.csv", lambda *seen: told.append(seen)).rows()
    assert len(list(rows)) == 2500
    size = (tmp_path / "p.csv").stat().st_size
    assert told[-1] == (size, size)
    assert len(told) == 3


def test_a_sheet_is_imported(home: TestHome, tmp_path: Path) -> None:
    rows = [
        person(13900000001),
        person("0086 139 0000 0001"),
        person("=A1"),
        person("13900000003", notes="卡号 6212345678901232"),
    ]
    result = home.store.contacts.import_file(
        sheet(tmp_path / "people.xlsx", rows),
        actor=home.actors["operator"],
        source=SourceKind.OWN_CRM,
        batch="b",
    )
    assert (result.accepted, result.duplicates, result.rejected_rows) == (1, 1, 2)
    assert [(r.row, r.field) for r in result.rejected] == [(4, "phone"), (5, "notes")]
    assert result.rejects_file == tmp_path / "people.rejects.csv"
    assert "6212" not in result.rejects_file.read_text()
