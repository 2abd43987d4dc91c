# SPDX-License-Identifier: GPL-3.0-or-later
"""A home whose sealed recordings are in a bucket."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from compliance.facts import Role
from console import homes
from storage.spool import SpooledObjects
from tests.console_home import ConsoleHome
from tests.s3 import BUCKET, S3Server, s3_server


@pytest.fixture(scope="module")
def server() -> Iterator[S3Server]:
    with s3_server() as running:
        yield running


@pytest.fixture
def elsewhere(calls: ConsoleHome, server: S3Server) -> ConsoleHome:
    """The home of the other tests, its recordings still in the spool."""
    (calls.root / "objects").rename(calls.root / "spool")
    settings = calls.root / "candor.toml"
    bucket = f"s3://{BUCKET}/{calls.accepted[:8]}"
    settings.write_text(
        settings.read_text()
        + f'\n[storage]\nobjects = "{bucket}"\nendpoint = "{server.endpoint}"\n'
    )
    calls.language("en")
    return calls


def forward(home: ConsoleHome) -> int:
    with homes.opened(home.root) as it:
        objects = it.home.open_objects()
        assert isinstance(objects, SpooledObjects)
        return objects.forward()


def test_recordings_open_from_the_spool_and_from_the_bucket(elsewhere: ConsoleHome) -> None:
    elsewhere.sign_in(Role.AUDITOR)
    target = elsewhere.root.parent / "call.wav"
    words = ("replay", elsewhere.accepted, "--wav", str(target), "--reason", "audit", "--force")
    assert elsewhere.candor(*words).code == 0
    before = target.read_bytes()
    assert forward(elsewhere) == 3 + 4  # tracks, papers
    assert not [path for path in (elsewhere.root / "spool").rglob("*") if path.is_file()]
    assert elsewhere.candor(*words).code == 0
    assert target.read_bytes()[:40_000:400] == before[:40_000:400]
    pack = elsewhere.root.parent / "pack.zip"
    made = elsewhere.candor("evidence", elsewhere.accepted, "--reason", "audit", "-o", str(pack))
    assert made.code == 0, made.err
    assert elsewhere.candor("ledger", "verify").code == 0


def test_the_doctor_looks_at_the_bucket(elsewhere: ConsoleHome) -> None:
    assert "the bucket answers; 7 files wait" in elsewhere.candor("doctor").out
    settings = elsewhere.root / "candor.toml"
    text = settings.read_text()
    settings.write_text(text.replace("endpoint = ", 'endpoint = "http://127.0.0.1:9" # '))
    told = elsewhere.candor("doctor").out
    assert "does not answer" in told
    assert "7 files wait" in told
    settings.write_text(text.replace("endpoint = ", 'endpoint = "http://192.0.2.1" # '))
    assert "without TLS" in elsewhere.candor("doctor").out


def test_a_backup_says_that_it_would_not_be_whole(elsewhere: ConsoleHome) -> None:
    elsewhere.sign_in(Role.ADMIN)
    made = elsewhere.candor("backup", str(elsewhere.root.parent / "b.candor"))
    assert made.code == 2
    assert "in a bucket" in made.err
