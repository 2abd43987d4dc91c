# SPDX-License-Identifier: GPL-3.0-or-later
"""SIP messages: parsing that survives garbage, and building (RFC 3261 sections 7 and 20)."""

import re
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import unquote

from sip_sim.errors import MalformedMessage

Address = tuple[str, int]
Headers = list[tuple[str, str]]

_COMPACT: Final = {
    "i": "call-id",
    "m": "contact",
    "e": "content-encoding",
    "l": "content-length",
    "c": "content-type",
    "f": "from",
    "s": "subject",
    "k": "supported",
    "t": "to",
    "v": "via",
    "o": "event",
    "r": "refer-to",
    "b": "referred-by",
    "x": "session-expires",
}
_TOKEN: Final = re.compile(r"[A-Za-z0-9\-.!%*_+`'~]+\Z")
_VIA: Final = re.compile(
    r"\s*SIP\s*/\s*2\.0\s*/\s*(?P<transport>\w+)\s+"
    r"(?P<host>\[[^\]]+\]|[^\s:;]+)(?:\s*:\s*(?P<port>\d{1,5}))?\s*(?P<params>;.*)?\Z",
    re.DOTALL,
)
_URI: Final = re.compile(
    r"(?P<scheme>sips?):(?:(?P<user>[^@]*)@)?(?P<host>\[[^\]]+\]|[^:;?>\s]+)(?::(?P<port>\d{1,5}))?",
    re.IGNORECASE,
)

REASONS: Final = {
    100: "Trying",
    180: "Ringing",
    183: "Session Progress",
    200: "OK",
    302: "Moved Temporarily",
    400: "Bad Request",
    404: "Not Found",
    405: "Method Not Allowed",
    408: "Request Timeout",
    415: "Unsupported Media Type",
    420: "Bad Extension",
    480: "Temporarily Unavailable",
    481: "Call/Transaction Does Not Exist",
    482: "Loop Detected",
    486: "Busy Here",
    487: "Request Terminated",
    488: "Not Acceptable Here",
    491: "Request Pending",
    500: "Server Internal Error",
    501: "Not Implemented",
    503: "Service Unavailable",
    505: "Version Not Supported",
    603: "Decline",
}
"""Default reason phrases (RFC 3261 section 21)."""


@dataclass
class Message(ABC):
    """What requests and responses share: ordered headers and a body."""

    headers: Headers = field(default_factory=list)
    body: bytes = b""

    def get(self, name: str) -> str | None:
        """First value of a header, by its long name in any case."""
        wanted = name.lower()
        return next((v for n, v in self.headers if n.lower() == wanted), None)

    def values(self, name: str) -> list[str]:
        """All values of a header field, comma lists taken apart (section 7.3.1)."""
        wanted = name.lower()
        return [part for n, v in self.headers if n.lower() == wanted for part in split_list(v)]

    @property
    def call_id(self) -> str:
        """Call-ID, empty when missing."""
        return (self.get("call-id") or "").strip()

    @property
    def cseq(self) -> tuple[int, str]:
        """CSeq number and method; (-1, "") when missing or not a number (section 20.16)."""
        parts = (self.get("cseq") or "").split()
        if len(parts) != 2 or not parts[0].isascii() or not parts[0].isdigit():
            return -1, ""
        number = int(parts[0][:12])
        return (number, parts[1]) if number < 2**31 else (-1, "")

    @property
    def from_tag(self) -> str:
        """Tag of the From header, empty when missing."""
        return param(self.get("from") or "", "tag") or ""

    @property
    def to_tag(self) -> str:
        """Tag of the To header, empty when missing."""
        return param(self.get("to") or "", "tag") or ""

    @property
    def branch(self) -> str:
        """Branch of the topmost Via, empty when missing."""
        vias = self.values("via")
        return (param(vias[0], "branch") or "") if vias else ""

    @abstractmethod
    def _start_line(self) -> str:
        """Request-Line or Status-Line (section 7), without its line end."""

    def serialize(self) -> bytes:
        """The datagram; Content-Length is always ours (section 18.3)."""
        lines = [self._start_line()]
        lines += [f"{n}: {v}" for n, v in self.headers if n.lower() != "content-length"]
        lines.append(f"Content-Length: {len(self.body)}")
        head = "\r\n".join(lines) + "\r\n\r\n"
        return head.encode("utf-8", "surrogateescape") + self.body


@dataclass
class Request(Message):
    """A SIP request (section 7.1)."""

    method: str = ""
    uri: str = ""

    def _start_line(self) -> str:
        return f"{self.method} {self.uri} SIP/2.0"


@dataclass
class Response(Message):
    """A SIP response (section 7.2)."""

    status: int = 0
    reason: str = ""

    def _start_line(self) -> str:
        return f"SIP/2.0 {self.status} {self.reason}"


def parse(datagram: bytes) -> Request | Response:
    """Take a datagram apart, or raise MalformedMessage.

    Header names come out long and lower case; folded lines are joined (section 7.3.1); bytes
    after Content-Length are dropped and a body shorter than announced is an error (section 18.3).
    """
    text = datagram.lstrip(b"\r\n")
    head, separator, body = text.partition(b"\r\n\r\n")
    if not separator:
        head, _, body = text.partition(b"\n\n")
    lines = re.split(r"\r?\n", head.decode("utf-8", "surrogateescape"))
    headers: Headers = []
    for line in lines[1:]:
        if line[:1] in (" ", "\t"):
            if not headers:
                raise MalformedMessage("continuation line before any header")
            headers[-1] = (headers[-1][0], f"{headers[-1][1]} {line.strip()}")
        elif line.strip():
            name, colon, value = line.partition(":")
            name = name.strip().lower()
            if not colon or not _TOKEN.match(name):
                raise MalformedMessage("header line without a name")
            headers.append((_COMPACT.get(name, name), value.strip()))
    message = _start(lines[0])
    message.headers = headers
    message.body = _body(message, body)
    return message


def _start(line: str) -> Request | Response:
    first = line.split(" ")
    if first[0].upper() == "SIP/2.0":
        if len(first) < 2 or not re.fullmatch(r"[1-6]\d\d", first[1]):
            raise MalformedMessage("status line without a status code")
        return Response(status=int(first[1]), reason=" ".join(first[2:]))
    if len(first) != 3 or not _TOKEN.match(first[0]) or not first[1]:
        raise MalformedMessage("not a request line")
    if first[2].upper() != "SIP/2.0":
        raise MalformedMessage("not SIP/2.0")
    return Request(method=first[0], uri=first[1])


def _body(message: Message, body: bytes) -> bytes:
    announced = message.get("content-length")
    if announced is None:
        return body
    if not announced.isascii() or not announced.isdigit() or len(announced) > 9:
        raise MalformedMessage("Content-Length is not a number")
    if int(announced) > len(body):
        raise MalformedMessage("body shorter than Content-Length")
    return body[: int(announced)]


def _scan(text: str, separator: str) -> list[str]:
    """Split at a separator outside quotes and angle brackets."""
    parts, start, quoted, depth, escaped = [], 0, False, 0, False
    for position, character in enumerate(text):
        if escaped:
            escaped = False
        elif quoted:
            escaped, quoted = character == "\\", character != '"'
        elif character == '"':
            quoted = True
        elif character == "<":
            depth += 1
        elif character == ">":
            depth = max(0, depth - 1)
        elif character == separator and not depth:
            parts.append(text[start:position])
            start = position + 1
    return [*parts, text[start:]]


def split_list(value: str) -> list[str]:
    """Elements of a comma-separated header value; commas in quotes or <> do not count."""
    return [part.strip() for part in _scan(value, ",") if part.strip()]


def param(value: str, name: str) -> str | None:
    """A header parameter (after the address, outside <>), "" for a flag, None when absent."""
    for part in _scan(value, ";")[1:]:
        key, _, content = part.partition("=")
        if key.strip().lower() == name:
            return content.strip().strip('"')
    return None


def address_uri(value: str) -> str:
    """The URI of a From, To, Contact, Route or Record-Route value (section 20.10)."""
    bracketed = re.search(r"<([^>]*)>", re.sub(r'"(?:\\.|[^"\\])*"', "", value))
    return (bracketed.group(1) if bracketed else _scan(value, ";")[0]).strip()


def uri_address(uri: str, default_port: int = 5060) -> Address | None:
    """Host and port of a sip: URI, None when it is not one."""
    match = _URI.match(uri.strip())
    if not match:
        return None
    port = int(match["port"] or default_port)
    return (match["host"].strip("[]"), port) if port < 65536 else None


def dialed_number(uri: str) -> str:
    """User part of a Request-URI without parameters and visual separators; "" when there is none.

    >>> dialed_number("sip:+86-139-0000-0101@192.0.2.1;user=phone")
    '+8613900000101'
    """
    match = _URI.match(uri.strip())
    user = (match["user"] or "") if match else ""
    if uri.lower().startswith("tel:"):
        user = uri[4:]
    return re.sub(r"[\s\-.()]", "", unquote(user.split(";")[0].split(":")[0]))


def response_address(request: Request, source: Address) -> Address:
    """Where a response to a request goes (RFC 3261 section 18.2.2, RFC 3581)."""
    via = request.values("via")
    match = _VIA.match(via[0]) if via else None
    if not match or param(via[0], "rport") is not None:
        return source
    port = int(match["port"] or 5060)
    return (source[0], port if 0 < port < 65536 else source[1])


def via_is_valid(value: str) -> bool:
    """Whether a Via value can be read at all (section 20.42)."""
    return _VIA.match(value) is not None


def make_response(
    request: Request,
    status: int,
    *,
    source: Address,
    reason: str | None = None,
    to_tag: str = "",
    headers: Headers | None = None,
    body: bytes = b"",
) -> Response:
    """A response with the headers section 8.2.6.2 copies; received and rport are filled in."""
    vias = request.values("via")
    if vias:
        top = vias[0]
        top = re.sub(r";\s*rport\s*(?=;|\Z)", f";rport={source[1]}", top, count=1)
        vias[0] = f"{top};received={source[0]}"
    to = request.get("to") or ""
    if to_tag and status > 100 and param(to, "tag") is None:
        to = f"{to};tag={to_tag}"
    copied: Headers = [("Via", via) for via in vias]
    copied += [("From", request.get("from") or ""), ("To", to)]
    copied += [("Call-ID", request.call_id), ("CSeq", request.get("cseq") or "")]
    if 100 < status < 300:
        copied += [("Record-Route", value) for value in request.values("record-route")]
    return Response(
        status=status,
        reason=REASONS.get(status, "Unknown") if reason is None else reason,
        headers=copied + (headers or []),
        body=body,
    )
