# SPDX-License-Identifier: GPL-3.0-or-later
"""A fresh home a test, copied from one that was built once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.storage_home import TestHome, build, copy_home


@pytest.fixture(scope="session")
def home_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("template") / "home"
    build(path)
    return path


@pytest.fixture
def home(home_template: Path, tmp_path: Path) -> Iterator[TestHome]:
    opened = copy_home(home_template, tmp_path / "home")
    yield opened
    opened.close()
