# SPDX-License-Identifier: GPL-3.0-or-later
"""The callee's mind: when to do what, from what it hears. Pure; times in ms from the answer."""

from dataclasses import dataclass
from typing import Final

from sip_sim.behaviours import Step

LOUD_DBFS: Final = -45.0
"""A 20 ms frame above this level counts as the bot being audible."""
_PAUSE_MS: Final = 200.0  # silence after which the next sound can be a new turn
_FRAME_MS: Final = 20.0
_REPEAT_MS: Final = 300.0  # pause between the sayings of a repeated step


@dataclass
class Turn:
    """One of the bot's turns: what it says between two contributions of ours."""

    first_ms: float
    last_ms: float
    audible_ms: float = 0.0


class Ear:
    """Divides what the bot says into turns.

    A new turn begins with the first sound after a pause once the callee has contributed
    something since the current turn began; so sentences with pauses between are one turn.
    """

    def __init__(self) -> None:
        self.turns: list[Turn] = []
        self._contributed = False
        self._candidate_ms: float | None = None

    def frame(self, now_ms: float, level_dbfs: float) -> None:
        """A 20 ms frame of the bot's audio arrived; single loud frames are clicks, no words."""
        if level_dbfs <= LOUD_DBFS:
            self._candidate_ms = None
            return
        current = self.turns[-1] if self.turns else None
        if current and now_ms - current.last_ms <= _PAUSE_MS:
            current.last_ms = now_ms
            current.audible_ms += _FRAME_MS
            return
        if self._candidate_ms is None:
            self._candidate_ms = now_ms
            return
        if current is None or self._contributed:
            current = Turn(self._candidate_ms, now_ms)
            self.turns.append(current)
            self._contributed = False
        current.last_ms = now_ms
        current.audible_ms += 2 * _FRAME_MS
        self._candidate_ms = None

    def contributed(self) -> None:
        """The callee has begun to say or press something."""
        if self.turns:
            self._contributed = True

    def words_ms(self, turn: int, now_ms: float) -> float | None:
        """Time since the first sound of a turn, None before it."""
        return now_ms - self.turns[turn].first_ms if turn < len(self.turns) else None

    def quiet_ms(self, turn: int, now_ms: float, min_bot_ms: float) -> float | None:
        """Time since the bot's last sound, None unless this turn or a later one was heard."""
        if turn >= len(self.turns):
            return None
        if turn == len(self.turns) - 1 and self.turns[turn].audible_ms < min_bot_ms:
            return None
        return now_ms - self.turns[-1].last_ms


class Callee:
    """Runs the steps of a behaviour in order."""

    def __init__(self, steps: tuple[Step, ...]) -> None:
        self.ear = Ear()
        self._steps = steps
        self._next = 0
        self._repeating = False
        self._previous_end_ms = 0.0

    def due(self, now_ms: float, busy: bool) -> Step | None:
        """The step to carry out now, if any; only hanging up interrupts what is being said."""
        if self._next >= len(self._steps):
            return None
        step = self._steps[self._next]
        if busy and not step.hangup:
            return None
        waited = self._waited(step, now_ms)
        if self._repeating:
            waited = now_ms - self._previous_end_ms + step.trigger_ms - _REPEAT_MS
        if waited is None or waited < step.trigger_ms:
            return None
        self._repeating = step.repeat
        if not step.repeat:
            self._next += 1
        if step.say or step.dtmf:
            self.ear.contributed()
        return step

    def done(self, now_ms: float) -> None:
        """What the last step began is over."""
        self._previous_end_ms = now_ms

    def _waited(self, step: Step, now_ms: float) -> float | None:
        match step.trigger:
            case "at_ms":
                return now_ms
            case "after_previous_ms":
                return now_ms - self._previous_end_ms
            case "after_bot_words_ms":
                return self.ear.words_ms(step.turn, now_ms)
            case _:
                return self.ear.quiet_ms(step.turn, now_ms, step.min_bot_ms)
