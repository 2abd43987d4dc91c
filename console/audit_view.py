# SPDX-License-Identifier: GPL-3.0-or-later
"""Audits as people read them: the checklist, open questions, and the figures of a month."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import resources
from typing import Any

import yaml

from compliance.audits import Checklist, Question, Stratum, parse_checklist
from compliance.errors import PolicyError
from console.messages import text
from storage.audit_rows import Audit, Item


def load_checklist() -> Checklist:
    """The checklist that is shipped.

    Raises:
        PolicyError: it is missing or broken.
    """
    path = resources.files("compliance") / "data" / "audit" / "checklist.yaml"
    try:
        return parse_checklist(yaml.safe_load(path.read_text("utf-8")))
    except FileNotFoundError:
        raise PolicyError("there is no audit checklist", field="checklist") from None
    except yaml.YAMLError as error:
        raise PolicyError(
            "not YAML", field="checklist", remedy=str(error).splitlines()[0]
        ) from None


def question_text(question: Question, language: str) -> str:
    """The question in words, with the requirements it checks."""
    return f"{text(f'audit.question.{question.id}', language)} ({', '.join(question.requirements)})"


def subject_text(item: Item) -> str:
    """How a thing is named on a screen: enough of its id to look it up."""
    return item.subject if item.stratum is Stratum.MONTH else item.subject[:8]


def look_at(item: Item) -> str:
    """The command that shows what the questions about this item are answered from."""
    return {
        Stratum.MONTH: "candor doctor; candor monitor --days 31; candor destructions",
        Stratum.CONTACT: f"candor audit look {item.position}",
        Stratum.RECORDING: f"candor replay {item.subject[:8]} --reason audit",
        Stratum.COMPLAINT: f"candor complaint show {item.subject[:8]}",
    }[item.stratum]


def audit_json(audit: Audit, checklist: Checklist, names: Mapping[str, str]) -> dict[str, Any]:
    """Everything of an audit but the words of its notes."""
    return {
        "month": audit.month,
        "drawn_by": names.get(audit.drawn_by, audit.drawn_by),
        "drawn_at": audit.drawn_at,
        "checkpoint_size": audit.size,
        "checkpoint_root": audit.root,
        "seed": audit.seed,
        "checklist": audit.checklist,
        "population": audit.population,
        "open": len(audit.open(checklist)),
        "findings": [f"{item.position}.{question}" for item, question in audit.found()],
        "result": audit.result,
        "digest": audit.digest,
        "signed_by": names.get(audit.signed_by, audit.signed_by),
        "signed_at": audit.signed_at,
        "items": [
            {
                "item": item.position,
                "about": str(item.stratum),
                "subject": item.subject,
                "answers": {
                    question: {
                        "answer": str(answered.answer),
                        "by": names.get(answered.by, answered.by),
                        "at": answered.at,
                    }
                    for question, answered in item.answers.items()
                },
            }
            for item in audit.items
        ],
    }
