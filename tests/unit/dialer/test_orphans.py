# SPDX-License-Identifier: GPL-3.0-or-later
"""The BYE sent in place of a process that died (RFC 3261 §12.2.1.1)."""

from __future__ import annotations

import socket
import threading

from dialer.orphans import Dialog, bye, dialog_of, say_goodbye

ANSWER = (
    "SIP/2.0 200 OK\r\n"
    "Via: SIP/2.0/UDP 127.0.0.1:5060;branch=z9hG4bK1\r\n"
    "Record-Route: <sip:p2;lr>\r\n"
    "Record-Route: <sip:p1;lr>\r\n"
    "f: <sip:400@127.0.0.1>;tag=us\r\n"
    "To: <sip:139@127.0.0.1>;tag=them\r\n"
    "Call-ID: abc\r\n"
    "CSeq: 7 INVITE\r\n"
    'Contact: "x" <sip:callee@127.0.0.1:5070;ob>\r\n'
    "Content-Length: 0\r\n\r\n"
)


def test_the_dialog_of_an_answer() -> None:
    dialog = dialog_of(ANSWER, "127.0.0.1:5070")
    assert dialog == Dialog(
        call_id="abc",
        local="<sip:400@127.0.0.1>;tag=us",
        remote="<sip:139@127.0.0.1>;tag=them",
        target="sip:callee@127.0.0.1:5070;ob",
        route=("<sip:p1;lr>", "<sip:p2;lr>"),
        cseq=7,
        peer="127.0.0.1:5070",
    )
    assert dialog is not None
    assert Dialog.from_json(dialog.to_json()) == dialog


def test_an_answer_without_contact_makes_no_dialog() -> None:
    assert dialog_of(ANSWER.replace("Contact", "X-Contact"), "127.0.0.1:1") is None
    assert dialog_of("", "127.0.0.1:1") is None


def test_the_bye_follows_the_dialog() -> None:
    dialog = dialog_of(ANSWER, "127.0.0.1:5070")
    assert dialog is not None
    text = bye(dialog, "127.0.0.1:9").decode()
    assert text.startswith("BYE sip:callee@127.0.0.1:5070;ob SIP/2.0\r\n")
    assert "\r\nCSeq: 1007 BYE\r\n" in text
    assert text.index("Route: <sip:p1;lr>") < text.index("Route: <sip:p2;lr>")
    assert text.endswith("\r\n\r\n")


def test_goodbye_is_said_again_until_answered() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
        peer.bind(("127.0.0.1", 0))
        peer.settimeout(5)
        seen: list[bytes] = []

        def answer_the_second() -> None:
            for _ in range(2):
                data, address = peer.recvfrom(4096)
                seen.append(data)
            peer.sendto(b"SIP/2.0 200 OK\r\n\r\n", address)

        thread = threading.Thread(target=answer_the_second)
        thread.start()
        dialog = dialog_of(ANSWER, f"127.0.0.1:{peer.getsockname()[1]}")
        assert dialog is not None
        assert say_goodbye(dialog)
        thread.join()
        assert seen[0] == seen[1]


def test_nobody_there() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as gone:
        gone.bind(("127.0.0.1", 0))
        port = gone.getsockname()[1]
    dialog = dialog_of(ANSWER, f"127.0.0.1:{port}")
    assert dialog is not None
    assert not say_goodbye(dialog, timeout_s=0.3)
