# SPDX-License-Identifier: GPL-3.0-or-later
"""From a script file to a submitted version: parse, lint, render, measure (G5, S1, S2, S8)."""

from __future__ import annotations

from compliance.facts import Actor
from console import complaint_contact, lint
from console.homes import Opened
from dialer.policies import word_check
from storage.scripts import ScriptVersion
from voicebot import script as scripts
from voicebot.prompts import PromptCache, RenderedScript, render_script
from voicebot.script import Script
from voicebot.tts import PyttsxSynthesizer


def render(it: Opened, script: Script) -> RenderedScript:
    """The script's audio, from the home's cache or made now (SpeechError if it cannot be)."""
    with PyttsxSynthesizer() as synthesizer:
        return render_script(script, PromptCache(it.home.prompts, synthesizer))


def submit(it: Opened, actor: Actor, source: str, script_id: str) -> ScriptVersion:
    """Hand in ``source`` (YAML) as a new version of ``script_id``.

    Raises:
        ScriptError: the format or the order of the opening is wrong.
        NotAllowed: not an author.
    """
    settings = it.home.settings
    source = complaint_contact.filled_in(source, settings.company)
    script = scripts.load(source)
    words = word_check(script.language, settings.policy, it.home.root)
    findings = [
        f"{finding.where}: {finding.requirement}: {finding.reason}"
        for finding in lint.findings_of(script, words, settings.language)
    ]
    rendered = render(it, script)
    return it.store.scripts.submit(
        actor,
        script_id,
        source,
        flow_digest=rendered.script_digest,
        audio_digest=rendered.audio_digest,
        disclosure_end_ms=float(rendered.disclosure_end_ms),
        language=script.language,
        lint_findings=findings,
    )
