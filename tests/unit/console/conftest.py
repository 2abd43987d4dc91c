# SPDX-License-Identifier: GPL-3.0-or-later
"""A home with calls in it for the commands that look at homes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.console_home import ConsoleHome, build


@pytest.fixture(scope="session")
def calls_template(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ConsoleHome]:
    """Built once a test run; never changed."""
    folder = tmp_path_factory.mktemp("calls")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(folder / "state"))
        yield build(folder / "home")


@pytest.fixture
def calls(
    calls_template: ConsoleHome, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> ConsoleHome:
    """A copy for one test; nobody is signed in."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return calls_template.copy(tmp_path / "home")
