# SPDX-License-Identifier: GPL-3.0-or-later
"""Strict reading of already parsed YAML or JSON: what is not understood is refused.

A profile with a misspelt key must not silently lose a restriction, so every
mapping is read through :class:`Fields`, which names the document and the key
in the error and refuses keys nobody asked for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime

from compliance.errors import PolicyError

_MISSING = object()


class Fields:
    """One mapping of a document; ``finish`` refuses keys that were never read."""

    def __init__(self, data: object, where: str, path: str = "") -> None:
        self.where = where
        self._path = path
        if not isinstance(data, Mapping):
            raise self._error("", f"must be a mapping, not {type(data).__name__}")
        self._data = data
        self._read: set[object] = set()

    def _error(self, key: str, detail: str) -> PolicyError:
        name = ".".join(part for part in (self._path, key) if part)
        return PolicyError(f"{self.where}: {detail}", field=name, document=self.where)

    def error(self, key: str, detail: str) -> PolicyError:
        """A :class:`PolicyError` that names this document and ``key``."""
        return self._error(key, detail)

    def _take(self, key: str, kind: type, default: object) -> object:
        self._read.add(key)
        value = self._data.get(key, _MISSING)
        if value is _MISSING or (value is None and default is not _MISSING):
            if default is _MISSING:
                raise self._error(key, "is missing")
            return default
        # bool is an int in Python; `calls: true` is not a number anybody meant.
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            raise self._error(key, f"must be {kind.__name__}, not {type(value).__name__}")
        return value

    def text(self, key: str, default: str | None = None) -> str:
        """A string; empty only where a default allows it."""
        value = self._take(key, str, _MISSING if default is None else default)
        assert isinstance(value, str)
        if default is None and not value.strip():
            raise self._error(key, "is empty")
        return value

    def choice(self, key: str, choices: Sequence[str]) -> str:
        value = self.text(key)
        if value not in choices:
            raise self._error(key, f"must be one of {', '.join(choices)}")
        return value

    def flag(self, key: str, default: bool | None = None) -> bool:
        value = self._take(key, bool, _MISSING if default is None else default)
        assert isinstance(value, bool)
        return value

    def integer(
        self, key: str, *, low: int = 0, high: int = 10**9, default: int | None = None
    ) -> int:
        value = self._take(key, int, _MISSING if default is None else default)
        assert isinstance(value, int)
        if not low <= value <= high:
            raise self._error(key, f"must lie between {low} and {high}")
        return value

    def has(self, key: str) -> bool:
        """Whether ``key`` is present and not null; marks it as read."""
        self._read.add(key)
        return self._data.get(key) is not None

    def day(self, key: str) -> date:
        """A calendar day, as a YAML date or an ISO 8601 string."""
        self._read.add(key)
        value = self._data.get(key, _MISSING)
        if value is _MISSING:
            raise self._error(key, "is missing")
        return self.as_day(key, value)

    def as_day(self, key: str, value: object) -> date:
        if isinstance(value, date) and not isinstance(value, datetime):
            return value
        if isinstance(value, str):
            try:
                return date.fromisoformat(value)
            except ValueError:
                pass
        raise self._error(key, "must be a day such as 2026-01-31")

    def items(self, key: str, *, empty: bool = True) -> list[object]:
        value = self._take(key, list, _MISSING)
        assert isinstance(value, list)
        if not value and not empty:
            raise self._error(key, "is empty")
        return value

    def texts(self, key: str, *, empty: bool = True) -> tuple[str, ...]:
        values = self.items(key, empty=empty)
        found = tuple(v for v in values if isinstance(v, str) and v.strip())
        if len(found) != len(values):
            raise self._error(key, "must hold non-empty strings only")
        if len(set(found)) != len(found):
            raise self._error(key, "names something twice")
        return found

    def choices(self, key: str, choices: Sequence[str], *, empty: bool = True) -> tuple[str, ...]:
        values = self.texts(key, empty=empty)
        for value in values:
            if value not in choices:
                raise self._error(key, f"{value!r} is none of {', '.join(choices)}")
        return values

    def section(self, key: str) -> Fields:
        self._read.add(key)
        if key not in self._data:
            raise self._error(key, "is missing")
        return Fields(self._data[key], self.where, f"{self._path}.{key}".lstrip("."))

    def sections(self, key: str, *, empty: bool = True) -> list[Fields]:
        path = f"{self._path}.{key}".lstrip(".")
        return [
            Fields(item, self.where, f"{path}[{index}]")
            for index, item in enumerate(self.items(key, empty=empty))
        ]

    def keys(self) -> list[str]:
        return [str(key) for key in self._data]

    def finish(self) -> None:
        """Refuse every key that was not read."""
        for key in self._data:
            if key not in self._read:
                raise self._error(str(key), "is not a key of this document")
