# SPDX-License-Identifier: GPL-3.0-or-later
"""A lab home for tests, and calls from it by the command people use."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from compliance.facts import Speaker
from console import homes, submissions
from console.homes import opened
from console.lab import SCRIPT, make
from storage.store import AccessReason
from voicebot import script as scripts
from voicebot.prompts import RenderedScript

PASSWORD = "correct horse battery"
CALL_S = 240.0
_CANDOR = (sys.executable, "-m", "console.cli")


@dataclass(frozen=True, slots=True)
class Lab:
    """A lab home as ``candor init --lab`` makes it, its operator signed in."""

    root: Path
    state: Path  # where the session token is

    @staticmethod
    def make(folder: Path, language: str = "zh") -> Lab:
        """A new one in ``folder``."""
        root, state = folder / "home", folder / "state"
        made = make(root, password=PASSWORD, language=language)
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("XDG_STATE_HOME", str(state))
            homes.remember(root, made.token)
        return Lab(root, state)

    def candor(self, *words: str, stdin: str = "") -> tuple[int, str, str]:
        """One command to its end: exit code, output, errors."""
        done = subprocess.run(
            [*_CANDOR, *words, "--home", str(self.root)],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=CALL_S,
            env=self._env(),
            check=False,
        )
        return done.returncode, done.stdout, done.stderr

    @contextmanager
    def calling(self, uri: str) -> Iterator[subprocess.Popen[str]]:
        """``candor campaign test`` under way."""
        words = ["campaign", "test", "--to", uri, "--yes", "--json", "--home", str(self.root)]
        process = subprocess.Popen(
            [*_CANDOR, *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=self._env(),
        )
        with process:
            try:
                yield process
            finally:
                if process.poll() is None:
                    process.send_signal(signal.SIGINT)  # politely: no child is left behind
                    process.communicate(timeout=30)

    def result(self, process: subprocess.Popen[str]) -> tuple[int, dict[str, Any]]:
        """Exit code and what it printed."""
        out, err = process.communicate(timeout=CALL_S)
        assert out, err
        return process.returncode, json.loads(out)

    def heard(self, call: str) -> str:
        """What the robot understood of the callee, as an auditor reads it."""
        with opened(self.root) as it:
            auditor = it.store.people.sign_in("auditor", PASSWORD)
            lines = it.store.transcript(auditor, call, AccessReason.AUDIT)
        return " ".join(line.text for line in lines if line.speaker is Speaker.CALLEE)

    def rendered(self) -> RenderedScript:
        """The approved script's sound, for comparison."""
        with opened(self.root) as it:
            version = it.store.scripts.current_approved(SCRIPT)
            assert version is not None
            return submissions.render(it, scripts.load(version.text))

    def _env(self) -> dict[str, str]:
        return {**os.environ, "XDG_STATE_HOME": str(self.state)}
