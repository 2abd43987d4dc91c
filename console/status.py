# SPDX-License-Identifier: GPL-3.0-or-later
"""How a campaign stands: read once, shown as a screen, a line or JSON, and followed.

Whoever follows a run reads the database, never the processes that dial: a run
can be left and watched again from any other terminal.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

from rich.table import Table

from compliance.facts import Evolve, HomeKind
from console import check_view, figures
from console.figures import Figures
from console.homes import Opened
from console.messages import text
from storage import call_journal
from storage.call_journal import Waiting
from storage.campaigns import CampaignCounts, CampaignState, TargetState
from storage.checks import CheckCounts

OVER = frozenset({CampaignState.DONE, CampaignState.STOPPED})
EVERY_S = 1.0
# The last BYE of a stopped run may wait for an answer this long; a dead process's calls are
# settled by the next run only, and nobody should watch until then.
LINGER_S = 40.0


@dataclass(frozen=True, slots=True)
class Status(Evolve):
    """A campaign at one instant; nothing in it is personal."""

    id: str
    name: str
    state: CampaignState
    at: datetime
    targets: CampaignCounts
    figures: Figures
    callbacks_open: int
    demo: bool
    journal: Waiting = field(default_factory=Waiting)  # of all campaigns, on this machine
    checks: CheckCounts = field(default_factory=CheckCounts)

    def same_as(self, other: Status | None) -> bool:
        """Whether nothing but the time differs."""
        return other is not None and self.evolve(at=other.at) == other


def read(it: Opened, name: str) -> Status:
    """The campaign of this name now.

    Raises:
        BadInput: no such campaign.
    """
    campaigns = it.store.campaigns
    campaign = campaigns.campaign_named(name)
    return Status(
        id=campaign,
        name=name,
        state=campaigns.campaign_state(campaign),
        at=it.clock.wall(),
        targets=campaigns.campaign_counts(campaign),
        figures=figures.of(it.store.watching.attempts(campaign)),
        callbacks_open=it.store.watching.callbacks_open(campaign),
        demo=it.store.home is HomeKind.DEMO,
        journal=call_journal.waiting(it.home.journal),
        checks=it.store.checks.counts(campaign),
    )


def follow(
    look: Callable[[], Status],
    show: Callable[[Status, bool], None],
    wait: Callable[[float], None],
) -> Status:
    """Look once a second until the campaign is over; returns what was seen last.

    ``show`` is told whether anything has changed since the look before.
    """
    before: Status | None = None
    lingered = 0.0
    while True:
        status = look()
        show(status, not status.same_as(before))
        if status.state in OVER:
            if status.figures.live == 0 or lingered >= LINGER_S:
                return status
            lingered += EVERY_S
        before = status
        wait(EVERY_S)


# ---------------------------------------------------------------- shown


def as_json(status: Status) -> dict[str, Any]:
    """Plain data; ratios between 0 and 1, times in ms and s as the names say."""
    seen = status.figures
    return {
        "campaign": status.name,
        "id": status.id,
        **({"demo": True} if status.demo else {}),
        "state": str(status.state),
        "at": status.at.isoformat(),
        "targets": {str(state): status.targets.targets.get(state, 0) for state in TargetState},
        "attempts": seen.attempts,
        "live": seen.live,
        "talking": seen.talking,
        "answered": seen.answered,
        "asr": _rounded(seen.asr),
        "ner": _rounded(seen.ner),
        "acd_s": _rounded(seen.acd_s),
        "pdd_p50_ms": seen.pdd_p50_ms,
        "pdd_p95_ms": seen.pdd_p95_ms,
        "refusals": seen.refusals,
        "callbacks_open": status.callbacks_open,
        "transfers": seen.transfers,
        "disclosure_p50_ms": seen.disclosure_p50_ms,
        "disclosure_max_ms": seen.disclosure_max_ms,
        "outcomes": {str(outcome): n for outcome, n in seen.outcomes.items()},
        "violations": dict(seen.violations),
        "journal": asdict(status.journal),
        "checks": check_view.counts_json(status.checks),
    }


def line(status: Status, language: str) -> str:
    """One line for a pipe: time, state, contacts, calls, the usual ratios."""
    seen, targets = status.figures, status.targets.targets
    parts = [
        status.at.astimezone().strftime("%H:%M:%S"),
        text(f"state.{status.state}", language),
        *(f"{text(f'target.{s}', language)} {targets.get(s, 0)}" for s in TargetState),
        f"{text('status.live', language)} {seen.live}",
        f"{text('status.talking', language)} {seen.talking}",
        f"{text('status.attempts', language)} {seen.attempts}",
        f"ASR {_percent(seen.asr)}",
        f"ACD {_seconds(seen.acd_s)}",
        f"{text('status.refusals', language)} {seen.refusals}",
        f"{text('status.violations', language)} {sum(seen.violations.values())}",
    ]
    if status.journal.records:
        parts.append(f"{text('status.journal', language)} {status.journal.records}")
    return "  ".join(parts)


def screen(status: Status, language: str) -> Table:
    """The whole picture: contacts and calls, signalling, what became of them."""

    def say(message: str) -> str:
        return text(message, language)

    seen = status.figures
    progress = _pairs(
        [(say(f"target.{s}"), str(status.targets.targets.get(s, 0))) for s in TargetState]
        + [
            (say("status.live"), f"{seen.live}"),
            (say("status.talking"), f"{seen.talking}"),
            (say("status.refusals"), f"{seen.refusals}"),
            (say("status.callbacks"), f"{status.callbacks_open}"),
            (say("status.transfers"), f"{seen.transfers}"),
        ]
        + [(say("status.journal"), f"{status.journal.records}")] * bool(status.journal.records)
    )
    signalling = _pairs(
        [
            (say("status.attempts"), f"{seen.attempts}"),
            (say("status.answered"), f"{seen.answered}"),
            (say("status.asr"), _percent(seen.asr)),
            (say("status.ner"), _percent(seen.ner)),
            (say("status.acd"), _seconds(seen.acd_s)),
            (say("status.pdd"), _both(seen.pdd_p50_ms, seen.pdd_p95_ms)),
            (say("status.disclosure"), _both(seen.disclosure_p50_ms, seen.disclosure_max_ms)),
            (
                say("status.violations"),
                ", ".join(f"{name} ×{n}" for name, n in seen.violations.items()) or "0",
            ),
            (say("status.checked"), f"{status.checks.checked} / {status.checks.recorded}"),
            (say("status.check_failed"), f"{status.checks.failed}"),
        ]
    )
    became = _pairs([(say(f"outcome.{o}"), str(n)) for o, n in seen.outcomes.items()], wrap=True)
    mark = f"  {say('demo.mark')}" if status.demo else ""
    title = f"{status.name}  {say(f'state.{status.state}')}{mark}"
    whole = Table(title=title, title_justify="left", box=None, padding=(0, 2, 0, 0))
    for heading in ("status.contacts", "status.calls", "status.outcomes"):
        whole.add_column(say(heading), header_style="bold", vertical="top")
    whole.add_row(progress, signalling, became)
    return whole


def _pairs(rows: list[tuple[str, str]], *, wrap: bool = False) -> Table:
    table = Table.grid(padding=(0, 1))
    table.add_column(style="dim", no_wrap=not wrap)
    table.add_column(justify="right", no_wrap=True)
    for label, value in rows:
        table.add_row(label, value)
    return table


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.1f} %"


def _seconds(value: float | None) -> str:
    return "–" if value is None else f"{value:.1f} s"


def _both(first: int | None, second: int | None) -> str:
    return "–" if first is None or second is None else f"{first} / {second} ms"


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
