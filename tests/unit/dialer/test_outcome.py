# SPDX-License-Identifier: GPL-3.0-or-later
"""Final SIP status to outcome and blame."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compliance.facts import Announcement, Blame, Outcome
from dialer.call import State, Why
from dialer.outcome import of_unanswered


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (486, (Outcome.BUSY, Blame.CALLEE)),
        (603, (Outcome.REJECTED, Blame.CALLEE)),
        (480, (Outcome.UNAVAILABLE, Blame.CALLEE)),
        (404, (Outcome.INVALID_NUMBER, Blame.CARRIER)),
        (503, (Outcome.LINE_FAILED, Blame.CARRIER)),
        (302, (Outcome.LINE_FAILED, Blame.CARRIER)),
        (408, (Outcome.LINE_FAILED, Blame.CARRIER)),
        (499, (Outcome.UNAVAILABLE, Blame.CARRIER)),
        (699, (Outcome.LINE_FAILED, Blame.CARRIER)),
        (0, (Outcome.LINE_FAILED, Blame.CARRIER)),
    ],
)
def test_status(status: int, expected: tuple[Outcome, Blame]) -> None:
    assert of_unanswered(State(status=status)) == expected


def test_rang_out_is_no_answer_only_if_it_rang() -> None:
    assert of_unanswered(State(rang=True, withdrawn=Why.RANG_OUT, status=487)) == (
        Outcome.NO_ANSWER,
        Blame.CALLEE,
    )
    assert of_unanswered(State(rang=False, withdrawn=Why.RANG_OUT, status=487)) == (
        Outcome.LINE_FAILED,
        Blame.CARRIER,
    )


def test_a_stop_is_our_doing() -> None:
    stopped = State(rang=True, withdrawn=Why.STOPPED, status=487)
    assert of_unanswered(stopped) == (Outcome.CANCELLED, Blame.US)


@given(st.integers(300, 699), st.booleans())
def test_every_final_status_has_an_outcome(status: int, rang: bool) -> None:
    outcome, blame = of_unanswered(State(status=status, rang=rang))
    assert outcome is not Outcome.ACCEPTED
    assert blame in Blame


@pytest.mark.parametrize(
    ("said", "status", "expected"),
    [
        (Announcement.SWITCHED_OFF, 503, (Outcome.UNAVAILABLE, Blame.CALLEE)),
        (Announcement.VACANT, 480, (Outcome.INVALID_NUMBER, Blame.CARRIER)),
        (Announcement.ENGAGED, 480, (Outcome.BUSY, Blame.CALLEE)),
    ],
)
def test_the_carriers_words_are_more_exact_than_its_status(
    said: Announcement, status: int, expected: tuple[Outcome, Blame]
) -> None:
    assert of_unanswered(State(status=status), said) == expected
    given_up = State(status=487, withdrawn=Why.ANNOUNCED)
    assert of_unanswered(given_up, said) == expected


def test_every_announcement_has_an_outcome_and_a_stop_stays_ours() -> None:
    for said in Announcement:
        of_unanswered(State(status=480), said)
        stopped = State(status=487, withdrawn=Why.STOPPED)
        assert of_unanswered(stopped, said) == (Outcome.CANCELLED, Blame.US)
