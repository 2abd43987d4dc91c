# SPDX-License-Identifier: GPL-3.0-or-later
"""Papers: licences, contracts, proofs and reports, their files sealed in the object store.

A sealed file is ``version (1) | nonce (12) | AES-256-GCM`` under a random key of its own,
which is wrapped under the master key; both are bound to the tenant and the paper's id.
"""

from __future__ import annotations

import enum
import hashlib
import os
import re
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import MappingProxyType

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from compliance.errors import BadInput, Corrupt
from compliance.facts import Actor, Evolve, Role
from compliance.paperwork import CHECKLIST, CLAUSES, LICENCE_CLASSES, NO_END
from storage.context import Context, new_id
from storage.keys import KEY_BYTES, NONCE_BYTES, length_prefixed
from storage.models import CampaignRow, LineRow
from storage.objects import Objects, new_name
from storage.paper_tables import PaperRow, PartnerRow, PurposeRow, SupplierRow

VERSION = 1
FILE_BYTES_MAX = 20 * 2**20
WARN = timedelta(days=30)
SHORTEST_PREFIX = 6  # hex digits of a paper's id
_SCRIPT = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")

KINDS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "supplier": ("licence", "certificate", "contract", *CHECKLIST, "other"),
        "line": ("whitelist", "registration", "filing", "plaintext", "contract", "other"),
        "partner": ("licence", "provenance", "contract", "other"),
        "campaign": ("assessment", "other"),
        "purpose": ("assessment", "other"),
        "script": ("claim", "other"),
    }
)
"""What kinds of paper belong to whom."""

_ENDING = frozenset({"licence", "certificate"})  # such papers always end
_DETAILS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {"licence": ("class",), "contract": CLAUSES, "provenance": ("batch",)}
)
_HANDLERS = (Role.COMPLIANCE, Role.ADMIN)


class PaperReason(enum.StrEnum):
    """What the file of a paper may be opened for."""

    CHECK = "check"  # before a campaign, at the monthly audit
    DISPUTE = "dispute"
    AUDIT = "audit"


@dataclass(frozen=True, slots=True)
class Paper(Evolve):
    """A paper as it is listed; the file opens with a reason only."""

    id: str
    kind: str
    owner_kind: str
    owner: str
    number: str
    issuer: str
    valid_from: datetime | None
    valid_until: datetime | None  # None: it does not end
    details: Mapping[str, str]
    sha256: str  # of the file as handed in
    size: int
    file_name: str
    added_by: str
    added_at: datetime
    withdrawn_at: datetime | None

    def state(self, now: datetime) -> str:
        """withdrawn, not_yet, expired, soon (ends within 30 days) or valid."""
        if self.withdrawn_at is not None:
            return "withdrawn"
        if self.valid_from is not None and self.valid_from > now:
            return "not_yet"
        if self.valid_until is None:
            return "valid"
        if self.valid_until <= now:
            return "expired"
        return "soon" if self.valid_until <= now + WARN else "valid"


class Papers:
    """Filing, finding and opening papers."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def add(
        self,
        actor: Actor,
        objects: Objects,
        file: Path,
        *,
        kind: str,
        owner_kind: str,
        owner: str,
        number: str = "",
        issuer: str = "",
        valid_from: datetime | None = None,
        valid_until: datetime | None = None,
        details: Mapping[str, str] | None = None,
    ) -> str:
        """File a paper with its sealed copy; returns its id. ``owner``: a supplier's, line's or
        partner's id, a campaign's name, a purpose's code, a script's name.

        Raises:
            NotAllowed: neither compliance officer nor administrator.
            BadInput: an unknown owner or kind, unusable dates or details, an empty, too large
                or unreadable file; nothing was filed.
        """
        self._context.require(actor, "paper.add", *_HANDLERS)
        return file_paper(
            self._context,
            actor,
            objects,
            file,
            kind=kind,
            owner_kind=owner_kind,
            owner=owner,
            number=number,
            issuer=issuer,
            valid_from=valid_from,
            valid_until=valid_until,
            details=details or {},
        )

    def papers(self, owner_kind: str = "", owner: str = "") -> list[Paper]:
        """Papers of everybody, of one kind of owner, or of one owner; by owner and end."""
        query = select(PaperRow)
        if owner_kind:
            query = query.where(PaperRow.owner_kind == owner_kind)
        with self._context.read() as session:
            if owner:
                query = query.where(PaperRow.owner == _owner_id(session, owner_kind, owner))
            order = (PaperRow.owner_kind, PaperRow.owner, PaperRow.kind, PaperRow.added_at)
            return [paper_of(self._context, row) for row in session.scalars(query.order_by(*order))]

    def owner_names(self) -> dict[str, str]:
        """Names of campaigns by id: papers belong to ids, people know names."""
        with self._context.read() as session:
            return {r.id: r.name for r in session.execute(select(CampaignRow.id, CampaignRow.name))}

    def paper(self, prefix: str) -> Paper:
        """The one paper whose id begins so.

        Raises:
            BadInput: fewer than 6 hex digits, none, or several begin so.
        """
        with self._context.read() as session:
            return paper_of(self._context, find(session, prefix))

    def open(self, actor: Actor, objects: Objects, prefix: str, reason: PaperReason) -> bytes:
        """The file as it was handed in; who opens it and why is in the ledger first.

        Raises:
            NotAllowed: neither compliance officer, auditor nor administrator.
            BadInput: no such paper. Corrupt: the sealed file is missing or altered.
        """
        context = self._context
        context.require(actor, "paper.open", *_HANDLERS, Role.AUDITOR)
        with context.write() as session:
            row = find(session, prefix)
            context.log(
                session,
                "paper.open",
                actor.id,
                context.clock.wall(),
                paper=row.id,
                reason=str(PaperReason(reason)),
            )
        return opened(context, objects, row)

    def withdraw(self, actor: Actor, prefix: str) -> str:
        """A paper counts no longer: wrong, revoked or replaced. It stays on file.

        Raises:
            NotAllowed: neither compliance officer nor administrator.
            BadInput: no such paper, or withdrawn before.
        """
        context = self._context
        context.require(actor, "paper.withdraw", *_HANDLERS)
        now = context.clock.wall()
        with context.write() as session:
            row = find(session, prefix)
            if row.withdrawn_at is not None:
                raise BadInput("this paper was withdrawn before", field="paper")
            row.withdrawn_by, row.withdrawn_at = actor.id, now
            context.log(session, "paper.withdraw", actor.id, now, paper=row.id)
        return row.id


def file_paper(
    context: Context,
    actor: Actor,
    objects: Objects,
    file: Path,
    *,
    kind: str,
    owner_kind: str,
    owner: str,
    number: str,
    issuer: str,
    valid_from: datetime | None,
    valid_until: datetime | None,
    details: Mapping[str, str],
) -> str:
    """As :meth:`Papers.add`; the caller has asked whether the actor may."""
    _check_words(kind, owner_kind, number, issuer)
    _check_dates(kind, valid_from, valid_until)
    details = _checked(kind, details)
    with context.read() as session:
        owner = _owner_id(session, owner_kind, owner)
    data = _content(file)
    paper, name, now = new_id(), new_name(), context.clock.wall()
    digest = hashlib.sha256(data).hexdigest()
    wrapped, sealed = _put(context, objects, name, paper, data)
    try:
        with context.write() as session:
            _owner_id(session, owner_kind, owner)
            session.execute(
                insert(PaperRow).values(
                    id=paper,
                    kind=kind,
                    owner_kind=owner_kind,
                    owner=owner,
                    number=number.strip(),
                    issuer=issuer.strip(),
                    valid_from=valid_from,
                    valid_until=valid_until,
                    details=dict(details),
                    sha256=digest,
                    size=len(data),
                    file_name_sealed=context.seal(file.name, "papers", "file_name", paper),
                    object=name,
                    wrapped_key=wrapped,
                    added_by=actor.id,
                    added_at=now,
                )
            )
            context.log(
                session,
                "paper.add",
                actor.id,
                now,
                paper=paper,
                paper_kind=kind,
                owner_kind=owner_kind,
                owner=owner,
                sha256=digest,
                # So the ledger's verifier finds a file that was altered or is gone.
                objects=[_object(name, sealed, digest)],
                until=valid_until.astimezone(UTC).isoformat() if valid_until else "",
            )
    except BaseException:
        objects.delete(name)
        raise
    return paper


# ---------------------------------------------------------------- which paper counts


def best(rows: Iterable[PaperRow], kind: str, now: datetime) -> PaperRow | None:
    """Of the papers of a kind that have begun and were not withdrawn, the one ending last."""
    begun = [
        row
        for row in rows
        if row.kind == kind
        and row.withdrawn_at is None
        and (row.valid_from is None or row.valid_from <= now)
    ]
    return max(begun, key=lambda row: (end_of(row), row.added_at), default=None)


def end_of(row: PaperRow) -> datetime:
    return NO_END if row.valid_until is None else row.valid_until


def rows_of(session: Session, owner_kind: str, owners: Iterable[str]) -> dict[str, list[PaperRow]]:
    """Papers of several owners of one kind, by owner."""
    found: dict[str, list[PaperRow]] = {owner: [] for owner in owners}
    if found:
        for row in session.scalars(
            select(PaperRow).where(PaperRow.owner_kind == owner_kind, PaperRow.owner.in_(found))
        ):
            found[row.owner].append(row)
    return found


def find(session: Session, prefix: str) -> PaperRow:
    """The one row whose id begins with ``prefix``, in the caller's transaction."""
    prefix = prefix.strip().lower()
    if len(prefix) < SHORTEST_PREFIX or set(prefix) - set("0123456789abcdef"):
        raise BadInput(
            f"a paper is named by {SHORTEST_PREFIX} or more of its id's hex digits",
            field="paper",
            remedy="candor papers list shows the ids",
        )
    rows = session.scalars(select(PaperRow).where(PaperRow.id.startswith(prefix)).limit(2)).all()
    if len(rows) != 1:
        detail = "several papers begin so" if rows else "there is no such paper"
        raise BadInput(detail, field="paper", remedy="candor papers list shows the ids")
    return rows[0]


def paper_of(context: Context, row: PaperRow) -> Paper:
    return Paper(
        id=row.id,
        kind=row.kind,
        owner_kind=row.owner_kind,
        owner=row.owner,
        number=row.number,
        issuer=row.issuer,
        valid_from=row.valid_from,
        valid_until=row.valid_until,
        details=dict(row.details),
        sha256=row.sha256,
        size=row.size,
        file_name=context.unseal(row.file_name_sealed, "papers", "file_name", row.id),
        added_by=row.added_by,
        added_at=row.added_at,
        withdrawn_at=row.withdrawn_at,
    )


# ---------------------------------------------------------------- the sealed file


def key_context(tenant: str, paper: str) -> bytes:
    """What a paper's wrapped key and its sealed file are bound to."""
    return length_prefixed("candor/paper", bytes([VERSION]), tenant, paper)


def opened(context: Context, objects: Objects, row: PaperRow) -> bytes:
    """The file of a paper, checked against the digest it was filed with.

    Raises:
        Corrupt: missing, altered, or of another paper.
    """
    bound = key_context(context.tenant, row.id)
    with objects.open(row.object) as file:
        sealed = file.read(FILE_BYTES_MAX + 1024)
    nonce, body = sealed[1 : 1 + NONCE_BYTES], sealed[1 + NONCE_BYTES :]
    try:
        if sealed[:1] != bytes([VERSION]):
            raise InvalidTag
        data = AESGCM(context.keyring.unwrap(row.wrapped_key, bound)).decrypt(nonce, body, bound)
    except (InvalidTag, ValueError):
        data = b""
    if hashlib.sha256(data).hexdigest() != row.sha256:
        raise Corrupt(
            f"the file of paper {row.id} does not open: altered, or of another paper",
            remedy="restore the object from a backup",
        )
    return data


def _put(
    context: Context, objects: Objects, name: str, paper: str, data: bytes
) -> tuple[bytes, bytes]:
    """The wrapped key, and what was put."""
    bound = key_context(context.tenant, paper)
    key, nonce = os.urandom(KEY_BYTES), os.urandom(NONCE_BYTES)
    sealed = bytes([VERSION]) + nonce + AESGCM(key).encrypt(nonce, data, bound)
    with tempfile.NamedTemporaryFile() as draft:  # sealed already: nothing lies there in the clear
        draft.write(sealed)
        draft.flush()
        objects.put(name, Path(draft.name))
    return context.keyring.wrap(key, bound), sealed


def _object(name: str, sealed: bytes, digest: str) -> list[str | int | bool]:
    """A row of ``objects`` as ``docs/formats/ledger.md`` has it."""
    return [name, hashlib.sha256(sealed).hexdigest(), digest, "paper", 0, len(sealed), 0, True]


def _content(file: Path) -> bytes:
    try:
        with file.open("rb") as reader:
            data = reader.read(FILE_BYTES_MAX + 1)
    except OSError as error:
        raise BadInput(f"{file.name} cannot be read: {error.strerror}", field="file") from error
    if not data:
        raise BadInput(f"{file.name} is empty", field="file", remedy="name the scanned paper")
    if len(data) > FILE_BYTES_MAX:
        raise BadInput(
            f"{file.name} is larger than {FILE_BYTES_MAX >> 20} MiB",
            field="file",
            remedy="scan it smaller",
        )
    return data


# ---------------------------------------------------------------- what is handed in


def _check_words(kind: str, owner_kind: str, number: str, issuer: str) -> None:
    if owner_kind not in KINDS:
        raise BadInput(f"a paper belongs to one of {', '.join(KINDS)}", field="owner")
    if kind not in KINDS[owner_kind]:
        known = ", ".join(KINDS[owner_kind])
        raise BadInput(f"papers of a {owner_kind} are: {known}", field="kind")
    for field, value, most in (("number", number, 100), ("issuer", issuer, 200)):
        if len(value) > most or not value.isprintable():
            raise BadInput(f"at most {most} printable characters", field=field)


def _check_dates(kind: str, start: datetime | None, end: datetime | None) -> None:
    if kind in _ENDING and end is None:
        raise BadInput(f"a {kind} has an end", field="valid_until", remedy="give its last day")
    if start is not None and end is not None and end <= start:
        raise BadInput("the paper would end before it begins", field="valid_until")


def _checked(kind: str, details: Mapping[str, str]) -> Mapping[str, str]:
    known = _DETAILS.get(kind, ())
    for key, value in details.items():
        if key not in known:
            raise BadInput(f"a {kind} has no {key}", field=key)
        if not value.strip() or len(value) > 200 or not value.isprintable():
            raise BadInput("1 to 200 printable characters", field=key)
    if kind == "licence" and details.get("class", LICENCE_CLASSES[0]) not in LICENCE_CLASSES:
        raise BadInput(f"is none of {', '.join(LICENCE_CLASSES)}", field="class")
    return {key: value.strip() for key, value in details.items()}


def _owner_id(session: Session, owner_kind: str, owner: str) -> str:
    """The id papers of this owner carry.

    Raises:
        BadInput: there is no such owner.
    """
    found: str | None
    if owner_kind == "campaign":
        named = (CampaignRow.name == owner) | (CampaignRow.id == owner)
        found = session.scalar(select(CampaignRow.id).where(named))
    elif owner_kind == "script":
        found = owner if _SCRIPT.fullmatch(owner) else None  # filed before the script that names it
    elif owner_kind == "purpose":
        found = session.scalar(select(PurposeRow.code).where(PurposeRow.code == owner))
    elif owner_kind in ("supplier", "line", "partner"):
        table = {"supplier": SupplierRow, "line": LineRow, "partner": PartnerRow}[owner_kind]
        row = session.get(table, owner)
        found = None if row is None else owner
    else:
        raise BadInput(f"a paper belongs to one of {', '.join(KINDS)}", field="owner")
    if found is None:
        raise BadInput(f"there is no such {owner_kind}", field=owner_kind)
    return found
