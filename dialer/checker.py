# SPDX-License-Identifier: GPL-3.0-or-later
"""The process that checks calls once they are over, off the path of every live call.

Started by the supervisor, nice before it loads anything; the order is one JSON line on
standard input, then one attempt id a line as calls end. It checks one
call at a time, and waits while the machine is loaded and calls are up. ``end`` on a line says
that the run is over: what waits is checked still. Standard input closing ends it at once.
What it does not come to is taken up by the next run or by ``candor check``.
"""

from __future__ import annotations

import json
import os
import queue
import resource
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import structlog

from compliance.clock import SystemClock
from compliance.errors import BadInput, CandorError, StorageAway
from dialer.checking import CallChecker
from dialer.logs import configure
from dialer.orders import END, CheckOrder
from dialer.settings import Home
from storage.database import check_version, make_engine
from storage.store import Store

log = structlog.get_logger("dialer.checker")

_LOADED = 0.9  # load a core from which it waits while calls are up
_LOOK_S = 1.0
_AGAIN_S = 5.0  # after the database or the bucket was away
_TRIES = 3  # of one call; then it is left for `candor check`


class Waiting:
    """Calls that wait for their check, from the database at first and then from the pipe."""

    def __init__(self) -> None:
        self._calls: queue.SimpleQueue[str] = queue.SimpleQueue()
        self.ending = threading.Event()

    def put(self, attempt: str) -> None:
        self._calls.put(attempt)

    def next(self, timeout_s: float) -> str:
        """The next call; empty: none came within the time."""
        try:
            return self._calls.get(timeout=0 if self.ending.is_set() else timeout_s)
        except queue.Empty:
            return ""


def is_loaded(load: float, cores: int) -> bool:
    """Whether the machine has no time to spare, by its load of the last minute."""
    return load >= _LOADED * cores


def work(
    store: Store,
    checker: CallChecker,
    waiting: Waiting,
    *,
    load: Callable[[], float] = lambda: os.getloadavg()[0],
    pause: Callable[[float], object] = time.sleep,
) -> int:
    """Check what waits until the run has ended and nothing is left; how many were checked."""
    done, last_look = 0, False
    for attempt in store.checks.due():
        waiting.put(attempt)
    tries: dict[str, int] = {}
    cores = len(os.sched_getaffinity(0))
    while True:
        attempt = waiting.next(_LOOK_S)
        if not attempt and waiting.ending.is_set():
            if last_look:
                return done
            last_look = True
            for left in store.checks.due():  # ended while the database was away
                waiting.put(left)
            continue
        if not attempt:
            continue
        try:
            while is_loaded(load(), cores) and store.checks.calls_up():
                pause(_LOOK_S)
            if store.checks.check(attempt) is None:
                checker.check(attempt)
                done += 1
        except StorageAway:
            tries[attempt] = tries.get(attempt, 0) + 1
            if tries[attempt] < _TRIES:
                waiting.put(attempt)
                pause(_AGAIN_S)
        except BadInput:
            continue  # nothing was recorded of it, or it is not closed yet
        except CandorError as error:
            log.error("call not checked", action="check.failed", kind=type(error).__name__)


def _listen(waiting: Waiting) -> None:
    """Read what the supervisor says; the pipe closing ends the process."""
    for line in sys.stdin:
        word = line.strip()
        if word == END:
            waiting.ending.set()
        elif word:
            waiting.put(word)
    os._exit(0)


def main() -> int:
    order = CheckOrder(**json.loads(sys.stdin.readline()))
    home = Home(Path(order.home))
    configure(home.logs / f"{home.settings.node}-checker.log")
    keyring = home.key_source.open(order.passphrase)
    engine = make_engine(home.database_url)
    check_version(engine)
    store = Store(engine, keyring, node=home.settings.node, clock=SystemClock())
    waiting = Waiting()
    threading.Thread(target=_listen, args=(waiting,), daemon=True).start()
    work(store, CallChecker(home, store), waiting)
    return 0


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a dump would hold keys and people (D8)
    code = main()
    sys.stdout.flush()
    os._exit(code)  # the thread that reads standard input never returns by itself
