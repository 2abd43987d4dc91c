# SPDX-License-Identifier: GPL-3.0-or-later
"""Real SIP peers on loopback for the wire tests: SIPp, and permits made by the real gate."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from compliance.clock import SystemClock
from compliance.facts import Number
from compliance.gate import authorize
from compliance.permits import Permit, Refusal
from dialer.lines import Line
from tests.unit.compliance.builders import demo_request, line, shipped_rulebook

SIPP = shutil.which("sipp")


def free_port(kind: socket.SocketKind = socket.SOCK_DGRAM) -> int:
    """A port that was free a moment ago."""
    with socket.socket(socket.AF_INET, kind) as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


@contextlib.contextmanager
def sipp(folder: Path, *, scenario: str = "", calls: int = 1, echo: bool = True) -> Iterator[Line]:
    """SIPp as the callee: its built-in ``uas``, or ``scenario`` (XML). Yields the line to it."""
    assert SIPP, "the package sip-tester is missing: apt install sip-tester"
    port, media = free_port(), 2 * (free_port() // 2)
    command = [SIPP, "-i", "127.0.0.1", "-p", str(port), "-mi", "127.0.0.1", "-mp", str(media)]
    command += ["-m", str(calls), "-nostdin", "-timeout", "40"]
    if echo:
        command.append("-rtp_echo")
    if scenario:
        (folder / "scenario.xml").write_text(scenario)
        command += ["-sf", str(folder / "scenario.xml"), "-trace_msg", "-message_file", "sip.log"]
    else:
        command += ["-sn", "uas"]
    process = subprocess.Popen(
        command,
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "TERM": "dumb"},
    )
    try:
        _wait_bound(port)
        yield Line("line-1", f"127.0.0.1:{port}", "4008887686")
    finally:
        process.terminate()
        process.wait(10)


def _wait_bound(port: int) -> None:
    until = time.monotonic() + 5
    while time.monotonic() < until:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            try:
                sock.bind(("127.0.0.1", port))
            except OSError:
                return
        time.sleep(0.02)
    raise AssertionError("sipp does not listen")


def permit(number: str = "+8613900000101", *, commit: bool = True, address: str = "") -> Permit:
    """A real permit for line-1 from the gate, confirmed as ``store.authorise`` would."""
    request = demo_request(contact__number=Number(number))
    proven = line(
        id="line-1",
        kind="simulator",
        address=address or "127.0.0.1:5070",
        encrypted=False,
        simulator_proven=True,
        plaintext_exception_until=datetime.fromisoformat("2099-01-01T00:00:00+00:00"),
    )
    verdict = authorize(request.evolve(lines=(proven,)), shipped_rulebook("demo"), SystemClock())
    assert not isinstance(verdict, Refusal), [f.rule for f in verdict.decision.refusing]
    if commit:
        verdict.confirm_committed()
    return verdict


ANSWER_SDP = """      Content-Type: application/sdp
      Content-Length: [len]

      v=0
      o=peer 1 1 IN IP4 127.0.0.1
      s=-
      c=IN IP4 127.0.0.1
      t=0 0
      m=audio [media_port] RTP/AVP 8
      a=rtpmap:8 PCMA/8000
"""


def answer(status: str, *, sdp: bool = False, extra: str = "") -> str:
    """A SIPp ``<send>`` of one response to the INVITE."""
    body = ANSWER_SDP if sdp else "      Content-Length: 0\n\n"
    return f"""  <send>
    <![CDATA[
      SIP/2.0 {status}
      [last_Via:]
      [last_From:]
      [last_To:];tag=[pid]peer[call_number]
      [last_Call-ID:]
      [last_CSeq:]
      Contact: <sip:peer@127.0.0.1:[local_port]>
{extra}{body}
    ]]>
  </send>
"""


def scenario(*steps: str) -> str:
    """A SIPp scenario that begins with the INVITE."""
    body = "".join(steps)
    head = '<?xml version="1.0"?>\n<scenario name="t">\n  <recv request="INVITE"/>\n'
    return f"{head}{body}</scenario>\n"


ACK = '  <recv request="ACK"/>\n'
BYE = '  <recv request="BYE"/>\n'
OK = """  <send>
    <![CDATA[
      SIP/2.0 200 OK
      [last_Via:]
      [last_From:]
      [last_To:]
      [last_Call-ID:]
      [last_CSeq:]
      Content-Length: 0

    ]]>
  </send>
"""
