# SPDX-License-Identifier: GPL-3.0-or-later
"""Texts of the rulebooks that decisions name by their hash (P4).

Profiles change with the program and its settings; what a call was decided under
must be readable as long as the call can be disputed.
"""

from __future__ import annotations

import hashlib

from sqlalchemy import select

from compliance.errors import BadInput
from storage.context import SYSTEM, Context
from storage.dialects import insert_or_ignore
from storage.models import RulebookText


class Rulebooks:
    """Keeping and finding rulebooks."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def keep(self, digest: str, text: bytes) -> None:
        """Keep a rulebook before anything is decided under it; a known one is left alone.

        Raises:
            BadInput: ``digest`` is not the SHA-256 of ``text``.
        """
        if hashlib.sha256(text).hexdigest() != digest:
            raise BadInput("the rulebook's text does not have this hash", field="rulebook")
        context = self._context
        if self.text(digest) is not None:
            return
        now = context.clock.wall()
        with context.write() as session:
            if session.get(RulebookText, digest) is not None:
                return
            insert_or_ignore(session, RulebookText, digest=digest, text=text.decode(), kept_at=now)
            context.log(session, "rulebook.keep", SYSTEM, now, rulebook=digest)

    def text(self, digest: str) -> bytes | None:
        """The canonical JSON of a rulebook, or None where it was never kept."""
        with self._context.read() as session:
            text = session.scalar(select(RulebookText.text).where(RulebookText.digest == digest))
        return None if text is None else text.encode()
