# SPDX-License-Identifier: GPL-3.0-or-later
"""A home into one file, and one file into a home (docs/decisions/0013-backup.md)."""

from __future__ import annotations

import contextlib
import functools
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Engine, make_url

from compliance.clock import Clock, SystemClock
from compliance.errors import BadInput, ConfigError, StorageAway
from compliance.facts import Actor, Evolve
from console import run, unlocking
from console.homes import Opened, check_empty
from dialer.policies import load_terms
from dialer.settings import Home
from storage import backup, backup_postgres, bundles, destruction_log, restoring
from storage.anchors import Anchor
from storage.backup import Made
from storage.bundles import DATABASE, DUMP, KEYS, SETTINGS, Manifest, Progress
from storage.database import make_engine, upgrade
from storage.destruction_log import Destroyed
from storage.further_anchors import FurtherAnchors
from storage.key_sources import Asked, KeyKind
from storage.keys import Keyring
from storage.objects import fsync_folder, fsync_tree, make_folder
from storage.restoring import Lost, Replayed
from storage.sequencer import Sequencer, verify_start
from storage.store import Store, note_upgrade


@dataclass(frozen=True, slots=True)
class Restored(Evolve):
    """What a restore did. ``lost`` is the newest checkpoint that this home no longer reaches.

    ``away`` are further anchors that could not be asked.
    """

    made_at: str
    objects: int
    missing: int
    newer_anchors: bool
    lost: Lost | None
    replayed: Replayed
    away: tuple[str, ...] = ()


def make(
    it: Opened, target: Path, actor: Actor | None, progress: Progress, *, with_keys: bool
) -> tuple[Made, bool]:
    """Back this home up; also says whether the keys are in the file.

    Raises:
        ConfigError: its database or objects lie outside the home folder.
    """
    _database_in(it.home)
    source = it.home.key_source
    sealed = source.kind is KeyKind.FILE and source.asks() is Asked.PASSPHRASE
    keys_in = source.kind is KeyKind.FILE and (sealed or with_keys)
    files = [(SETTINGS, it.home.root / SETTINGS)]
    if keys_in:
        files.append((KEYS, it.home.keys))
    if it.home.simulator_key.is_file():
        files.append(("keys/sim.pub", it.home.simulator_key))
    run.sequence(it)
    it.sequencer().checkpoint(it.clock.wall(), force=True)
    made = backup.make(
        target.resolve(),
        it.engine,
        it.keyring,
        node=it.home.settings.node,
        clock=it.clock,
        actor=actor,
        files=files,
        objects=it.home.objects,
        anchors=it.home.anchors,
        progress=progress,
    )
    return made, keys_in


def restore(
    source: Path,
    root: Path,
    passphrase: str | None,
    progress: Progress,
    *,
    anchors: Path | None = None,
    keys: Path | None = None,
    database: str = "",
) -> Restored:
    """Make the home ``root`` from a backup, whole or not at all.

    ``anchors``: what survived of the home's anchors, newer than the backup. ``keys``: the key
    file, if the backup holds none. ``database``: the URL of an empty PostgreSQL database, if
    the backup is of one.

    Raises:
        ConfigError: ``root`` is not empty. BadInput: no backup, the passphrase is wrong, or the
            database is not empty.
        Corrupt: any byte of it was changed, or other keys signed it.
    """
    check_empty(root)
    if anchors is not None and not anchors.is_dir():
        raise BadInput("there is no such folder", field="--anchors")
    root = root.absolute()
    make_folder(root.parent, 0o777)
    with bundles.draft(root) as folder:
        done = _Restoring(source, folder, passphrase, progress, anchors, keys, database).run()
        fsync_tree(folder)
        folder.rename(root)
        fsync_folder(root.parent)
    return done


@dataclass(slots=True)
class _Restoring:
    source: Path
    folder: Path  # of the home to be
    passphrase: str | None
    progress: Progress
    anchors: Path | None
    keys: Path | None
    database: str

    def run(self) -> Restored:
        clock = SystemClock()
        small = {name: self.folder / name for name in (SETTINGS, KEYS, "keys/sim.pub")}
        manifest, sha256 = bundles.read(self.source, small.get, self.progress)
        self._place_database(manifest)
        home, keyring = self._open(manifest)
        newer = self._newer(home)
        log = destruction_log.read(keyring, newer) if newer is not None else []
        gone = restoring.gone(log)
        for place in (home.objects, home.prompts, home.run, home.logs, home.keys.parent):
            place.mkdir(mode=0o700, exist_ok=True)
        bundles.read(self.source, functools.partial(self._where, home, gone), self.progress)
        log = self._whole(home, keyring, self._anchors(home, keyring, newer), newer)
        engine = make_engine(home.database_url)
        dumped, loaded = self.folder / DUMP, False
        try:
            if dumped.exists():
                backup_postgres.check_empty(engine)
                backup_postgres.load(engine, dumped)
                loaded = True
            lost, replayed, away = self._revive(
                home, engine, keyring, clock, str(manifest.about["backup"]), sha256, log
            )
        except BaseException:
            if loaded:  # what is in there is ours: it was empty, and was filled in one transaction
                backup_postgres.empty_again(engine)
            raise
        finally:
            engine.dispose()
        dumped.unlink(missing_ok=True)
        return Restored(
            str(manifest.about["made_at"]),
            sum(name.startswith("objects/") for name in manifest.members),
            len(manifest.about["missing"]),
            newer is not None,
            lost,
            replayed,
            away,
        )

    def _place_database(self, manifest: Manifest) -> None:
        """Write the new database's URL into the settings, if the backup is of a PostgreSQL."""
        if DUMP not in manifest.members:
            if self.database:
                raise BadInput(
                    "this backup is of a home with a file as its database", field="--database"
                )
            return
        if not self.database:
            raise BadInput(
                "this backup is of a PostgreSQL",
                field="--database",
                remedy="give the URL of a new, empty one: postgresql+psycopg://…",
            )
        name_database(self.folder / SETTINGS, self.database)
        if Home(self.folder).settings.storage.url != self.database:
            raise ConfigError("the settings do not take this URL", field="storage.url")
        engine = make_engine(self.database)
        try:
            backup_postgres.check_empty(engine)
        finally:
            engine.dispose()

    def _open(self, manifest: Manifest) -> tuple[Home, Keyring]:
        """The settings and keys of the home to be; the manifest's signature is checked."""
        home = Home(self.folder)
        _database_in(home)
        source = home.key_source
        if self.keys is not None:
            if source.kind is not KeyKind.FILE or home.keys.exists():
                raise BadInput("this backup needs no key file", field="--keys")
            home.keys.parent.mkdir(mode=0o700, exist_ok=True)
            home.keys.touch(mode=0o600)
            home.keys.write_bytes(self.keys.read_bytes())
        elif source.kind is KeyKind.FILE and not home.keys.exists():
            raise BadInput(
                "this backup holds no keys, and without them nothing in it opens",
                field="--keys",
                remedy="give the home's keys/master.json with --keys",
            )
        keyring, _ = unlocking.unlock(source, self.passphrase, home.settings.language)
        manifest.check_signature(keyring.public_key())
        return home, keyring

    def _newer(self, home: Home) -> Path | None:
        """Anchors that outlived the home: those named, or those its settings keep elsewhere."""
        if self.anchors is not None:
            return self.anchors
        outside = self.folder not in home.anchors.parents
        return home.anchors if outside and home.anchors.is_dir() else None

    def _where(self, home: Home, gone: frozenset[str], name: str) -> Path | None:
        kind, _, rest = name.partition("/")
        if name == DATABASE:
            return _database_in(home)
        if name == DUMP:
            return self.folder / DUMP
        if kind == "objects":
            return None if Path(rest).name in gone else home.objects / rest
        return self.folder / ".anchors" / rest if kind == "anchors" else None

    def _anchors(self, home: Home, keyring: Keyring, newer: Path | None) -> list[Destroyed]:
        """Bring the anchors together; returns the whole log of destructions."""
        kept = self.folder / ".anchors"
        kept.mkdir(mode=0o700, exist_ok=True)
        if newer is not None:
            restoring.join_anchors(newer, kept)
        if self.folder in home.anchors.parents:
            kept.rename(home.anchors)
        else:
            restoring.join_anchors(kept, home.anchors)
            for path in sorted(kept.rglob("*"), reverse=True):
                path.rmdir() if path.is_dir() else path.unlink()
            kept.rmdir()
        return destruction_log.read(keyring, home.anchors)

    def _whole(
        self, home: Home, keyring: Keyring, log: list[Destroyed], newer: Path | None
    ) -> list[Destroyed]:
        """The log with what further folders hold of it, each entry once.

        Raises:
            Corrupt: anchors that were given lack destructions that another anchor proves.
        """
        for folder in map(Path, home.settings.anchors.folders):
            if folder.is_dir():
                log = [*log, *destruction_log.read(keyring, folder)]
        log = list({line.leaf: line for line in log}.values())
        if newer is None:  # all are lost but what the backup holds: said when it is done
            return log
        for anchor in home.open_anchors()[1:]:
            with contextlib.suppress(StorageAway):
                destruction_log.check_holds(keyring, anchor.latest(), anchor.name, log)
        return log

    def _revive(
        self,
        home: Home,
        engine: Engine,
        keyring: Keyring,
        clock: Clock,
        made: str,
        sha256: str,
        log: list[Destroyed],
    ) -> tuple[Lost | None, Replayed, tuple[str, ...]]:
        node, anchors = home.settings.node, home.open_anchors()
        upgrade(engine, functools.partial(note_upgrade, node=node, clock=clock))
        lost, away = _fork(engine, keyring, anchors, made)
        verify_start(engine, anchors, keyring)
        restoring.tell(
            engine, keyring, node=node, clock=clock, backup=made, sha256=sha256, lost=lost
        )
        store = Store(engine, keyring, node=node, clock=clock)
        objects, terms = home.open_objects(), load_terms(home)
        replayed = restoring.replay(store, objects, log, terms)
        further = FurtherAnchors(engine, keyring, anchors[1:])
        origin = f"candor/{store.tenant}"
        sequencer = Sequencer(engine, keyring, anchors[:1], origin, further=further)
        while sequencer.run_once(clock.wall()):
            pass
        sequencer.checkpoint(clock.wall(), force=True)
        return lost, replayed, away


def _fork(
    engine: Engine, keyring: Keyring, anchors: Sequence[Anchor], backup: str
) -> tuple[Lost | None, tuple[str, ...]]:
    """Fork each anchor that has seen more; the most that was lost, and which anchors are away.

    A further anchor may have died with the machine, so it does not stop the restore.
    """
    lost: list[Lost] = []
    away = []
    for place, anchor in enumerate(anchors):
        try:
            found = restoring.fork(engine, keyring, anchor, backup)
        except StorageAway:
            if place == 0:
                raise
            away.append(anchor.name)
            continue
        if found is not None:
            lost.append(found)
    return max(lost, key=lambda one: one.size, default=None), tuple(away)


def _database_in(home: Home) -> Path | None:
    """The SQLite file; None: a PostgreSQL. Raises ConfigError unless all is in the folder."""
    url = make_url(home.database_url)
    if home.remote:
        raise ConfigError(
            "this home's sealed files are in a bucket, which a backup of the home does not hold",
            field="storage.objects",
            remedy="keep versions of the bucket, and copy database, keys and anchors together",
        )
    file = url.get_backend_name() == "sqlite"
    path = Path(str(url.database)) if file else home.root / DUMP
    if home.root not in path.parents or home.root not in home.objects.parents:
        raise ConfigError(
            "the database or the objects lie outside the home folder",
            field="storage",
            remedy="write paths inside the home; mount another disk there",
        )
    return path if file else None


def name_database(settings: Path, url: str) -> None:
    """Put ``url`` into the section ``[storage]`` of a settings file, in place of the old one."""
    section, out = "", []
    for line in settings.read_text("utf-8").splitlines():
        if line.startswith("["):
            section = line.strip()
        old = section == "[storage]" and re.match(r"url\s*=", line)
        out.append(f"url = {json.dumps(url)}" if old else line)
    settings.write_text("\n".join([*out, ""]), "utf-8")
