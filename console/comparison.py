# SPDX-License-Identifier: GPL-3.0-or-later
"""Arms of a campaign side by side: a table, bars with whiskers, a page with the same (G6).

Counts and shares only; nobody's data is in it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from compliance.arms import ArmCounts, ArmFigures, Comparison, Judged, Rate, Verdict
from compliance.proportions import Interval
from console.messages import text

_BAR, _LOW, _LINE, _MIDDLE, _HIGH = "█├─┼┤"
_NARROWEST, _WIDEST = 20, 60
_STYLES = {Verdict.TOO_FEW: "yellow", Verdict.NO_DIFFERENCE: "cyan"}
_COLOURS = ("#0b5cad", "#b35900", "#177245", "#8a3f9e", "#b42318", "#57606a", "#00707a", "#7a5c00")


def verdict(judged: Judged, found: Comparison, language: str) -> str:
    """What may be said of one arm beside the first."""
    told = text(
        f"compare.{judged.verdict}",
        language,
        arm=judged.arm,
        first=found.arms[0].counts.arm,
        more=judged.more,
        per_arm=found.per_arm,
        detect=_points(found.detect),
    )
    besides = [
        text(f"compare.{rate}.{'more' if higher else 'less'}", language, arm=judged.arm)
        for rate, higher in judged.besides
    ]
    return text("compare.join", language).join([told, *besides])


def scale(found: Comparison, rate: Rate) -> float:
    """The end of the axis of one rate: a round share that all whiskers fit under."""
    tallest = max((i.high for arm in found.arms if (i := arm.rates[rate]) is not None), default=1.0)
    steps = (0.01, 0.02, 0.05, 0.1, 0.2, 0.25, 0.5, 1.0)
    return next(step for step in steps if step >= min(tallest, 1.0) - 1e-9)


# ---------------------------------------------------------------- on a screen


def screen(name: str, found: Comparison, language: str, *, width: int) -> RenderableType:
    """Table, picture and verdicts."""
    parts: list[RenderableType] = [_table(name, found, language)]
    cells = max(_NARROWEST, min(_WIDEST, width - 60))
    for rate in Rate:
        parts += [Text(), *_bars(found, rate, language, cells)]
    parts.append(Text())
    for judged in found.judged:
        style = _STYLES.get(judged.verdict, "bold green")
        parts.append(Text(verdict(judged, found, language), style=style))
    parts.append(Text(_note(found, language), style="dim"))
    return Group(*parts)


def _table(name: str, found: Comparison, language: str) -> Table:
    table = Table(title=name, title_justify="left", box=None, padding=(0, 2, 0, 0))
    for column in ("arm", "script", "weight", "attempts", "answered"):
        right = column not in ("arm", "script")
        heading = text(f"compare.column.{column}", language)
        table.add_column(heading, justify="right" if right else "left", no_wrap=True)
    for rate in Rate:
        table.add_column(text(f"compare.rate.{rate}", language), justify="right", no_wrap=True)
    total = sum(arm.counts.weight for arm in found.arms)
    for arm in found.arms:
        counts = arm.counts
        cells = [
            counts.arm,
            counts.script,
            f"{100 * counts.weight / total:.0f} %",
            str(counts.attempts),
            str(counts.answered),
        ]
        table.add_row(*cells, *(_share(arm.rates[rate]) for rate in Rate))
    return table


def _bars(found: Comparison, rate: Rate, language: str, cells: int) -> list[Text]:
    end = scale(found, rate)
    widest = max(len(arm.counts.arm) for arm in found.arms)
    heading = text(f"compare.rate.{rate}", language)
    right = f"{100 * end:g} %"
    ruler = " " * (widest + 1) + "0" + " " * (cells - 1 - len(right)) + right
    rows = [Text(heading, style="bold"), Text(ruler, style="dim")]
    for arm in found.arms:
        row = Text(f"{arm.counts.arm.ljust(widest)} ", style="bold")
        row.append(bar(arm.rates[rate], end, cells), style="cyan")
        row.append(f" {_share(arm.rates[rate])}")
        row.append(_difference(arm.differences.get(rate), found, language), style="dim")
        row.no_wrap = True
        rows.append(row)
    return rows


def bar(share: Interval | None, end: float, cells: int) -> str:
    """A bar as long as the share, and over it the interval as a whisker."""
    if share is None:
        return " " * cells
    low, middle, high = (
        min(cells - 1, math.floor(value / end * cells))
        for value in (share.low, share.value, share.high)
    )
    drawn = [_BAR if n < middle else " " for n in range(cells)]
    for n in range(low, high + 1):
        drawn[n] = _LINE
    drawn[low], drawn[high] = _LOW, _HIGH
    drawn[middle] = _MIDDLE
    return "".join(drawn)


def _share(share: Interval | None) -> str:
    if share is None:
        return "–"
    return f"{100 * share.value:.1f} % [{100 * share.low:.1f}–{100 * share.high:.1f}]"


def _difference(share: Interval | None, found: Comparison, language: str) -> str:
    if share is None:
        return ""
    difference = f"{100 * share.value:+.1f} [{100 * share.low:+.1f} … {100 * share.high:+.1f}]"
    first = found.arms[0].counts.arm
    return f"  {text('compare.difference', language, first=first, difference=difference)}"


def _points(share: float) -> str:
    return f"{100 * share:g}"


def _note(found: Comparison, language: str) -> str:
    confidence = f"{100 * found.confidence:.3g}"
    return text("compare.note", language, confidence=confidence, first=found.arms[0].counts.arm)


# ---------------------------------------------------------------- as data


def as_json(name: str, found: Comparison) -> dict[str, Any]:
    """Plain data; shares between 0 and 1."""

    def interval(share: Interval | None) -> dict[str, float] | None:
        if share is None:
            return None
        return {
            "value": round(share.value, 6),
            "low": round(share.low, 6),
            "high": round(share.high, 6),
        }

    def arm(one: ArmFigures) -> dict[str, Any]:
        counts: ArmCounts = one.counts
        return {
            "arm": counts.arm,
            "script": counts.script,
            "weight": counts.weight,
            "attempts": counts.attempts,
            "answered": counts.answered,
            "counts": {str(rate): counts.counts.get(rate, 0) for rate in Rate},
            "rates": {str(rate): interval(one.rates[rate]) for rate in Rate},
            "differences": {str(r): interval(d) for r, d in one.differences.items()},
        }

    return {
        "campaign": name,
        "arms": [arm(one) for one in found.arms],
        "detect": found.detect,
        "needed_per_arm": found.per_arm,
        "confidence_of_differences": round(found.confidence, 6),
        "verdicts": [
            {
                "arm": j.arm,
                "verdict": str(j.verdict),
                "more": j.more,
                "besides": {str(rate): "higher" if up else "lower" for rate, up in j.besides},
            }
            for j in found.judged
        ],
    }


# ---------------------------------------------------------------- as a page

_STYLE = """
body { font: 15px/1.5 "Noto Sans", "Noto Sans CJK SC", "PingFang SC", "Microsoft YaHei",
  system-ui, sans-serif; color: #1b1f24; background: #f4f5f7; margin: 0; }
main { max-width: 52rem; margin: 0 auto; padding: 2rem 2.4rem; background: #fff; }
h1 { font-size: 1.4rem; margin: 0 0 .6rem; } h2 { font-size: 1rem; margin: 1.6rem 0 .2rem; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { text-align: right; padding: .25rem .7rem .25rem 0; } th { color: #57606a; }
th:first-child, td:first-child, th:nth-child(2), td:nth-child(2) { text-align: left; }
svg { width: 100%; height: auto; display: block; } text { font-size: 13px; fill: #1b1f24; }
.sub { color: #57606a; } .verdict { font-weight: 600; } .axis { stroke: #d5d9df; }
.mark { background: #b42318; color: #fff; padding: .4rem .8rem; font-weight: 600; }
"""
_POLICY = "default-src 'none'; style-src 'unsafe-inline'"
_LEFT, _WIDE, _ROW = 70, 520, 34


def page(name: str, found: Comparison, language: str, *, demo: bool = False) -> str:
    """One HTML file, nothing fetched."""

    def say(message: str, **params: object) -> str:
        return escape(text(message, language, **params))

    title = say("compare.title", name=name)
    heads = [say(f"compare.column.{c}") for c in ("arm", "script", "attempts", "answered")]
    heads += [say(f"compare.rate.{rate}") for rate in Rate]
    rows = "".join(
        "<tr>"
        + "".join(
            f"<td>{cell}</td>"
            for cell in (
                escape(arm.counts.arm),
                escape(arm.counts.script),
                arm.counts.attempts,
                arm.counts.answered,
                *(_share(arm.rates[rate]) for rate in Rate),
            )
        )
        + "</tr>"
        for arm in found.arms
    )
    pictures = "".join(f"<h2>{say(f'compare.rate.{rate}')}</h2>{svg(found, rate)}" for rate in Rate)
    told = "".join(
        f'<p class="verdict">{escape(verdict(j, found, language))}</p>' for j in found.judged
    )
    mark = f'<p class="mark">{say("demo.mark")}</p>' if demo else ""
    return (
        f'<!doctype html>\n<html lang="{language}">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        f"<title>{title}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n<main>\n"
        f"{mark}<h1>{title}</h1>\n<table><tr>{''.join(f'<th>{h}</th>' for h in heads)}</tr>"
        f"{rows}</table>\n{pictures}\n{told}\n"
        f'<p class="sub">{escape(_note(found, language))}</p>\n</main>\n</body>\n</html>\n'
    )


def _differences(found: Comparison, rate: Rate, language: str) -> str:
    told = [
        f"{arm.counts.arm}{_difference(arm.differences.get(rate), found, language)}"
        for arm in found.arms
        if arm.differences.get(rate) is not None
    ]
    return f'<p class="sub">{escape("; ".join(told))}</p>' if told else ""


def svg(found: Comparison, rate: Rate) -> str:
    """Bars with whiskers, one an arm."""
    end = scale(found, rate)
    tall = _ROW * len(found.arms) + 26

    def at(share: float) -> float:
        return round(_LEFT + _WIDE * min(share / end, 1.0), 1)

    parts: list[str] = []
    for n in range(5):
        share = end * n / 4
        x = at(share)
        parts += [
            f'<line class="axis" x1="{x}" x2="{x}" y1="4" y2="{tall - 22}"/>',
            f'<text x="{x}" y="{tall - 6}" text-anchor="middle">{100 * share:g} %</text>',
        ]
    for n, arm in enumerate(found.arms):
        parts += _svg_arm(arm, rate, at, 8 + n * _ROW, _COLOURS[n % len(_COLOURS)])
    return (
        f'<svg viewBox="0 0 {_LEFT + _WIDE + 170} {tall}" role="img" '
        f'xmlns="http://www.w3.org/2000/svg">{"".join(parts)}</svg>'
    )


def _svg_arm(arm: ArmFigures, rate: Rate, at: Any, top: int, colour: str) -> Sequence[str]:
    share, middle = arm.rates[rate], top + 11
    parts = [f'<text x="0" y="{middle + 5}">{escape(arm.counts.arm)}</text>']
    if share is not None:
        low, high = at(share.low), at(share.high)
        length = round(at(share.value) - _LEFT, 1)
        parts += [
            f'<rect x="{_LEFT}" y="{top}" width="{length}" height="22" fill="{colour}" '
            'fill-opacity="0.55"/>',
            f'<path d="M{low} {middle}H{high}M{low} {middle - 7}v14M{high} {middle - 7}v14" '
            'stroke="#1b1f24" stroke-width="1.6" fill="none"/>',
        ]
    parts.append(f'<text x="{_LEFT + _WIDE + 14}" y="{middle + 5}">{escape(_share(share))}</text>')
    return parts
