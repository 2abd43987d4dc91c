# SPDX-License-Identifier: GPL-3.0-or-later
"""A monthly audit as a page: one HTML file, nothing fetched, made to be read and printed (G2).

Everything that a person wrote goes through :func:`html.escape`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from html import escape
from pathlib import Path

from compliance.audits import Answer, Checklist, Stratum
from compliance.errors import BadInput
from console.audit_view import subject_text
from console.inputs import shown
from console.messages import text
from storage.audit_rows import Audit, Item

_STYLE = """
:root { color-scheme: light; }
* { box-sizing: border-box; }
body { font: 15px/1.5 "Noto Sans", "Noto Sans CJK SC", "PingFang SC", "Microsoft YaHei",
  system-ui, sans-serif; color: #1b1f24; margin: 0; background: #f4f5f7; }
main { max-width: 54rem; margin: 0 auto; padding: 2.2rem 2.6rem; background: #fff; }
h1 { font-size: 1.5rem; margin: 0 0 .2rem; }
h2 { font-size: 1.02rem; margin: 2rem 0 .5rem; padding-bottom: .25rem;
  border-bottom: 1px solid #d5d9df; break-after: avoid; }
p { margin: .35rem 0; }
.sub { color: #57606a; }
.mono { font-family: "Noto Sans Mono", "DejaVu Sans Mono", monospace; font-size: .82em;
  overflow-wrap: anywhere; }
.tag { display: inline-block; padding: .05rem .55rem; border-radius: .6rem; background: #e7edf5;
  font-weight: 600; }
.tag.passed { background: #dff1e4; color: #14532d; } .tag.findings { background: #fbe3e0;
  color: #8a1c13; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; vertical-align: top; padding: .3rem .8rem .3rem 0; }
th { font-weight: 600; color: #57606a; font-size: .86em; }
.facts th { width: 13rem; font-weight: 400; font-size: 1em; }
.items tr { border-top: 1px solid #eceef1; break-inside: avoid; }
.items thead tr { border-top: 0; }
.what { white-space: nowrap; width: 6.5rem; }
.items td:last-child { width: 6rem; }
.said { white-space: nowrap; width: 5.5rem; font-weight: 600; }
.yes { color: #177245; } .no { color: #b42318; } .na, .open { color: #57606a; font-weight: 400; }
.req { color: #57606a; font-size: .86em; }
.note { margin: .15rem 0 0; padding-left: .6rem; border-left: 3px solid #e3b5b0;
  overflow-wrap: anywhere; }
footer { margin-top: 2.4rem; padding-top: .6rem; border-top: 1px solid #d5d9df;
  color: #57606a; font-size: .86em; }
@page { size: A4; margin: 16mm 15mm; }
@media print { body { background: #fff; font-size: 10.5pt; } main { padding: 0; max-width: none; } }
"""
_POLICY = "default-src 'none'; style-src 'unsafe-inline'"
_Say = Callable[..., str]


def page(
    audit: Audit,
    checklist: Checklist,
    names: Mapping[str, str],
    notes: Mapping[str, str],
    company: str,
    language: str,
) -> str:
    """The whole document. ``notes``: the words to answers, by answer id; may be empty."""

    def say(message: str, **params: object) -> str:
        return escape(text(message, language, **params))

    result = audit.result or "open"
    signed = f"{names.get(audit.signed_by, '')} · {shown(audit.signed_at, language)}"
    population = ", ".join(
        f"{text(f'audit.about.{stratum}', language)} {count}"
        for stratum, count in audit.population.items()
    )
    drawn = f"{names.get(audit.drawn_by, '')} · {shown(audit.drawn_at, language)}"
    rows = (
        (say("audit.column.signed_by"), escape(signed) if audit.signed_at else "–"),
        (say("audit.column.drawn_by"), escape(drawn)),
        (say("audit.column.population"), escape(population)),
        (say("audit.column.items"), str(len(audit.items) - 1)),
        (say("audit.column.findings"), str(len(audit.found()))),
        (say("audit.column.open"), str(len(audit.open(checklist)))),
    )
    proof = (
        (say("audit.column.checkpoint_size"), str(audit.size)),
        (say("audit.column.checkpoint_root"), f'<span class="mono">{audit.root}</span>'),
        (say("audit.column.seed"), f'<span class="mono">{audit.seed}</span>'),
        (say("audit.column.checklist"), f'<span class="mono">{audit.checklist}</span>'),
        (say("audit.column.digest"), f'<span class="mono">{audit.digest or "–"}</span>'),
    )
    title = say("audit.title", month=audit.month)
    sections = [
        _section([i for i in audit.items if i.stratum is s], s, checklist, names, notes, say)
        for s in Stratum
    ]
    return (
        f'<!doctype html>\n<html lang="{language}"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        f'<meta name="viewport" content="width=device-width"><title>{title}</title>'
        f"<style>{_STYLE}</style></head>\n<body><main>"
        f'<h1>{title}</h1><p class="sub">{escape(company)}</p>'
        f'<p><span class="tag {result}">{say(f"audit.result.{result}")}</span></p>'
        f"{_facts(rows)}{''.join(sections)}"
        f"<h2>{say('audit.proof')}</h2><p>{say('audit.proof.how')}</p>{_facts(proof)}"
        f"<footer>{say('audit.footer')}</footer></main></body></html>\n"
    )


def _section(
    items: list[Item],
    stratum: Stratum,
    checklist: Checklist,
    names: Mapping[str, str],
    notes: Mapping[str, str],
    say: _Say,
) -> str:
    head = f"<h2>{say(f'audit.section.{stratum}')}</h2>"
    if not items:
        return f"{head}<p>{say('audit.nothing')}</p>"
    rows = []
    for item in items:
        for n, question in enumerate(checklist.about(stratum)):
            found = item.answers.get(question.id)
            word = "open" if found is None else str(found.answer)
            note = notes.get(found.id, "") if found is not None else ""
            told = f'<p class="note">{escape(note)}</p>' if note else ""
            if found is not None and found.answer is Answer.NO and not note:
                told = f'<p class="note">{say("audit.note_sealed")}</p>'
            by = "" if found is None else escape(names.get(found.by, ""))
            rows.append(
                f'<tr><td class="what">{escape(subject_text(item)) if n == 0 else ""}</td>'
                f"<td>{say(f'audit.question.{question.id}')} "
                f'<span class="req">{escape(", ".join(question.requirements))}</span>{told}</td>'
                f'<td class="said {word}">{say(f"audit.answer.{word}")}</td><td>{by}</td></tr>'
            )
    columns = "".join(f"<th>{say(f'audit.column.{c}')}</th>" for c in _COLUMNS)
    return (
        f'{head}<table class="items"><thead><tr>{columns}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table>"
    )


_COLUMNS = ("item", "question", "answer", "by")


def _facts(rows: tuple[tuple[str, str], ...]) -> str:
    body = "".join(f"<tr><th>{name}</th><td>{value}</td></tr>" for name, value in rows)
    return f'<table class="facts">{body}</table>'


def write(path: Path, page_text: str, *, force: bool) -> None:
    """Write the page, private, never over another file unless ``force``.

    Raises:
        BadInput: the file exists.
    """
    if path.exists() and not force:
        raise BadInput("exists already", field="html", remedy="--force, or another name")
    path.touch(mode=0o600)
    path.chmod(0o600)
    path.write_text(page_text, "utf-8")
