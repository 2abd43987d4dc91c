# SPDX-License-Identifier: GPL-3.0-or-later
"""Tables of the ledger, on SQLite and PostgreSQL alike."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, Integer, LargeBinary, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from storage.base import Base, UtcDateTime

# SQLite numbers rows by itself only for a plain INTEGER key.
BigKey = BigInteger().with_variant(Integer, "sqlite")


class LedgerOutbox(Base):
    """One entry, written in the business transaction; ``body`` is what was hashed."""

    __tablename__ = "ledger_outbox"
    __table_args__ = (UniqueConstraint("node", "node_seq"),)

    id: Mapped[int] = mapped_column(BigKey, primary_key=True)
    node: Mapped[str] = mapped_column(String(64))
    node_seq: Mapped[int] = mapped_column(BigInteger)
    prev_hash: Mapped[bytes] = mapped_column(LargeBinary(32))
    leaf_hash: Mapped[bytes] = mapped_column(LargeBinary(32))
    kind: Mapped[str] = mapped_column(String(64))
    body: Mapped[bytes] = mapped_column(LargeBinary)
    at: Mapped[datetime] = mapped_column(UtcDateTime)


class LedgerChain(Base):
    """Last entry of each node; its row lock orders the node's transactions."""

    __tablename__ = "ledger_chain"

    node: Mapped[str] = mapped_column(String(64), primary_key=True)
    seq: Mapped[int] = mapped_column(BigInteger)
    leaf_hash: Mapped[bytes] = mapped_column(LargeBinary(32))


class LedgerSequenced(Base):
    """How far each node's chain has its indices.

    Apart from :class:`LedgerChain`, so that sequencing never waits for a
    business transaction, nor the reverse.
    """

    __tablename__ = "ledger_sequenced"

    node: Mapped[str] = mapped_column(String(64), primary_key=True)
    seq: Mapped[int] = mapped_column(BigInteger)
    leaf_hash: Mapped[bytes] = mapped_column(LargeBinary(32))


class LedgerLeaf(Base):
    """The global order: entry ``outbox_id`` is leaf ``index`` of the tree."""

    __tablename__ = "ledger_leaf"

    index: Mapped[int] = mapped_column(BigKey, primary_key=True, autoincrement=False)
    leaf_hash: Mapped[bytes] = mapped_column(LargeBinary(32), unique=True)
    outbox_id: Mapped[int] = mapped_column(BigInteger, unique=True)


class LedgerSubtree(Base):
    """Roots of perfect subtrees of 256, 65,536 … leaves: proofs read few rows."""

    __tablename__ = "ledger_subtree"

    level: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    index: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    hash: Mapped[bytes] = mapped_column(LargeBinary(32))


class LedgerHead(Base):
    """One row: the tree's size and right edge. Its lock admits one sequencer at a time."""

    __tablename__ = "ledger_head"

    id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    origin: Mapped[str] = mapped_column(String(255))
    public_key: Mapped[bytes] = mapped_column(LargeBinary(32))
    size: Mapped[int] = mapped_column(BigInteger)
    frontier: Mapped[bytes] = mapped_column(LargeBinary)
    turn: Mapped[int] = mapped_column(BigInteger)


class LedgerCheckpoint(Base):
    """Signed tree heads, as the notes that went outside."""

    __tablename__ = "ledger_checkpoint"

    size: Mapped[int] = mapped_column(BigKey, primary_key=True, autoincrement=False)
    root: Mapped[bytes] = mapped_column(LargeBinary(32))
    note: Mapped[str] = mapped_column(Text)
    at: Mapped[datetime] = mapped_column(UtcDateTime)
