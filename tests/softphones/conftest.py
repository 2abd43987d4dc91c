# SPDX-License-Identifier: GPL-3.0-or-later
"""One lab home for all softphones."""

from __future__ import annotations

import pytest

from tests.labs import Lab


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    return Lab.make(tmp_path_factory.mktemp("lab"))
