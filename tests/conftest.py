# SPDX-License-Identifier: GPL-3.0-or-later
"""What every test folder shares."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.storage_home import TestHome, build, copy_home


@pytest.fixture(scope="session")
def voices(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The callees' rendered speech, made once a test run."""
    return tmp_path_factory.mktemp("voices")


@pytest.fixture(scope="session")
def home_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home of the store, built once a test run."""
    path = tmp_path_factory.mktemp("template") / "home"
    build(path)
    return path


@pytest.fixture
def home(home_template: Path, tmp_path: Path) -> Iterator[TestHome]:
    """A fresh copy of the template for one test."""
    opened = copy_home(home_template, tmp_path / "home")
    yield opened
    opened.close()
