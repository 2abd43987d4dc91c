# SPDX-License-Identifier: GPL-3.0-or-later
"""Speaking to an S3 server: its address, a client that insists on TLS, its errors as ours (D7).

Shared by the sealed files (``objects_s3``) and the ledger's anchor (``anchors_s3``). boto3 is an
optional package, so it is imported only when a bucket is configured.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from compliance.errors import ConfigError, StorageAway, StorageError
from storage.database import is_local

MISSING = frozenset({"404", "NoSuchKey", "NotFound"})
_URL = re.compile(r"s3://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:/([A-Za-z0-9._/-]*))?")
_EXISTS = frozenset({"409", "412", "ConditionalRequestConflict", "PreconditionFailed"})
# What a busy or broken server says; everything else is an answer.
_AWAY = frozenset({"429", "SlowDown", "RequestTimeout", "Throttling", "TooManyRequests"})


def address(url: str, field: str) -> tuple[str, str]:
    """Bucket and key prefix of ``s3://bucket/prefix``; the prefix is empty or ends in a slash.

    Raises:
        ConfigError: not such a URL; ``field`` names the setting.
    """
    match = _URL.fullmatch(url)
    if match is None:
        raise ConfigError(
            "not the address of a bucket", field=field, remedy="write s3://bucket/prefix"
        )
    return match[1], f"{match[2].strip('/')}/" if (match[2] or "").strip("/") else ""


def connect(
    endpoint: str,
    region: str,
    field: str,
    endpoint_field: str,
    *,
    attempts: int = 2,
    wait_s: float = 20.0,
) -> Any:
    """A client that waits ``wait_s`` for each answer; the fields name the settings for messages.

    Raises:
        ConfigError: no TLS off loopback (D7), settings the SDK refuses, or boto3 is missing.
    """
    if endpoint and not re.fullmatch(r"https?://[^/@?#\s]+", endpoint):
        raise ConfigError(
            "not the address of a server",
            field=endpoint_field,
            remedy="write https://host:port; credentials go into the environment",
        )
    try:
        import boto3
        from botocore.config import Config
        from botocore.exceptions import BotoCoreError
    except ImportError:
        raise ConfigError(
            "the S3 library is not installed",
            field=field,
            remedy="pip install 'candor[s3]'",
        ) from None
    config = Config(
        connect_timeout=5,
        read_timeout=wait_s,
        retries={"mode": "standard", "total_max_attempts": attempts},
        s3={"addressing_style": "path" if endpoint else "auto"},
        # A proxy named in the environment must not carry plain HTTP off the machine.
        proxies={} if endpoint.startswith("http://") else None,
    )
    try:
        client = boto3.session.Session(botocore_session=_session()).client(
            "s3", endpoint_url=endpoint or None, region_name=region or None, config=config
        )
    except (BotoCoreError, ValueError) as error:
        raise ConfigError(f"the S3 library refuses its settings: {error}", field=field) from None
    # The SDK has the last word on where it goes (AWS_ENDPOINT_URL), so its answer is judged.
    where = urlsplit(client.meta.endpoint_url)
    if where.scheme != "https" and not is_local(where.hostname or ""):
        raise ConfigError(
            "S3 on another machine is refused without TLS that verifies the server (D7)",
            field=endpoint_field,
            remedy="write https://host:port; a CA of your own goes into AWS_CA_BUNDLE",
        )
    return client


def _session() -> Any:
    """A session of the SDK; its description of S3 (a megabyte of JSON) is read once a process."""
    import botocore.session

    session = botocore.session.get_session()
    session.register_component("data_loader", _loader(session.get_config_variable("data_path")))
    return session


@functools.cache
def _loader(path: str | None) -> Any:
    import botocore.loaders

    return botocore.loaders.create_loader(path)


@contextmanager
def answers(what: str, done: str) -> Iterator[None]:
    """Turn the SDK's errors into ours: away (try again), exists, or an error that says why."""
    from botocore.exceptions import (
        BotoCoreError,
        ClientError,
        ConnectionError,
        HTTPClientError,
        IncompleteReadError,
        NoCredentialsError,
    )

    try:
        yield
    except NoCredentialsError:
        raise StorageError(
            f"{what} cannot be {done}: no credentials for S3 were found",
            remedy="set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give the machine a role",
        ) from None
    except (
        ConnectionError,
        HTTPClientError,
        IncompleteReadError,
    ) as error:  # no connection, no TLS, no answer in time
        raise StorageAway(
            f"{what} cannot be {done}: S3 does not answer ({type(error).__name__})"
        ) from None
    except ClientError as error:
        said = code(error)
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        if said in _EXISTS and done == "stored":
            raise FileExistsError from None
        if said in _AWAY or status >= 500:
            raise StorageAway(f"{what} cannot be {done}: S3 says {said}") from None
        raise StorageError(f"{what} cannot be {done}: S3 says {said}") from None
    except BotoCoreError as error:
        raise StorageError(f"{what} cannot be {done}: {type(error).__name__}") from None


def code(error: Any) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))
