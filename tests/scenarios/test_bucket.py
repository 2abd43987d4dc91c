# SPDX-License-Identifier: GPL-3.0-or-later
"""A call over real SIP and RTP in a home whose sealed recordings go to an S3 bucket."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from console import homes
from storage import verify
from storage.tracks import MAGIC
from tests.console_home import Ran, candor
from tests.homes import Run, demo_run
from tests.s3 import BUCKET, S3Server, rclone_server

PREFIX = "calls"


async def _dial(folder: Path, voices: Path, server: S3Server) -> Run:
    store = f'\n[storage]\nobjects = "s3://{BUCKET}/{PREFIX}"\nendpoint = "{server.endpoint}"\n'
    async with demo_run(folder, ["103"], voices=voices, settings=store) as it:
        token = it.it.store.people.issue_session(it.staff.auditor, timedelta(hours=1))
        homes.remember(it.it.home.root, token)
        await it.dial()
    return it


def test_a_dialed_call_is_sealed_into_the_bucket_and_opened_from_it(
    tmp_path: Path, voices: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    root = tmp_path / "home"
    with rclone_server(tmp_path / "bucket") as server:
        it = asyncio.run(_dial(tmp_path, voices, server))
        assert it.outcomes() == {"103": "refused"}
        listed = server.client.list_objects_v2(Bucket=BUCKET, Prefix=f"{PREFIX}/")["Contents"]
        sealed = [
            server.client.get_object(Bucket=BUCKET, Key=item["Key"])["Body"].read()
            for item in listed
        ]
        # The notice was not completed: the callee's track is gone (S4). The rest are papers.
        assert len([data for data in sealed if data.startswith(MAGIC)]) == 1
        assert len(sealed) == 1 + len(it.it.store.papers.papers())
        assert not [path for path in (root / "spool").rglob("*") if path.is_file()]
        assert not (root / "objects").exists() or not any((root / "objects").iterdir())
        _open(tmp_path, root, it)


def _open(folder: Path, root: Path, it: Run) -> None:
    def ran(*words: str) -> Ran:
        done = candor(*words, "--home", str(root))
        assert done.code == 0, done.err
        return done

    (call,) = [row.id for row in it.it.store.calls(it.campaign)]
    wav, pack = folder / "call.wav", folder / "pack.zip"
    ran("replay", call, "--reason", "audit", "--wav", str(wav))
    assert wav.stat().st_size > 8000 * 2  # more than a second of the robot's voice
    ran("evidence", call, "--reason", "dispute", "-o", str(pack))
    key = ran("ledger", "key").out.split()[-1]
    checked = subprocess.run(
        [sys.executable, verify.__file__, str(pack), "--key", key],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (checked.returncode, "VALID" in checked.stdout) == (0, True), checked.stdout
