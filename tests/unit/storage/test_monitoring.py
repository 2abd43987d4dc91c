# SPDX-License-Identifier: GPL-3.0-or-later
"""The figures of content, frequency and feedback, on both databases (T1)."""

from __future__ import annotations

from datetime import timedelta

from compliance.complaints import Channel, ComplaintKind
from compliance.facts import Number
from tests.storage_home import START, TestHome

NUMBER = "13900000001"


def test_the_figures_of_the_past_days(home: TestHome) -> None:
    nothing = home.store.monitoring.figures(7)
    assert (nothing.frequency.attempts, nothing.frequency.most_per_number) == (0, 0)
    claim = home.claim(home.campaign([NUMBER]))
    home.store.authorise(home.permit(claim), claim, home.clock.wall())
    home.store.call_notes.add(home.actors["operator"], claim.request.attempt_id, "busy")
    home.store.complaints.add(
        home.actors["operator"],
        kind=ComplaintKind.WORDING,
        channel=Channel.CALL,
        text="too fast",
        received_at=START,
        number=Number(f"+86{NUMBER}"),
        refuse_until=START + timedelta(days=180),
    )
    found = home.store.monitoring.figures(7)
    assert (found.frequency.attempts, found.frequency.numbers) == (1, 1)
    assert found.frequency.most_per_number == 1
    assert dict(found.feedback.complaints) == {"wording": 1}
    assert (found.feedback.notes, found.feedback.refusals) == (1, 1)
    home.clock.advance(8 * 86_400)
    later = home.store.monitoring.figures(7)
    assert (later.frequency.attempts, later.feedback.notes, later.feedback.refusals) == (0, 0, 0)
