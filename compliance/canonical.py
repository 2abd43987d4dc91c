# SPDX-License-Identifier: GPL-3.0-or-later
"""One byte string for one request, and the way back (T2).

``canonical(request)`` is JSON with sorted keys, no spaces, UTC times with
microseconds. It holds the whole number, so it is personal data: only its
SHA-256 enters a :class:`~compliance.facts.Decision`. The contact's name is left
out, since no rule reads it. ``restore`` gives the request back, so that a
decision can be computed again years later or described by hand.
"""

from __future__ import annotations

import enum
import hashlib
import json
import types
import typing
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from datetime import UTC, date, datetime
from functools import lru_cache
from operator import attrgetter
from typing import Any, TypeVar

from compliance.errors import BadInput
from compliance.facts import Contact, DialRequest, Number

T = TypeVar("T")

# What no rule may read does not enter the digest either.
_LEFT_OUT: Mapping[type, frozenset[str]] = {Contact: frozenset({"name"})}


@lru_cache(maxsize=64)
def _getter(kind: type) -> tuple[tuple[str, ...], Any]:
    left_out = _LEFT_OUT.get(kind, frozenset())
    names = tuple(f.name for f in fields(kind) if f.name not in left_out)
    return names, attrgetter(*names)


def _plain(value: object) -> object:
    kind = type(value)
    if kind is datetime:
        return utc_text(value)  # type: ignore[arg-type]
    if kind is Number:
        return value.e164  # type: ignore[attr-defined]
    if is_dataclass(kind):
        names, getter = _getter(kind)
        got = getter(value)
        return dict(zip(names, got if len(names) > 1 else (got,), strict=True))
    if kind is date:
        return value.isoformat()  # type: ignore[attr-defined]
    if isinstance(value, frozenset):
        return sorted(value)
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"no canonical form for {kind.__name__}")


_encoder = json.JSONEncoder(
    ensure_ascii=False,
    check_circular=False,
    allow_nan=False,
    sort_keys=True,
    separators=(",", ":"),
    default=_plain,
)


def utc_text(at: datetime) -> str:
    """``2026-11-24T01:02:03.000000+00:00``.

    Raises:
        ValueError: ``at`` has no time zone; guessing one would move the call.
    """
    if at.tzinfo is None:
        raise ValueError("a time without a zone has no canonical form")
    if at.tzinfo is not UTC:
        at = at.astimezone(UTC)
    return at.isoformat(timespec="microseconds")


def encode(value: object) -> bytes:
    """Canonical JSON of frozen values (dataclasses, times, enums, tuples), UTF-8.

    Raises:
        TypeError, ValueError: something in it has no canonical form (NaN, naive time).
    """
    return _encoder.encode(value).encode("utf-8")


def canonical(request: DialRequest) -> bytes:
    """The bytes a decision is bound to; personal data, to be stored sealed only."""
    return encode(request)


def digest(data: bytes) -> str:
    """SHA-256, lower-case hex."""
    return hashlib.sha256(data).hexdigest()


# ---------------------------------------------------------------- the way back


@lru_cache(maxsize=64)
def _hints(kind: type) -> dict[str, Any]:
    return typing.get_type_hints(kind)


def _read_dataclass(kind: type, value: object, path: str) -> Any:
    if not isinstance(value, dict):
        raise BadInput("must be an object", field=path or "request")
    hints = _hints(kind)
    known = {f.name: f for f in fields(kind)}
    for name in value:
        if name not in known:
            raise BadInput("is not a field of the request", field=f"{path}{name}")
    arguments: dict[str, Any] = {}
    for name, spec in known.items():
        if name in value:
            arguments[name] = _read(hints[name], value[name], f"{path}{name}")
        elif spec.default is MISSING and spec.default_factory is MISSING:
            raise BadInput("is missing", field=f"{path}{name}")
    return kind(**arguments)


def _read_text(kind: Any, value: str, path: str) -> Any:
    if kind is Number:
        return Number(value)
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        try:
            return kind(value)
        except ValueError:
            raise BadInput("is not a known value", field=path) from None
    if kind is datetime:
        try:
            at = datetime.fromisoformat(value)
        except ValueError:
            raise BadInput("must be an ISO 8601 time", field=path) from None
        if at.tzinfo is None:
            raise BadInput("needs a time zone", field=path)
        return at.astimezone(UTC)
    if kind is date:
        try:
            return date.fromisoformat(value)
        except ValueError:
            raise BadInput("must be a day such as 2026-01-31", field=path) from None
    if kind is str:
        return value
    raise BadInput("must not be a string", field=path)


def _read(kind: Any, value: object, path: str) -> Any:
    origin = typing.get_origin(kind)
    if origin in (types.UnionType, typing.Union):
        inner = [a for a in typing.get_args(kind) if a is not type(None)]
        return None if value is None else _read(inner[0], value, path)
    if origin in (tuple, frozenset):
        if not isinstance(value, list):
            raise BadInput("must be a list", field=path)
        item = typing.get_args(kind)[0]
        return origin(_read(item, v, f"{path}[{i}].") for i, v in enumerate(value))
    if is_dataclass(kind) and isinstance(kind, type):
        return _read_dataclass(kind, value, path if not path or path[-1] == "." else f"{path}.")
    if isinstance(value, str):
        return _read_text(kind, value, path)
    if kind is bool and isinstance(value, bool):
        return value
    if kind is int and isinstance(value, int) and not isinstance(value, bool):
        return value
    if kind is float and isinstance(value, int | float) and not isinstance(value, bool):
        return value
    raise BadInput("has the wrong type", field=path)


def read(kind: type[T], value: object, path: str = "") -> T:
    """A frozen value of ``kind`` from what :func:`encode` made of it, parsed; strictly.

    Raises:
        BadInput: naming the field.
    """
    found = _read(kind, value, path)
    assert isinstance(found, kind)
    return found


def restore(data: bytes | str) -> DialRequest:
    """A request from its canonical JSON, or from one written by hand.

    ``canonical(restore(canonical(r))) == canonical(r)``. Fields with a default
    may be left out; anything unknown, missing or of a wrong type is refused.

    Raises:
        BadInput: naming the field.
    """
    try:
        value = json.loads(data)
    except ValueError:
        raise BadInput("is not JSON", field="request") from None
    return read(DialRequest, value)
