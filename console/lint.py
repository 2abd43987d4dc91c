# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wrong with a script file, and where it stands in it (G5, S1-S3, S7, S8, D6).

The same findings decide over a submission (``submissions.submit``); here they
come with line and column, and without a home, people or a signature.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from compliance.disclosure import WITHIN_MS, robot_word_first
from compliance.errors import ScriptError, SpeechError
from compliance.facts import Evolve
from console.messages import text
from dialer.policies import word_check
from dialer.settings import PolicySettings
from voicebot import script as scripts
from voicebot.prompts import PromptCache, render_script
from voicebot.script import OPENING, Prompt, Script, line_id
from voicebot.tts import PyttsxSynthesizer
from voicebot.words import WordCheck


@dataclass(frozen=True, slots=True)
class LintFinding(Evolve):
    """One thing to mend. ``line`` and ``column`` count from 1; 0: not known."""

    where: str  # path in the file: opening.disclosure, nodes.ask.expect …
    requirement: str  # of the rules, or "format"
    reason: str
    remedy: str = ""
    line: int = 0
    column: int = 0
    written: str = ""  # the words themselves, as they stand in the file
    source: str = ""  # the law or rule behind a forbidden word

    @property
    def position(self) -> str:
        """``12:7``, ``12`` or empty."""
        return ":".join(str(part) for part in (self.line, self.column) if part)


@dataclass(frozen=True, slots=True)
class Report(Evolve):
    """What was found; a script without findings may be submitted."""

    findings: tuple[LintFinding, ...]
    disclosure_end_ms: int | None = None  # None: could not be measured
    opening_ms: int | None = None
    industry: str = "general"
    language: str = ""


def findings_of(script: Script, words: WordCheck, language: str) -> list[LintFinding]:
    """Findings of wording and of the order of the opening, without their position.

    ``language`` is that of the sentences.
    """
    found = []
    for prompt in script.prompts:
        for word in words.findings(prompt.text):
            found.append(
                LintFinding(
                    path_of(prompt),
                    word.requirement,
                    text(word.message, language, term=word.term),
                    written=word.written,
                    column=word.start + 1,
                    source=word.source,
                )
            )
    if not robot_word_first(script.prompt(OPENING[0]).text, script.language):
        reason = text("disclosure.no_robot_word", language, section=_section(language))
        found.append(LintFinding(f"opening.{OPENING[0]}", "S1", reason))
    return found


def _section(language: str) -> str:
    return text(f"mark.{OPENING[0]}", language)


def path_of(prompt: Prompt) -> str:
    """Where a prompt's words stand in the file."""
    if prompt.id in OPENING:
        return f"opening.{prompt.id}"
    for name in scripts.LINES:
        if prompt.id == line_id(name):
            return f"lines.{name}"
    return f"nodes.{prompt.id.removeprefix('node.')}.say"


def read_source(file: Path) -> str:
    """The text of a script file.

    Raises:
        ScriptError: it is not there, not readable, or not UTF-8.
    """
    try:
        return file.read_text("utf-8")
    except UnicodeDecodeError:
        raise ScriptError(f"{file} is not UTF-8 text", field="file") from None
    except OSError as error:
        raise ScriptError(
            f"{file} cannot be read: {error.strerror}", field="file", remedy="name a script's file"
        ) from None


def lint(
    source: str,
    *,
    policy: PolicySettings,
    language: str,
    prompts: Path | None,
    home: Path | None = None,
) -> Report:
    """Everything found in a script's text, with its position, and the measured disclosure.

    ``policy`` names the industry, and the packs of ``home``. ``prompts`` is the cache of
    rendered audio; None: it is made in memory.

    Raises:
        ConfigError: no such industry. PolicyError: a wording pack cannot be used.
    """
    industry = policy.industry
    places = _Places(source)
    try:
        script = scripts.load(source)
    except ScriptError as error:
        return Report((_format_finding(error, places),), industry=industry)
    words = word_check(script.language, policy, home)
    found = [places.locate(finding) for finding in findings_of(script, words, language)]
    disclosure: int | None = None
    opening: int | None = None
    where = f"opening.{OPENING[0]}"
    try:
        with PyttsxSynthesizer() as synthesizer:
            rendered = render_script(script, PromptCache(prompts, synthesizer))
    except SpeechError as error:
        found.append(
            places.locate(
                LintFinding(where, "S1", text("lint.unmeasured", language, cause=error.detail))
            )
        )
    else:
        disclosure, opening = rendered.disclosure_end_ms, rendered.opening_ms
        if disclosure > WITHIN_MS:
            reason = text(
                "disclosure.late",
                language,
                section=_section(language),
                end_ms=disclosure,
                within_ms=WITHIN_MS,
            )
            found.append(places.locate(LintFinding(where, "S1", reason)))
    found.sort(key=lambda f: (f.line, f.column))
    return Report(tuple(found), disclosure, opening, industry, script.language)


def _format_finding(error: ScriptError, places: _Places) -> LintFinding:
    prefix = "".join(
        part
        for part in (
            f"row {error.row}: " if error.row is not None else "",
            f"{error.field}: " if error.field else "",
        )
    )
    finding = LintFinding(
        error.field, "format", error.detail.removeprefix(prefix), error.remedy, error.row or 0
    )
    return finding if finding.line else places.locate(finding)


@dataclass(slots=True)
class _Places:
    """Line and column of each value of a YAML text."""

    source: str
    _root: yaml.Node | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        try:
            self._root = yaml.compose(self.source, Loader=yaml.SafeLoader)
        except yaml.YAMLError:
            self._root = None

    def locate(self, finding: LintFinding) -> LintFinding:
        """The finding with its place in the file: that of its value, or of what holds it."""
        node = self._root
        for name in finding.where.split(".") if finding.where else ():
            inner = _value(node, name)
            if inner is None:
                break
            node = inner
        if node is None or node.start_mark is None:
            return finding
        line, column = node.start_mark.line + 1, node.start_mark.column + 1
        if finding.written and isinstance(node, yaml.ScalarNode):
            return finding.evolve(**self._inside(node, finding.written, finding.column))
        return finding.evolve(line=line, column=column)

    def _inside(self, node: yaml.ScalarNode, written: str, nth: int) -> Mapping[str, Any]:
        """Where the words stand as written: folded and quoted text may shift them."""
        start, end = node.start_mark.index, node.end_mark.index
        plain = self.source[start:end]
        quoted = plain[:1] in "'\""
        at = plain.find(written, max(0, nth - 1))
        if at < 0:
            at = plain.find(written)
        if at < 0:
            at = int(quoted)
        before = self.source[: start + at]
        return {
            "line": before.count("\n") + 1,
            "column": len(before) - (before.rfind("\n") + 1) + 1,
        }


def _value(node: yaml.Node | None, name: str) -> yaml.Node | None:
    if not isinstance(node, yaml.MappingNode):
        return None
    for key, value in node.value:
        if isinstance(key, yaml.ScalarNode) and key.value == name:
            return value if isinstance(value, yaml.Node) else None
    return None
