# SPDX-License-Identifier: GPL-3.0-or-later
"""The one exception tree of Candor.

Each class carries the sentence shown to a person; its parameters never hold
personal data, so any of these may be logged. ``retryable`` says whether the
same call may succeed later without anybody changing anything.
"""

from __future__ import annotations


class CandorError(Exception):
    """Base of every error raised on purpose by Candor.

    ``message_id`` names an entry of the zh/en catalogues; ``params`` fill its
    placeholders; ``remedy_id`` names the sentence that says what to do next.
    """

    message_id = "error.unknown"
    retryable = False

    def __init__(self, detail: str = "", *, remedy: str = "", **params: object) -> None:
        self.detail = detail
        self.remedy = remedy
        self.params = params
        super().__init__(detail if not remedy else f"{detail} -> {remedy}")


class BadInput(CandorError):
    """Something a person wrote cannot be used; names field, row, cause and remedy."""

    message_id = "error.bad_input"

    def __init__(
        self,
        detail: str,
        *,
        field: str = "",
        row: int | None = None,
        remedy: str = "",
        **params: object,
    ) -> None:
        self.field = field
        self.row = row
        where = "".join(
            part
            for part in (
                f"row {row}: " if row is not None else "",
                f"{field}: " if field else "",
            )
        )
        super().__init__(f"{where}{detail}", remedy=remedy, field=field, row=row, **params)


class ConfigError(BadInput):
    """``candor.toml`` or a command-line option is wrong."""

    message_id = "error.config"


class PolicyError(BadInput):
    """A policy profile, calendar or rulebook cannot be read: everything is refused."""

    message_id = "error.policy"


class ScriptError(BadInput):
    """A call script breaks its format or a rule of wording or disclosure."""

    message_id = "error.script"


class NotAllowed(CandorError):
    """The signed-in actor may not do this."""

    message_id = "error.not_allowed"


class SignInFailed(CandorError):
    """Name or password is wrong, or the session is over."""

    message_id = "error.sign_in"


class PermitError(CandorError):
    """A permit was forged, expired, used twice or not committed."""

    message_id = "error.permit"


class StorageError(CandorError):
    """The database, object store or key store failed; nothing was half-written."""

    message_id = "error.storage"


class StorageAway(StorageError):
    """The store does not answer just now."""

    message_id = "error.storage_away"
    retryable = True


class LeaseLost(StorageError):
    """Another worker holds this contact now: the fencing token is old."""

    message_id = "error.lease_lost"


class AuthorisationDenied(StorageError):
    """Caps or the refusal list changed between the gate and the commit."""

    message_id = "error.authorisation_denied"

    def __init__(self, rule: str, detail: str = "") -> None:
        self.rule = rule
        super().__init__(detail or rule, rule=rule)


class TooEarlyToDestroy(StorageError):
    """A recording's minimum retention has not ended, or it is under legal hold."""

    message_id = "error.too_early_to_destroy"


class Corrupt(StorageError):
    """Stored bytes do not open or do not verify; names what and where."""

    message_id = "error.corrupt"


class LedgerError(StorageError):
    """The ledger is shorter than, or inconsistent with, its outside anchor."""

    message_id = "error.ledger"


class TelephonyError(CandorError):
    """The SIP endpoint or a line failed."""

    message_id = "error.telephony"


class LineUnproven(TelephonyError):
    """A demo or lab home may not dial this line: it did not prove what it is."""

    message_id = "error.line_unproven"


class NoSlot(TelephonyError):
    """pjsua2 has no free call slot just now (PJ_ETOOMANY)."""

    message_id = "error.no_slot"
    retryable = True


class SpeechError(CandorError):
    """Recognizer or synthesis failed."""

    message_id = "error.speech"


class SpeechLost(SpeechError):
    """The speech process went away in mid-call."""

    message_id = "error.speech_lost"
    retryable = True
