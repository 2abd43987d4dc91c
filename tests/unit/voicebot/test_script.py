# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from compliance.errors import ScriptError
from compliance.facts import Outcome
from voicebot.script import OPENING, Script, digest, load, parse

EXAMPLES = Path(__file__).parents[3] / "examples" / "demo"


def document(language: str = "zh") -> dict[str, Any]:
    text = (EXAMPLES / f"script.{language}.yaml").read_text(encoding="utf-8")
    loaded: dict[str, Any] = yaml.safe_load(text)
    return loaded


@pytest.mark.parametrize("language", ["zh", "en"])
def test_examples_are_valid(language: str) -> None:
    script = load(EXAMPLES / f"script.{language}.yaml")
    assert tuple(p.id for p in script.prompts[:4]) == OPENING
    assert script.node("explain").end is Outcome.ACCEPTED
    assert script.prompt("line.refusal").closing
    assert script.prompt("node.ask").mark == "question"


def test_text_and_path_give_the_same_script() -> None:
    path = EXAMPLES / "script.zh.yaml"
    assert load(path) == load(path.read_text(encoding="utf-8"))


def test_bare_yaml_yes_is_the_answer_yes() -> None:
    text = (EXAMPLES / "script.zh.yaml").read_text(encoding="utf-8").replace('"yes":', "yes:")
    assert load(text).node("ask").target("yes") == "explain"


@pytest.mark.parametrize("language", ["zh", "en"])
def test_a_script_always_has_a_safe_line(language: str) -> None:
    """Approved with it: its words, its own or ours, are part of the digest (S9, G5)."""
    own = document(language)
    without = copy.deepcopy(own)
    del without["lines"]["safe"]
    assert parse(without) == parse(own)
    without["lines"]["safe"] = "别的" if language == "zh" else "Something else."
    assert digest(parse(without)) != digest(parse(own))


Edit = Callable[[dict[str, Any]], object]

BROKEN: list[tuple[str, Edit, str]] = [
    ("schema", lambda d: d.update(schema="x"), "schema"),
    ("unknown key", lambda d: d.update(colour="red"), "colour"),
    ("language", lambda d: d.update(language="fr"), "language"),
    ("rate", lambda d: d.update(rate=900), "rate"),
    ("rate as text", lambda d: d.update(rate="fast"), "rate"),
    ("no opening", lambda d: d.pop("opening"), "opening"),
    ("no notice", lambda d: d["opening"].pop("recording_notice"), "opening.recording_notice"),
    ("no robot", lambda d: d["opening"].update(disclosure="您好，星辰公司"), "robot"),
    ("no company", lambda d: d["opening"].update(disclosure="您好，我是机器人"), "company"),
    (
        "company first",
        lambda d: d["opening"].update(disclosure="星辰公司的机器人"),
        "company before the robot",
    ),
    ("no length", lambda d: d["opening"].update(purpose="介绍会员服务"), "opening.purpose"),
    ("no record", lambda d: d["opening"].update(recording_notice="您好"), "recording_notice"),
    ("no key", lambda d: d["opening"].update(way_out="需要人工请说转人工"), "opening.way_out"),
    ("no person", lambda d: d["opening"].update(way_out="不需要请按一"), "opening.way_out"),
    ("slot", lambda d: d["opening"].update(purpose="{name}大约一分钟"), "opening.purpose"),
    ("no farewell", lambda d: d["lines"].pop("refusal"), "lines.refusal"),
    ("empty line", lambda d: d["lines"].update(refusal=" "), "lines.refusal"),
    ("safe for one", lambda d: d["lines"].update(safe="{name}，抱歉。"), "lines.safe"),
    ("empty safe", lambda d: d["lines"].update(safe=""), "lines.safe"),
    ("no value", lambda d: d["nodes"]["ask"].update(say="{notes}您好"), "{notes}"),
    ("no start", lambda d: d.update(start="nowhere"), "start"),
    ("dangling", lambda d: d["nodes"]["answer"].update(next="nowhere"), "nodes.answer"),
    (
        "unreachable",
        lambda d: d["nodes"].update(alone={"say": "a", "end": "accepted"}),
        "nodes.alone",
    ),
    (
        "silence for ever",
        lambda d: d["nodes"]["ask"].update(on_silence={"repeat": 1, "then": "answer"}),
        "silent",
    ),
    (
        "unknown for ever",
        lambda d: d["nodes"]["ask"].update(on_unknown={"repeat": 1, "then": "ask"}),
        "not understood",
    ),
    ("no silence", lambda d: d["nodes"]["ask"].pop("on_silence"), "on_silence"),
    ("next and end", lambda d: d["nodes"]["answer"].update(end="accepted"), "nodes.answer"),
    ("outcome", lambda d: d["nodes"]["explain"].update(end="refused"), "nodes.explain.end"),
    ("refusal taken", lambda d: d["nodes"]["ask"]["expect"].update(refusal="explain"), "expect"),
    ("human taken", lambda d: d["nodes"]["ask"]["expect"].update(human="explain"), "expect"),
    ("key 1 taken", lambda d: d["nodes"]["ask"]["expect"].update({"1": "explain"}), "expect"),
    ("mark", lambda d: d["nodes"]["ask"].update(mark="nice"), "nodes.ask.mark"),
    ("interruptible", lambda d: d["nodes"]["ask"].update(interruptible=3), "interruptible"),
    ("repeat", lambda d: d["nodes"]["ask"]["on_silence"].update(repeat=9), "repeat"),
    ("nodes", lambda d: d.update(nodes=[]), "nodes"),
]


@pytest.mark.parametrize(("edit", "named"), [b[1:] for b in BROKEN], ids=[b[0] for b in BROKEN])
def test_broken_script_is_refused_with_field_and_remedy(edit: Edit, named: str) -> None:
    broken = copy.deepcopy(document())
    edit(broken)
    with pytest.raises(ScriptError) as caught:
        parse(broken)
    assert named in str(caught.value)
    assert caught.value.remedy


@pytest.mark.parametrize("junk", [None, [], "text", 3, {"a": 1}])
def test_no_script_at_all(junk: object) -> None:
    with pytest.raises(ScriptError):
        parse(junk)


def test_bad_yaml_names_the_row() -> None:
    with pytest.raises(ScriptError, match="row 2"):
        load("schema: x\n  : [")


def test_unreadable_file(tmp_path: Path) -> None:
    with pytest.raises(ScriptError, match="cannot be read"):
        load(tmp_path / "missing.yaml")


def test_digest_follows_every_word_and_branch() -> None:
    base: Script = parse(document())

    def edited(edit: Edit) -> str:
        changed = copy.deepcopy(document())
        edit(changed)
        return digest(parse(changed))

    digests = {
        digest(base),
        edited(lambda d: d["lines"].update(lost="抱歉，再见。")),
        edited(lambda d: d["nodes"]["ask"].update(listen_s=7)),
        edited(lambda d: d.update(rate=239)),
        edited(lambda d: d["nodes"]["explain"].update(end="no_decision")),
        edited(lambda d: d["nodes"]["ask"]["expect"].update({"2": "explain"})),
    }
    assert len(digests) == 6
    assert edited(lambda d: None) == digest(base)
