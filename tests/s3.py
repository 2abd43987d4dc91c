# SPDX-License-Identifier: GPL-3.0-or-later
"""S3 servers for tests, spoken to over HTTP on loopback: rclone's, which keeps files in a folder
and checks signatures, and moto's, which knows Object Lock, checksums and conditions."""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

import boto3
from moto.server import ThreadedMotoServer

from storage.anchors_s3 import S3Anchor
from storage.objects_s3 import S3Objects

BUCKET = "recordings"
LOCKED = "anchors"  # the bucket with Object Lock
CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "tester",
    "AWS_SECRET_ACCESS_KEY": "tester",
    "AWS_DEFAULT_REGION": "eu-west-3",
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    "AWS_EC2_METADATA_DISABLED": "true",
}


class S3Server:
    """Started by :func:`s3_server`; ``objects`` gives an empty store of its own each time."""

    def __init__(self, endpoint: str, buckets: Sequence[str] = (BUCKET, LOCKED)) -> None:
        self.endpoint = endpoint
        self.client = boto3.client("s3", endpoint_url=endpoint)
        place = {"LocationConstraint": "eu-west-3"}
        # moto's buckets outlive its server: they are this process's.
        for bucket in buckets:
            with contextlib.suppress(self.client.exceptions.BucketAlreadyOwnedByYou):
                self.client.create_bucket(
                    Bucket=bucket,
                    CreateBucketConfiguration=place,
                    ObjectLockEnabledForBucket=bucket == LOCKED,
                )

    def objects(self, parts: Path) -> S3Objects:
        store = f"s3://{BUCKET}/home-{secrets.token_hex(4)}"
        return S3Objects(store, parts, endpoint=self.endpoint)

    def anchor(self, prefix: str = "") -> S3Anchor:
        """An anchor in the bucket with Object Lock; a new one unless ``prefix`` is known."""
        prefix = prefix or f"home-{secrets.token_hex(4)}"
        return S3Anchor(f"s3://{LOCKED}/{prefix}", endpoint=self.endpoint)


@contextmanager
def s3_server() -> Iterator[S3Server]:
    """Credentials lie in the environment, as on a user's machine, while it runs."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    with patch.dict(os.environ, CREDENTIALS):
        server.start()
        try:
            host, port = server.get_host_and_port()
            yield S3Server(f"http://{host}:{port}")
        finally:
            server.stop()


@contextmanager
def rclone_server(folder: Path) -> Iterator[S3Server]:
    """A server of its own process over the files of ``folder``; no Object Lock."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    keys = f"{CREDENTIALS['AWS_ACCESS_KEY_ID']},{CREDENTIALS['AWS_SECRET_ACCESS_KEY']}"
    rclone = Path(sys.executable).with_name("rclone")
    words = [rclone, "serve", "s3", "--addr", address, "--auth-key", keys, "--config", os.devnull]
    with patch.dict(os.environ, CREDENTIALS):
        server = subprocess.Popen([*words, folder], stderr=subprocess.PIPE, text=True)
        assert server.stderr is not None
        try:
            told = next((line for line in server.stderr if "Starting s3 server" in line), "")
            assert told, "rclone did not start"
            yield S3Server(f"http://{address}", (BUCKET,))
        finally:
            server.kill()
            server.wait()
            server.stderr.close()
