# SPDX-License-Identifier: GPL-3.0-or-later
"""One recorded call checked: opened, measured, judged, kept (S1, S3, S4, S9-S12, T2).

Nothing here touches a live call. The automatic check (``dialer.checker``) and
``candor check`` both come through :meth:`CallChecker.check`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from compliance import callcheck
from compliance.callcheck import Evidence, ItemVerdict, Likeness, RiskWord
from compliance.disclosure import ROBOT_WORDS
from compliance.errors import CandorError, Corrupt, ScriptError, SpeechError
from compliance.facts import Actor, Speaker, TranscriptLine
from compliance.wording import normalise
from dialer import renderings
from dialer.policies import word_check
from dialer.settings import Home
from storage.checks import StoredCheck, Subject
from storage.g711 import Pcm
from storage.recordings import Track, open_recording
from storage.scripts import ScriptVersion
from storage.store import Store
from voicebot import intents, likeness
from voicebot.asr import VoskModel
from voicebot.line import to_ms, to_samples
from voicebot.prompts import RenderedScript
from voicebot.script import OPENING, line_id
from voicebot.words import WordCheck

_OPENING_WITHIN_MS = 60_000  # the opening is looked for in the first minute
_WITNESS_MS = 4_000  # the recognizer hears the first words only
_FAREWELL_BEFORE_MS = 1_000  # a farewell is looked for from this long before the refusal's end
_REFUSES = 0.9  # an explicit phrase, or one by pinyin (voicebot.intents)
_CALLEE_SURE = 0.7  # of the recognizer, for the same


class CallChecker:
    """Checks one call after another; keeps rendered scripts and models between them."""

    def __init__(self, home: Home, store: Store) -> None:
        self._home = home
        self._store = store
        self._objects = home.open_objects()
        self._scripts: dict[str, RenderedScript | None] = {}
        self._models: dict[str, VoskModel | None] = {}
        self._words: dict[str, WordCheck] = {}

    def check(self, attempt: str, actor: Actor | None = None) -> StoredCheck:
        """Check one call; its recording is opened under ``actor``, else by the platform itself.

        Raises:
            NotAllowed: the actor may not. BadInput: no such call, or nothing to check of it.
            StorageAway: database or bucket; nothing was kept, it may be done again.
        """
        subject = self._store.checks.open(attempt, actor)
        version = subject.script
        versions: dict[str, Any] = {
            "judgement": callcheck.VERSION,
            "script": version.id,
            "script_digest": version.digest,
            "limits": dataclasses.asdict(callcheck.LIMITS),
        }
        try:
            callee, bot = open_recording(self._objects, self._store.keyring, subject.sealed)
        except Corrupt:
            return self._keep(attempt, callcheck.unreadable(), {}, versions, actor)
        evidence = self._evidence(subject, bot, callee_kept=callee is not None)
        model = self._models.get(version.language)
        versions["recognizer"] = (
            self._home.settings.speech.models.get(version.language, "") if model else ""
        )
        return self._keep(attempt, callcheck.judge(evidence), figures_of(evidence), versions, actor)

    def _keep(
        self,
        attempt: str,
        items: tuple[ItemVerdict, ...],
        figures: Mapping[str, Any],
        versions: Mapping[str, Any],
        actor: Actor | None,
    ) -> StoredCheck:
        return self._store.checks.keep(
            attempt,
            str(callcheck.result(items)),
            [as_json(item) for item in items],
            figures,
            versions,
            actor,
        )

    # ------------------------------------------------------------ measuring

    def _evidence(self, subject: Subject, bot: Pcm, *, callee_kept: bool) -> Evidence:
        version, record = subject.script, subject.record
        rendered = self._rendered(version)
        found: dict[str, Likeness] = {}
        farewell: Likeness | None = None
        if rendered is not None:
            first = bot[: to_samples(_OPENING_WITHIN_MS)]
            found = {name: likeness.find(first, _audible(rendered, name)) for name in OPENING}
            if record.refused and record.refused_ms is not None:
                farewell = _farewell(bot, subject, rendered)
        return Evidence(
            language=version.language,
            company=subject.company,
            record=record,
            finished=subject.finished,
            lines=subject.lines,
            words=self._risk_words(subject.lines, version.language),
            reference=rendered is not None,
            opening=found,
            farewell=farewell,
            robot_heard=self._robot_heard(bot, version.language),
            refusal_missed=not record.refused and _refuses(subject.lines, version.language),
            track_ms=to_ms(len(bot)),
            whole=all(t.seal.complete for t in subject.sealed.tracks if t.track is Track.BOT),
            callee_kept=callee_kept,
            later_attempts=subject.later_attempts,
        )

    def _rendered(self, version: ScriptVersion) -> RenderedScript | None:
        """The approved audio; None: it cannot be had again, so nothing can be held against it."""
        if version.id not in self._scripts:
            rendered: RenderedScript | None
            try:
                rendered = renderings.approved(self._home, version)
            except (ScriptError, SpeechError):
                rendered = None
            self._scripts[version.id] = rendered
        return self._scripts[version.id]

    def _risk_words(self, lines: tuple[TranscriptLine, ...], language: str) -> tuple[RiskWord, ...]:
        if language not in self._words:
            home = self._home
            self._words[language] = word_check(language, home.settings.policy, home.root)
        return tuple(
            RiskWord(line.speaker, line.start_ms, word.term, word.requirement)
            for line in lines
            for word in self._words[language].findings(line.text)
        )

    def _robot_heard(self, bot: Pcm, language: str) -> bool | None:
        """Whether the recognizer finds a word for "robot" in the first seconds."""
        if language not in self._models:
            try:
                self._models[language] = VoskModel(self._home.model(language), language)
            except (CandorError, ImportError, OSError):  # a second witness that is not there
                self._models[language] = None
        model = self._models[language]
        if model is None:
            return None
        recognizer = model.recognizer()
        recognizer.start(0)
        recognizer.accept(bot[: to_samples(_WITNESS_MS)].astype("<i2").tobytes())
        said = model.calibration.joiner.join(word.text for word in recognizer.finish())
        return says_robot(said, language)


def says_robot(said: str, language: str) -> bool:
    """Whether recognised words name a robot (S1)."""
    normal = normalise(said).text
    return any(normalise(word).text in normal for word in ROBOT_WORDS.get(language, ()))


def _audible(script: RenderedScript, prompt: str) -> Pcm:
    found = script.get(prompt)
    if found is None:
        return np.zeros(0, np.int16)
    start, end = found.audible
    return np.frombuffer(found.pcm, "<i2")[start:end]


def _farewell(bot: Pcm, subject: Subject, rendered: RenderedScript) -> Likeness | None:
    """The goodbye after a refusal, by what the transcript says it was; None where it names the
    contact's values: no two are alike."""
    refused_ms = subject.record.refused_ms or 0
    said = [
        line.text
        for line in subject.lines
        if line.mark == "farewell" and line.speaker is Speaker.BOT and line.end_ms >= refused_ms
    ]
    prompt = line_id("refusal")
    for found in rendered.prompts.values():
        if said and found.mark == "farewell" and found.text.startswith(said[-1]):
            prompt = found.id
    if rendered.get(prompt) is None:
        return None
    begin = max(0, to_samples(refused_ms - _FAREWELL_BEFORE_MS))
    place = likeness.find(bot[begin:], _audible(rendered, prompt))
    ahead = to_ms(begin)
    return place.evolve(start_ms=place.start_ms + ahead, end_ms=place.end_ms + ahead)


def _refuses(lines: tuple[TranscriptLine, ...], language: str) -> bool:
    """Whether a callee's sentence is an explicit refusal, surely heard."""
    for line in lines:
        if line.speaker is not Speaker.CALLEE or (line.confidence or 0.0) < _CALLEE_SURE:
            continue
        meant = intents.classify(line.text, language)
        if meant.refused and meant.score >= _REFUSES:
            return True
    return False


# ---------------------------------------------------------------- as plain data


def figures_of(evidence: Evidence) -> dict[str, Any]:
    """What was measured, for the row and for whoever judges it again."""
    return {
        "opening": {name: dataclasses.asdict(found) for name, found in evidence.opening.items()},
        "farewell": dataclasses.asdict(evidence.farewell) if evidence.farewell else None,
        "robot_heard": evidence.robot_heard,
        "track_ms": evidence.track_ms,
        "whole": evidence.whole,
        "callee_kept": evidence.callee_kept,
        "later_attempts": evidence.later_attempts,
        "risk_words": len(evidence.words),
    }


def as_json(item: ItemVerdict) -> dict[str, Any]:
    return {
        "item": str(item.item),
        "requirement": item.requirement,
        "verdict": str(item.verdict),
        "findings": [
            {
                "message": finding.message,
                "requirement": finding.requirement,
                "passed": finding.passed,
                "params": dict(finding.params),
            }
            for finding in item.findings
        ],
    }
