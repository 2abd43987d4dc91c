# SPDX-License-Identifier: GPL-3.0-or-later
"""Speech as a process of its own: ``python -m voicebot.speech`` serves, :class:`SpeechClient` asks.

Importing this loads no model; the serving side is imported only when it runs.
"""

from __future__ import annotations

import sys

from voicebot.hearing import SpeechStream
from voicebot.speech_client import RemoteStream, SpeechClient

__all__ = ["RemoteStream", "SpeechClient", "SpeechStream"]

if __name__ == "__main__":
    from voicebot.speech_server import main

    sys.exit(main())
