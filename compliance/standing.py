# SPDX-License-Identifier: GPL-3.0-or-later
"""What stands behind a call beside its papers: the law as adopted, and examined people (G1, G4)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from compliance.evolve import Evolve


@dataclass(frozen=True, slots=True)
class Standing(Evolve):
    """As the database has it at the claim; the default refuses wherever a profile asks for it."""

    adopted_law: str = ""  # digest of the rulebook a compliance officer adopted last
    launcher_exam_until: datetime | None = None  # of who launched the campaign; None: not passed
    officer_exam_until: datetime | None = None  # of the compliance officer who answers for it


NO_STANDING = Standing()
