# SPDX-License-Identifier: GPL-3.0-or-later
"""A home opened for use: its settings, keys, database and ledger in one place."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Engine

from compliance.clock import Clock, SystemClock
from compliance.errors import ConfigError, SignInFailed
from compliance.facts import Actor, HomeKind
from console import unlocking
from dialer.settings import Home, KeySettings
from storage.anchors import Anchor
from storage.database import check_version, make_engine, upgrade
from storage.further_anchors import FurtherAnchors
from storage.key_sources import KeyKind
from storage.keys import Keyring
from storage.objects import fsync_folder, make_folder
from storage.sequencer import Sequencer, verify_start
from storage.store import Store, init_home

_TOML = """\
# Candor: settings of this home. Every key is described in docs/configuration.md;
# an unknown key is an error.
schema = 1
language = "{language}"

[sip]
host = "127.0.0.1"

[dial]
processes = {processes}
max_calls = {max_calls}
ring_timeout_s = {ring_timeout_s}

[policy]
profiles = ["{profile}"]
"""
_PROFILE = {
    HomeKind.PRODUCTION: "cn_seed",
    HomeKind.DEMO: "demo",
    HomeKind.LAB: "lab",
}


@dataclass(frozen=True, slots=True)
class Opened:
    """An open home. Close it through ``opened()``."""

    home: Home
    engine: Engine
    keyring: Keyring
    store: Store
    clock: Clock
    anchors: tuple[Anchor, ...]  # the folder every home has, then further ones
    passphrase: str | None = None  # what opens the keys: a passphrase, or a token's PIN

    @property
    def origin(self) -> str:
        """The ledger's name in its checkpoints (C2SP tlog-checkpoint)."""
        return f"candor/{self.store.tenant}"

    def sequencer(self) -> Sequencer:
        first, further = self.anchors[:1], self.anchors[1:]
        return Sequencer(
            self.engine,
            self.keyring,
            first,
            self.origin,
            further=FurtherAnchors(self.engine, self.keyring, further),
        )


def create(
    root: Path,
    *,
    kind: HomeKind,
    company: str,
    tenant: str,
    language: str = "zh",
    passphrase: str | None = None,
    keys: KeySettings | None = None,
    database: str = "",
    clock: Clock | None = None,
    processes: int = 1,
    max_calls: int = 4,
    ring_timeout_s: float = 35.0,
) -> None:
    """Make a home: settings, keys, database. Its kind and tenant are fixed for ever.

    Whole or not at all: what was made before something failed is removed again.

    Raises:
        ConfigError: the folder is not empty.
        BadInput: an unusable language, tenant, company or passphrase.
    """
    check_empty(root)
    existed = root.exists()
    make_folder(root)
    root.chmod(0o700)
    text = _TOML.format(
        language=language,
        processes=processes,
        max_calls=max_calls,
        ring_timeout_s=ring_timeout_s,
        profile=_PROFILE[kind],
    )
    if database:
        text += f"\n[storage]\nurl = {json.dumps(database)}\n"
    if keys is not None and keys.source is not KeyKind.FILE:
        text += _keys_section(keys)
    try:
        _furnish(root, text, kind, company, tenant, passphrase, clock or SystemClock())
    except BaseException:
        for made in root.iterdir():
            shutil.rmtree(made) if made.is_dir() else made.unlink()
        if not existed:
            root.rmdir()
        raise


def _keys_section(keys: KeySettings) -> str:
    named = {"source": str(keys.source), "module": keys.module, "token": keys.token}
    lines = [f"{key} = {json.dumps(value)}" for key, value in named.items() if value]
    return "\n".join(["", "[keys]", *lines, ""])


def check_empty(root: Path) -> None:
    """Raises ConfigError unless a home may be made at ``root``."""
    if root.is_file() or (root.exists() and any(root.iterdir())):
        raise ConfigError(
            f"{root} is not empty", field="home", remedy="name an empty or a new folder"
        )


def _furnish(
    root: Path,
    settings: str,
    kind: HomeKind,
    company: str,
    tenant: str,
    passphrase: str | None,
    clock: Clock,
) -> None:
    with (root / "candor.toml").open("w", encoding="utf-8") as file:
        file.write(settings)
        file.flush()
        os.fsync(file.fileno())
    home = Home(root)
    for folder in (home.keys.parent, home.objects, home.anchors, home.prompts, home.run, home.logs):
        folder.mkdir(mode=0o700, exist_ok=True)
    fsync_folder(root)
    source = home.key_source
    keyring = source.create(unlocking.secret_for_new(source, passphrase, home.settings.language))
    engine = make_engine(home.database_url)
    try:
        upgrade(engine)
        init_home(
            engine,
            keyring,
            tenant=tenant,
            company=company,
            kind=kind,
            clock=clock,
            node=home.settings.node,
        )
    finally:
        engine.dispose()


@contextmanager
def opened(root: Path, passphrase: str | None = None) -> Iterator[Opened]:
    """Open a home and, before anything else, check its ledger against the outside anchors.

    Raises:
        ConfigError: no home there or wrong settings. BadInput: wrong passphrase or PIN.
        LedgerError: the database is older than the newest checkpoint of any anchor (P5).
    """
    home = Home(root)
    anchors = home.open_anchors()
    clock = SystemClock()
    keyring, secret = unlocking.unlock(home.key_source, passphrase, home.settings.language)
    engine = make_engine(home.database_url)
    try:
        check_version(engine)
        verify_start(engine, anchors, keyring)
        store = Store(engine, keyring, node=home.settings.node, clock=clock)
        yield Opened(home, engine, keyring, store, clock, anchors, secret)
    finally:
        engine.dispose()


# ---------------------------------------------------------------- who is signed in


def _token_file(root: Path) -> Path:
    state = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state")
    name = hashlib.sha256(str(root.resolve()).encode()).hexdigest()[:16]
    return state / "candor" / f"{name}.session"


def remember(root: Path, token: str) -> None:
    """Keep the session token of this system user for this home (mode 0600)."""
    path = _token_file(root)
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(token)


def signed_in(opened_home: Opened) -> Actor:
    """The actor of the remembered session; SignInFailed when there is none."""
    try:
        token = _token_file(opened_home.home.root).read_text().strip()
    except FileNotFoundError:
        raise SignInFailed("nobody is signed in here", remedy="candor login NAME") from None
    return opened_home.store.people.actor_of(token)
