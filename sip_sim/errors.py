# SPDX-License-Identifier: GPL-3.0-or-later
"""The errors a user of the simulator can see; each message ends with its remedy."""


class SimulatorError(Exception):
    """The simulator cannot start or go on; the message is one line with the remedy."""


class BehaviourError(SimulatorError):
    """The behaviour file says something the simulator does not understand."""


class KeyFileError(SimulatorError):
    """The signing key cannot be read, written or used."""


class VoiceError(SimulatorError):
    """The callees' words cannot be synthesised."""


class MalformedMessage(ValueError):
    """A datagram is not a SIP message (RFC 3261 section 7)."""
