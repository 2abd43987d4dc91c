# SPDX-License-Identifier: GPL-3.0-or-later
"""Signing in, sessions, and that a forged or disabled actor gets nothing."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from compliance.errors import BadInput, NotAllowed, SignInFailed
from compliance.facts import Actor, Number, Role, SourceKind
from storage.store import AccessReason, Store
from tests.databases import Databases
from tests.storage_home import (
    DIGEST,
    LINE,
    PASSWORD,
    START,
    TENANT,
    TestHome,
    row,
    write_csv,
)

HOUR = timedelta(hours=1)


def test_signing_in_gives_the_stored_roles(home: TestHome) -> None:
    actor = home.store.people.sign_in("officer", PASSWORD)
    assert actor == home.actors["officer"]
    assert home.ledger_kinds()[-1] == "person.sign_in"


@pytest.mark.parametrize(("name", "password"), [("officer", "wrong one"), ("nobody", PASSWORD)])
def test_wrong_name_and_wrong_password_sound_alike(
    home: TestHome, name: str, password: str
) -> None:
    with pytest.raises(SignInFailed) as failed:
        home.store.people.sign_in(name, password)
    assert str(failed.value) == "name or password is wrong"
    assert home.ledger_kinds()[-1] == "person.sign_in_failed"


def test_five_failures_lock_the_name_for_a_quarter_of_an_hour(home: TestHome) -> None:
    people = home.store.people
    for _ in range(5):
        with pytest.raises(SignInFailed, match="wrong"):
            people.sign_in("officer", "wrong one")
    with pytest.raises(SignInFailed, match="too many"):
        people.sign_in("officer", PASSWORD)
    home.clock.advance(15 * 60 - 1)
    with pytest.raises(SignInFailed, match="too many"):
        people.sign_in("officer", PASSWORD)
    home.clock.advance(1)
    with pytest.raises(SignInFailed, match="wrong"):  # the count starts afresh
        people.sign_in("officer", "wrong one")
    assert people.sign_in("officer", PASSWORD).name == "officer"


def test_a_success_clears_the_count(home: TestHome) -> None:
    people = home.store.people
    for _ in range(2):
        for _ in range(4):
            with pytest.raises(SignInFailed):
                people.sign_in("officer", "wrong one")
        assert people.sign_in("officer", PASSWORD).name == "officer"


def test_sessions_expire_are_revoked_and_end_with_the_person(home: TestHome) -> None:
    people, operator = home.store.people, home.actors["operator"]
    expiring, revoked, disabled = (people.issue_session(operator, HOUR) for _ in range(3))
    assert people.actor_of(expiring) == operator
    people.revoke_session(revoked)
    people.revoke_session(revoked)
    people.revoke_session("unknown")
    with pytest.raises(SignInFailed):
        people.actor_of(revoked)
    people.disable_person(home.actors["admin"], operator.id)
    with pytest.raises(SignInFailed):
        people.actor_of(disabled)
    with pytest.raises(SignInFailed):
        people.sign_in("operator", PASSWORD)
    with pytest.raises(SignInFailed):
        people.issue_session(operator, HOUR)
    late = people.issue_session(home.actors["author"], HOUR)
    home.clock.advance(3599)
    assert people.actor_of(late).name == "author"
    home.clock.advance(1)
    with pytest.raises(SignInFailed):
        people.actor_of(late)
    assert home.ledger_kinds().count("session.revoke") == 1


@pytest.mark.parametrize("ttl", [timedelta(), timedelta(seconds=-1), timedelta(hours=24.1)])
def test_a_session_has_a_bounded_life(home: TestHome, ttl: timedelta) -> None:
    with pytest.raises(BadInput):
        home.store.people.issue_session(home.actors["admin"], ttl)


def test_neither_token_nor_password_is_stored(home: TestHome, databases: Databases) -> None:
    token = home.store.people.issue_session(home.actors["admin"], HOUR)
    files = databases.files((home.path / "url").read_text())
    stored = b"".join(path.read_bytes() for path in files)
    assert token.encode() not in stored
    assert PASSWORD.encode() not in stored
    assert b"$argon2id$" in stored


@pytest.mark.parametrize(
    ("name", "password", "roles", "field"),
    [
        ("", PASSWORD, [Role.AUTHOR], "name"),
        ("a\nb", PASSWORD, [Role.AUTHOR], "name"),
        ("officer", PASSWORD, [Role.AUTHOR], "name"),
        ("new", "1234567", [Role.AUTHOR], "password"),
        ("new", "x" * 1025, [Role.AUTHOR], "password"),
        ("new", PASSWORD, [], "roles"),
        ("new", PASSWORD, [Role.SYSTEM], "roles"),
    ],
)
def test_unusable_people(
    home: TestHome, name: str, password: str, roles: list[Role], field: str
) -> None:
    with pytest.raises(BadInput) as refused:
        home.store.people.add_person(home.actors["admin"], name, password, roles)
    assert refused.value.field == field
    assert home.ledger_kinds().count("person.add") == 5


def test_the_first_person_bootstraps_once(home: TestHome) -> None:
    with pytest.raises(NotAllowed):
        home.store.people.add_person(None, "second", PASSWORD, [Role.ADMIN])


# ---------------------------------------------------------------- roles

CHANGES: dict[str, tuple[str, Callable[[TestHome, Actor], object]]] = {
    "person.add": (
        "admin",
        lambda h, a: h.store.people.add_person(a, "new", PASSWORD, [Role.AUTHOR]),
    ),
    "person.disable": (
        "admin",
        lambda h, a: h.store.people.disable_person(a, h.actors["auditor"].id),
    ),
    "contacts.import": (
        "operator",
        lambda h, a: h.store.contacts.import_file(
            _csv(h), actor=a, source=SourceKind.OWN_CRM, batch="b"
        ),
    ),
    "script.submit": (
        "author",
        lambda h, a: h.store.scripts.submit(
            a, "s", "text", flow_digest=DIGEST, audio_digest=DIGEST, disclosure_end_ms=1
        ),
    ),
    "script.approve": ("officer", lambda h, a: h.store.scripts.approve(a, h.submit())),
    "line.add": (
        "admin",
        lambda h, a: h.store.lines.add_line(a, LINE.evolve(id="line2"), {}),
    ),
    "line.enable": ("admin", lambda h, a: _with_campaign(h).lines.enable_line(a, "line1", False)),
    "campaign.create": (
        "operator",
        lambda h, a: _with_campaign(h).campaigns.create_campaign(
            a,
            name="new",
            purpose="p",
            script=h.script().id,
            batches=["c1-batch"],
            lines=["line1"],
        ),
    ),
    "campaign.start": (
        "operator",
        lambda h, a: h.store.campaigns.start(a, h.campaign(start=False)),
    ),
    "campaign.pause": ("operator", lambda h, a: h.store.campaigns.pause(a, h.campaign())),
    "campaign.stop": ("officer", lambda h, a: h.store.campaigns.stop(a, h.campaign())),
    "refusal.record": (
        "officer",
        lambda h, a: h.store.refusals.refuse_number(
            a,
            Number("+8613900000009"),
            how="written",
            at=START,
            until=START + timedelta(days=180),
        ),
    ),
    "pii.read": (
        "auditor",
        lambda h, a: h.store.transcript(a, h.call(), AccessReason.AUDIT),
    ),
    "recording.open": (
        "auditor",
        lambda h, a: h.store.recording(a, h.call(), AccessReason.AUDIT),
    ),
}


def _csv(home: TestHome) -> Path:
    path = home.path / "some.csv"
    write_csv(path, [row("13900000008")])
    return path


def _with_campaign(home: TestHome) -> Store:
    home.campaign()
    return home.store


@pytest.mark.parametrize("kind", CHANGES)
def test_the_right_role_may_and_leaves_an_entry(home: TestHome, kind: str) -> None:
    role, change = CHANGES[kind]
    change(home, home.actors[role])
    assert kind in home.ledger_kinds()


@pytest.mark.parametrize("kind", CHANGES)
@pytest.mark.parametrize("who", ["other role", "forged", "disabled", "other tenant"])
def test_everybody_else_gets_nothing_but_an_entry(home: TestHome, kind: str, who: str) -> None:
    role, change = CHANGES[kind]
    right = home.actors[role]
    if who == "other role":  # with the right role claimed, but not held in the database
        actor = home.actors["author" if role != "author" else "auditor"]
        actor = actor.evolve(roles=actor.roles | right.roles)
    elif who == "forged":
        actor = Actor("f" * 32, "forged", frozenset(Role), TENANT)
    elif who == "other tenant":
        actor = right.evolve(tenant="elsewhere")
    else:
        actor = _disabled_twin(home, right)
    before = home.ledger_kinds().count(kind)
    with pytest.raises(NotAllowed, match=r"is for:"):
        change(home, actor)
    kinds = home.ledger_kinds()
    own = {"campaign.create": 1}.get(kind, 0)  # the test's own, made by the operator
    assert kinds.count(kind) - before <= own
    assert kinds[-1] == "access.refuse"


def _disabled_twin(home: TestHome, like: Actor) -> Actor:
    twin = home.store.people.add_person(home.actors["admin"], "twin", PASSWORD, like.roles)
    actor = home.store.people.sign_in("twin", PASSWORD)
    with home.engine.begin() as connection:
        connection.execute(
            text("UPDATE people SET disabled_at = :at WHERE id = :id"),
            {"at": "2026-11-24 00:00:00", "id": twin},
        )
    return actor
