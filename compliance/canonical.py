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
import math
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from dataclasses import MISSING, fields, is_dataclass
from datetime import UTC, date, datetime
from functools import lru_cache
from json.encoder import encode_basestring
from typing import Any, TypeVar

from compliance.errors import BadInput
from compliance.facts import Consent, Contact, DialRequest, Number, PastAttempt, RefusalRecord

T = TypeVar("T")

# What no rule may read does not enter the digest either.
_LEFT_OUT: Mapping[type, frozenset[str]] = {Contact: frozenset({"name"})}


def _names(kind: type) -> list[str]:
    left_out = _LEFT_OUT.get(kind, frozenset())
    return [f.name for f in fields(kind) if f.name not in left_out]


def _plain(value: object) -> object:
    """What the standard encoder asks for where it meets a value of ours."""
    kind = type(value)
    if kind is datetime:
        return utc_text(value)  # type: ignore[arg-type]
    if kind is Number:
        return value.e164  # type: ignore[attr-defined]
    if is_dataclass(kind):
        return {name: getattr(value, name) for name in _names(kind)}
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
    return at.isoformat("T", "microseconds")


# What each call has of its own. Other facts (script, campaign, lines, papers) many requests
# share, object and all: each is written once.
_OF_ONE_CALL: frozenset[type] = frozenset(
    {DialRequest, Contact, Consent, PastAttempt, RefusalRecord}
)
_MOST_KEPT = 512
# Of these no value can change after it was written.
_FIXED: frozenset[type] = frozenset({str, bool, int, float, datetime, date, type(None), Number})


def _is_fixed(value: object) -> bool:
    kind = type(value)
    if kind in _FIXED or issubclass(kind, enum.Enum):
        return True
    if isinstance(value, tuple | frozenset):
        return all(map(_is_fixed, value))
    if not is_dataclass(kind) or not kind.__dataclass_params__.frozen:  # type: ignore[attr-defined]
        return False
    return all(_is_fixed(getattr(value, name)) for name in _names(kind))


class _Kept:
    """What was written of frozen objects, found by identity.

    Equality would not do: ``1 == True``, and both are written otherwise. Each entry holds its
    object, so that no other object can have its id meanwhile. What is seen once only is not
    worth looking at closely: it is kept when it comes a second time.
    """

    __slots__ = ("_by_id", "_once", "_write")

    def __init__(self, write: Callable[[Any], str]) -> None:
        self._write = write
        self._by_id: dict[int, tuple[object, str]] = {}
        self._once: dict[int, object] = {}

    def __call__(self, value: Any) -> str:
        kept = self._by_id.get(id(value))
        if kept is not None and kept[0] is value:
            return kept[1]
        text = self._write(value)
        if self._once.get(id(value)) is not value:
            if len(self._once) >= _MOST_KEPT:
                self._once.clear()
            self._once[id(value)] = value
        elif _is_fixed(value):
            if len(self._by_id) >= _MOST_KEPT:
                self._by_id.clear()
            self._by_id[id(value)] = (value, text)
        return text


class _Writers(dict[type, Callable[[Any], str]]):
    """How a value of each type is written. Requests have few types, so each is worked out
    once; ``_encoder`` says what must come out, and writes whatever is rare."""

    def __missing__(self, kind: type) -> Callable[[Any], str]:
        self[kind] = writer = _writer(kind)
        return writer


def _writer(kind: type) -> Callable[[Any], str]:
    if issubclass(kind, enum.Enum) and issubclass(kind, str):
        return encode_basestring
    if not is_dataclass(kind):
        return _encoder.encode
    write = _dataclass_writer(kind)
    return write if kind in _OF_ONE_CALL else _Kept(write)


def _dataclass_writer(kind: type) -> Callable[[Any], str]:
    """One expression that names each field, made as ``dataclasses`` makes its methods: a loop
    over the fields takes a third longer, and every decision of the gate waits for it."""
    fields_ = ",".join(
        f'"{name}":{{text(x) if type(x := v.{name}) is str else other[type(x)](x)}}'
        for name in sorted(_names(kind))
    )
    source = f"lambda v: f'{{{{{fields_}}}}}'"
    write: Callable[[Any], str] = eval(source, {"text": encode_basestring, "other": _TEXT})
    return write


def _list_text(items: Iterable[Any]) -> str:
    return "[" + ",".join([_TEXT[type(item)](item) for item in items]) + "]"


def _float_text(value: float) -> str:
    if not math.isfinite(value):
        raise ValueError("a number that is none has no canonical form")
    return float.__repr__(value)


def _number_text(number: Number) -> str:
    return _TEXT[type(number.e164)](number.e164)


_TEXT: _Writers = _Writers(
    {
        str: encode_basestring,
        bool: {True: "true", False: "false"}.__getitem__,
        type(None): {None: "null"}.__getitem__,
        int: int.__repr__,
        float: _float_text,
        datetime: lambda at: f'"{utc_text(at)}"',
        Number: _number_text,
        tuple: _list_text,
        list: _list_text,
        frozenset: lambda items: _list_text(sorted(items)),
    }
)


def encode(value: object) -> bytes:
    """Canonical JSON of frozen values (dataclasses, times, enums, tuples), UTF-8.

    Raises:
        TypeError, ValueError: something in it has no canonical form (NaN, naive time).
    """
    return _TEXT[type(value)](value).encode("utf-8")


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
