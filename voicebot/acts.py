# SPDX-License-Identifier: GPL-3.0-or-later
"""What happens to a conversation, and what it makes the session do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from compliance.facts import Blame, Outcome
from voicebot.intents import IntentResult

# ---------------------------------------------------------------- events


@dataclass(frozen=True, slots=True)
class Begin:
    """The call was answered."""


@dataclass(frozen=True, slots=True)
class PromptEnded:
    """``prompt`` was sent to its last sample."""

    prompt: str


@dataclass(frozen=True, slots=True)
class Heard:
    """The callee said something; ``result`` is what it means."""

    result: IntentResult


@dataclass(frozen=True, slots=True)
class Key:
    """The callee pressed a key."""

    digit: str


@dataclass(frozen=True, slots=True)
class BargeIn:
    """The callee talks over the bot long enough to mean it."""


@dataclass(frozen=True, slots=True)
class Silence:
    """The listening time passed without speech."""


@dataclass(frozen=True, slots=True)
class SpeechLost:
    """Nobody recognises speech any more; keys still work."""


@dataclass(frozen=True, slots=True)
class AudioMissing:
    """A prompt has no audio."""

    prompt: str


@dataclass(frozen=True, slots=True)
class MachineAnswered:
    """A voicemail greeting or an announcement speaks, not a person."""


@dataclass(frozen=True, slots=True)
class PersonAnswered:
    """A person of ours is on the line, ready to be joined with the callee."""


@dataclass(frozen=True, slots=True)
class NobodyFree:
    """No person of ours took the call."""


@dataclass(frozen=True, slots=True)
class PersonGone:
    """The person the callee talked with hung up."""


@dataclass(frozen=True, slots=True)
class StopAsked:
    """The operator stops the run: take leave politely."""


@dataclass(frozen=True, slots=True)
class TimeUp:
    """The call reached its time limit."""


@dataclass(frozen=True, slots=True)
class Gone:
    """The line is down."""

    by: str


Event: TypeAlias = (
    Begin | PromptEnded | Heard | Key | BargeIn | Silence | SpeechLost | AudioMissing
    | MachineAnswered | PersonAnswered | NobodyFree | PersonGone | StopAsked | TimeUp | Gone
)  # fmt: skip


# ---------------------------------------------------------------- actions


@dataclass(frozen=True, slots=True)
class Say:
    """Play these prompts one after another without a gap."""

    prompts: tuple[str, ...]
    interruptible: bool


@dataclass(frozen=True, slots=True)
class Stop:
    """Stop what is playing and drop what is queued, at once."""


@dataclass(frozen=True, slots=True)
class Listen:
    """Wait ``for_ms`` for an answer to begin."""

    for_ms: int


@dataclass(frozen=True, slots=True)
class Refused:
    """Make the refusal durable now; ``how`` is ``key``, ``voice`` or ``voice_everything``: no
    call of any kind (S12)."""

    how: str


@dataclass(frozen=True, slots=True)
class SaidNo:
    """Make a refusal spoken to a person durable; how the call goes on is theirs to say (S12)."""


@dataclass(frozen=True, slots=True)
class Connect:
    """Ring a person of ours (S10)."""


@dataclass(frozen=True, slots=True)
class Join:
    """Let the callee and the person hear each other."""


@dataclass(frozen=True, slots=True)
class Part:
    """Give up the person: still ringing, or joined."""


@dataclass(frozen=True, slots=True)
class Ticket:
    """A person must call back: ``kind`` is ``callback`` or ``complaint``."""

    kind: str


@dataclass(frozen=True, slots=True)
class Violation:
    """Our side broke a requirement."""

    requirement: str


@dataclass(frozen=True, slots=True)
class End:
    """Hang up; the call's outcome and whose doing it is."""

    outcome: Outcome
    blame: Blame


Action: TypeAlias = (
    Say | Stop | Listen | Refused | SaidNo | Connect | Join | Part | Ticket | Violation | End
)
Actions: TypeAlias = tuple[Action, ...]
