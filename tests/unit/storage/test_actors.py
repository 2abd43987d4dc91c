# SPDX-License-Identifier: GPL-3.0-or-later
"""Nothing is theatre: whatever changes something asks who does it, and writes it down (T2, D9).

Every public method of every noun of the store is walked, those of tomorrow too.
"""

from __future__ import annotations

import ast
import functools
import inspect
import textwrap
import types
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from compliance.errors import NotAllowed, SignInFailed
from compliance.facts import Actor, HomeKind, Number, Role, SourceKind
from storage.base import Base
from storage.context import new_id
from storage.store import Store
from tests.storage_home import DIGEST, LINE, PASSWORD, START, TENANT, TestHome, open_home

# What the platform does by itself: no person stands behind one step of it. Each is a step of
# a call or of keeping time, and writes its entry as SYSTEM; who launched it is in the ledger.
BY_ITSELF = {
    "claim": "a step of a call",
    "release": "a step of a call",
    "refuse": "a step of a call",
    "authorise": "a step of a call",
    "renew": "a step of a call",
    "mark_answered": "a step of a call",
    "open_recording_row": "a step of a call",
    "record_refusal": "a step of a call: the callee said no",
    "finish": "a step of a call",
    "finish_attempt": "a step of a call",
    "spoken.values": "a step of a call: what the script says of the contact to the contact",
    "settle_expired": "calls whose process died",
    "own_numbers.watch": "judges our numbers by calls that ended",
    "unsealed_recordings": "calls whose process died",
    "seal_recovered": "calls whose process died",
    "agents.claim_agent": "a step of a call",
    "agents.connect_agent": "a step of a call",
    "agents.release_agent": "a step of a call",
    "people.sign_in": "who it is turns out here",
    "complaints.sweep": "keeping time: what the clock did to complaints",
    "people.revoke_session": "the token says who",
    "rulebooks.keep": "the text of the law a decision names",
    "retention.complete": "goes on with destructions somebody ordered",
    "retention.destroy_again": "a restore repeats what is on record",
    "retention.purge_again": "a restore repeats what is on record",
    "retention.purge_refusals_again": "a restore repeats what is on record",
    "subjects.erase_again": "a restore repeats what is on record",
    "testers.remove_again": "a restore repeats what is on record",
}
# They change rows and leave no entry of their own, for the reason given.
SILENT = {
    "renew": "a lease's end moves; the call's other steps are written down",
    "release": "a lease nobody used",
}


@dataclass(frozen=True, slots=True)
class Way:
    """A way into the store: a public method by the name it has there."""

    name: str
    method: Callable[..., Any]
    owner: type

    @property
    def function(self) -> Callable[..., Any]:
        return inspect.unwrap(getattr(self.method, "__func__", self.method))


def ways(store: Store) -> list[Way]:
    found: dict[object, Way] = {}
    for name, held in vars(store).items():
        if isinstance(held, types.MethodType) and not name.startswith("_"):
            found[held.__func__] = Way(name, held, type(held.__self__))
    for name, held in vars(store).items():
        kind = type(held)
        if name.startswith("_") or not kind.__module__.startswith("storage."):
            continue
        for method, function in inspect.getmembers(kind, inspect.isfunction):
            if not method.startswith("_") and function not in found:
                found[function] = Way(f"{name}.{method}", getattr(held, method), kind)
    return [way for way in found.values() if way.owner.__module__ != "storage.keys"]


@functools.cache
def tree_of(function: Callable[..., Any]) -> ast.AST:
    return ast.parse(textwrap.dedent(inspect.getsource(function)))


def callees(function: Callable[..., Any], owner: type) -> Iterator[Callable[..., Any]]:
    """Functions of storage that ``function`` names: its class's own, and its module's."""
    for node in ast.walk(tree_of(function)):
        found: object = None
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            if node.value.id == "self":
                found = getattr(owner, node.attr, None)
            else:
                module = function.__globals__.get(node.value.id)
                if isinstance(module, types.ModuleType):
                    found = getattr(module, node.attr, None)
        elif isinstance(node, ast.Name):
            found = function.__globals__.get(node.id)
        found = inspect.unwrap(found) if callable(found) else found
        if inspect.isfunction(found) and found.__module__.startswith("storage."):
            yield found


def reaches(way: Way, *calls: str) -> bool:
    """Whether one of ``calls`` stands in the method, or in what it calls in turn."""
    seen: set[Callable[..., Any]] = set()
    ahead = [way.function]
    while ahead:
        here = ahead.pop()
        if here in seen or here.__module__ in ("storage.context", "storage.database"):
            continue
        seen.add(here)
        for node in ast.walk(tree_of(here)):
            if isinstance(node, ast.Call) and ast.unparse(node.func).endswith(calls):
                return True
        ahead += callees(here, way.owner)
    return False


def changing(store: Store) -> dict[str, Way]:
    return {way.name: way for way in ways(store) if reaches(way, "context.write")}


@pytest.fixture(scope="module")
def any_store(home_template: Callable[[str, HomeKind], Path]) -> Iterator[Store]:
    home = open_home(home_template("sqlite", HomeKind.PRODUCTION))
    yield home.store
    home.close()


def test_the_walk_sees_what_changes(any_store: Store) -> None:
    found = changing(any_store)
    assert len(found) > 40
    assert {"claim", "finish", "people.add_person", "lines.add_line", "stops.stop"} <= set(found)
    assert "campaigns.campaigns" not in found


def test_whatever_changes_something_asks_who_does_it(any_store: Store) -> None:
    nobody = {
        name
        for name, way in changing(any_store).items()
        if "actor" not in inspect.signature(way.method).parameters
    }
    assert nobody == set(BY_ITSELF) & nobody, f"no actor: {sorted(nobody - set(BY_ITSELF))}"
    assert set(BY_ITSELF) <= {way.name for way in ways(any_store)}, "gone from the store"


def test_whatever_changes_something_writes_it_down(any_store: Store) -> None:
    silent = {
        name
        for name, way in changing(any_store).items()
        if not reaches(way, "context.log", "ledger.append", "ledger.append_all")
    }
    assert silent == set(SILENT), sorted(silent ^ set(SILENT))


# ---------------------------------------------------------------- asked by the wrong person

# Values that pass every check of their form, by name of the parameter.
VALUES: dict[str, object] = {
    "name": "somebody",
    "password": PASSWORD,
    "roles": [Role.AUTHOR],
    "ttl": timedelta(hours=1),
    "reason": "dispute",
    "how": "written",
    "uri": "sip:me@127.0.0.1:5060",
    "line": LINE,
    "number": Number("+8613900000001"),
    "source": SourceKind.OWN_CRM,
    "since": START,
    "at": START,
    "until": START + timedelta(days=200),
    "keep_until": START + timedelta(days=200),
    "flow_digest": DIGEST,
    "audio_digest": DIGEST,
    "disclosure_end_ms": 2700.0,
    "language": "zh",
    "event": "start",
    "batch": "b",
}
BY_TYPE: dict[str, object] = {
    "str": "0" * 32,
    "int": 1,
    "float": 1.0,
    "bool": True,
    "datetime": START,
    "Number": Number("+8613900000001"),
    "LineFacts": LINE,
    "Role": Role.AUTHOR,
    "Sequence[str]": ("0" * 32,),
    "Collection[str]": ("0" * 32,),
}


def arguments(method: Callable[..., Any], actor: object, folder: Path) -> dict[str, Any]:
    given: dict[str, Any] = {}
    for name, parameter in inspect.signature(method).parameters.items():
        if parameter.default is not inspect.Parameter.empty and name != "actor":
            continue
        if parameter.kind in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL):
            continue
        if name == "actor":
            given[name] = actor
        elif name == "path":
            given[name] = folder / "contacts.csv"
        elif name in VALUES:
            given[name] = VALUES[name]
        else:
            given[name] = BY_TYPE.get(str(parameter.annotation))
    return given


def rows(home: TestHome) -> dict[str, int]:
    with home.engine.connect() as connection:
        return {
            table.name: connection.scalar(select(func.count()).select_from(table)) or 0
            for table in Base.metadata.sorted_tables
        }


def asking(store: Store) -> list[Way]:
    """Ways that take an actor, in the order of the store's nouns."""
    return [way for way in ways(store) if "actor" in inspect.signature(way.method).parameters]


def let_in(way: Way, actor: Actor, folder: Path) -> str:
    """Empty, or how a way answered somebody it should not even have listened to."""
    try:
        result = way.method(**arguments(way.method, actor, folder))
        if isinstance(result, types.GeneratorType):  # it begins when it is asked
            next(result, None)
    except (NotAllowed, SignInFailed):
        return ""
    except Exception as error:
        return f"{way.name}: {type(error).__name__}: {error}"
    return f"{way.name}: done"


def test_nobody_is_let_in_by_saying_who_they_are(home: TestHome, tmp_path: Path) -> None:
    """An actor whom nobody signed in as, with every role written on them."""
    stranger = Actor(new_id(), "stranger", frozenset(Role), TENANT)
    before, entries = rows(home), home.ledger_kinds()
    answers = [let_in(way, stranger, tmp_path) for way in asking(home.store)]
    assert not [answer for answer in answers if answer]
    changed = {name for name, count in rows(home).items() if count != before[name]}
    assert changed <= {"ledger_outbox", "ledger_nodes"}
    assert set(home.ledger_kinds()[len(entries) :]) == {"access.refuse"}


def test_a_person_of_another_company_is_let_in_nowhere(home: TestHome, tmp_path: Path) -> None:
    officer = home.actors["officer"].evolve(tenant="another", roles=frozenset(Role))
    answers = [let_in(way, officer, tmp_path) for way in asking(home.store)]
    assert not [answer for answer in answers if answer]
