# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run needs of this machine, looked at before anything is started or written."""

from __future__ import annotations

import contextlib
import errno
import os
import socket

from compliance.errors import ConfigError
from console.speech_models import what_is_missing
from dialer.policies import load_rulebook
from dialer.settings import Home

LONGEST_SOCKET = 107  # bytes of a Unix socket's path on Linux (sockaddr_un)


def check(home: Home) -> None:
    """Raise the first thing that would stop a run of this home from working.

    Raises:
        ConfigError, PolicyError: names the setting, what is wrong and how to mend it.
    """
    load_rulebook(home.settings.policy.profiles, home.policies)
    for found in (*sip_faults(home), *model_faults(home), *socket_faults(home)):
        raise found


def sip_faults(home: Home) -> list[ConfigError]:
    """An address that is not this machine's, or ports that somebody else holds."""
    sip, processes = home.settings.sip, home.settings.dial.processes
    if error := _bind(sip.host, 0):
        return [
            ConfigError(
                f"{sip.host} is no address of this machine ({error})",
                field="candor.toml: sip.host",
                remedy="write the address of this machine on the carrier's network",
            )
        ]
    if not sip.sip_port:
        return []
    faults = []
    for port in range(sip.sip_port, min(sip.sip_port + processes, 65536)):
        if error := _bind(sip.host, port):
            faults.append(
                ConfigError(
                    f"port {port} on {sip.host} cannot be used ({error})",
                    field="candor.toml: sip.sip_port",
                    remedy="stop the program that uses it (another candor dial, perhaps), or "
                    "choose another port; 0 takes any free one",
                )
            )
    return faults


def model_faults(home: Home) -> list[ConfigError]:
    """Speech models that are named in the settings and are no models."""
    faults = []
    for language, name in home.settings.speech.models.items():
        missing = what_is_missing(home.model(language))
        if missing:
            faults.append(
                ConfigError(
                    f"{name!r} is no Vosk model: it lacks {', '.join(missing)}",
                    field=f"candor.toml: speech.models.{language}",
                    remedy="name one of `candor models list`, or install it with "
                    "`candor models install`",
                )
            )
    return faults


def socket_faults(home: Home) -> list[ConfigError]:
    """A home so deep in the tree that its processes cannot find each other."""
    path = home.run / f"speech{home.settings.speech.processes}.sock"
    if len(os.fsencode(path)) <= LONGEST_SOCKET:
        return []
    return [
        ConfigError(
            f"the home's path is too long for a socket ({LONGEST_SOCKET} bytes at most)",
            field="home",
            remedy="move the home to a shorter path",
        )
    ]


def _bind(host: str, port: int) -> str:
    """Why UDP cannot be bound there, or empty."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0][0]
    except (OSError, UnicodeError):
        return "unknown host"
    with contextlib.closing(socket.socket(family, socket.SOCK_DGRAM)) as probe:
        try:
            probe.bind((host, port))
        except OSError as error:
            in_use = error.errno == errno.EADDRINUSE
            return "in use" if in_use else (error.strerror or type(error).__name__)
    return ""
