# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest

from compliance.facts import Announcement
from voicebot.answer import announcement


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("您拨打的电话已关机", Announcement.SWITCHED_OFF),
        ("您拨打的电话 已 关机 请稍后再拨", Announcement.SWITCHED_OFF),
        ("您拨打的号码是空号请核对后再拨", Announcement.VACANT),
        ("您拨打的电话已停机", Announcement.SUSPENDED),
        ("您拨打的用户正在通话中请稍后再拨", Announcement.ENGAGED),
        ("您拨打的电话暂时无法接通请稍后再拨", Announcement.UNREACHABLE),
        ("您拨打的电话不在服务区", Announcement.OUT_OF_AREA),
        ("the number you dialed is switched off", Announcement.SWITCHED_OFF),
        ("the number you have dialed is not in service", Announcement.VACANT),
        ("您拨打的电话", None),
        ("嘟", None),
        ("", None),
    ],
)
def test_what_a_carrier_says(words: str, expected: Announcement | None) -> None:
    assert announcement(words) is expected
