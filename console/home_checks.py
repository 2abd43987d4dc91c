# SPDX-License-Identifier: GPL-3.0-or-later
"""A home looked at part by part, as far as it opens; reads only."""

from __future__ import annotations

import functools
import shutil
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from sqlalchemy import Engine, make_url, text

from compliance.clock import Clock
from compliance.errors import StorageError
from compliance.facts import HomeKind, LineFacts, Role
from compliance.rulebook import Policy, Rulebook
from console import (
    anchor_states,
    check_view,
    complaint_contact,
    duty_checks,
    number_view,
    office_checks,
    paper_checks,
    papers,
    readiness,
    registry_view,
    unlocking,
    wording_checks,
)
from console.diagnosis import Diagnosis, fail, guarded, ok, warn
from dialer.law import rulebook_of
from dialer.policies import load_rulebook, load_terms
from dialer.settings import Home
from storage import call_journal
from storage.database import READ_ONLY, check_version, make_engine, network_file_system
from storage.keys import Keyring
from storage.sequencer import verify_start
from storage.spool import SpooledObjects
from storage.store import Store

_FREE_FAIL, _FREE_WARN = 200 << 20, 2 << 30  # bytes; an hour of one call is 56 MB
_CLOCK_SLACK = timedelta(seconds=1)
_NEEDED = (Role.ADMIN, Role.COMPLIANCE, Role.OPERATOR)  # without these nothing is dialed
_PEOPLE = (*_NEEDED, Role.AUTHOR, Role.AUDITOR)


@dataclass(slots=True)
class HomeCheckup:
    """The checks of one home, in their order; each needs what those before it opened."""

    home: Home
    clock: Clock
    passphrase: str | None = None

    def run(self) -> Iterator[Diagnosis]:
        """Every check, whatever the others find."""
        yield from guarded("home", self._folder)
        yield from guarded("private", self._private)
        yield from guarded("disk", self._disk)
        yield from guarded("policy", self._policy)
        yield from guarded("sip", self._sip)
        keyrings: list[Keyring] = []
        yield from guarded("keys", lambda: self._keys(keyrings))
        yield from guarded("filesystem", self._filesystem)
        yield from guarded("objects", self._objects)
        yield from guarded("journal", self._journal)
        path = self._database_path()
        if path is not None and not path.is_file():
            yield fail("database", "missing", file=path.name)
            return
        with self._engine() as engine:
            if engine is None:
                yield from guarded("database", lambda: [self._unopened()])
                return
            found = guarded("database", lambda: self._database(engine))
            yield from found
            if not keyrings or any(d.level == "fail" for d in found):
                return
            yield from self._inside(engine, keyrings[0])

    def _inside(self, engine: Engine, keyring: Keyring) -> Iterator[Diagnosis]:
        try:
            node = self.home.settings.node
            store = Store(engine, keyring, node=node, clock=self.clock)
        except StorageError as error:
            yield fail("database", "broken", cause=error.detail, remedy=error.remedy)
            return
        yield from guarded("ledger", lambda: self._ledger(engine, keyring, store.home))
        yield from guarded("anchors", lambda: self._anchors(engine))
        yield from guarded("stamps", lambda: self._stamps(engine))
        for check, look in (
            ("clock", self._clock),
            ("keys", self._rotation),
            ("rows", self._rows),
            ("retention", self._retention),
            ("checks", lambda store: check_view.overdue(store, self.clock)),
            ("contact", functools.partial(complaint_contact.check, self.home)),
            ("complaints", functools.partial(duty_checks.complaints, self.clock)),
            ("cases", functools.partial(duty_checks.cases, self.clock)),
            ("duties", functools.partial(duty_checks.duties, self.home, self.clock)),
            ("stop", self._stop),
            ("people", self._people),
            ("calendar", self._calendar),
            ("law", functools.partial(office_checks.law, self.home)),
            ("exam", office_checks.exam),
            ("training", office_checks.training),
            ("script", self._script),
            ("wording", functools.partial(wording_checks.wording, self.home)),
            ("lines", self._lines),
            ("numbers", self._numbers),
            ("registry", self._registries),
            ("suppliers", functools.partial(self._paper_check, paper_checks.suppliers)),
            ("papers", functools.partial(self._paper_check, paper_checks.papers)),
            ("assessments", functools.partial(self._paper_check, paper_checks.assessments)),
        ):
            yield from guarded(check, functools.partial(look, store))

    # ------------------------------------------------------------ the folder

    def _folder(self) -> Iterator[Diagnosis]:
        faults = readiness.socket_faults(self.home)
        for fault in faults:
            yield fail("home", "broken", cause=fault.detail, remedy=fault.remedy)
        if not faults:
            yield ok("home", home=self.home.root)

    def _private(self) -> Iterator[Diagnosis]:
        home = self.home
        loose = [
            f"{path.relative_to(home.root)} ({stat.S_IMODE(path.stat().st_mode):04o})"
            for path in (home.keys.parent, home.keys, *sorted(home.root.glob("*.db*")))
            if path.exists() and path.stat().st_mode & 0o077
        ]
        if home.root.stat().st_mode & 0o077 and loose:
            yield fail("private", "open", files=", ".join(loose))
        elif home.root.stat().st_mode & 0o077:
            yield warn("private", "folder", home=home.root)
        else:
            yield ok("private")

    def _disk(self) -> Iterator[Diagnosis]:
        place = self.home.objects if self.home.objects.is_dir() else self.home.root
        free = shutil.disk_usage(place).free
        hours = round(free / (16_000 * 3600))
        told: dict[str, object] = {"free": f"{free / (1 << 30):.1f}", "hours": hours}
        if free < _FREE_FAIL:
            yield fail("disk", "full", **told)
        elif free < _FREE_WARN:
            yield warn("disk", "low", **told)
        else:
            yield ok("disk", **told)

    def _filesystem(self) -> Iterator[Diagnosis]:
        mounts = Path("/proc/self/mounts")
        listed = mounts.read_text("utf-8", "surrogateescape") if mounts.exists() else ""
        path = self._database_path()
        kind = network_file_system(path, listed) if path is not None else ""
        yield fail("filesystem", "network", kind=kind) if kind else ok("filesystem")

    # ------------------------------------------------------------ rules

    def _rulebook(self) -> Rulebook:
        return load_rulebook(self.home.settings.policy.profiles, self.home.policies)

    def _policy(self) -> Iterator[Diagnosis]:
        rulebook = self._rulebook()
        today = self.clock.wall().date()
        names = ", ".join(profile.id for profile in rulebook.profiles)
        for profile in rulebook.profiles:
            ended = profile.effective_until is not None and today > profile.effective_until
            if ended or today < profile.effective_from:
                yield fail("policy", "not_in_force", profile=profile.id)
        unchecked = [
            p.id for p in rulebook.profiles if not p.verified and HomeKind.PRODUCTION in p.homes
        ]
        if unchecked:
            yield warn("policy", "unverified", profiles=", ".join(unchecked))
        else:
            yield ok("policy", profiles=names, digest=rulebook.digest[:12])

    def _calendar(self, store: Store) -> Iterator[Diagnosis]:
        rulebook = rulebook_of(self.home, store)  # with the imported ones
        year = self.clock.wall().year
        regions = sorted({day.region for day in rulebook.policy.days if day.region})
        complete = True
        for region in regions:
            for wanted, tell in ((year, fail), (year + 1, warn)):
                if (region, wanted) not in rulebook.calendars:
                    complete = False
                    case = "missing" if wanted == year else "next"
                    file = f"{region.lower()}_{wanted}.yaml"
                    yield tell("calendar", case, region=region, year=wanted, file=file)
        if not regions:
            yield ok("calendar", "none")
        elif complete:
            yield ok("calendar", regions=", ".join(regions), year=year, next=year + 1)

    def _sip(self) -> Iterator[Diagnosis]:
        faults = readiness.sip_faults(self.home)
        for fault in faults:
            yield fail("sip", "broken", cause=fault.detail, remedy=fault.remedy)
        sip = self.home.settings.sip
        if not faults:
            yield ok("sip", "ok" if sip.sip_port else "any", host=sip.host, port=sip.sip_port)

    # ------------------------------------------------------------ keys, database, ledger

    def _keys(self, keyrings: list[Keyring]) -> Iterator[Diagnosis]:
        source, language = self.home.key_source, self.home.settings.language
        keyrings.append(unlocking.unlock(source, self.passphrase, language)[0])
        yield ok("keys", fingerprint=keyrings[0].fingerprint()[:24])

    def _objects(self) -> Iterator[Diagnosis]:
        """Where sealed files go beside this disk."""
        objects = self.home.open_objects()
        if not isinstance(objects, SpooledObjects):
            return
        waiting = objects.waiting()
        facts = {"count": waiting.objects, "size": f"{waiting.bytes / 1e6:.1f}"}
        try:
            objects.reachable()
        except StorageError as error:
            yield fail("objects", "away", cause=error.detail, remedy=error.remedy, **facts)
            return
        yield ok("objects", **facts)

    def _journal(self) -> Iterator[Diagnosis]:
        """What calls left on this disk and the database does not have."""
        left = call_journal.waiting(self.home.journal)
        facts = {"records": left.records, "refusals": left.refusals, "files": left.aside}
        if left.aside:
            yield fail("journal", "aside", **facts)
        elif left.records:
            yield warn("journal", "waiting", **facts)
        else:
            yield ok("journal")

    def _database_path(self) -> Path | None:
        """The SQLite file; None: another database."""
        try:
            url = make_url(self.home.database_url)
        except Exception:  # told by the check of the database
            return None
        is_file = url.get_backend_name() == "sqlite" and url.database
        return Path(str(url.database)) if is_file else None

    @contextmanager
    def _engine(self) -> Iterator[Engine | None]:
        try:
            engine = make_engine(self.home.database_url)
        except Exception:  # told by the check of the database
            yield None
            return
        try:
            yield engine
        finally:
            engine.dispose()

    def _unopened(self) -> Diagnosis:
        make_engine(self.home.database_url).dispose()
        return ok("database")

    def _database(self, engine: Engine) -> Iterator[Diagnosis]:
        check_version(engine)
        if engine.dialect.name == "sqlite":
            with engine.connect().execution_options(**READ_ONLY) as connection:
                answer = connection.execute(text("PRAGMA quick_check(1)")).scalar()
            if answer != "ok":
                yield fail("database", "damaged")
                return
        yield ok("database")

    def _ledger(self, engine: Engine, keyring: Keyring, kind: HomeKind) -> Iterator[Diagnosis]:
        size = verify_start(engine, self.home.open_anchors(), keyring)
        if self._together() and kind is HomeKind.PRODUCTION:  # elsewhere nobody is owed a proof
            yield warn("ledger", "together", size=size)
        else:
            yield ok("ledger", size=size)

    def _together(self) -> bool:
        """Whether every checkpoint lies on the disk of the database."""
        path, more = self._database_path(), self.home.settings.anchors
        if path is None or more.bucket:
            return False
        disk = path.stat().st_dev
        folders = [self.home.anchors, *map(Path, more.folders)]
        return all(not f.is_dir() or f.stat().st_dev == disk for f in folders)

    def _anchors(self, engine: Engine) -> Iterator[Diagnosis]:
        """The anchors beyond the first: one that is away stops nothing, so it is told here."""
        further = self.home.open_anchors()[1:]
        for state in anchor_states.states(engine, further, self.clock.wall()):
            if state.cause:
                more = {"remedy": state.remedy} if state.remedy else {}
                yield warn("anchors", "away", anchor=state.name, cause=state.cause, **more)
            elif state.lacks:
                yield warn("anchors", "behind", anchor=state.name, count=state.lacks)
            else:
                yield ok("anchors", anchor=state.name, size=state.size)

    def _stamps(self, engine: Engine) -> Iterator[Diagnosis]:
        """Time stamps, if an authority is configured: it is not asked, for that may cost."""
        stamps = self.home.open_timestamps()
        if stamps is None:
            return
        newest, trouble = stamps.newest(), stamps.trouble()
        every = timedelta(seconds=self.home.settings.timestamps.every_s)
        waiting = anchor_states.first_after(engine, newest.size if newest is not None else 0)
        last = f"{newest.at:%Y-%m-%d %H:%M:%S} UTC" if newest is not None else "–"
        if trouble is not None:
            more = {"remedy": trouble.remedy} if trouble.remedy else {}
            at = f"{trouble.at:%Y-%m-%d %H:%M:%S} UTC"
            yield warn("stamps", "failing", at=at, cause=trouble.cause, last=last, **more)
        elif waiting is not None and waiting < self.clock.wall() - 2 * every:
            since = f"{waiting:%Y-%m-%d %H:%M:%S} UTC"
            yield warn("stamps", "overdue", since=since, last=last)
        else:
            yield ok("stamps", count=len(stamps.stamps()), last=last)

    def _clock(self, store: Store) -> Iterator[Diagnosis]:
        newest = store.journal.newest()
        now = self.clock.wall()
        if newest is not None and newest > now + _CLOCK_SLACK:
            yield fail("clock", "behind", seconds=round((newest - now).total_seconds()))
        else:
            yield ok("clock", now=f"{now:%Y-%m-%d %H:%M:%S}")

    def _rotation(self, store: Store) -> Iterator[Diagnosis]:
        if store.rotation.unfinished():
            yield warn("keys", "unfinished")
        for key in store.rotation.left():
            if key.uses:
                uses = ", ".join(f"{table} {count}" for table, count in sorted(key.uses.items()))
                yield warn("keys", "left_used", key=key.id, uses=uses)
            else:
                yield warn("keys", "left", key=key.id)

    def _rows(self, store: Store) -> Iterator[Diagnosis]:
        found = store.contradictions()
        if found.refusals:
            yield fail("rows", "refusals", count=found.refusals)
        if found.people:
            yield fail("rows", "people", people=", ".join(found.people))
        if found.stops:
            yield fail("rows", "stops", stops=", ".join(found.stops))
        if not (found.refusals or found.people or found.stops):
            yield ok("rows")

    def _retention(self, store: Store) -> Iterator[Diagnosis]:
        found = store.retention.report(load_terms(self.home))
        if found.overdue:
            yield fail("retention", "overdue", count=found.overdue)
        elif found.waiting:
            yield warn("retention", "waiting", count=found.waiting)
        elif left := store.contacts.cut_off():
            yield warn("retention", "cut_off", count=left)
        else:
            last = store.retention.last_run()
            yield ok("retention", last=f"{last:%Y-%m-%d %H:%M} UTC" if last else "–")

    def _stop(self, store: Store) -> Iterator[Diagnosis]:
        since = store.stops.in_force()
        if since is not None:
            yield fail("stop", "in_force", since=f"{since:%Y-%m-%d %H:%M:%S} UTC")
        else:
            yield ok("stop")

    # ------------------------------------------------------------ what a campaign needs

    def _people(self, store: Store) -> Iterator[Diagnosis]:
        held = store.people.roles_in_office()
        lacking = [role for role in _PEOPLE if not held[role]]
        if any(role in _NEEDED for role in lacking):
            yield fail("people", "needed", roles=", ".join(lacking))
        elif lacking:
            yield warn("people", "lacking", roles=", ".join(lacking))
        else:
            yield ok("people", roles=", ".join(f"{role} {held[role]}" for role in _PEOPLE))

    def _script(self, store: Store) -> Iterator[Diagnosis]:
        signed = [version for version in store.scripts.versions() if version.is_approved]
        if signed:
            yield ok("script", count=len(signed), newest=f"{signed[-1].script} {signed[-1].number}")
        else:
            yield fail("script", "none")

    def _lines(self, store: Store) -> Iterator[Diagnosis]:
        lines, now = store.lines.lines(), self.clock.wall()
        if not lines:
            yield fail("lines", "none")
            return
        asked = self._rulebook().policy.line_papers
        usable = [li for li in lines if li.enabled and not papers.missing(li, asked, now)]
        if not usable:
            yield fail("lines", "unusable", count=len(lines))
        for line in sorted(lines, key=lambda li: not li.enabled):
            yield self._line(line, asked, store.home)

    def _paper_check(
        self, look: Callable[[Store, Policy, datetime], Iterator[Diagnosis]], store: Store
    ) -> Iterator[Diagnosis]:
        return look(store, self._rulebook().policy, self.clock.wall())

    def _numbers(self, store: Store) -> Iterator[Diagnosis]:
        own = self._rulebook().policy.own_numbers
        asked = None if own is None else own.calls_per_day
        yield from number_view.diagnose(store, asked, self.clock.wall())

    def _registries(self, store: Store) -> Iterator[Diagnosis]:
        yield from registry_view.diagnose(store, self._rulebook(), self.clock.wall())

    def _line(self, line: LineFacts, asked: frozenset[str], kind: HomeKind) -> Diagnosis:
        now = self.clock.wall()
        if not line.enabled:
            return ok("lines", "off", line=line.id)
        gone = papers.missing(line, asked, now)
        if gone:
            return warn("lines", "papers", line=line.id, papers=", ".join(gone))
        left = {
            paper: papers.days_left(line, paper, now) for paper in papers.asked_for(line, asked)
        }
        known = {paper: days for paper, days in left.items() if days is not None}
        paper = min(known, key=lambda name: known[name], default="")
        # Outside production papers are made up by the program itself.
        if paper and known[paper] < papers.WARN_DAYS and kind is HomeKind.PRODUCTION:
            return warn("lines", "soon", line=line.id, paper=paper, days=known[paper])
        return ok("lines", line=line.id, days=known.get(paper, "–"))
