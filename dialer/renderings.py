# SPDX-License-Identifier: GPL-3.0-or-later
"""The audio of a signed script version, made again and held against what was signed (G5)."""

from __future__ import annotations

from compliance.errors import ScriptError
from dialer.settings import Home
from storage.scripts import ScriptVersion, version_digest
from voicebot import script as scripts
from voicebot.prompts import PromptCache, RenderedScript, render_script
from voicebot.tts import PyttsxSynthesizer


def render(home: Home, version: ScriptVersion) -> RenderedScript:
    """The version's audio, from the home's cache or made now.

    Raises:
        ScriptError: its text is no script any more. SpeechError: the synthesizer failed.
    """
    with PyttsxSynthesizer() as synthesizer:
        cache = PromptCache(home.prompts, synthesizer)
        return render_script(scripts.load(version.text), cache)


def is_signed(version: ScriptVersion, rendered: RenderedScript) -> bool:
    """Whether this very text, flow and audio were approved."""
    measured = version_digest(version.text, rendered.script_digest, rendered.audio_digest)
    return bool(version.approved_digest) and measured == version.approved_digest


def approved(home: Home, version: ScriptVersion) -> RenderedScript:
    """The version rendered, and proven to be the very one that was approved.

    Raises:
        ScriptError: it is not. SpeechError: the synthesizer failed.
    """
    rendered = render(home, version)
    if not is_signed(version, rendered):
        raise ScriptError(
            "the audio rendered here differs from what was approved",
            field="script",
            remedy="submit the script again and have it approved",
        )
    return rendered
