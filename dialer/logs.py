# SPDX-License-Identifier: GPL-3.0-or-later
"""Structured logs: JSON lines with a constant ``action`` key and no personal data."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any, TextIO

import structlog

# Eleven digits and more, bare or after +: a telephone number that should not be here (D8).
_NUMBERISH = re.compile(r"(?<![0-9A-Za-z.])\+?\d{9,15}(?![0-9A-Za-z])(?!\.\d)")


def hide_numbers(
    _logger: Any, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """The last net: whatever looks like a telephone number is cut out of a log line."""
    for key, value in event.items():
        if isinstance(value, str):
            event[key] = _NUMBERISH.sub("[number]", value)
    return event


def configure(path: Path | None = None, level: int = logging.INFO) -> TextIO:
    """Send logs to ``path`` (created 0600) or standard error; returns the open stream."""
    if path is None:
        stream: TextIO = sys.stderr
    else:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.touch(mode=0o600)
        stream = path.open("a", encoding="utf-8", buffering=1)
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            hide_numbers,
            structlog.processors.JSONRenderer(ensure_ascii=False),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(file=stream),
        cache_logger_on_first_use=False,
    )
    return stream
