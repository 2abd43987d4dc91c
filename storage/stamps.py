# SPDX-License-Identifier: GPL-3.0-or-later
"""RFC 3161 time stamps on checkpoints: somebody else says when the ledger was what it was (P5).

A time-stamping authority signs the SHA-256 of a checkpoint's note and its own time. The answer
lies beside the note as ``checkpoint-<size>.tsr``; ``openssl ts -verify`` checks it without us.
An authority that does not answer holds up nothing: it is asked again later, and `candor doctor`
says why the last try failed.
"""

from __future__ import annotations

import contextlib
import json
import urllib.error
import urllib.request
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509

from compliance.errors import BadInput, CandorError, ConfigError, Corrupt, StorageAway, StorageError
from compliance.facts import Evolve
from storage.anchors import FolderAnchor

_TIMEOUT_S = 15.0
_LARGEST = 100_000  # bytes of an answer; one is about 5,000
_QUERY, _REPLY = "application/timestamp-query", "application/timestamp-reply"


@dataclass(frozen=True, slots=True)
class Stamp(Evolve):
    """One checkpoint's time stamp; ``at`` is the authority's time."""

    size: int
    path: Path
    at: datetime


@dataclass(frozen=True, slots=True)
class Trouble(Evolve):
    """The last try to have a checkpoint stamped, which failed."""

    at: datetime
    cause: str
    remedy: str


class TimeStamps:
    """The authority's stamps on one anchor folder's checkpoints.

    ``trouble``: a file that says why the last try failed, for whoever looks later.

    Raises:
        ConfigError: no address or certificate that can be used, or the library is missing.
    """

    def __init__(
        self, folder: Path, url: str, certificate: Path, *, trouble: Path | None = None
    ) -> None:
        if not url.startswith(("http://", "https://")):
            raise ConfigError(
                "not the address of a time-stamping authority", field="timestamps.url"
            )
        try:
            self._root = x509.load_pem_x509_certificate(certificate.read_bytes())
        except (OSError, ValueError):
            raise ConfigError(
                "is no certificate in PEM",
                field="timestamps.certificate",
                remedy="name the file with the root certificate the authority publishes",
            ) from None
        try:
            import rfc3161_client
        except ImportError:
            raise ConfigError(
                "the library for time stamps is not installed",
                field="timestamps.url",
                remedy="pip install 'candor[tsa]'",
            ) from None
        self._tsp: Any = rfc3161_client
        self._folder, self._url, self._trouble = folder, url, trouble

    def stamp_newest(self) -> Stamp | None:
        """Have the newest checkpoint stamped; None: there is none, or it has its stamp.

        Raises:
            StorageAway: the authority does not answer. Corrupt: its answer is no stamp of this.
        """
        try:
            stamp = self._stamp_newest()
        except CandorError as error:
            self._remember(error)
            raise
        except OSError as error:
            away = StorageError(f"a time stamp cannot be kept: {error.strerror}")
            self._remember(away)
            raise away from error
        if self._trouble is not None:
            self._trouble.unlink(missing_ok=True)
        return stamp

    def _remember(self, error: CandorError) -> None:
        if self._trouble is not None:
            with contextlib.suppress(OSError):  # a full disk is told elsewhere
                self._trouble.write_text(
                    json.dumps({"cause": error.detail, "remedy": error.remedy}), "utf-8"
                )

    def trouble(self) -> Trouble | None:
        """Why the last try failed; None: it did not, or none was made."""
        if self._trouble is None:
            return None
        try:
            told = json.loads(self._trouble.read_text("utf-8"))
            at = datetime.fromtimestamp(self._trouble.stat().st_mtime, UTC)
            return Trouble(at, str(told["cause"]), str(told["remedy"]))
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def _stamp_newest(self) -> Stamp | None:
        notes = sorted(_beside(self._folder).glob("checkpoint-*.note"))
        if not notes or notes[-1].with_suffix(".tsr").exists():
            return None
        note = notes[-1].read_bytes()
        request = (
            self._tsp.TimestampRequestBuilder()
            .data(note)
            .hash_algorithm(self._tsp.HashAlgorithm.SHA256)
            .build()
        )
        reply = self._ask(request.as_bytes())
        stamp = self._read(reply, note, notes[-1].with_suffix(".tsr"), request)
        with contextlib.suppress(FileExistsError):  # another process was quicker
            FolderAnchor.keep(stamp.path, reply)
        return stamp

    def newest(self) -> Stamp | None:
        """The stamp of the largest stamped tree; None: there is none.

        Raises:
            Corrupt: as :meth:`check`.
        """
        stamped = sorted(_beside(self._folder).glob("checkpoint-*.tsr"))
        return self.check(stamped[-1]) if stamped else None

    def due(self, now: datetime, every: timedelta) -> bool:
        """Whether the last stamp is so old, or there is none."""
        try:
            newest = self.newest()
        except Corrupt:
            return True
        return newest is None or now - newest.at >= every

    def stamps(self) -> list[Path]:
        """Every stamp there is, oldest checkpoint first."""
        return sorted(self._folder.rglob("checkpoint-*.tsr"))

    def check(self, path: Path) -> Stamp:
        """Verify a stamp against its note and the authority's certificate.

        Raises:
            Corrupt: altered, of another note, or of another authority.
        """
        try:
            reply, note = path.read_bytes(), path.with_suffix(".note").read_bytes()
        except OSError as error:
            raise BadInput(f"{path.name} cannot be read: {error.strerror}", field="stamp") from None
        return self._read(reply, note, path)

    def _read(self, reply: bytes, note: bytes, path: Path, request: Any = None) -> Stamp:
        try:
            answer = self._tsp.decode_timestamp_response(reply)
            if answer.status not in (0, 1):  # granted, granted with changes
                raise StorageAway("the time-stamping authority refused to stamp a checkpoint")
            builder = self._tsp.VerifierBuilder().add_root_certificate(self._root)
            if request is not None and request.nonce is not None:
                builder = builder.nonce(request.nonce)
            builder.build().verify_message(answer, note)
        except (ValueError, self._tsp.VerificationError) as error:
            raise Corrupt(
                f"{path.name} is no time stamp of its checkpoint ({type(error).__name__})",
                remedy="compare the authority's certificate; move the file away to stamp anew",
            ) from None
        return Stamp(int(path.stem.rpartition("-")[2]), path, answer.tst_info.gen_time)

    def _ask(self, query: bytes) -> bytes:
        request = urllib.request.Request(self._url, query, {"Content-Type": _QUERY})
        try:
            with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as answer:
                reply = bytes(answer.read(_LARGEST))
                kind = answer.headers.get_content_type()
        except (urllib.error.URLError, OSError, ValueError) as error:
            raise StorageAway(
                f"the time-stamping authority does not answer ({type(error).__name__})"
            ) from None
        if kind != _REPLY:
            raise StorageAway("what answered is no time-stamping authority")
        return reply


def _beside(folder: Path) -> Path:
    return FolderAnchor(folder).beside
