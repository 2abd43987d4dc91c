# SPDX-License-Identifier: GPL-3.0-or-later
"""``candor.toml``: one typed file; an unknown key is an error, never ignored.

Precedence: command-line option, then ``candor.toml``, then the default here.
Nothing here is read from the environment.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from compliance.errors import ConfigError
from storage.anchors import Anchor, FolderAnchor
from storage.key_sources import KeyKind, KeySource
from storage.objects import FolderObjects
from storage.spool import SpooledObjects
from storage.stamps import TimeStamps
from storage.terms import CONTACT_DAYS_MAX


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class StorageSettings(_Section):
    url: str = "sqlite:///candor.db"  # relative paths start at the home folder
    objects: str = "objects"  # a folder, or s3://bucket/prefix
    endpoint: str = ""  # of an S3 server that is not AWS
    region: str = ""
    spool_mb: int = Field(default=1024, ge=1)  # what may wait for the bucket, 10^6 bytes
    anchors: str = "anchors"  # where checkpoints go out of the database's reach


class AnchorSettings(_Section):
    """Where the ledger's checkpoints go beside the folder ``storage.anchors`` (P5)."""

    folders: tuple[str, ...] = ()  # on other disks or mounts; each must exist
    bucket: str = ""  # s3://bucket/prefix, with Object Lock
    endpoint: str = ""  # of an S3 server that is not AWS
    region: str = ""
    retain_days: int = Field(default=400, ge=1, le=36500)  # no version goes before

    @model_validator(mode="after")
    def _elsewhere(self) -> Self:
        if not all(Path(folder).is_absolute() for folder in self.folders):
            raise ValueError("folders are absolute paths, on another disk or mount")
        return self


class KeySettings(_Section):
    """Where the keys come from. What opens them is never written here."""

    source: KeyKind = KeyKind.FILE
    module: str = ""  # path of the HSM's PKCS#11 library
    token: str = ""  # label of the HSM's token

    @model_validator(mode="after")
    def _whole(self) -> Self:
        named = bool(self.module), bool(self.token)
        if self.source is KeyKind.PKCS11 and named != (True, True):
            raise ValueError('source "pkcs11" needs module and token')
        if self.source is not KeyKind.PKCS11 and any(named):
            raise ValueError('module and token are for source "pkcs11" alone')
        return self


class TimestampSettings(_Section):
    """A time-stamping authority (RFC 3161) for the ledger's checkpoints."""

    url: str = ""  # empty: none is asked
    certificate: str = ""  # file with the authority's root certificate, PEM
    every_s: int = Field(default=3600, ge=60)


class RetentionSettings(_Section):
    """How long personal data stays beyond what the policy profiles say (D13)."""

    timezone: str = "Asia/Shanghai"  # of the company: its calendar ends a term
    contact_days: int = Field(default=CONTACT_DAYS_MAX, ge=1, le=CONTACT_DAYS_MAX)


class SipSettings(_Section):
    host: str = "127.0.0.1"
    sip_port: int = Field(default=0, ge=0, le=65535)  # first; 0: any free port
    rtp_port: int = Field(default=0, ge=0, le=65000)
    rtp_ports_per_process: int = Field(default=64, ge=8)
    max_calls_per_process: int = Field(default=250, ge=1)
    user_agent: str = "Candor"


class DialSettings(_Section):
    processes: int = Field(default=1, ge=1, le=64)
    max_calls: int = Field(default=4, ge=1)  # at a time, over all processes
    ring_timeout_s: float = Field(default=35.0, gt=0)
    lease_s: float = Field(default=60.0, gt=5)
    agent_ring_timeout_s: float = Field(default=20.0, gt=0)
    wrap_up_s: float = Field(default=30.0, ge=0)  # an agent's pause after a callee
    stop_after_lag_s: float = Field(default=60.0, gt=0)  # ledger sequencing behind


class SpeechSettings(_Section):
    processes: int = Field(default=1, ge=1, le=64)
    models: dict[str, str] = Field(default_factory=lambda: {"zh": "zh-demo", "en": "en-demo"})


class CheckSettings(_Section):
    automatic: bool = True  # every recorded call is checked soon after its end


class CompanySettings(_Section):
    """What the company publishes: where people complain (P1)."""

    complaint_phone: str = Field(default="", pattern=r"^(\+?[0-9][0-9 -]{1,18}[0-9])?$")
    complaint_mailbox: str = Field(default="", pattern=r"^([^@\s<>]{1,64}@[^@\s<>]{1,190})?$")


class PolicySettings(_Section):
    profiles: tuple[str, ...] = ("cn_seed",)
    industry: str = "general"
    wording: str = ""  # folder of the home's own wording packs; empty: none


class Settings(_Section):
    """Everything that may be set. Paths are relative to the home folder."""

    schema_version: int = Field(alias="schema", ge=1, le=1)
    language: str = Field(default="zh", pattern="^(zh|en)$")
    node: str = Field(default="node1", pattern="^[a-z0-9-]{1,32}$")
    storage: StorageSettings = StorageSettings()
    anchors: AnchorSettings = AnchorSettings()
    keys: KeySettings = KeySettings()
    retention: RetentionSettings = RetentionSettings()
    timestamps: TimestampSettings = TimestampSettings()
    sip: SipSettings = SipSettings()
    dial: DialSettings = DialSettings()
    speech: SpeechSettings = SpeechSettings()
    policy: PolicySettings = PolicySettings()
    company: CompanySettings = CompanySettings()
    checks: CheckSettings = CheckSettings()


def load(home: Path) -> Settings:
    """Read ``HOME/candor.toml``.

    Raises:
        ConfigError: names the key, what is wrong with it and where the file is.
    """
    path = home / "candor.toml"
    try:
        text = path.read_text("utf-8")
    except FileNotFoundError:
        raise ConfigError(
            f"no candor.toml in {home}",
            field="home",
            remedy="make a home with `candor init`, or name one with --home",
        ) from None
    try:
        return Settings.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(str(error), field="candor.toml", remedy="mend the line named") from None
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        cause = "unknown key" if first["type"] == "extra_forbidden" else first["msg"]
        raise ConfigError(
            cause, field=f"candor.toml: {key}", remedy="see docs/configuration.md"
        ) from None


class Home:
    """The folder everything of one installation lives in."""

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()
        self.settings = load(self.root)

    @property
    def database_url(self) -> str:
        url = self.settings.storage.url
        prefix = "sqlite:///"
        if url.startswith(prefix) and not url.startswith(prefix + "/"):
            return f"{prefix}{self.root / url.removeprefix(prefix)}"
        return url

    @property
    def objects(self) -> Path:
        """The local folder of sealed files: all of them, or those on their way to the bucket."""
        return self.root / ("spool" if self.remote else self.settings.storage.objects)

    def open_timestamps(self) -> TimeStamps | None:
        """The stamps of the anchored checkpoints; None: no authority is configured.

        Raises:
            ConfigError: its settings cannot be used, or the library is missing.
        """
        asked = self.settings.timestamps
        if not asked.url:
            return None
        trouble = self.run / "stamp-failed.json"
        certificate = self.root / asked.certificate
        return TimeStamps(self.anchors, asked.url, certificate, trouble=trouble)

    @property
    def remote(self) -> bool:
        """Whether sealed files go to a bucket."""
        return self.settings.storage.objects.startswith("s3://")

    def open_objects(self) -> FolderObjects | SpooledObjects:
        """Where sealed files are.

        Raises:
            ConfigError: the bucket's settings cannot be used, or the library is missing.
        """
        local = FolderObjects(self.objects)
        if not self.remote:
            return local
        from storage.objects_s3 import S3Objects  # an optional package

        bucket = self.settings.storage
        remote = S3Objects(
            bucket.objects, self.objects, endpoint=bucket.endpoint, region=bucket.region
        )
        return SpooledObjects(local, remote)

    @property
    def anchors(self) -> Path:
        """The first anchor: the folder every home has."""
        return self.root / self.settings.storage.anchors

    def open_anchors(self) -> tuple[Anchor, ...]:
        """Where checkpoints go; the first gets them before the database does.

        Raises:
            ConfigError: the bucket's settings cannot be used, or the library is missing.
        """
        more = self.settings.anchors
        anchors: list[Anchor] = [FolderAnchor(self.anchors)]
        anchors += [FolderAnchor(folder, must_exist=True) for folder in more.folders]
        if more.bucket:
            from storage.anchors_s3 import S3Anchor  # an optional package

            anchors.append(
                S3Anchor(
                    more.bucket,
                    endpoint=more.endpoint,
                    region=more.region,
                    retain_days=more.retain_days,
                )
            )
        return tuple(anchors)

    @property
    def keys(self) -> Path:
        return self.root / "keys" / "master.json"

    @property
    def key_source(self) -> KeySource:
        keys = self.settings.keys
        return KeySource(keys.source, self.keys, keys.module, keys.token)

    @property
    def simulator_key(self) -> Path:
        return self.root / "keys" / "sim.pub"

    @property
    def policies(self) -> Path:
        """The home's own policy profiles; need not be there."""
        return self.root / "policies"

    @property
    def prompts(self) -> Path:
        return self.root / "prompts"

    @property
    def journal(self) -> Path:
        """What live calls leave, until the database has it."""
        return self.root / "journal"

    @property
    def run(self) -> Path:
        return self.root / "run"

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    def model(self, language: str) -> Path:
        """Folder of the Vosk model for ``language``: in the home, else one we ship."""
        name = self.settings.speech.models.get(language, "")
        own = self.root / "models" / name
        return own if own.is_dir() else _shipped_models() / name


def _shipped_models() -> Path:
    import voicebot

    return Path(voicebot.__path__[0]) / "models"
