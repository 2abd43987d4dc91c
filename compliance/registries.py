# SPDX-License-Identifier: GPL-3.0-or-later
"""What the national do-not-call lists say of a number, as the gate sees it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from compliance.evolve import Evolve


@dataclass(frozen=True, slots=True)
class RegistryLookUp(Evolve):
    """One list, looked up for the number of the request."""

    name: str
    as_of: datetime  # midnight UTC of the day the edition is of
    listed: bool
