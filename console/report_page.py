# SPDX-License-Identifier: GPL-3.0-or-later
"""The report of one call as a page: one HTML file, nothing fetched, made to be printed (T3).

Everything that a person said or typed goes through :func:`html.escape`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from html import escape
from typing import Protocol

from compliance.facts import Finding
from console import check_view, timeline
from console.call_sheet import timings
from console.messages import finding_text, text
from console.replay import flagged, offset
from console.timeline import Event
from storage import labels
from storage.report import Report

_STYLE = """
:root { color-scheme: light; }
* { box-sizing: border-box; }
body { font: 15px/1.5 "Noto Sans", "Noto Sans CJK SC", "PingFang SC", "Microsoft YaHei",
  system-ui, sans-serif; color: #1b1f24; margin: 0; background: #f4f5f7; }
main { max-width: 52rem; margin: 0 auto; padding: 2.2rem 2.6rem; background: #fff; }
h1 { font-size: 1.5rem; margin: 0 0 .2rem; }
h2 { font-size: 1.02rem; margin: 2rem 0 .5rem; padding-bottom: .25rem;
  border-bottom: 1px solid #d5d9df; break-after: avoid; }
p { margin: .35rem 0; }
.sub { color: #57606a; }
.mono, .mono td { font-family: "Noto Sans Mono", "DejaVu Sans Mono", monospace; font-size: .82em;
  overflow-wrap: anywhere; }
.mark { background: #b42318; color: #fff; padding: .45rem .8rem; margin: 0 0 1.2rem;
  font-weight: 600; }
.tag { display: inline-block; padding: .05rem .55rem; border-radius: .6rem; background: #e7edf5;
  font-weight: 600; }
.bad { color: #b42318; font-weight: 600; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; vertical-align: top; padding: .28rem .8rem .28rem 0; }
th { font-weight: 600; color: #57606a; font-size: .86em; }
.facts th { width: 13rem; font-weight: 400; font-size: 1em; }
.lines tr { border-top: 1px solid #eceef1; break-inside: avoid; }
.time { white-space: nowrap; font-variant-numeric: tabular-nums; color: #57606a; width: 5.5rem; }
.who { white-space: nowrap; width: 6rem; }
.bot .who { color: #0b5cad; } .callee .who { color: #177245; } .agent .who { color: #8a3f9e; }
.event td { color: #57606a; }
svg { width: 100%; height: auto; display: block; margin: .4rem 0; }
audio { width: 100%; margin: .4rem 0; }
footer { margin-top: 2.4rem; padding-top: .6rem; border-top: 1px solid #d5d9df;
  color: #57606a; font-size: .86em; }
@page { size: A4; margin: 16mm 15mm; }
@media print { body { background: #fff; font-size: 10.5pt; } main { padding: 0; max-width: none; }
  audio { display: none; } .mark { print-color-adjust: exact; } }
"""
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; media-src *"
_COLOURS = {"callee": "#177245", "bot": "#0b5cad", "agent": "#8a3f9e"}


def page(
    report: Report, language: str, *, audio: str = "", stamped: tuple[int, str] | None = None
) -> str:
    """The whole document. ``audio`` is the recording's file beside it, if there is one.

    ``stamped``: how many entries of the ledger the time stamp beside it is of, and its time.
    """

    def say(message: str, **params: object) -> str:
        return escape(text(message, language, **params))

    call = report.call
    label = labels.label_text(report.company, call.id)
    title = say("report.title", call=call.id[:8])
    outcome = say(f"outcome.{call.outcome}")
    parts = [
        f'<p class="mark">{say("demo.mark")}</p>' if report.demo else "",
        f"<h1>{title}</h1>",
        f'<p class="sub">{escape(report.company)} · {_when(call.invited_at or call.at)}</p>',
        f'<p class="sub">{say("report.synthetic_voice")}</p>',
        f'<p><span class="tag">{outcome}</span> {escape(call.contact)} {escape(call.number)}</p>',
    ]
    if report.crashed:
        parts.append(f'<p class="bad">{say("report.crashed")}</p>')
    parts += [_facts(report, say), _feedback(report, say)]
    events = timeline.events(call, report.said or (), report.keys or ())
    parts.append(f"<h2>{say('report.course')}</h2>")
    if call.answered_at is not None and call.duration_ms:
        parts.append(_strip(events, call.duration_ms, say))
    if audio:
        parts.append(f'<audio controls preload="none" src="{escape(audio)}"></audio>')
    parts += [_course(report, events, say), _check(report, language, say)]
    parts += [_gate(report, language, say), _ledger(report, say)]
    if stamped is not None:
        size, at = stamped
        parts.append(f'<p class="sub">{say("report.stamped", last=size - 1, at=at)}</p>')
    made = say("report.made", at=_when(report.made_at))
    parts.append(f"<footer>{made}<br>{say('report.times')}</footer>")
    return (
        f'<!doctype html>\n<html lang="{language}">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        f'<meta name="viewport" content="width=device-width">\n'
        f'<meta name="{labels.KEY}" content="{escape(label)}">\n'
        f"<title>{'DEMO · ' if report.demo else ''}{title}</title>\n<style>{_STYLE}</style>\n"
        f"</head>\n<body>\n<main>\n{''.join(part + chr(10) for part in parts if part)}</main>\n"
        "</body>\n</html>\n"
    )


# ---------------------------------------------------------------- parts


class Say(Protocol):
    """How the parts ask for words: a message id and its parameters, escaped."""

    def __call__(self, message: str, **params: object) -> str: ...


def _facts(report: Report, say: Say) -> str:
    call = report.call
    spans = timings(call)
    tracks = ", ".join(say(f"track.{track}") for track in report.tracks)
    sip = f"{call.sip_status or ''} {call.sip_reason}".strip()
    rows = [
        (say("column.campaign"), f"{escape(report.campaign)} ({escape(report.purpose)})"),
        (say("column.call"), f'<span class="mono">{call.id}</span>'),
        (say("column.line"), escape(call.line)),
        (say("sheet.invited"), _when(call.invited_at)),
        (say("sheet.answered"), _when(call.answered_at)),
        (say("sheet.ended"), _when(call.ended_at)),
        (say("sheet.ended_by"), say(f"party.{call.ended_by}") if call.ended_by else ""),
        (say("sheet.talk"), _seconds(call.duration_ms) if call.answered_at else ""),
        (say("column.pdd"), _seconds(spans["pdd"])),
        (say("column.sip"), escape(sip)),
        (say("column.blame"), say(f"blame.{call.blame}") if call.blame else ""),
        (
            say("sheet.announcement"),
            say(f"announcement.{call.announcement}") if call.announcement else "",
        ),
        (say("column.disclosure"), _seconds(call.disclosed_ms)),
        (say("sheet.notice"), _seconds(call.notice_ms)),
        (say("column.script"), escape(report.script)),
        (say("column.recording"), tracks),
        (say("status.violations"), escape(", ".join(call.violations))),
    ]
    return _table(rows)


def _feedback(report: Report, say: Say) -> str:
    """What the callee answered, and what must follow from it (T1)."""
    call = report.call
    rows = [
        (say("column.feedback"), escape(call.feedback)),
        (say("column.refusal"), _seconds(call.refused_ms) if call.refused else ""),
        (say("sheet.farewell"), _seconds(call.farewell_ms) if call.refused else ""),
        (say("sheet.agent"), f"{escape(call.agent)} {_seconds(call.transferred_ms)}".strip()),
        (say("sheet.callback"), say("sheet.open_ticket") if call.callback else ""),
    ]
    told = any(value for _, value in rows)
    body = _table(rows) if told else f'<p class="sub">{say("report.no_feedback")}</p>'
    return f"<h2>{say('report.feedback')}</h2>\n{body}"


def _course(report: Report, events: Sequence[Event], say: Say) -> str:
    rows = []
    for event in events:
        who = say(f"party.{event.who}") if event.who else ""
        if event.kind == "said":
            mark = f'<span class="sub">[{say(f"mark.{event.mark}")}]</span> ' if event.mark else ""
            cut = f' <span class="sub">✂ {say("event.cut")}</span>' if event.cut else ""
            flags = f" <b>⚑ {escape(flagged(event, say))}</b>" if event.flags else ""
            what, kind = f"{mark}{escape(event.text)}{cut}{flags}", event.who
        else:
            what, kind = f"{say(f'event.{event.kind}')} {escape(event.text)}".strip(), "event"
        rows.append(
            f'<tr class="{kind}"><td class="time">{offset(event.at_ms)}</td>'
            f'<td class="who">{who}</td><td>{what}</td></tr>'
        )
    note = ""
    if report.said is None:
        note = f'<p class="sub">{say("report.sealed")}</p>'
    elif report.call.answered_at is not None and not report.said:
        note = f'<p class="sub">{say("replay.no_words")}</p>'
    return f'{note}<table class="lines">{"".join(rows)}</table>'


def _check(report: Report, language: str, say: Say) -> str:
    """What the check after the call found in the recording; nothing where nothing was recorded."""
    if not report.call.recording:
        return ""
    head = f"<h2>{say('report.check')}</h2>"
    if report.check is None:
        return f'{head}<p class="sub">{say("report.unchecked")}</p>'
    rows = "".join(
        f'<tr><td class="time">{sign}</td><td>{escape(sentence)}</td></tr>'
        for sign, sentence in check_view.all_sentences(report.check, language)
    )
    told = escape(check_view.verdict(report.check, language))
    return f'{head}<p>{told}</p><table class="lines">{rows}</table>'


def _gate(report: Report, language: str, say: Say) -> str:
    decision = report.decision
    head = say("sheet.permitted" if decision.permitted else "sheet.refused",
               at=_when(decision.at), rulebook=decision.rulebook[:12])  # fmt: skip
    rows = "".join(_finding(finding, language) for finding in _once(decision.findings))
    return f'<h2>{say("report.gate")}</h2><p>{head}</p><table class="lines">{rows}</table>'


def _once(findings: Iterable[Finding]) -> list[Finding]:
    """Each rule once; what refuses comes first."""
    seen: dict[tuple[str, bool], Finding] = {}
    for finding in sorted(findings, key=lambda f: f.passed):
        seen.setdefault((finding.rule, finding.passed), finding)
    return list(seen.values())


def _finding(finding: Finding, language: str) -> str:
    sentence = escape(finding_text(finding, language))
    sign = "✓" if finding.passed else '<span class="bad">✗</span>'
    where = f" [{escape(finding.line)}]" if finding.line and not finding.passed else ""
    return (
        f'<tr><td class="time">{sign} {escape(finding.requirement)}</td>'
        f'<td>{sentence}{where} <span class="mono sub">{escape(finding.rule)}</span></td></tr>'
    )


def _ledger(report: Report, say: Say) -> str:
    heads = "".join(f"<th>{say(f'column.{c}')}</th>" for c in ("ledger", "at", "entry", "actor"))
    rows = "".join(
        f"<tr><td>{'…' if entry.index is None else entry.index}</td><td>{_when(entry.at)}</td>"
        f"<td>{escape(entry.kind)}</td><td>{escape(entry.actor)}</td></tr>"
        for entry in report.entries
    )
    return f'<h2>{say("sheet.ledger")}</h2><table class="lines mono"><tr>{heads}</tr>{rows}</table>'


# ---------------------------------------------------------------- the strip of who spoke when


def _strip(events: Sequence[Event], duration_ms: int, say: Say) -> str:
    """Lanes of speech on the recording's clock, with the marks of what had to be said."""
    lanes = ["callee", "bot"]
    if any(event.who == "agent" for event in events):
        lanes.append("agent")
    left, width, row = 92, 820, 26
    floor = 18 + row * len(lanes)
    height = floor + 34
    scale = width / duration_ms
    shapes = []
    step = next(s for s in (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 3600)
                if s == 3600 or s * 1000 * scale >= 46)  # fmt: skip
    for second in range(0, duration_ms // 1000 + 1, step):
        x = left + second * 1000 * scale
        shapes.append(
            f'<line x1="{x:.1f}" x2="{x:.1f}" y1="16" y2="{floor}" stroke="#e1e4e8"/>'
            f'<text x="{x + 2:.1f}" y="12" fill="#57606a">{second} s</text>'
        )
    for index, who in enumerate(lanes):
        y = 18 + index * row
        shapes.append(
            f'<text x="0" y="{y + 16}" fill="{_COLOURS[who]}">{say(f"party.{who}")}</text>'
        )
        for event in events:
            if event.kind == "said" and event.who == who and event.end_ms is not None:
                x, w = left + event.at_ms * scale, max((event.end_ms - event.at_ms) * scale, 1.5)
                shapes.append(
                    f'<rect x="{x:.1f}" y="{y + 3}" width="{w:.1f}" height="{row - 8}" rx="3" '
                    f'fill="{_COLOURS[who]}"/>'
                )
    shapes += _marks(events, left, scale, floor, left + width, say)
    return (
        f'<svg viewBox="0 0 {left + width + 30} {height}" font-size="12" role="img">'
        f"{''.join(shapes)}</svg>"
    )


def _marks(
    events: Sequence[Event], left: float, scale: float, floor: int, right: float, say: Say
) -> list[str]:
    """Below the lanes, on two rows so that neighbours stay readable."""
    shapes = []
    marked = [e for e in events if e.kind in ("disclosed", "notice", "refused", "farewell",
                                              "transferred", "key")]  # fmt: skip
    for index, event in enumerate(marked):
        x, y = left + event.at_ms * scale, floor + 4 + 14 * (index % 2)
        anchor = "end" if x > right - 120 else "start"
        name = f"{say(f'event.{event.kind}')} {escape(event.text)}".strip()
        shapes.append(
            f'<line x1="{x:.1f}" x2="{x:.1f}" y1="16" y2="{y}" stroke="#b54708" '
            f'stroke-dasharray="3 2"/><text x="{x:.1f}" y="{y + 10}" text-anchor="{anchor}" '
            f'fill="#b54708">{name}</text>'
        )
    return shapes


# ---------------------------------------------------------------- small things


def _table(rows: Iterable[tuple[str, str]]) -> str:
    """Label and value; what is empty is left out."""
    body = "".join(f"<tr><th>{name}</th><td>{value}</td></tr>" for name, value in rows if value)
    return f'<table class="facts">{body}</table>'


def _when(at: datetime | None) -> str:
    """On this machine's clock, with its distance from UTC, to the millisecond."""
    if at is None:
        return ""
    local = at.astimezone()
    zone = local.strftime("%z")
    return f"{local:%Y-%m-%d %H:%M:%S}.{local.microsecond // 1000:03} {zone[:3]}:{zone[3:]}"


def _seconds(ms: int | None) -> str:
    return "" if ms is None else f"{ms / 1000:.3f} s"
