# SPDX-License-Identifier: GPL-3.0-or-later
"""A time-stamping authority for tests: ``openssl ts`` behind HTTP on loopback."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

_SETTINGS = """
[tsa]
default_tsa = tsa1
[tsa1]
dir = {folder}
serial = {folder}/serial
signer_cert = {folder}/tsa.pem
signer_key = {folder}/tsa.key
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = sha256
accuracy = secs:1
[signer]
extendedKeyUsage = critical,timeStamping
basicConstraints = CA:FALSE
[req]
distinguished_name = name
[name]
"""


def _openssl(*words: str, **options: object) -> bytes:
    command = ["openssl", *words]
    return subprocess.run(command, check=True, capture_output=True, **options).stdout  # type: ignore[call-overload, no-any-return]


def make_authority(folder: Path, name: str = "Test TSA") -> None:
    """Root certificate ``root.pem`` and a signer for time stamps, valid for a few days."""
    folder.mkdir()
    (folder / "serial").write_text("01")
    settings = folder / "ts.cnf"
    settings.write_text(_SETTINGS.format(folder=folder))
    for who in ("root", "tsa"):
        _openssl("genrsa", "-out", str(folder / f"{who}.key"), "2048")
    _openssl(
        "req", "-x509", "-new", "-key", str(folder / "root.key"), "-subj", f"/CN={name} root",
        "-days", "9", "-out", str(folder / "root.pem"),
    )  # fmt: skip
    request = _openssl(
        "req", "-new", "-key", str(folder / "tsa.key"), "-subj", f"/CN={name}",
        "-config", str(settings),
    )  # fmt: skip
    _openssl(
        "x509", "-req", "-CA", str(folder / "root.pem"), "-CAkey", str(folder / "root.key"),
        "-CAcreateserial", "-days", "9", "-extfile", str(settings), "-extensions", "signer",
        "-out", str(folder / "tsa.pem"), input=request,
    )  # fmt: skip


@contextmanager
def authority(folder: Path) -> Iterator[str]:
    """Answer time-stamp queries while the block runs; yields the address."""

    class Answer(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            query = folder / "query.tsq"
            query.write_bytes(self.rfile.read(int(self.headers["Content-Length"])))
            settings = ("-config", str(folder / "ts.cnf"))
            reply = _openssl("ts", "-reply", "-queryfile", str(query), *settings)
            self.send_response(200)
            self.send_header("Content-Type", "application/timestamp-reply")
            self.end_headers()
            self.wfile.write(reply)

        def log_message(self, *_: object) -> None:
            """Nothing on the screen."""

    server = HTTPServer(("127.0.0.1", 0), Answer)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
