# SPDX-License-Identifier: GPL-3.0-or-later
"""Tokens of SoftHSM, Debian's software HSM, for tests of keys in an HSM.

SoftHSM reads its folder from ``SOFTHSM2_CONF`` once a process and lists its slots when it
starts: a test run makes a folder of its own, with a stock of tokens, before the first use.
"""

from __future__ import annotations

import atexit
import functools
import importlib.util
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

PIN = "4711-test"
_LIBRARIES = (
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so",
    "/usr/lib/aarch64-linux-gnu/softhsm/libsofthsm2.so",
    "/usr/local/lib/softhsm/libsofthsm2.so",
)
_STOCK = 40


def why_not() -> str:
    """Why tests of the HSM cannot run on this machine; empty: they can."""
    if not module():
        return "libsofthsm2.so is not installed (apt install softhsm2)"
    if shutil.which("softhsm2-util") is None:
        return "softhsm2-util is not installed (apt install softhsm2)"
    if importlib.util.find_spec("pkcs11") is None:
        return "python-pkcs11 is not installed (pip install 'candor[hsm]')"
    return ""


def module() -> str:
    """The library's path; empty: there is none."""
    return next((path for path in _LIBRARIES if Path(path).is_file()), "")


@dataclass(frozen=True, slots=True)
class Token:
    """An empty token. ``SOFTHSM2_CONF`` is set, for processes started by the test too."""

    module: str
    label: str
    pin: str = PIN


def token() -> Token:
    """A token that no test had before; the test is skipped where there is no HSM."""
    if why := why_not():
        pytest.skip(why)
    return next(_stock())


@functools.cache
def _stock() -> Iterator[Token]:
    folder = Path(tempfile.mkdtemp(prefix="candor-hsm-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    tokens = folder / "tokens"
    tokens.mkdir()
    conf = folder / "softhsm2.conf"
    conf.write_text(
        f"directories.tokendir = {tokens}\nobjectstore.backend = file\nlog.level = ERROR\n"
    )
    os.environ["SOFTHSM2_CONF"] = str(conf)
    labels = [f"candor-test-{number}" for number in range(_STOCK)]
    for label in labels:
        command = ["softhsm2-util", "--init-token", "--free", "--label", label]
        command += ["--so-pin", "so-pin-1", "--pin", PIN]
        subprocess.run(command, check=True, capture_output=True)
    return iter([Token(module(), label) for label in labels])
