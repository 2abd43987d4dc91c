# SPDX-License-Identifier: GPL-3.0-or-later
"""A production home with one person a role, and commands of any of them run in this process."""

from __future__ import annotations

import io
import sys
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from unittest import mock

from compliance.facts import Actor, HomeKind, Role
from console import homes
from tests.console_home import Ran, candor
from tests.exams import pass_exam

COMPANY = "星辰公司"
ROLES = (Role.ADMIN, Role.AUTHOR, Role.COMPLIANCE, Role.OPERATOR, Role.AUDITOR)
PASSWORD = "correct horse"


@dataclass(slots=True)
class Desk:
    """A home and its people; each has their role's name."""

    root: Path
    people: dict[Role, Actor]
    signed_in: Role | None = None

    def sign_in(self, role: Role) -> None:
        if role is self.signed_in:
            return
        self.signed_in = role
        with homes.opened(self.root) as it:
            token = it.store.people.issue_session(self.people[role], timedelta(hours=1))
        homes.remember(self.root, token)

    def candor(self, role: Role, *words: str, stdin: str = "") -> Ran:
        """One command of somebody; what they type is ``stdin``."""
        self.sign_in(role)
        with mock.patch.object(sys, "stdin", io.StringIO(stdin)):
            return candor(*words, "--home", str(self.root))

    def data(self, role: Role, *words: str, stdin: str = "") -> Any:
        return self.candor(role, *words, "--json", stdin=stdin).data


def desk_at(root: Path, language: str = "zh") -> Desk:
    """Make the home; the session's folder is ``XDG_STATE_HOME``."""
    homes.create(root, kind=HomeKind.PRODUCTION, company=COMPANY, tenant="t", language=language)
    people: dict[Role, Actor] = {}
    with homes.opened(root) as it:
        for role in ROLES:
            it.store.people.add_person(people.get(Role.ADMIN), str(role), PASSWORD, [role])
            people[role] = it.store.people.sign_in(str(role), PASSWORD)
        pass_exam(it.store, *people.values())
    return Desk(root, people)
