# SPDX-License-Identifier: GPL-3.0-or-later
"""What tests of the store share: keys, an empty database, and stores of sealed files: what a
test asks of one, it asks of both."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from storage.database import make_engine
from storage.keys import FileKeyring
from storage.objects import FolderObjects, Objects
from tests.s3 import S3Server, rclone_server, s3_server


@pytest.fixture(scope="module")
def server() -> Iterator[S3Server]:
    """An S3 server for the tests of one file."""
    with s3_server() as running:
        yield running


@pytest.fixture(scope="module")
def rclone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """Another maker's, which keeps objects as files."""
    with rclone_server(tmp_path_factory.mktemp("rclone")) as running:
        yield running


@pytest.fixture(scope="module")
def ring(tmp_path_factory: pytest.TempPathFactory) -> FileKeyring:
    return FileKeyring.create(tmp_path_factory.mktemp("keys") / "keys.json")


@pytest.fixture
def engine(empty_url: str) -> Iterator[Engine]:
    engine = make_engine(empty_url)
    yield engine
    engine.dispose()


@pytest.fixture(params=["folder", "server", "rclone"])
def objects(request: pytest.FixtureRequest, tmp_path: Path) -> Objects:
    """An empty store: a folder, then buckets of two makers with their folder of parts."""
    if request.param == "folder":
        return FolderObjects(tmp_path / "objects")
    running: S3Server = request.getfixturevalue(request.param)
    return running.objects(tmp_path / "parts")
