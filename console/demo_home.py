# SPDX-License-Identifier: GPL-3.0-or-later
"""What people do before the first call: the demo's staff, contacts, script, line and campaigns."""

from __future__ import annotations

import dataclasses
import secrets
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from importlib import resources
from pathlib import Path

from rich.console import Console

from compliance.errors import BadInput, NotAllowed
from compliance.facts import Actor, HomeKind, LineFacts, Number, Role, SourceKind
from compliance.paperwork import SupplierFacts
from console import demo_papers, exam_bank, homes, simulators, submissions
from console.homes import Opened
from console.messages import text
from dialer.law import rulebook_of, wording_digest
from storage.arms import Arm
from storage.contact_files import Rejection
from storage.contacts import ImportResult
from storage.scripts import ScriptVersion
from voicebot import script as scripts
from voicebot.prompts import RenderedScript

COMPANY = "星辰公司"
CALLER_ID = "4008887686"
PURPOSE = "membership"
LINE = "simulator"
SUPPLIER, SUPPLIER_COMPANY = "simulators", "模拟线路公司"
MARKER = "DEMO"  # a file of this name marks a folder that may be made anew
_EVERYBODYS = "everybody's password: "
PROCESSES, MAX_CALLS = 2, 6  # a person's telephone takes a slot beside these
WROTE_NO = Number("+8613900003106")  # asked by letter not to be called
_RING_TIMEOUT_S = 15.0  # one callee answers after 12 s


def examples() -> Path:
    """Folder of the demo's contacts and script."""
    return Path(str(resources.files("console"))).parent / "examples" / "demo"


@dataclass(frozen=True, slots=True)
class Staff:
    """The demo's people: distinct, as a real home must have them (G1, G5)."""

    administrator: Actor
    author: Actor
    officer: Actor
    operator: Actor
    auditor: Actor


@dataclass(frozen=True, slots=True)
class Papers:
    """What is ready before there is a line: people, contacts, a signed script."""

    staff: Staff
    version: ScriptVersion
    rendered: RenderedScript
    rejected: tuple[Rejection, ...]


@dataclass(frozen=True, slots=True)
class Prepared:
    """A demo ready to dial."""

    papers: Papers
    campaigns: tuple[str, ...]  # ids, in the order of dialing


def make_folders(root: Path, language: str) -> Path:
    """A new demo home in ``root``; returns the folder beside it for what is not the home's.

    Raises:
        BadInput: a folder is there that no demo made.
    """
    beside = root.parent / f"{root.name}-callees"
    for folder in (root, beside):
        _clear(folder)
    homes.create(
        root,
        kind=HomeKind.DEMO,
        company=COMPANY,
        tenant="demo",
        language=language,
        processes=PROCESSES,
        max_calls=MAX_CALLS,
        ring_timeout_s=_RING_TIMEOUT_S,
    )
    password = secrets.token_urlsafe(9)
    marker = root / MARKER
    marker.touch(0o600)
    marker.write_text(f"made by `candor demo`; made anew each time\n{_EVERYBODYS}{password}\n")
    beside.mkdir(parents=True, exist_ok=True)
    (beside / MARKER).write_text("records of the simulated callees\n")
    return beside


def _clear(folder: Path) -> None:
    if not folder.exists() or not any(folder.iterdir()):
        return
    if not (folder / MARKER).exists():
        raise BadInput(
            f"{folder} is not a demo folder and is left alone",
            field="--home",
            remedy="name another folder",
        )
    shutil.rmtree(folder)


def let_look(it: Opened, auditor: Actor) -> None:
    """Sign the person who runs the demo in as its auditor, to look round in it."""
    homes.remember(it.home.root, it.store.people.issue_session(auditor, timedelta(hours=8)))


async def trust_simulator(root: Path, callees: Path) -> None:
    """Issue the simulator's key; the home dials only who proves to hold it."""
    public = await simulators.issue_key(callees)
    shutil.copy(public, root / "keys" / "sim.pub")


def hire(it: Opened, password: str = "") -> Staff:
    """Five people, each with one role; without ``password`` each has one nobody knows."""
    people = it.store.people

    def add(by: Actor | None, name: str, role: Role) -> Actor:
        chosen = password or secrets.token_urlsafe(18)
        people.add_person(by, name, chosen, [role])
        return people.sign_in(name, chosen)

    administrator = add(None, "demo-admin", Role.ADMIN)
    staff = Staff(
        administrator,
        add(administrator, "demo-author", Role.AUTHOR),
        add(administrator, "demo-officer", Role.COMPLIANCE),
        add(administrator, "demo-operator", Role.OPERATOR),
        add(administrator, "demo-auditor", Role.AUDITOR),
    )
    _examine(it, staff)
    law = rulebook_of(it.home, it.store)
    it.store.law.adopt(
        staff.officer,
        law.digest,
        law.text,
        reason="the demonstration's rules",
        wording=wording_digest(it.home),
    )
    return staff


def _examine(it: Opened, staff: Staff) -> None:
    """The demo's people know the answers: nobody but they works here (G4)."""
    if it.store.home is not HomeKind.DEMO:
        raise NotAllowed("only a demo's people pass without being asked")
    bank = exam_bank.load("zh")
    for person in (getattr(staff, field.name) for field in dataclasses.fields(staff)):
        sitting = it.store.exams.begin(person, bank)
        answers = {one.question.id: one.right for one in sitting.questions}
        it.store.exams.hand_in(person, sitting.id, bank, answers)


def _password(root: Path) -> str:
    return (root / MARKER).read_text("utf-8").partition(_EVERYBODYS)[2].strip()


def papers(it: Opened, beside: Path, language: str, console: Console) -> Papers:
    """People, imports, the letter that says no, the script and its signature."""
    staff = hire(it, _password(it.home.root))
    results = [
        import_contacts(it, staff, examples() / name, beside, batch, source)
        for name, batch, source in (
            ("contacts.csv", "web-forms", SourceKind.WEB_FORM),
            ("contacts.earlier.csv", "earlier", SourceKind.WEB_FORM),
            ("contacts.crm.csv", "old-customers", SourceKind.OWN_CRM),
        )
    ]
    console.print(text("demo.import", language, accepted=sum(r.accepted for r in results)))
    rejected = tuple(rejection for result in results for rejection in result.rejected)
    for rejection in rejected:
        reason = text("demo.reject_reason", language, field=rejection.field)
        console.print(text("demo.rejected", language, row=rejection.row, cause=reason))
    _record_letter(it, staff)
    version, rendered = sign_script(it, staff)
    console.print(text("demo.script", language, ms=version.disclosure_end_ms))
    return Papers(staff, version, rendered, rejected)


def prepare(it: Opened, ready: Papers, address: str, language: str, console: Console) -> Prepared:
    """Line, agent, and two campaigns, of which the first dials somebody the second may not."""
    staff = ready.staff
    add_line(it, staff, address)
    it.store.agents.add_agent(staff.administrator, "agent-1", f"sip:140@{address}")
    console.print(text("demo.agent", language))
    batches = (("earlier",), ("web-forms", "earlier", "old-customers"))
    campaigns = tuple(
        create_campaign(it, staff, name, ready.version, of)
        for name, of in zip(("reminder", "members"), batches, strict=True)
    )
    return Prepared(ready, campaigns)


def import_contacts(
    it: Opened, staff: Staff, path: Path, beside: Path, batch: str, source: SourceKind
) -> ImportResult:
    """Import a copy: the list of rejected rows is written beside the file."""
    folder = beside / "imports"
    folder.mkdir(parents=True, exist_ok=True)
    copy = Path(shutil.copy(path, folder))
    return it.store.contacts.import_file(copy, actor=staff.operator, source=source, batch=batch)


def sign_script(it: Opened, staff: Staff) -> tuple[ScriptVersion, RenderedScript]:
    """The author hands it in, the compliance officer signs it (G5)."""
    source = (examples() / "script.zh.yaml").read_text("utf-8")
    version = submissions.submit(it, staff.author, source, "demo")
    version = it.store.scripts.approve(staff.officer, version)
    return version, submissions.render(it, scripts.load(source))


def add_line(it: Opened, staff: Staff, address: str) -> None:
    """The one line of a demo home, and the papers it needs: it leads to the simulator."""
    now, objects = it.clock.wall(), it.home.open_objects()
    far = now + timedelta(days=1)
    demo_papers.add_supplier(
        it.store, objects, staff.officer, SUPPLIER, company=SUPPLIER_COMPANY, now=now
    )
    demo_papers.declare_purpose(it.store, objects, staff.officer, PURPOSE)
    it.store.lines.add_line(
        staff.administrator,
        LineFacts(
            LINE,
            "simulator",
            "simulator",
            address,
            CALLER_ID,
            whitelisted_until=far,
            registered_until=far,
            filed_until=far,
            plaintext_exception_until=far,
            supplier=SupplierFacts(id=SUPPLIER),
        ),
    )


def create_campaign(
    it: Opened,
    staff: Staff,
    name: str,
    version: ScriptVersion,
    batches: Sequence[str],
    arms: Sequence[Arm] = (),
) -> str:
    """A draft over ``batches``, comparing ``arms`` if there are any; returns its id."""
    return it.store.campaigns.create_campaign(
        staff.operator,
        name=name,
        purpose=PURPOSE,
        script=version.id,
        batches=batches,
        lines=[LINE],
        arms=arms,
    )


def _record_letter(it: Opened, staff: Staff) -> None:
    """A refusal that came by post: the officer puts the number on the list (S12)."""
    policy = rulebook_of(it.home, it.store).policy
    at = it.clock.wall() - timedelta(days=1)
    it.store.refusals.refuse_number(
        staff.officer, WROTE_NO, how="written", at=at, until=policy.refusal_until(at)
    )
