# SPDX-License-Identifier: GPL-3.0-or-later
"""The last net under the logs: nothing that looks like a number gets through."""

from __future__ import annotations

import json
from pathlib import Path

import structlog

from dialer.logs import configure, hide_numbers


def test_numbers_are_cut_out() -> None:
    shown = hide_numbers(None, "", {"event": "to +8613912345678 and 13912345678.", "port": 5060})
    assert "139" not in str(shown["event"])
    assert shown["port"] == 5060


def test_identifiers_are_left_alone() -> None:
    event = {"attempt": "a1b2c3d4e5f60718", "at": "2026-11-24T00:00:00Z"}
    assert hide_numbers(None, "", dict(event)) == event


def test_a_log_file_is_private_json_lines(tmp_path: Path) -> None:
    path = tmp_path / "logs" / "worker.log"
    try:
        stream = configure(path)
        structlog.get_logger("t").info("called", action="t.call", who="+8613912345678")
        stream.close()
    finally:
        structlog.reset_defaults()
    line = json.loads(path.read_text("utf-8"))
    assert line["who"] == "[number]"
    assert line["action"] == "t.call"
    assert path.stat().st_mode & 0o077 == 0
