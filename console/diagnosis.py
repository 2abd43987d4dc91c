# SPDX-License-Identifier: GPL-3.0-or-later
"""What one check of `candor doctor` found: a level, a sentence, a remedy."""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from sqlalchemy.exc import DBAPIError

from compliance.errors import CandorError
from compliance.facts import Evolve
from console.messages import text
from storage.database import storage_error


class Level(enum.StrEnum):
    OK = "ok"
    WARN = "warn"  # works today; will not, or not as it should
    FAIL = "fail"  # nothing is dialed, or nothing is provable, until it is mended


@dataclass(frozen=True, slots=True)
class Diagnosis(Evolve):
    """``doctor.CHECK.CASE`` is its sentence in the catalogues, ``….remedy`` what to do."""

    check: str
    level: Level
    case: str
    params: Mapping[str, object] = field(default_factory=dict)

    def message(self, language: str) -> str:
        return text(f"doctor.{self.check}.{self.case}", language, **self.params)

    def remedy(self, language: str) -> str:
        """Empty where nothing need be done."""
        if self.level is Level.OK:
            return ""
        own = str(self.params.get("remedy", ""))  # of the error that was found
        key = f"doctor.{self.check}.{self.case}.remedy"
        found = own or text(key, language, **self.params)
        return "" if found == key else found


def ok(check: str, case: str = "ok", /, **params: object) -> Diagnosis:
    return Diagnosis(check, Level.OK, case, params)


def warn(check: str, case: str, /, **params: object) -> Diagnosis:
    return Diagnosis(check, Level.WARN, case, params)


def fail(check: str, case: str, /, **params: object) -> Diagnosis:
    return Diagnosis(check, Level.FAIL, case, params)


def guarded(check: str, look: Callable[[], Iterable[Diagnosis]]) -> list[Diagnosis]:
    """What ``look`` finds; an exception of any kind is a finding too.

    The texts of exceptions that are not ours may quote data: only their type is told.
    """
    try:
        return list(look())
    except CandorError as error:
        return [_broken(check, error)]
    except DBAPIError as error:
        return [_broken(check, storage_error(error))]
    except Exception as error:  # a broken home is what the doctor is for
        cause = getattr(error, "strerror", None) or type(error).__name__
        return [Diagnosis(check, Level.FAIL, "broken", {"cause": cause})]


def _broken(check: str, error: CandorError) -> Diagnosis:
    return fail(check, "broken", cause=error.detail, remedy=error.remedy)
