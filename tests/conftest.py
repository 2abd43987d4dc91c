# SPDX-License-Identifier: GPL-3.0-or-later
"""What every test folder shares."""

from __future__ import annotations

import functools
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from compliance.facts import HomeKind
from tests.databases import KINDS, Databases, PostgresDatabases, SqliteDatabases, migrated
from tests.postgres import PostgresServer
from tests.storage_home import TestHome, build, copy_home

Ask = pytest.FixtureRequest

# A run in the background inherits that Ctrl-C is ignored, and so would every process that a
# test starts and interrupts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# The same examples every run: a red run is somebody's change, not this run's luck. `make fuzz`
# looks further, with new examples each time; what it finds becomes a test of its own.
settings.register_profile(
    "same", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile(
    "fuzz", settings.get_profile("same"), derandomize=False, max_examples=3000, print_blob=True
)
settings.load_profile(os.environ.get("CANDOR_EXAMPLES", "same"))


@pytest.fixture(scope="session")
def voices(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The callees' rendered speech, made once a test run."""
    return tmp_path_factory.mktemp("voices")


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """The test run's PostgreSQL, started when the first test asks for it."""
    server = PostgresServer()
    try:
        server.start()
        yield server
    finally:
        server.remove()


@pytest.fixture(scope="session")
def templates(request: Ask, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Databases]:
    """Where the run keeps what tests copy, by kind of database."""

    @functools.cache
    def kept(kind: str) -> Databases:
        if kind == "postgresql":
            return PostgresDatabases(request.getfixturevalue("postgres"))
        return SqliteDatabases(tmp_path_factory.mktemp("databases"))

    return kept


@pytest.fixture(scope="session")
def home_template(
    templates: Callable[[str], Databases], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str, HomeKind], Path]:
    """A home of the store, built once a test run for each kind of database and of home."""

    @functools.cache
    def made(database: str, kind: HomeKind) -> Path:
        path = tmp_path_factory.mktemp("template") / "home"
        build(path, templates(database), kind)
        return path

    return made


@pytest.fixture(scope="session")
def empty_template(templates: Callable[[str], Databases]) -> Callable[[str], str]:
    """The URL of a database with every table and no row, by kind."""
    return functools.cache(lambda kind: migrated(templates(kind)))


@pytest.fixture(params=KINDS)
def databases(request: Ask, tmp_path: Path) -> Iterator[Databases]:
    """Databases for one test; whatever asks for them runs on SQLite and on PostgreSQL."""
    made: Databases = (
        PostgresDatabases(request.getfixturevalue("postgres"))
        if request.param == "postgresql"
        else SqliteDatabases(tmp_path)
    )
    yield made
    made.close()


@pytest.fixture
def empty_url(databases: Databases, empty_template: Callable[[str], str]) -> str:
    """The URL of a database with every table and no row."""
    return databases.copy(empty_template(databases.kind))


@pytest.fixture
def home_of(
    databases: Databases, home_template: Callable[[str, HomeKind], Path], tmp_path: Path
) -> Iterator[Callable[[HomeKind], TestHome]]:
    """Opens a fresh home of a kind for one test."""
    opened: list[TestHome] = []

    def copied(kind: HomeKind) -> TestHome:
        template = home_template(databases.kind, kind)
        opened.append(copy_home(template, tmp_path / f"home{len(opened) or ''}", databases))
        return opened[-1]

    yield copied
    for home in opened:
        home.close()


@pytest.fixture
def home(home_of: Callable[[HomeKind], TestHome]) -> TestHome:
    """A fresh copy of the template for one test."""
    return home_of(HomeKind.PRODUCTION)
