# SPDX-License-Identifier: GPL-3.0-or-later
"""Facts the rules decide on, and the words every package shares.

All values are frozen; times are timezone-aware UTC datetimes; durations carry
their unit in the name. Telephone numbers hide themselves in ``repr`` so that
they cannot slip into a log or an exception (D8).
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from datetime import UTC, datetime

from compliance.evolve import Evolve as Evolve
from compliance.own_numbers import OwnNumber
from compliance.paperwork import (
    NO_PAPERS,
    NO_PARTNER,
    NO_SUPPLIER,
    CampaignPapers,
    PartnerFacts,
    SupplierFacts,
)
from compliance.registries import RegistryLookUp
from compliance.standing import NO_STANDING, Standing

# ---------------------------------------------------------------- people


class Role(enum.StrEnum):
    """What a signed-in person may do (G1, D9)."""

    OPERATOR = "operator"  # imports contacts, launches and stops dial runs
    AUTHOR = "author"  # writes and submits scripts
    COMPLIANCE = "compliance_officer"  # approves scripts, reads evidence
    AUDITOR = "auditor"  # reads ledger, opens recordings with a reason
    ADMIN = "administrator"  # users, lines, keys
    SYSTEM = "system"  # the platform's own scheduled work; cannot sign in


@dataclass(frozen=True, slots=True)
class Actor(Evolve):
    """Who does something. Made by signing in (``storage.people``), never from a flag."""

    id: str
    name: str
    roles: frozenset[Role]
    tenant: str

    def has(self, role: Role) -> bool:
        return role in self.roles


# ---------------------------------------------------------------- numbers


class Number:
    """An E.164 telephone number or, in a lab home, a SIP URI; masked wherever it is printed.

    ``.e164`` is the only way to the digits. Equality and hash use the digits.
    """

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    @property
    def e164(self) -> str:
        return self._value

    @property
    def masked(self) -> str:
        """``+8613912345678`` -> ``139****5678`` (D8); others keep three and two characters."""
        v = self._value
        if v.startswith("+86") and len(v) == 14:
            return f"{v[3:6]}****{v[-4:]}"
        digits = v.removeprefix("sip:").removeprefix("+")
        if len(digits) <= 6:
            return "****"
        return f"{digits[:3]}****{digits[-2:]}"

    def __repr__(self) -> str:
        return f"Number({self.masked})"

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Number) and other._value == self._value

    def __hash__(self) -> int:
        return hash(("Number", self._value))

    def __reduce__(self) -> tuple[type[Number], tuple[str]]:
        return (Number, (self._value,))


def mask_name(name: str) -> str:
    """``王小明`` -> ``王**``; ``Alice Smith`` -> ``A****`` (D8)."""
    name = name.strip()
    if not name:
        return ""
    if any("\u3400" <= c <= "\u9fff" for c in name):
        return name[0] + "*" * (len(name) - 1)
    return name[0] + "****"


# ---------------------------------------------------------------- what is known before a dial


class HomeKind(enum.StrEnum):
    """Fixed when the home is made; decides what may ever be dialed from it."""

    PRODUCTION = "production"
    DEMO = "demo"  # only lines that prove a key issued to `candor sim`
    LAB = "lab"  # only allow-listed SIP URIs on loopback or private addresses


class SourceKind(enum.StrEnum):
    """Where a batch of contacts comes from (D1)."""

    OWN_CRM = "own_crm"
    WEB_FORM = "web_form"
    PARTNER = "partner"  # needs a licence and a provenance document (D2)


@dataclass(frozen=True, slots=True)
class Contact(Evolve):
    """One person to call. ``name`` is personal data and never printed whole."""

    id: str
    number: Number
    name: str = field(default="", repr=False)
    timezone: str = ""  # IANA name; empty: unknown, and unknown refuses (C3)
    source: SourceKind | None = None
    batch: str = ""
    language: str = "zh"
    partner: PartnerFacts = NO_PARTNER  # who gave the batch; asked of source ``partner`` (D2)


@dataclass(frozen=True, slots=True)
class Consent(Evolve):
    """A person's agreement to be called by a robot (D3, D4, D12)."""

    id: str
    company: str  # as named in the text the person ticked
    purpose: str  # purpose code
    channel: str  # web_form, paper, app, …
    given_at: datetime | None
    explicit: bool  # the person acted: a box ticked by hand, a signature
    preticked: bool  # the box was ticked already: not consent (D4)
    names_ai_calling: bool  # the text names intelligent outbound calling (D4)
    evidence: str = field(default="", repr=False)  # digest or reference of the proof
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class PastAttempt(Evolve):
    """An earlier INVITE to the same number, over all campaigns (C4)."""

    id: str
    at: datetime
    campaign: str
    outcome: Outcome | None  # None: not settled yet; counts as dialed


class RefusalScope(enum.StrEnum):
    """How far a "no" reaches (S12); each reaches all that the one before reaches."""

    CAMPAIGN = "campaign"  # the campaign it names
    COMPANY = "company"  # all campaigns of the company; what a callee's "no" means
    EVERYTHING = "everything"  # calls of any kind and purpose, for the profile's longest term


@dataclass(frozen=True, slots=True)
class RefusalRecord(Evolve):
    """The person said no (S11, S12)."""

    at: datetime
    until: datetime  # 6 calendar months after ``at`` under cn_seed
    scope: RefusalScope
    how: str  # key, voice, written, complaint
    campaign: str = ""


@dataclass(frozen=True, slots=True)
class ScriptFacts(Evolve):
    """What the gate must know of a script version (G5, S1)."""

    id: str
    digest: str  # SHA-256 hex over text, flow and rendered audio
    author: str  # actor id
    approved_by: str = ""  # actor id
    approved_digest: str = ""
    disclosure_end_ms: float | None = None  # measured on the rendered audio
    language: str = "zh"


@dataclass(frozen=True, slots=True)
class CampaignFacts(Evolve):
    id: str
    company: str
    purpose: str
    state: str  # draft, running, paused, stopped, done
    launched_by: str = ""  # actor id
    compliance_officer: str = ""  # actor id; empty: nothing launches (G1)
    max_line_concurrency: int = 0  # 0: no limit of its own
    papers: CampaignPapers = NO_PAPERS


@dataclass(frozen=True, slots=True)
class LineFacts(Evolve):
    """A SIP line as the gate sees it (C5, C6, D7)."""

    id: str
    carrier: str
    kind: str  # ai_line, ordinary, 5g, simulator, lab
    address: str  # host:port of the next hop
    caller_id: str
    whitelisted_until: datetime | None = None  # carrier's AI-outbound white list
    registered_until: datetime | None = None  # real-name registration
    filed_until: datetime | None = None  # script filing
    plaintext_exception_until: datetime | None = None  # unencrypted SIP/RTP allowed (D7)
    encrypted: bool = False
    simulator_proven: bool = False  # proved a simulator key a moment ago
    enabled: bool = True
    own_number: OwnNumber | None = None  # of ``caller_id``; None: unknown (C4b)
    supplier: SupplierFacts = NO_SUPPLIER  # whom it was bought from (V1, V2, V4)


@dataclass(frozen=True, slots=True)
class Agent(Evolve):
    """A person at a telephone of ours (S10). ``uri`` is ``sip:extension@host:port``."""

    id: str
    uri: str
    enabled: bool
    busy_with: str = ""  # attempt id
    free_from: datetime | None = None  # end of the wrap-up time


@dataclass(frozen=True, slots=True)
class AgentLegRecord(Evolve):
    """One INVITE to an agent's telephone on behalf of an attempt."""

    id: str
    attempt_id: str
    agent: str
    at: datetime
    connected: bool
    sip_call_id: str
    sip_status: int


@dataclass(frozen=True, slots=True)
class InternalLeg(Evolve):
    """A leg to a registered telephone of ours, for the gate to decide on."""

    home: HomeKind
    subject: str  # agent id
    uri: str
    registered: bool  # stands in the store and is in use
    proven: tuple[str, ...] = ()  # host:port that proved the simulator's key a moment ago


@dataclass(frozen=True, slots=True)
class DialRequest(Evolve):
    """Everything the gate decides on; nothing else may influence the decision."""

    attempt_id: str  # fresh; becomes the attempt's row if permitted
    tenant: str
    home: HomeKind
    contact: Contact
    consents: tuple[Consent, ...]
    attempts: tuple[PastAttempt, ...]  # of this number, newest first
    refusals: tuple[RefusalRecord, ...]
    withdrawn_at: datetime | None  # last withdrawal of consent of this number (S12)
    script: ScriptFacts
    campaign: CampaignFacts
    lines: tuple[LineFacts, ...]
    lab_allow: tuple[str, ...] = ()  # SIP URIs a lab tester confirmed
    stopped_at: datetime | None = None  # the platform-wide emergency stop in force
    clock_ahead_s: float | None = None  # this machine against the database's; None: not measured
    registries: tuple[RegistryLookUp, ...] = ()  # do-not-call lists, each looked up
    standing: Standing = NO_STANDING  # adopted law, exams (G1, G4)
    salt: str = field(default="", repr=False)  # random: the hash in the ledger cannot be guessed


# ---------------------------------------------------------------- decisions


@dataclass(frozen=True, slots=True)
class Finding(Evolve):
    """One rule's verdict. ``message`` is a catalogue id, ``params`` fill it."""

    rule: str  # name of the rule function
    requirement: str  # D1 … P7
    passed: bool
    message: str
    params: tuple[tuple[str, str], ...] = ()
    source: str = ""  # law, article or contract
    earliest: datetime | None = None  # when this rule alone would let the call through
    line: str = ""  # set when the finding is about one line only


@dataclass(frozen=True, slots=True)
class Decision(Evolve):
    """What the gate decided and on what; stored with every attempt and refusal."""

    attempt_id: str
    permitted: bool
    findings: tuple[Finding, ...]
    rulebook: str  # SHA-256 hex of the rulebook
    inputs: str  # SHA-256 hex of the canonical request
    at: datetime
    lines: tuple[str, ...] = ()  # line ids each passed, best first

    @property
    def refusing(self) -> tuple[Finding, ...]:
        return tuple(f for f in self.findings if not f.passed)

    @property
    def line_at(self) -> datetime | None:
        """When time alone gives the first line back; None where it gives back none, and
        where a line is free already."""
        free: dict[str, datetime | None] = {}
        for f in self.findings:
            if f.line and f.passed:
                free.setdefault(f.line, datetime.min.replace(tzinfo=UTC))
            elif f.line:
                known = free.get(f.line, f.earliest)
                free[f.line] = max(known, f.earliest) if known and f.earliest else None
        times = [at for at in free.values() if at is not None]
        first = min(times, default=None)
        return None if first is None or first.year == 1 else first


# ---------------------------------------------------------------- after the call


class Outcome(enum.StrEnum):
    """How an attempt ended: a closed vocabulary. A talk that took place comes first."""

    ACCEPTED = "accepted"  # said yes
    REFUSED = "refused"  # said no by voice or key: on the refusal list
    TRANSFERRED = "transferred"  # asked for a person and was connected to one
    CALLBACK = "callback"  # asked for a person: a ticket is open
    LATER = "later"  # asked to be called at another time
    NO_DECISION = "no_decision"  # talked or silent, no answer to the question
    HUNG_UP = "hung_up"  # the callee ended the call before deciding
    WRONG_NUMBER = "wrong_number"
    VOICEMAIL = "voicemail"
    BUSY = "busy"  # 486, 600
    NO_ANSWER = "no_answer"  # rang out: CANCEL
    REJECTED = "rejected"  # 603, 403
    UNAVAILABLE = "unavailable"  # 480, 408 after ringing: switched off, out of reach
    INVALID_NUMBER = "invalid_number"  # 404, 410, 484, 604
    LINE_FAILED = "line_failed"  # 5xx, no reply, transport error
    CANCELLED = "cancelled"  # we withdrew it: operator's stop, end of hours
    ABORTED = "aborted"  # our side failed in the call: a violation or a crash avoided
    UNKNOWN = "unknown"  # a crash: whether it rang is not known; counts as dialed


class Announcement(enum.StrEnum):
    """What a carrier's voice says instead of an answer, in early media (RFC 3960)."""

    SWITCHED_OFF = "switched_off"  # 已关机
    VACANT = "vacant"  # 空号
    SUSPENDED = "suspended"  # 停机
    ENGAGED = "engaged"  # 正在通话中
    UNREACHABLE = "unreachable"  # 无法接通
    OUT_OF_AREA = "out_of_area"  # 不在服务区


class Blame(enum.StrEnum):
    """Whose doing the outcome is."""

    NOBODY = "nobody"
    CALLEE = "callee"
    CARRIER = "carrier"
    US = "us"


class Speaker(enum.StrEnum):
    BOT = "bot"
    CALLEE = "callee"
    AGENT = "agent"


@dataclass(frozen=True, slots=True)
class TranscriptLine(Evolve):
    """What reached an ear. Milliseconds from answer on the recording's sample clock."""

    speaker: Speaker
    text: str = field(repr=False)
    start_ms: int
    end_ms: int
    interrupted_at_ms: int | None = None  # the bot was cut off here; ``text`` is what was heard
    confidence: float | None = None
    mark: str = ""  # disclosure, purpose, recording_notice, way_out, question, farewell …
    flags: tuple[str, ...] = ()  # requirements its words touch; the bot's: of what it did not say


@dataclass(frozen=True, slots=True)
class KeyPress(Evolve):
    digit: str
    at_ms: int


@dataclass(frozen=True, slots=True)
class CallRecord(Evolve):
    """What one attempt leaves behind; ``store.finish`` makes it durable in one transaction."""

    attempt_id: str
    outcome: Outcome
    blame: Blame
    line: str
    sip_call_id: str = ""
    sip_status: int = 0  # last final status; 0: none
    sip_reason: str = ""
    invited_at: datetime | None = None
    ringing_at: datetime | None = None
    answered_at: datetime | None = None
    ended_at: datetime | None = None
    ended_by: str = ""  # bot, callee, nobody
    duration_ms: int = 0  # answer to end
    disclosed_ms: int | None = None  # end of the robot-and-company words, on the frames sent
    notice_ms: int | None = None  # end of the recording notice; None: not completed (S4)
    refused: bool = False
    refused_ms: int | None = None  # end of the refusing words, or the key press
    farewell_ms: int | None = None  # start of the farewell
    transferred: bool = False
    transferred_ms: int | None = None  # answer to being connected to a person
    agent: str = ""  # the person's id
    announcement: str = ""  # of ``Announcement``: what the carrier said before any answer
    callback: bool = False
    feedback: str = ""  # last spoken or keyed answer as an intent name (T1)
    transcript: tuple[TranscriptLine, ...] = ()
    keys: tuple[KeyPress, ...] = ()
    recording: str = ""  # recording id; empty: nothing recorded
    violations: tuple[str, ...] = ()  # what our side did wrong, by requirement id
    max_gap_ms: int = 0  # longest hole in the sent audio


@dataclass(frozen=True, slots=True)
class Claim(Evolve):
    """A leased contact: the lease's fencing token and the facts for the gate."""

    lease_id: str
    fencing: int
    request: DialRequest
    leased_until: datetime


@dataclass(frozen=True, slots=True)
class Attempt(Evolve):
    """A committed attempt: it counts from here (C4)."""

    id: str
    campaign: str
    contact: str
    line: str
    at: datetime
    ledger_leaf: str  # SHA-256 hex of the entry; its index follows within 1 s
