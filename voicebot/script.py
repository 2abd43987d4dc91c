# SPDX-License-Identifier: GPL-3.0-or-later
"""A call script: what the bot says, in which order, and where each answer leads.

The opening always runs disclosure, purpose, recording notice, way out (S1, S3, S4, S10);
then a graph of nodes. :func:`parse` is pure and strict; :func:`load` reads YAML. The format
is described in ``docs/script.md``.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from compliance.errors import ScriptError
from compliance.facts import Evolve, Outcome
from voicebot.intents import Intent

SCHEMA = "candor.script/1"
OPENING = ("disclosure", "purpose", "recording_notice", "way_out")
LINES = (
    "refusal",
    "connecting",
    "human",
    "robot",
    "lost",
    "goodbye",
    "later",
    "wrong_number",
    "complaint",
    "unclear",
)
"""Lines every script brings along, because every state can need them."""

SAFE = "safe"
"""The line said in place of words that must not be said (S9); approved with the script."""

_SAFE_WORDS = {
    "zh": "抱歉，这部分内容我不便介绍。",
    "en": "Sorry, I cannot say more about that.",
}
SLOTS = ("name", "interest")
"""Values of a contact that may stand in a prompt; checked for each call (S9)."""

FAREWELLS = frozenset({"refusal", "human", "lost", "goodbye", "later", "wrong_number", "complaint"})
MARKS = frozenset({"question", "answer", "details", "farewell", "prompt"})
WAY_OUT_KEY = "1"
RATE_WPM = (80, 300)
DEFAULT_VOICE = {"zh": "sit/cmn", "en": "gmw/en-us"}

# The same words decide what counts as the robot word, its notice and its way out.
_ROBOT = {
    "zh": re.compile(r"机器人|智能语音|人工智能|AI"),
    "en": re.compile(r"robot|automated|\bAI\b"),
}
_LENGTH = {"zh": re.compile(r"分钟|秒"), "en": re.compile(r"minute|second")}
_RECORDING = {"zh": re.compile(r"录音"), "en": re.compile(r"record")}
_PRESS_ONE = {"zh": re.compile(r"按[一1]"), "en": re.compile(r"press (one|1)")}
_HUMAN = {"zh": re.compile(r"转人工|人工"), "en": re.compile(r"agent|person|human|operator")}
_SLOT = re.compile(r"\{([a-z_]+)\}")
# Answers that work in every state; a node cannot take them away (S10, S11).
_RESERVED = frozenset(
    {Intent.REFUSAL, Intent.HUMAN, Intent.COMPLAINT, Intent.ABUSE, Intent.WRONG_NUMBER,
     Intent.ROBOT_QUESTION, Intent.UNKNOWN, Intent.REPEAT}
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Prompt(Evolve):
    """Something the bot says. ``closing``: the call ends after it, so no pause follows."""

    id: str
    text: str
    mark: str
    closing: bool = False

    @property
    def slots(self) -> tuple[str, ...]:
        """Names of the contact's values in ``text``; non-empty: its audio is personal data."""
        return tuple(_SLOT.findall(self.text))


@dataclass(frozen=True, slots=True)
class Fallback(Evolve):
    """Ask again ``repeat`` times, then go to node ``then``."""

    repeat: int
    then: str


@dataclass(frozen=True, slots=True)
class Node(Evolve):
    """One step: say ``prompt``, then end, go on to ``next``, or listen and follow ``expect``."""

    id: str
    prompt: str
    interruptible: bool = True
    expect: tuple[tuple[str, str], ...] = ()  # intent name or digit -> node id
    on_silence: Fallback | None = None
    on_unknown: Fallback | None = None
    next: str = ""
    end: Outcome | None = None
    listen_ms: int = 5000

    def target(self, answer: str) -> str | None:
        return dict(self.expect).get(answer)

    @property
    def targets(self) -> tuple[str, ...]:
        """Every node this one can lead to."""
        falls = tuple(f.then for f in (self.on_silence, self.on_unknown) if f)
        return tuple(t for _, t in self.expect) + falls + ((self.next,) if self.next else ())


@dataclass(frozen=True, slots=True)
class Script(Evolve):
    """A validated script; ``voice`` and ``rate`` (words a minute) go to the synthesizer."""

    id: str
    language: str
    company: str
    voice: str
    rate: int
    prompts: tuple[Prompt, ...]
    nodes: tuple[Node, ...]
    start: str
    max_call_ms: int = 180_000

    def prompt(self, id: str) -> Prompt:
        return next(p for p in self.prompts if p.id == id)

    def node(self, id: str) -> Node:
        return next(n for n in self.nodes if n.id == id)


def line_id(name: str) -> str:
    """Prompt id of one of :data:`LINES`."""
    return f"line.{name}"


def load(source: Path | str) -> Script:
    """Read a script from a path or from YAML text.

    Raises:
        ScriptError: unreadable, not YAML, or not a valid script.
    """
    if isinstance(source, Path):
        try:
            source = source.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as e:
            raise ScriptError(
                f"the script cannot be read ({type(e).__name__})",
                remedy="give the path of a readable UTF-8 YAML file",
            ) from e
    try:
        document = yaml.safe_load(source)
    except yaml.YAMLError as e:
        mark = getattr(e, "problem_mark", None)
        raise ScriptError(
            "not valid YAML",
            row=mark.line + 1 if mark else None,
            remedy="mend the indentation or quoting at that row",
        ) from e
    return parse(document)


def parse(document: object) -> Script:
    """Build and check a :class:`Script` from what the YAML holds.

    Raises:
        ScriptError: naming the field, what is wrong and what to write instead.
    """
    top = _mapping(document, "script")
    _only(
        top,
        {"schema", "id", "language", "company", "voice", "rate", "max_call_s", "opening", "lines",
         "start", "nodes", "claims"},
        "script",
    )  # fmt: skip
    _check_claims(top.get("claims", []))
    if top.get("schema") != SCHEMA:
        raise ScriptError("unknown format", field="schema", remedy=f"write schema: {SCHEMA}")
    language = _text(top, "language", "script")
    if language not in _ROBOT:
        raise ScriptError("unknown language", field="language", remedy="write zh or en")
    opening = _opening(_mapping(top.get("opening"), "opening"))
    lines = _lines(_mapping(top.get("lines"), "lines"), language)
    nodes, said = _nodes(_mapping(top.get("nodes"), "nodes"))
    script = Script(
        id=_text(top, "id", "script"),
        language=language,
        company=_text(top, "company", "script"),
        voice=_text(top, "voice", "script", default=DEFAULT_VOICE[language]),
        rate=_number(top, "rate", "script", *RATE_WPM),
        prompts=opening + said + lines,
        nodes=nodes,
        start=_text(top, "start", "script"),
        max_call_ms=1000 * _number(top, "max_call_s", "script", 20, 900, default=180),
    )
    _check_opening(script)
    _check_slots(script)
    _check_graph(script)
    return script


def digest(script: Script) -> str:
    """SHA-256 hex over everything a listener could hear and every branch (G5)."""

    def plain(value: Any) -> Any:
        if hasattr(value, "__dataclass_fields__"):
            return {f: plain(getattr(value, f)) for f in sorted(value.__dataclass_fields__)}
        return [plain(v) for v in value] if isinstance(value, tuple) else value

    canonical = json.dumps(plain(script), ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(f"{SCHEMA}\n{canonical}".encode()).hexdigest()


# ---------------------------------------------------------------- parts


def _check_claims(claims: object) -> None:
    """Claims are evidence for whoever signs (S7); nothing of them is spoken."""
    if not isinstance(claims, list):
        raise ScriptError("is a list", field="claims", remedy="write - text: … and paper: …")
    for place, claim in enumerate(claims, 1):
        at = f"claims[{place}]"
        entry = _mapping(claim, at)
        _only(entry, {"text", "paper"}, at)
        _text(entry, "text", at)
        if not isinstance(entry.get("paper", ""), str):
            raise ScriptError("is the id of a filed paper", field=f"{at}.paper", remedy="quote it")


def _opening(table: Mapping[str, Any]) -> tuple[Prompt, ...]:
    _only(table, set(OPENING), "opening")
    return tuple(Prompt(name, _text(table, name, "opening"), name) for name in OPENING)


def _lines(table: Mapping[str, Any], language: str) -> tuple[Prompt, ...]:
    _only(table, {*LINES, SAFE}, "lines")
    safe = _text(table, SAFE, "lines", default=_SAFE_WORDS[language])
    if _SLOT.search(safe):
        raise ScriptError(
            "holds a contact's value",
            field=f"lines.{SAFE}",
            remedy="keep it the same for everybody: it replaces words that must not be said",
        )
    lines = [
        Prompt(
            line_id(name),
            _text(table, name, "lines"),
            "farewell" if name in FAREWELLS else "answer",
            closing=name in FAREWELLS,
        )
        for name in LINES
    ]
    return (*lines, Prompt(line_id(SAFE), safe, SAFE))


def _nodes(table: Mapping[str, Any]) -> tuple[tuple[Node, ...], tuple[Prompt, ...]]:
    nodes: list[Node] = []
    prompts: list[Prompt] = []
    for key, value in table.items():
        id = str(key)
        at = f"nodes.{id}"
        entry = _mapping(value, at)
        _only(
            entry,
            {"say", "mark", "interruptible", "expect", "on_silence", "on_unknown", "next", "end",
             "listen_s"},
            at,
        )  # fmt: skip
        end = _outcome(entry["end"], at) if "end" in entry else None
        if sum(("end" in entry, "next" in entry, "expect" in entry)) != 1:
            raise ScriptError(
                "needs exactly one of expect, next, end",
                field=at,
                remedy="say how the call goes on after this node",
            )
        mark = _text(entry, "mark", at, default="prompt")
        if mark not in MARKS:
            raise ScriptError(
                "unknown mark", field=f"{at}.mark", remedy=f"use one of {', '.join(sorted(MARKS))}"
            )
        interruptible = entry.get("interruptible", True)
        if not isinstance(interruptible, bool):
            raise ScriptError("not yes or no", field=f"{at}.interruptible", remedy="true or false")
        prompts.append(Prompt(f"node.{id}", _text(entry, "say", at), mark, closing=end is not None))
        nodes.append(
            Node(
                id=id,
                prompt=f"node.{id}",
                interruptible=interruptible,
                expect=_expect(entry.get("expect"), at),
                on_silence=_fallback(entry, "on_silence", at),
                on_unknown=_fallback(entry, "on_unknown", at),
                next=_text(entry, "next", at, default=""),
                end=end,
                listen_ms=1000 * _number(entry, "listen_s", at, 1, 30, default=5),
            )
        )
    return tuple(nodes), tuple(prompts)


def _expect(value: object, at: str) -> tuple[tuple[str, str], ...]:
    if value is None:
        return ()
    pairs = []
    for key, target in _mapping(value, f"{at}.expect").items():
        # YAML 1.1 reads a bare `yes` as true.
        answer = (
            {True: "yes", False: "no"}.get(key, str(key)) if isinstance(key, bool) else str(key)
        )
        known = answer in set(Intent) or (len(answer) == 1 and answer in "023456789*#")
        if not known or answer in _RESERVED:
            raise ScriptError(
                f"{answer!r} cannot be expected here",
                field=f"{at}.expect",
                remedy="use yes, later, question, greeting or a key other than 1; refusal, human "
                "and key 1 work everywhere by themselves",
            )
        pairs.append((answer, str(target)))
    return tuple(pairs)


def _fallback(entry: Mapping[str, Any], key: str, at: str) -> Fallback | None:
    listens = "expect" in entry
    if key not in entry:
        if listens:
            raise ScriptError(
                "missing", field=f"{at}.{key}", remedy="write {repeat: 1, then: NODE}"
            )
        return None
    if not listens:
        raise ScriptError(
            "only for nodes that expect an answer", field=f"{at}.{key}", remedy="remove it"
        )
    table = _mapping(entry[key], f"{at}.{key}")
    _only(table, {"repeat", "then"}, f"{at}.{key}")
    return Fallback(
        _number(table, "repeat", f"{at}.{key}", 0, 3), _text(table, "then", f"{at}.{key}")
    )


def _outcome(value: object, at: str) -> Outcome:
    allowed = {Outcome.ACCEPTED, Outcome.LATER, Outcome.NO_DECISION, Outcome.CALLBACK}
    try:
        outcome = Outcome(str(value))
    except ValueError:
        outcome = Outcome.UNKNOWN
    if outcome not in allowed:
        raise ScriptError(
            "not an outcome a script may give",
            field=f"{at}.end",
            remedy=f"use one of {', '.join(sorted(allowed))}",
        )
    return outcome


# ---------------------------------------------------------------- checks


def _check_opening(script: Script) -> None:
    text = {name: script.prompt(name).text for name in OPENING}
    robot = _ROBOT[script.language].search(text["disclosure"])
    if robot is None:
        raise ScriptError(
            "does not say that a robot is calling",
            field="opening.disclosure",
            remedy="say 机器人 (robot) in the first words",
        )
    company = text["disclosure"].find(script.company)
    if company < 0:
        raise ScriptError(
            "does not name the company", field="opening.disclosure", remedy="name it as in company:"
        )
    if company < robot.start():
        raise ScriptError(
            "names the company before the robot",
            field="opening.disclosure",
            remedy="put the robot word first: it must be heard within 3 seconds (S1)",
        )
    for name, patterns, remedy in (
        ("purpose", _LENGTH, "say about how long the call takes (分钟, minute)"),
        ("recording_notice", _RECORDING, "say that the call is recorded (录音, recorded)"),
        ("way_out", _PRESS_ONE, "offer key 1 (按一, press one) to end the call (S10)"),
        ("way_out", _HUMAN, "offer a person (转人工, agent) (S10)"),
    ):
        if not patterns[script.language].search(text[name]):
            raise ScriptError("is incomplete", field=f"opening.{name}", remedy=remedy)
    for name in OPENING:
        if _SLOT.search(text[name]):
            raise ScriptError(
                "holds a contact's value",
                field=f"opening.{name}",
                remedy="keep the opening the same for everybody, so that it is approved as heard",
            )


def _check_slots(script: Script) -> None:
    for prompt in script.prompts:
        for slot in prompt.slots:
            if slot not in SLOTS:
                raise ScriptError(
                    f"{{{slot}}} is no value of a contact",
                    field=prompt.id,
                    remedy=f"known are {', '.join(f'{{{name}}}' for name in SLOTS)}",
                )


def _check_graph(script: Script) -> None:
    ids = {n.id for n in script.nodes}
    if script.start not in ids:
        raise ScriptError("no such node", field="start", remedy="name a node under nodes:")
    for node in script.nodes:
        for target in node.targets:
            if target not in ids:
                raise ScriptError(
                    f"leads to {target!r}, which is no node",
                    field=f"nodes.{node.id}",
                    remedy="correct the name or add that node",
                )
    reached = _closure({script.start}, {n.id: n.targets for n in script.nodes})
    for id in sorted(ids - reached):
        raise ScriptError(
            "nothing leads here", field=f"nodes.{id}", remedy="remove it or lead an answer to it"
        )
    # Followed in silence or not understood, every path must still come to an end: otherwise
    # the bot would talk to nobody until the time limit.
    for which in ("on_silence", "on_unknown"):
        for node in script.nodes:
            _check_ends(script, node, which)


def _check_ends(script: Script, node: Node, which: str) -> None:
    seen: set[str] = set()
    here = node
    while here.end is None:
        if here.id in seen:
            raise ScriptError(
                "no end is reached from here when the callee "
                + ("is silent" if which == "on_silence" else "is not understood"),
                field=f"nodes.{node.id}",
                remedy=f"lead next: or {which}: to a node with end:",
            )
        seen.add(here.id)
        fallback: Fallback | None = getattr(here, which)
        here = script.node(fallback.then if fallback else here.next)


def _closure(start: Iterable[str], edges: Mapping[str, tuple[str, ...]]) -> set[str]:
    seen: set[str] = set()
    todo = list(start)
    while todo:
        id = todo.pop()
        if id not in seen:
            seen.add(id)
            todo.extend(edges[id])
    return seen


# ---------------------------------------------------------------- strict reading


def _mapping(value: object, at: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping) or not value:
        raise ScriptError("must be a table", field=at, remedy="write key: value lines under it")
    return value


def _only(table: Mapping[str, Any], known: set[str], at: str) -> None:
    for key in table:
        if key not in known:
            raise ScriptError(
                f"unknown key {key!r}", field=at, remedy=f"known are {', '.join(sorted(known))}"
            )


def _text(table: Mapping[str, Any], key: str, at: str, default: str | None = None) -> str:
    value = table.get(key, default)
    if not isinstance(value, str) or (not value.strip() and value != default):
        raise ScriptError("missing or not text", field=f"{at}.{key}", remedy="write the words")
    return value.strip()


def _number(
    table: Mapping[str, Any], key: str, at: str, low: int, high: int, default: int | None = None
) -> int:
    value = table.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise ScriptError(
            "missing or out of range", field=f"{at}.{key}", remedy=f"a number {low} to {high}"
        )
    return value
