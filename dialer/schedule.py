# SPDX-License-Identifier: GPL-3.0-or-later
"""What must happen regularly while dialing, as APScheduler jobs.

A job that fails is reported and tried again at its next time; none of them
overlaps itself.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from datetime import UTC, datetime

import structlog
from apscheduler.events import EVENT_JOB_ERROR, JobExecutionEvent
from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler

from compliance.clock import Clock
from compliance.errors import StorageError
from storage import recordings
from storage.objects import Objects
from storage.retention import check_server_clock
from storage.sequencer import Sequencer
from storage.spool import SpooledObjects
from storage.store import Store
from storage.terms import Terms

log = structlog.get_logger("dialer.schedule")

SEQUENCE_S = 0.5  # an entry has its global index ≤ 1 s after its commit
CHECKPOINT_S = 5.0  # asks; the sequencer signs every 60 s or 1,000 entries
CARRY_S = 5.0  # the newest checkpoint goes to the further anchors
SETTLE_S = 2.0
WATCH_S = 5.0  # whether calls fail as those of a blocked number do
FORWARD_S = 5.0  # sealed files go to the bucket
STAMP_S = 30.0  # asks; a checkpoint is stamped as often as the settings say
SWEEP_S = 60.0  # how late a complaint's escalation may be told
RETAIN_S = 600.0  # asks; what is over is destroyed once a day


def build(
    sequencer: Sequencer,
    store: Store,
    clock: Clock,
    objects: Objects,
    terms: Terms,
    look: Callable[[], None],
    stamp: Callable[[], object] | None = None,
    carry: Callable[[], object] | None = None,
    watch: Callable[[], object] | None = None,
) -> BackgroundScheduler:
    """A scheduler ready to start.

    One worker thread, so that jobs never race each other; destruction, which may take minutes,
    has its own, and so has ``carry``, which waits for further anchors. ``look`` settles what
    dead processes left; ``stamp`` has a checkpoint stamped when that is due; ``watch`` looks
    after our own numbers.
    """
    scheduler = BackgroundScheduler(
        executors={
            "default": ThreadPoolExecutor(1),
            "retention": ThreadPoolExecutor(1),
            "anchors": ThreadPoolExecutor(1),
        },
        job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None},
        timezone="UTC",
    )

    def settle() -> None:
        look()
        recover_recordings(store, objects)

    def retain() -> None:
        """Once a day, whichever machine looks first; a term that is over waits for nobody."""
        if store.retention.is_due():
            check_server_clock(store.engine, clock)
            store.retention.run(terms, objects)
        else:
            store.retention.complete(objects)

    scheduler.add_job(
        lambda: sequencer.run_once(clock.wall()), "interval", seconds=SEQUENCE_S, id="sequence"
    )
    scheduler.add_job(
        lambda: sequencer.checkpoint(clock.wall(), carry=False),
        "interval",
        seconds=CHECKPOINT_S,
        id="checkpoint",
    )
    scheduler.add_job(
        retain,
        "interval",
        seconds=RETAIN_S,
        id="retain",
        executor="retention",
        next_run_time=datetime.now(UTC),
    )
    scheduler.add_job(store.complaints.sweep, "interval", seconds=SWEEP_S, id="complaints")
    if isinstance(objects, SpooledObjects):
        scheduler.add_job(
            objects.forward, "interval", seconds=FORWARD_S, id="forward", executor="retention"
        )
    if carry is not None:
        scheduler.add_job(carry, "interval", seconds=CARRY_S, id="carry", executor="anchors")
    if stamp is not None:
        scheduler.add_job(stamp, "interval", seconds=STAMP_S, id="stamp", executor="retention")
    if watch is not None:
        scheduler.add_job(watch, "interval", seconds=WATCH_S, id="watch")
    scheduler.add_job(settle, "interval", seconds=SETTLE_S, id="settle")
    scheduler.add_listener(_failed, EVENT_JOB_ERROR)
    return scheduler


def forward_rest(objects: Objects) -> None:
    """Carry what a run's last calls left in the spool; what a store is away for waits on."""
    if isinstance(objects, SpooledObjects):
        with contextlib.suppress(StorageError):
            objects.forward()


def recover_recordings(store: Store, objects: Objects) -> None:
    """Seal what killed processes left of their recordings.

    Whether the notice was completed died with the process, so the callee's track
    is shredded (S4: in doubt, not kept); the bot's prefix stays.
    """
    for opening in store.unsealed_recordings():
        store.seal_recovered(recordings.recover(objects, store.keyring, opening, keep_callee=False))


def _failed(event: JobExecutionEvent) -> None:
    log.error(
        "job failed", action="job.failed", job=event.job_id, kind=type(event.exception).__name__
    )
