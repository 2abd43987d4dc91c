# SPDX-License-Identifier: GPL-3.0-or-later
"""A person of ours whom a callee asks for, as a conversation sees them (S10)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol, TypeAlias

PersonSaid: TypeAlias = Callable[[str, int, int, float, bool], None]
"""Words, their start and end in samples since the callee's answer, confidence, surely heard."""


class Person(Protocol):
    """Somebody who answered their telephone to take a callee over."""

    @property
    def id(self) -> str: ...

    async def join(self, said: PersonSaid) -> None:
        """Let the callee and the person hear each other; ``said`` is told the person's words."""
        ...

    async def gone(self) -> None:
        """Return when the person has hung up."""
        ...

    def part(self) -> None:
        """Hang up on the person; harmless when repeated."""
        ...

    async def heard_out(self) -> None:
        """Return when the words said so far are known, after a second or two at most."""
        ...


CallPerson: TypeAlias = Callable[[], Awaitable[Person | None]]
"""Ring whoever is free; None: nobody took the call. Cancelling it stops the ringing."""
