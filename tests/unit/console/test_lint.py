# SPDX-License-Identifier: GPL-3.0-or-later
"""`candor script lint`: each finding with its place in the file, and what a submission keeps."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from compliance.errors import ConfigError
from compliance.facts import Role
from console import lint
from console.messages import LANGUAGES
from dialer.policies import word_check
from dialer.settings import PolicySettings
from tests.console_home import ConsoleHome, candor
from voicebot import script as scripts

EXAMPLES = Path(__file__).parents[3] / "examples" / "demo"
GOOD = (EXAMPLES / "script.zh.yaml").read_text("utf-8")


def checked(source: str, industry: str = "general", language: str = "en") -> lint.Report:
    policy = PolicySettings(industry=industry)
    return lint.lint(source, policy=policy, language=language, prompts=None)


def found(source: str, industry: str = "general") -> list[lint.LintFinding]:
    return list(checked(source, industry).findings)


def at(source: str, words: str) -> tuple[int, int]:
    """Line and column, from 1, of ``words`` in ``source``."""
    before = source[: source.index(words)]
    return before.count("\n") + 1, len(before) - before.rfind("\n")


@pytest.mark.parametrize("language", ["zh", "en"])
def test_the_shipped_scripts_are_clean_and_in_time(language: str) -> None:
    source = (EXAMPLES / f"script.{language}.yaml").read_text("utf-8")
    report = checked(source)
    assert report.findings == ()
    assert report.disclosure_end_ms is not None
    assert 1000 < report.disclosure_end_ms <= 3000
    assert report.opening_ms is not None
    assert report.opening_ms > report.disclosure_end_ms


@pytest.mark.parametrize(
    ("old", "new", "words", "requirement"),
    [
        ("好的，再见。", "好的，我是客服专员。", "专员", "S2"),
        ("好的，再见。", '"好的，我是客服专员。"', "专员", "S2"),
        ("好的，再见。", "|\n    好的，\n    我是客服专员。", "专员", "S2"),
        ("每月有两次免费咨询", "绝对高 收*益", "高 收*益", "S9"),
    ],
    ids=["plain", "quoted", "folded", "spaced out"],
)
def test_a_finding_stands_where_the_words_do(
    old: str, new: str, words: str, requirement: str
) -> None:
    source = GOOD.replace(old, new, 1)
    hits = [f for f in found(source) if f.requirement == requirement]
    assert [(f.line, f.column) for f in hits] == [at(source, words)]
    assert hits[0].written == words


def test_each_of_two_equal_words_has_its_own_place() -> None:
    source = GOOD.replace("好的，再见。", "专员说，专员说。", 1)
    places = [(f.line, f.column) for f in found(source)]
    line, column = at(source, "专员")
    assert places == [(line, column), (line, column + 4)]


def test_words_of_an_industry_count_in_that_industry_alone() -> None:
    source = GOOD.replace("好的，再见。", "无风险，再见。", 1)
    assert not found(source, "education")
    assert {f.requirement for f in found(source, "finance")} == {"S8"}
    assert "广告法" in found(source, "finance")[0].source


@pytest.mark.parametrize(
    ("old", "new", "where", "reason"),
    [
        ("end: accepted", "end: acepted", "nodes.explain.end", "not an outcome"),
        ("start: ask", "start: aks", "start", "no such node"),
        ("  unclear:", "  uncler:", "lines", "unknown key 'uncler'"),
        ("机器人，星辰", "客服，星辰", "opening.disclosure", "does not say that a robot"),
        ("rate: 240", "rate: fast", "script.rate", "missing or out of range"),
    ],
)
def test_a_format_error_has_its_place_too(old: str, new: str, where: str, reason: str) -> None:
    source = GOOD.replace(old, new, 1)
    (finding,) = found(source)
    assert (finding.where, finding.requirement) == (where, "format")
    assert reason in finding.reason
    assert finding.remedy
    assert finding.line == at(source, new)[0] or where in ("lines", "script.rate")
    assert finding.line > 0


def test_what_is_no_yaml_has_a_line() -> None:
    (finding,) = found("schema: candor.script/1\n  id: [\n")
    assert (finding.requirement, finding.line) == ("format", 2)


def test_a_disclosure_that_takes_too_long_is_measured() -> None:
    slow = GOOD.replace("rate: 240", "rate: 120", 1)
    report = checked(slow)
    (finding,) = report.findings
    assert (finding.where, finding.requirement) == ("opening.disclosure", "S1")
    assert report.disclosure_end_ms is not None
    assert str(report.disclosure_end_ms) in finding.reason
    assert (finding.line, finding.column) == at(slow, "您好，我是机器人")


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_finding_has_words(language: str) -> None:
    late = GOOD.replace("好的，再见。", "专员、保证、诈骗、宗教、身份证号。", 1)
    report = checked(late, "finance", language)
    assert len({f.requirement for f in report.findings}) >= 4
    assert not any("wording." in f.reason or "{" in f.reason for f in report.findings)


def test_a_company_before_the_robot_is_a_finding_of_a_submission_too() -> None:
    """The format asks for the order, the rules for the distance: both must hold."""
    script = scripts.load(GOOD.replace("您好，我是机器人", "您好，我是一名来自很远地方的机器人", 1))
    (finding,) = lint.findings_of(script, word_check("zh", PolicySettings()), "en")
    assert (finding.where, finding.requirement) == ("opening.disclosure", "S1")


def test_an_unknown_industry_is_not_guessed() -> None:
    with pytest.raises(ConfigError, match="finance"):
        checked(GOOD, "banking")


# ---------------------------------------------------------------- the command


def test_no_home_and_nobody_signed_in_are_needed(tmp_path: Path) -> None:
    path = tmp_path / "script.yaml"
    path.write_text(GOOD, "utf-8")
    data = candor("script", "lint", str(path), "--home", str(tmp_path / "none"), "--json").data
    assert (data["ok"], data["findings"], data["industry"]) == (True, [], "general")
    assert data["disclosure_end_ms"] <= 3000
    assert [p.name for p in tmp_path.iterdir()] == ["script.yaml"]


def test_findings_are_listed_and_fail(calls: ConsoleHome, tmp_path: Path) -> None:
    path = tmp_path / "script.yaml"
    source = GOOD.replace("好的，再见。", "无风险，再见。", 1)
    path.write_text(source, "utf-8")
    settings = calls.root / "candor.toml"
    settings.write_text(settings.read_text("utf-8") + 'industry = "finance"\n', "utf-8")
    ran = calls.candor("script", "lint", str(path))
    assert (ran.code, ran.err) == (1, "")
    line, column = at(source, "无风险")
    assert f"script.yaml:{line}:{column}: lines.refusal: S8: " in ran.out
    assert "finance" in ran.out
    ran = calls.candor("script", "lint", str(path), "--industry", "general", "--json")
    assert (ran.code, json.loads(ran.out)["ok"]) == (0, True)
    ran = calls.candor("script", "lint", str(path), "--json")
    assert ran.code == 1
    (finding,) = json.loads(ran.out)["findings"]
    assert (finding["line"], finding["column"], finding["written"]) == (line, column, "无风险")


def test_a_submission_keeps_the_same_findings(calls: ConsoleHome, tmp_path: Path) -> None:
    calls.language("en")
    calls.sign_in(Role.AUTHOR)
    path = tmp_path / "script.yaml"
    path.write_text(GOOD.replace("好的，再见。", "我是专员。", 1), "utf-8")
    ran = calls.candor("script", "submit", str(path), "--id", "other")
    assert ran.code == 0
    assert "1 findings" in ran.out
    listed = calls.candor("script", "list", "--json").data
    (version,) = [v for v in listed if v["script"] == "other"]
    assert version["approved"] is False
    assert version["findings"] == ['lines.refusal: S2: "专员" hides that this is a robot']
    table = calls.candor("script", "list").out
    assert "not signed" in table
    assert "welcome" in table
