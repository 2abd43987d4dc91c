# SPDX-License-Identifier: GPL-3.0-or-later
"""Who answered: a person, a machine to leave messages on, or a carrier's announcement.

Judged from the first words beside the disclosure, never delaying it.
"""

from __future__ import annotations

import enum
import re

from compliance.facts import Announcement


class Answer(enum.StrEnum):
    PERSON = "person"
    MACHINE = "machine"  # voicemail, assistant
    ANNOUNCEMENT = "announcement"  # the carrier speaks: switched off, out of reach
    UNCERTAIN = "uncertain"


_PATTERNS = {
    "zh": (
        (Answer.ANNOUNCEMENT, re.compile(
            r"(?:您|你)?(?:所)?(?:拨打|呼叫)的(?:用户|号码|电话|手机)|已关机|是空号|已停机"
            r"|正在通话中|暂时无法接[通听]"
            r"|不在服务区|请稍后再拨|sorrythenumber|thesubscriber")),
        (Answer.MACHINE, re.compile(
            r"留言|语音信箱|提示音|嘀声|滴声|哔声|语音助手|智能助理|来电秘书|代接"
            r"|现在不能接听|请按#|请按井号")),
    ),
    "en": (
        (Answer.ANNOUNCEMENT, re.compile(
            r"\b(?:number you (?:have )?dialed|subscriber you|not in service"
            r"|is switched off|cannot be reached"
            r"|is unavailable|out of service|try again later|temporarily unavailable)\b")),
        (Answer.MACHINE, re.compile(
            r"\b(?:leave (?:a|your|me a) message|leave your name|after the (?:tone|beep)"
            r"|voice ?mail|mailbox"
            r"|can't (?:come to|answer|take) (?:the|your) (?:phone|call)|cannot (?:take"
            r"|answer) your call"
            r"|you(?:'ve| have) reached)\b")),
    ),
}  # fmt: skip


_ANNOUNCEMENTS: tuple[tuple[Announcement, re.Pattern[str]], ...] = (
    (Announcement.SWITCHED_OFF, re.compile(r"已?关机|switchedoff|poweredoff")),
    (Announcement.VACANT, re.compile(r"空号|号码不存在|notinservice|doesnotexist")),
    (Announcement.SUSPENDED, re.compile(r"停机|outofservice")),
    (Announcement.OUT_OF_AREA, re.compile(r"不在服务区|outofthe(?:service)?area|outofcoverage")),
    (Announcement.ENGAGED, re.compile(r"正在通话中|正在通话|busynow|isbusy|powerbusy")),
    (Announcement.UNREACHABLE, re.compile(
        r"无法接[通听]|无人接听|暂时不能接|cannotbereached|cannotbeconnected|unavailable")),
)  # fmt: skip


def announcement(text: str) -> Announcement | None:
    """What a carrier's announcement says, from its words so far; None: nothing known yet."""
    words = re.sub(r"\W+", "", text).lower()
    for kind, pattern in _ANNOUNCEMENTS:
        if pattern.search(words):
            return kind
    return None


def judge(text: str, language: str) -> Answer:
    """Judge the words heard so far; no words, or an unknown language: ``UNCERTAIN``."""
    if language == "zh":
        text = re.sub(r"\W+", "", text)
    text = text.lower()
    for answer, pattern in _PATTERNS.get(language, ()):
        if pattern.search(text):
            return answer
    return Answer.PERSON if text.strip() and language in _PATTERNS else Answer.UNCERTAIN
