# SPDX-License-Identifier: GPL-3.0-or-later
"""Leave to place one INVITE. Only ``compliance.gate`` can make it (C4, D3)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from compliance.clock import PERMIT_S
from compliance.errors import PermitError
from compliance.facts import Decision, InternalLeg, Number


class Refusal:
    """The gate said no: carries the decision."""

    __slots__ = ("decision",)

    def __init__(self, decision: Decision) -> None:
        self.decision = decision


class Permit:
    """Leave to place one INVITE: single use, 5 s at most, for one committed attempt.

    It is over sooner where the rules would refuse sooner: at the end of the calling hours.

    Only ``compliance.gate.authorize`` can make one: the constructor asks for
    the issuer token, which ``claim_issuer`` hands out exactly once, to the gate.
    ``store.authorise`` confirms it after its commit; ``sip.place`` redeems it.
    """

    __slots__ = ("_committed", "_expires", "_used", "decision", "number")

    LIFETIME_S = PERMIT_S

    def __init__(
        self,
        issuer: object,
        decision: Decision,
        number: Number,
        issued_monotonic: float,
        lifetime_s: float,
    ) -> None:
        if issuer is not _ISSUER:
            raise PermitError("only compliance.gate.authorize makes permits")
        self.decision = decision
        self.number = number
        self._expires = issued_monotonic + min(lifetime_s, self.LIFETIME_S)
        self._committed = False
        self._used = False

    @property
    def attempt_id(self) -> str:
        return self.decision.attempt_id

    def confirm_committed(self) -> None:
        """Called by ``store.authorise`` once the attempt is durable (C4)."""
        self._committed = True

    def redeem(self, line: str, now_monotonic: float) -> Number:
        """Spend the permit for ``line``; returns the number to dial.

        Raises:
            PermitError: not committed, spent already, expired, or another line.
        """
        if not self._committed:
            raise PermitError("the attempt is not committed")
        if self._used:
            raise PermitError("the permit was used already")
        if now_monotonic >= self._expires:
            raise PermitError("the permit has expired")
        if line not in self.decision.lines:
            raise PermitError("the permit does not name this line")
        self._used = True
        return self.number

    def __reduce__(self) -> Any:
        raise PermitError("a permit stays in the process that asked for it")


class InternalPermit:
    """Leave to place one INVITE to a registered telephone of ours: single use, 5 s.

    Only ``compliance.gate.authorize_internal`` makes one; ``sip.place_internal`` redeems it.
    """

    __slots__ = ("_expires", "_uri", "_used", "subject")

    def __init__(self, issuer: object, leg: InternalLeg, issued_monotonic: float) -> None:
        if issuer is not _ISSUER:
            raise PermitError("only compliance.gate.authorize_internal makes these permits")
        self.subject = leg.subject
        self._uri = leg.uri
        self._expires = issued_monotonic + Permit.LIFETIME_S
        self._used = False

    def redeem(self, now_monotonic: float) -> str:
        """Spend the permit; returns the SIP URI to call.

        Raises:
            PermitError: spent already or expired.
        """
        if self._used:
            raise PermitError("the permit was used already")
        if now_monotonic > self._expires:
            raise PermitError("the permit has expired")
        self._used = True
        return self._uri

    def __reduce__(self) -> Any:
        raise PermitError("a permit stays in the process that asked for it")


_ISSUER = object()
_issuer_taken = False


@dataclass(frozen=True, slots=True)
class Issuer:
    """The two permit makers."""

    permit: Callable[[Decision, Number, float, float], Permit]  # the last: seconds it holds
    internal: Callable[[InternalLeg, float], InternalPermit]


def claim_issuer() -> Issuer:
    """Hand out the permit makers; ``compliance.gate`` takes them when imported."""
    global _issuer_taken
    if _issuer_taken:
        raise PermitError("the permit issuer belongs to compliance.gate")
    _issuer_taken = True
    return Issuer(
        lambda *of: Permit(_ISSUER, *of),
        lambda leg, monotonic: InternalPermit(_ISSUER, leg, monotonic),
    )
