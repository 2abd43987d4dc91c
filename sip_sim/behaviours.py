# SPDX-License-Identifier: GPL-3.0-or-later
"""Behaviours as data: reading and checking behaviours.yaml."""

import math
import re
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Final

import yaml  # type: ignore[import-untyped,unused-ignore]  # PyYAML ships without types

from sip_sim.errors import BehaviourError
from sip_sim.rtp import DIGITS
from sip_sim.voices import Utterance

DEFAULT_FILE: Final = Path(__file__).with_name("behaviours.yaml")
FOREVER: Final = math.inf
_TRIGGERS: Final = (
    "at_ms", "after_bot_words_ms", "when_bot_quiet_ms", "after_previous_ms",
)  # fmt: skip
_ACTIONS: Final = ("say", "tone_hz", "dtmf", "hangup", "hold_ms")
MEANINGS: Final = ("agrees", "asks", "wants_person", "machine")
"""What a callee's words mean to who judges the call; other words decide nothing."""
ANNOUNCEMENTS: Final = (
    "switched_off", "vacant", "suspended", "engaged", "unreachable", "out_of_area",
)  # fmt: skip


@dataclass(frozen=True)
class Step:
    """One thing a callee does, and when; all times in ms."""

    trigger: str
    trigger_ms: float
    turn: int = 0
    """Which of the bot's turns `after_bot_words_ms` and `when_bot_quiet_ms` mean."""
    min_bot_ms: float = 0
    """`when_bot_quiet_ms` only counts once the bot was audible this long in the turn."""
    say: tuple[Utterance, ...] = ()
    tone_hz: float = 0
    tone_ms: float = 500
    dtmf: str = ""
    method: str = "rfc4733"
    dtmf_ms: float = 160
    hangup: bool = False
    hold_ms: float = 0
    refuses: bool = False
    means: str = ""
    """One of MEANINGS, or nothing."""
    repeat: bool = False


@dataclass(frozen=True)
class Early:
    """One piece of early media: a ringback, a pause or words."""

    ringback_ms: float = 0
    pause_ms: float = 0
    say: Utterance | None = None
    means: str = ""
    """Of the words: one of ANNOUNCEMENTS, or nothing."""


@dataclass(frozen=True)
class Behaviour:
    """All a callee does with one call; times in ms."""

    name: str
    title: str
    never_dial: bool = False
    no_reply: bool = False
    ring_ms: tuple[float, float] | None = (400, 900)
    """Least and most time between 180 and what follows; None for no 180 at all."""
    early: tuple[Early, ...] = ()
    status: int = 200
    """Final status of the INVITE."""
    reason: str | None = None
    redirect: str | None = None
    """Contact of a 3xx; `{own}` stands for the simulator's ip:port."""
    answer_on_cancel_ms: float | None = None
    rtp: str = "normal"
    loss: float = 0
    noise_kind: str = "none"
    noise_dbfs: float = -120
    bye: str = "normal"
    max_ms: float = 300_000
    """The callee hangs up after this time at the latest."""
    steps: tuple[Step, ...] = ()
    extra: dict[str, str] = field(default_factory=dict)
    """Headers added to the 200."""

    def utterances(self) -> set[Utterance]:
        """All words this callee can say."""
        spoken = {u for step in self.steps for u in step.say}
        return spoken | {e.say for e in self.early if e.say}


def load(path: Path = DEFAULT_FILE) -> dict[str, Behaviour]:
    """Behaviours by three-digit ending; BehaviourError names the place and the mistake."""
    try:
        data = yaml.safe_load(path.read_text("utf-8"))
    except OSError as error:
        raise BehaviourError(
            f"cannot read {path} ({error.strerror}): give a readable file with --behaviours"
        ) from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        line = " ".join(str(error).split())
        raise BehaviourError(f"{path} is no YAML ({line}): mend it") from None
    if not isinstance(data, dict) or not data:
        raise BehaviourError(f"{path} holds no behaviours: map three-digit endings to behaviours")
    return {str(name): _behaviour(path, str(name), value) for name, value in data.items()}


def _behaviour(path: Path, name: str, data: Any) -> Behaviour:
    try:
        if not re.fullmatch(r"\d{3}", name):
            raise ValueError("the ending must be three digits in quotes")
        if not isinstance(data, dict):
            raise ValueError("must be a mapping")
        return _build(name, dict(data))
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise BehaviourError(
            f"{path}: behaviour {name}: {error}; see README.md for the keys"
        ) from None


def _build(name: str, data: dict[str, Any]) -> Behaviour:
    voice, rate = str(data.pop("voice", "linda")), int(data.pop("rate", 165))
    if not 80 <= rate <= 450:
        raise ValueError("rate must be 80 to 450 words a minute")
    values: dict[str, Any] = {"title": str(data.pop("title"))} if "title" in data else {}
    if not values:
        raise ValueError("title is missing")
    if "ring_ms" in data:
        values["ring_ms"] = _ring(data.pop("ring_ms"))
    if "noise" in data:
        noise = dict(data.pop("noise"))
        values |= {"noise_kind": noise.pop("kind"), "noise_dbfs": float(noise.pop("dbfs"))}
        _no_more(noise)
    values["early"] = tuple(_early(e, voice, rate) for e in data.pop("early", ()))
    values["steps"] = tuple(_step(dict(s), voice, rate) for s in data.pop("steps", ()))
    plain = {f.name for f in fields(Behaviour)} - {"name", "noise_kind", "noise_dbfs"}
    values |= {key: data.pop(key) for key in list(data) if key in plain}
    _no_more(data)
    result = Behaviour(name=name, **values)
    _check(result)
    return result


def _check(b: Behaviour) -> None:
    _one_of("rtp", b.rtp, ("normal", "none", "foreign_ssrc"))
    _one_of("bye", b.bye, ("normal", "glare"))
    _one_of("noise kind", b.noise_kind, ("none", "white", "babble"))
    if not isinstance(b.status, int) or not 200 <= b.status <= 699:
        raise ValueError("status must be a final SIP status, 200 to 699")
    if 300 <= b.status < 400 and not b.redirect:
        raise ValueError("a 3xx status needs redirect")
    if not 0 <= b.loss < 1:
        raise ValueError("loss must be at least 0 and below 1")
    if b.status >= 300 and b.steps:
        raise ValueError("steps need an answered call, but status says it is not")


def _ring(value: Any) -> tuple[float, float] | None:
    if value in (None, "none"):
        return None
    if value == "forever":
        return FOREVER, FOREVER
    low, high = value if isinstance(value, list) else (value, value)
    if not 0 <= float(low) <= float(high):
        raise ValueError("ring_ms must be a time, [least, most], forever or none")
    return float(low), float(high)


def _early(data: dict[str, Any], voice: str, rate: int) -> Early:
    data = dict(data)
    means = str(data.pop("means", "")) if "say" in data else ""
    if means:
        _one_of("means", means, ANNOUNCEMENTS)
    if len(data) != 1:
        raise ValueError("early media pieces have one of ringback_ms, pause_ms, say")
    if "say" in data:
        return Early(say=Utterance(str(data["say"]), voice, rate), means=means)
    if "ringback_ms" in data:
        return Early(ringback_ms=float(data["ringback_ms"]))
    return Early(pause_ms=float(data["pause_ms"]))


def _step(data: dict[str, Any], voice: str, rate: int) -> Step:
    triggers = [key for key in _TRIGGERS if key in data]
    if len(triggers) != 1:
        raise ValueError(f"a step needs exactly one of {', '.join(_TRIGGERS)}")
    if len([key for key in _ACTIONS if key in data]) != 1:
        raise ValueError(f"a step needs exactly one of {', '.join(_ACTIONS)}")
    values: dict[str, Any] = {"trigger": triggers[0], "trigger_ms": float(data.pop(triggers[0]))}
    voice, rate = str(data.pop("voice", voice)), int(data.pop("rate", rate))
    if "say" in data:
        said = data.pop("say")
        texts = said if isinstance(said, list) else [said]
        values["say"] = tuple(Utterance(str(text), voice, rate) for text in texts)
    known = {f.name for f in fields(Step)} - set(values)
    values |= {key: data.pop(key) for key in list(data) if key in known}
    _no_more(data)
    step = Step(**values)
    _one_of("method", step.method, ("rfc4733", "info", "inband"))
    _one_of("means", step.means, ("", *MEANINGS))
    if step.dtmf and (len(step.dtmf) != 1 or step.dtmf not in DIGITS):
        raise ValueError("dtmf must be one key in quotes: 0-9 * # A-D")
    return step


def _one_of(what: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise ValueError(f"{what} must be one of {', '.join(allowed)}, not {value!r}")


def _no_more(data: dict[str, Any]) -> None:
    if data:
        raise ValueError(f"unknown key {', '.join(map(str, data))}")
