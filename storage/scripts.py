# SPDX-License-Identifier: GPL-3.0-or-later
"""Script versions and their sign-off (G5, S1): what may be spoken is what was approved."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, insert, select, update
from sqlalchemy.orm import Session

from compliance.errors import BadInput, NotAllowed, ScriptError
from compliance.facts import Actor, Evolve, Role, ScriptFacts
from storage import claims
from storage.context import Context, new_id
from storage.models import ScriptRow

DISCLOSURE_LIMIT_MS = 3000.0  # S1
_SCRIPT_ID = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class ScriptVersion(Evolve):
    """One submitted version. ``digest`` covers text, flow and rendered audio."""

    id: str
    script: str
    number: int  # 1, 2, … within the script
    text: str
    flow_digest: str
    audio_digest: str
    digest: str
    language: str
    disclosure_end_ms: float | None
    lint: tuple[str, ...]
    author: str
    submitted_at: datetime
    approved_by: str = ""
    approved_at: datetime | None = None
    approved_digest: str = ""

    @property
    def is_approved(self) -> bool:
        """Whether it was signed as it stands."""
        return bool(self.approved_by) and self.approved_digest == self.digest

    @property
    def facts(self) -> ScriptFacts:
        """What the gate must know of it."""
        return ScriptFacts(
            id=self.id,
            digest=self.digest,
            author=self.author,
            approved_by=self.approved_by,
            approved_digest=self.approved_digest,
            disclosure_end_ms=self.disclosure_end_ms,
            language=self.language,
        )


def version_digest(text: str, flow_digest: str, audio_digest: str) -> str:
    """SHA-256 hex over the text's SHA-256, the flow's and the audio's digest, a line each."""
    text_digest = hashlib.sha256(text.encode()).hexdigest()
    lines = f"candor-script/1\n{text_digest}\n{flow_digest}\n{audio_digest}\n"
    return hashlib.sha256(lines.encode()).hexdigest()


class Scripts:
    """Submission, sign-off and look-up of script versions."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def submit(
        self,
        actor: Actor,
        script_id: str,
        text: str,
        *,
        flow_digest: str,
        audio_digest: str,
        disclosure_end_ms: float | None,
        language: str = "zh",
        lint_findings: Sequence[str] = (),
    ) -> ScriptVersion:
        """Hand in a version; it is unsigned. ``disclosure_end_ms`` is measured on its audio.

        Raises:
            NotAllowed: not an author.
            BadInput: an unusable id, an empty text, something that is no SHA-256.
        """
        context = self._context
        if not _SCRIPT_ID.fullmatch(script_id):
            raise BadInput("write small letters, digits, dots and dashes", field="script")
        if not text.strip():
            raise BadInput("the script is empty", field="script")
        for field, digest in (("flow_digest", flow_digest), ("audio_digest", audio_digest)):
            if not _SHA256.fullmatch(digest):
                raise BadInput("not a SHA-256 in hex", field=field)
        if disclosure_end_ms is not None and not math.isfinite(disclosure_end_ms):
            raise BadInput("the measurement must be a number of ms", field="disclosure_end_ms")
        context.require(actor, "script.submit", Role.AUTHOR)
        version, now = new_id(), context.clock.wall()
        digest = version_digest(text, flow_digest, audio_digest)
        with context.write() as session:
            last = session.scalar(
                select(func.max(ScriptRow.number)).where(ScriptRow.script == script_id)
            )
            session.execute(
                insert(ScriptRow).values(
                    id=version,
                    script=script_id,
                    number=(last or 0) + 1,
                    text=text,
                    flow_digest=flow_digest,
                    audio_digest=audio_digest,
                    digest=digest,
                    language=language,
                    disclosure_end_ms=disclosure_end_ms,
                    lint=list(lint_findings),
                    author=actor.id,
                    submitted_at=now,
                    approved_digest="",
                )
            )
            context.log(session, "script.submit", actor.id, now, version=version, digest=digest)
        return self.script_version(version)

    def approve(self, actor: Actor, version: ScriptVersion) -> ScriptVersion:
        """Sign the version the officer has read: ``version.digest`` must still be the stored one.

        Raises:
            NotAllowed: not a compliance officer, or the author.
            ScriptError: changed since it was read, findings of the lint are open, the
                disclosure was not measured or ends after 3000 ms, or a claim lacks valid
                evidence (S7).
        """
        context = self._context
        context.require(actor, "script.approve", Role.COMPLIANCE)
        now = context.clock.wall()
        with context.write() as session:
            stored = load_version(session, version.id, lock=True)
            if stored.author == actor.id:
                raise NotAllowed("an author does not approve their own script")
            intact = version_digest(stored.text, stored.flow_digest, stored.audio_digest)
            if version.digest != stored.digest or stored.digest != intact:
                raise ScriptError("the script changed after it was read", field="digest")
            if stored.lint:
                raise ScriptError(
                    f"{len(stored.lint)} findings of the wording check are open", field="lint"
                )
            end_ms = stored.disclosure_end_ms
            if end_ms is None or not 0 < end_ms <= DISCLOSURE_LIMIT_MS:
                raise ScriptError(
                    f"the disclosure must be measured and end within {DISCLOSURE_LIMIT_MS:.0f} ms",
                    field="disclosure",
                )
            proofs = claims.check(session, stored.script, stored.text, now)
            session.execute(
                update(ScriptRow)
                .where(ScriptRow.id == stored.id)
                .values(approved_by=actor.id, approved_at=now, approved_digest=stored.digest)
            )
            context.log(
                session,
                "script.approve",
                actor.id,
                now,
                version=stored.id,
                digest=stored.digest,
                proofs=proofs,
            )
        return self.script_version(version.id)

    def script_version(self, version: str) -> ScriptVersion:
        """The version with this id.

        Raises:
            BadInput: there is none.
        """
        with self._context.read() as session:
            return load_version(session, version)

    def versions(self) -> list[ScriptVersion]:
        """Every version of every script, by script and number."""
        query = select(ScriptRow).order_by(ScriptRow.script, ScriptRow.number)
        with self._context.read() as session:
            return [_version(row) for row in session.scalars(query)]

    def current_approved(self, script_id: str) -> ScriptVersion | None:
        """The newest approved version of a script."""
        with self._context.read() as session:
            row = session.scalar(
                select(ScriptRow)
                .where(
                    ScriptRow.script == script_id,
                    ScriptRow.approved_by.is_not(None),
                    ScriptRow.approved_digest == ScriptRow.digest,
                )
                .order_by(ScriptRow.number.desc())
                .limit(1)
            )
            return None if row is None else _version(row)

    def facts(self, version: str) -> ScriptFacts:
        """What the gate must know of a version."""
        return self.script_version(version).facts


def load_version(session: Session, version: str, *, lock: bool = False) -> ScriptVersion:
    """The version inside the caller's transaction."""
    query = select(ScriptRow).where(ScriptRow.id == version)
    row = session.scalar(query.with_for_update() if lock else query)
    if row is None:
        raise BadInput("there is no such script version", field="script")
    return _version(row)


def _version(row: ScriptRow) -> ScriptVersion:
    return ScriptVersion(
        id=row.id,
        script=row.script,
        number=row.number,
        text=row.text,
        flow_digest=row.flow_digest,
        audio_digest=row.audio_digest,
        digest=row.digest,
        language=row.language,
        disclosure_end_ms=row.disclosure_end_ms,
        lint=tuple(row.lint),
        author=row.author,
        submitted_at=row.submitted_at,
        approved_by=row.approved_by or "",
        approved_at=row.approved_at,
        approved_digest=row.approved_digest,
    )
