# SPDX-License-Identifier: GPL-3.0-or-later
"""What is missing or wrong here, and how to mend it: one line a check.

The machine is looked at without a home; a home is looked at as far as it
opens. A check never raises: whatever goes wrong in one is its finding.
"""

from __future__ import annotations

import platform
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from compliance.clock import Clock
from console import probes, speech_models
from console.diagnosis import Diagnosis, fail, guarded, ok, warn
from console.home_checks import HomeCheckup
from dialer.settings import Home, SpeechSettings

PYTHONS = ((3, 11), (3, 12))
_AT_ONCE = 2  # probes: each is a process that loads native code


def examine(root: Path, clock: Clock, passphrase: str | None) -> Iterator[Diagnosis]:
    """Every check of this machine, then of the home at ``root``, in a fixed order."""
    homes: list[Home] = []
    about_home = guarded("settings", lambda: _settings(root, homes))
    home = homes[0] if homes else None
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        probing = [pool.submit(guarded, check, look) for check, look in _probes(home)]
        yield from guarded("python", _python)
        yield from guarded("platform", _platform)
        for future in probing:
            yield from future.result()
    yield from about_home
    if home is not None:
        yield from HomeCheckup(home, clock, passphrase).run()


def _python() -> Iterator[Diagnosis]:
    version = platform.python_version()
    good = sys.version_info[:2] in PYTHONS
    yield ok("python", version=version) if good else fail("python", "unfit", version=version)


def _platform() -> Iterator[Diagnosis]:
    named = {"system": platform.system(), "machine": platform.machine()}
    linux = platform.system() == "Linux"
    yield ok("platform", **named) if linux else warn("platform", "untested", **named)


# ---------------------------------------------------------------- native parts


def _probes(home: Home | None) -> list[tuple[str, Callable[[], Iterator[Diagnosis]]]]:
    models = home.settings.speech.models if home else SpeechSettings().models

    def model(language: str, name: str) -> tuple[str, Callable[[], Iterator[Diagnosis]]]:
        folder = home.model(language) if home else speech_models.SHIPPED / name
        return "model", lambda: _model(language, name, folder)

    return [
        ("endpoint", lambda: _probed("endpoint")),
        ("voice", lambda: _probed("voice")),
        ("vad", lambda: _probed("vad")),
        *(model(language, name) for language, name in sorted(models.items())),
    ]


def _probed(check: str) -> Iterator[Diagnosis]:
    found, fault = probes.run(check)
    yield fail(check, "broken", cause=fault) if fault else ok(check, **found)


def _model(language: str, name: str, folder: Path) -> Iterator[Diagnosis]:
    missing = speech_models.what_is_missing(folder)
    named = {"language": language, "name": name}
    if missing:
        yield fail("model", "missing", files=", ".join(missing), **named)
        return
    found, fault = probes.run("model", str(folder), language)
    yield fail("model", "broken", cause=fault, **named) if fault else ok("model", **named, **found)


# ---------------------------------------------------------------- the home's own file


def _settings(root: Path, homes: list[Home]) -> Iterator[Diagnosis]:
    if not root.exists():
        yield warn("settings", "no_home", home=root)
        return
    homes.append(Home(root))
    yield ok("settings", language=homes[0].settings.language)
