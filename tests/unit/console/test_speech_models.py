# SPDX-License-Identifier: GPL-3.0-or-later
"""`candor models install`: from a folder, a zip and a URL; what is no model is named."""

from __future__ import annotations

import functools
import http.server
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

import voicebot
from compliance.errors import BadInput
from console.speech_models import install, what_is_missing

SHIPPED = Path(voicebot.__path__[0]) / "models" / "zh-demo"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A model without calibration, as an official one comes."""
    folder = tmp_path / "source" / "vosk-model-test"
    shutil.copytree(SHIPPED, folder)
    (folder / "calibration.toml").unlink()
    return folder


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            pass

    handler = functools.partial(Quiet, directory=str(tmp_path / "source"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def test_from_a_folder(model: Path, tmp_path: Path) -> None:
    target = install(str(model), tmp_path / "models", language="zh")
    assert target == tmp_path / "models" / "vosk-model-test"
    assert not what_is_missing(target)
    assert 'language = "zh"' in (target / "calibration.toml").read_text("utf-8")
    assert [entry.name for entry in (tmp_path / "models").iterdir()] == [target.name]


def test_from_a_url_and_over_an_older_one(model: Path, address: str, tmp_path: Path) -> None:
    shutil.make_archive(str(model), "zip", model.parent, model.name)
    url = f"{address}/{model.name}.zip"
    for _ in range(2):
        target = install(url, tmp_path / "models", language="zh", name="big")
    assert target.name == "big"
    assert not what_is_missing(target)


def test_a_folder_that_is_no_model(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(BadInput, match=r"am/final\.mdl"):
        install(str(tmp_path / "empty"), tmp_path / "models", language="zh")
    assert not list((tmp_path / "models").iterdir())


def test_a_damaged_model_never_replaces_a_working_one(model: Path, tmp_path: Path) -> None:
    good = install(str(model), tmp_path / "models", language="zh", name="m")
    before = (good / "am" / "final.mdl").read_bytes()
    (model / "am" / "final.mdl").write_bytes(b"\0B<nonsense>")
    with pytest.raises(BadInput, match="cannot load"):
        install(str(model), tmp_path / "models", language="zh", name="m")
    assert (good / "am" / "final.mdl").read_bytes() == before


@pytest.mark.parametrize("name", ["../up", "a/b", ".hidden"])
def test_a_name_that_is_no_folder(model: Path, tmp_path: Path, name: str) -> None:
    with pytest.raises(BadInput, match="name"):
        install(str(model), tmp_path / "models", language="zh", name=name)


def test_nothing_there(address: str, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no such folder"):
        install(str(tmp_path / "nowhere"), tmp_path / "models", language="zh")
    with pytest.raises(BadInput, match="could not be fetched"):
        install(f"{address}/nothing.zip", tmp_path / "models", language="zh")


def test_an_archive_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "x.zip").write_bytes(b"no zip")
    with pytest.raises(BadInput, match="zip"):
        install(str(tmp_path / "x.zip"), tmp_path / "models", language="zh")
