# SPDX-License-Identifier: GPL-3.0-or-later
"""candor.toml: typed, strict, and its mistakes named."""

from __future__ import annotations

from pathlib import Path

import pytest

from compliance.errors import ConfigError
from dialer.settings import Home, load


def write(folder: Path, text: str) -> Path:
    (folder / "candor.toml").write_text(text, "utf-8")
    return folder


def test_defaults(tmp_path: Path) -> None:
    settings = load(write(tmp_path, "schema = 1\n"))
    assert settings.policy.profiles == ("cn_seed",)
    assert settings.dial.max_calls == 4


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("schema = 1\nlangage = 'zh'\n", "langage"),
        ("schema = 1\n[sip]\nprot = 5060\n", "sip.prot"),
        ("schema = 1\n[dial]\nmax_calls = 0\n", "dial.max_calls"),
        ("schema = 2\n", "schema"),
        ("", "schema"),
        ("schema = 1\nlanguage = 'fr'\n", "language"),
    ],
)
def test_a_mistake_is_named(tmp_path: Path, text: str, key: str) -> None:
    with pytest.raises(ConfigError, match=key):
        load(write(tmp_path, text))


def test_broken_toml_names_the_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="line 2"):
        load(write(tmp_path, "schema = 1\n[dial\n"))


def test_no_home(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="candor init"):
        load(tmp_path / "nowhere")


def test_relative_database_lies_in_the_home(tmp_path: Path) -> None:
    home = Home(write(tmp_path, "schema = 1\n"))
    assert home.database_url == f"sqlite:///{tmp_path.resolve() / 'candor.db'}"


def test_an_absolute_database_is_left_alone(tmp_path: Path) -> None:
    home = Home(write(tmp_path, "schema = 1\n[storage]\nurl = 'sqlite:////var/x.db'\n"))
    assert home.database_url == "sqlite:////var/x.db"
