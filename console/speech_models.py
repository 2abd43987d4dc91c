# SPDX-License-Identifier: GPL-3.0-or-later
"""`candor models`: bring a Vosk model into a home, from a folder, an archive or a URL.

The demo models know only synthetic speech; real callees need an official
model. Nothing else changes when it is installed: its thresholds live in a
``calibration.toml`` beside it.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
import urllib.error
import urllib.request
import zipfile
from dataclasses import dataclass
from pathlib import Path

import voicebot
from compliance.errors import BadInput
from compliance.facts import Evolve
from dialer.settings import Home, SpeechSettings

_DEFAULT_CALIBRATION = """\
# Thresholds of this model. Conservative defaults: measure and adjust them.
schema = 1
language = "{language}"
sample_rate = 8000          # Hz
joiner = "{joiner}"
ignore = ["[unk]", "<unk>"]
min_confidence = 0.5        # below this a word counts as not heard
refusal_confidence = 0.7    # least word confidence before a refusal is acted on
partial_confidence = 0.7    # the same for partial results
"""
SHIPPED = Path(voicebot.__path__[0]) / "models"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_MAX_UNPACKED = 8 * 1024**3  # bytes: the largest official models are about half of it
_LOADS = "import sys, vosk; vosk.SetLogLevel(-1); vosk.Model(sys.argv[1])"


def what_is_missing(folder: Path) -> list[str]:
    """Names of the files a Vosk model needs and ``folder`` lacks; empty: it is a model."""
    missing = [
        name for name in ("am/final.mdl", "conf/model.conf") if not (folder / name).is_file()
    ]
    graphs = (("graph/HCLG.fst",), ("graph/HCLr.fst", "graph/Gr.fst"))
    if not any(all((folder / name).is_file() for name in graph) for graph in graphs):
        missing.append("graph/HCLG.fst (or graph/HCLr.fst and graph/Gr.fst)")
    return missing


@dataclass(frozen=True, slots=True)
class Model(Evolve):
    """A model folder that is here, or one the settings name and nobody finds."""

    name: str
    language: str  # by its calibration; empty: it says none
    shipped: bool
    used_for: tuple[str, ...]  # languages whose calls it hears under the home's settings
    missing: tuple[str, ...]  # files it lacks; empty: it is a model

    def as_json(self) -> dict[str, object]:
        return {
            "name": self.name,
            "language": self.language,
            "shipped": self.shipped,
            "used_for": list(self.used_for),
            "missing": list(self.missing),
        }


def installed(home: Home | None) -> list[Model]:
    """Models of the home and those shipped, by name; a home's hides a shipped one."""
    used = home.settings.speech.models if home else SpeechSettings().models
    folders = {f.name: (f, True) for f in _folders(SHIPPED)}
    if home is not None:
        folders |= {f.name: (f, False) for f in _folders(home.root / "models")}
        folders |= {n: (home.root / "models" / n, False) for n in used.values() if n not in folders}
    return [
        Model(
            name=name,
            language=_language(folder),
            shipped=shipped,
            used_for=tuple(sorted(lang for lang, wanted in used.items() if wanted == name)),
            missing=tuple(what_is_missing(folder)),
        )
        for name, (folder, shipped) in sorted(folders.items())
    ]


def _folders(parent: Path) -> list[Path]:
    found = parent.iterdir() if parent.is_dir() else ()
    return [folder for folder in found if folder.is_dir() and not folder.name.startswith(".")]


def _language(folder: Path) -> str:
    try:
        return str(tomllib.loads((folder / "calibration.toml").read_text("utf-8"))["language"])
    except (OSError, ValueError, KeyError):
        return ""


def install(source: str, models: Path, *, language: str, name: str = "") -> Path:
    """Copy the model at ``source`` (folder, .zip file or http(s) URL) to ``models/name``.

    It is loaded once in a process of its own before it is put in place, so a
    broken model never replaces a working one.

    Raises:
        BadInput: no model there, a name that cannot be a folder, or it does not load.
    """
    models.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=models, prefix=".installing-") as work:
        folder = _fetch(source, Path(work))
        missing = what_is_missing(folder)
        if missing:
            raise BadInput(
                f"this is no Vosk model: it lacks {', '.join(missing)}",
                field="model",
                remedy="name the folder that holds am/, conf/ and graph/",
            )
        name = name or folder.name
        if not _NAME.fullmatch(name):
            raise BadInput(
                "a model's name is letters, digits, dots and dashes",
                field="name",
                remedy="choose one with --name",
            )
        staged = Path(work) / "staged"
        shutil.copytree(folder, staged)
        if not (staged / "calibration.toml").exists():
            joiner = "" if language == "zh" else " "
            text = _DEFAULT_CALIBRATION.format(language=language, joiner=joiner)
            (staged / "calibration.toml").write_text(text, "utf-8")
        _try_loading(staged)
        target = models / name
        old = Path(work) / "old"
        if target.exists():
            target.rename(old)
        staged.rename(target)
    return target


def _fetch(source: str, work: Path) -> Path:
    if source.startswith(("https://", "http://")):
        archive = work / "model.zip"
        try:
            with urllib.request.urlopen(source, timeout=60) as answer, archive.open("wb") as out:
                shutil.copyfileobj(answer, out)
        except (urllib.error.URLError, OSError) as error:
            cause = getattr(error, "reason", error)
            raise BadInput(
                f"could not be fetched: {cause}",
                field="model",
                remedy="fetch it by other means and name the folder",
            ) from None
        return _unpack(archive, work)
    path = Path(source).expanduser()
    if path.is_file() and path.suffix == ".zip":
        return _unpack(path, work)
    if not path.is_dir():
        raise BadInput(
            "there is no such folder", field="model", remedy="name a folder, a .zip or a URL"
        )
    return path


def _unpack(archive: Path, work: Path) -> Path:
    target = work / "unpacked"
    target.mkdir()
    try:
        with zipfile.ZipFile(archive) as file:
            if sum(info.file_size for info in file.infolist()) > _MAX_UNPACKED:
                raise BadInput("the archive is too large for a speech model", field="model")
            file.extractall(target)  # drops absolute paths and .. itself
    except zipfile.BadZipFile:
        raise BadInput("this is no zip archive", field="model") from None
    inside = [entry for entry in target.iterdir() if entry.is_dir()]
    return inside[0] if len(inside) == 1 and not (target / "am").exists() else target


def _try_loading(folder: Path) -> None:
    try:
        tried = subprocess.run(
            [sys.executable, "-c", _LOADS, str(folder)],
            capture_output=True,
            timeout=600,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise BadInput("the model did not load within 10 minutes", field="model") from None
    if tried.returncode:
        raise BadInput(
            "the recognizer cannot load this model",
            field="model",
            remedy="it may be damaged or made for another version of Vosk",
        )
