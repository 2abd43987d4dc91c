# SPDX-License-Identifier: GPL-3.0-or-later
"""An S3 server for tests: moto's own, spoken to over HTTP on loopback."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator
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

    def __init__(self, endpoint: str) -> None:
        self.endpoint = endpoint
        self.client = boto3.client("s3", endpoint_url=endpoint)
        place = {"LocationConstraint": "eu-west-3"}
        # moto's buckets outlive its server: they are this process's.
        for bucket in (BUCKET, LOCKED):
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
