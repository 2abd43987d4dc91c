# SPDX-License-Identifier: GPL-3.0-or-later
"""What every test folder shares."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def voices(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The callees' rendered speech, made once a test run."""
    return tmp_path_factory.mktemp("voices")
