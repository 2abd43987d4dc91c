# SPDX-License-Identifier: GPL-3.0-or-later
"""SIP status of an unanswered call -> outcome and blame (RFC 3261 section 21, RFC 8197 …).

A talk that took place is classified by the conversation; this table is for
calls in which nobody was spoken to.
"""

from __future__ import annotations

from compliance.facts import Announcement, Blame, Outcome
from dialer.call import State, Why

_BY_STATUS: dict[int, tuple[Outcome, Blame]] = {
    302: (Outcome.LINE_FAILED, Blame.CARRIER),  # redirection is never followed: it would
    # place an INVITE that no permit names
    401: (Outcome.LINE_FAILED, Blame.US),
    403: (Outcome.LINE_FAILED, Blame.CARRIER),
    404: (Outcome.INVALID_NUMBER, Blame.CARRIER),
    407: (Outcome.LINE_FAILED, Blame.US),
    408: (Outcome.LINE_FAILED, Blame.CARRIER),
    410: (Outcome.INVALID_NUMBER, Blame.CARRIER),
    480: (Outcome.UNAVAILABLE, Blame.CALLEE),
    484: (Outcome.INVALID_NUMBER, Blame.US),
    486: (Outcome.BUSY, Blame.CALLEE),
    487: (Outcome.LINE_FAILED, Blame.CARRIER),  # terminated, and not by us
    488: (Outcome.LINE_FAILED, Blame.US),
    600: (Outcome.BUSY, Blame.CALLEE),
    603: (Outcome.REJECTED, Blame.CALLEE),
    604: (Outcome.INVALID_NUMBER, Blame.CARRIER),
    607: (Outcome.REJECTED, Blame.CALLEE),  # RFC 8197: unwanted
    608: (Outcome.REJECTED, Blame.CARRIER),  # RFC 8688: rejected by an analytics engine
}


# What the carrier's voice says is more exact than the status it sends with it.
_BY_ANNOUNCEMENT: dict[Announcement, tuple[Outcome, Blame]] = {
    Announcement.SWITCHED_OFF: (Outcome.UNAVAILABLE, Blame.CALLEE),
    Announcement.OUT_OF_AREA: (Outcome.UNAVAILABLE, Blame.CALLEE),
    Announcement.UNREACHABLE: (Outcome.UNAVAILABLE, Blame.CALLEE),
    Announcement.ENGAGED: (Outcome.BUSY, Blame.CALLEE),
    Announcement.VACANT: (Outcome.INVALID_NUMBER, Blame.CARRIER),
    Announcement.SUSPENDED: (Outcome.INVALID_NUMBER, Blame.CARRIER),
}


def of_unanswered(state: State, announcement: Announcement | None = None) -> tuple[Outcome, Blame]:
    """Outcome and blame of a call that ended before any answer."""
    if announcement is not None and state.withdrawn in (None, Why.ANNOUNCED, Why.RANG_OUT):
        return _BY_ANNOUNCEMENT[announcement]
    if state.withdrawn is Why.RANG_OUT:
        if state.rang:
            return Outcome.NO_ANSWER, Blame.CALLEE
        return Outcome.LINE_FAILED, Blame.CARRIER
    if state.withdrawn is not None:
        return Outcome.CANCELLED, Blame.US
    if state.status == 408 and state.rang:
        return Outcome.NO_ANSWER, Blame.CALLEE
    known = _BY_STATUS.get(state.status)
    if known is not None:
        return known
    if 400 <= state.status < 500:
        return Outcome.UNAVAILABLE, Blame.CARRIER
    return Outcome.LINE_FAILED, Blame.CARRIER
