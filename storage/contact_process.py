# SPDX-License-Identifier: GPL-3.0-or-later
"""A file of contacts read in a second process, while the first one stores what came before.

The order goes to its standard input, pieces come back through its standard output; both are
pipes between the two alone, and what comes back is sealed. The keys it gets open nothing but
what it seals itself. It knows nothing of the database, so that it may die at any moment: its
parent then says so and takes back what is stored. When the parent dies, its pipe breaks.
"""

from __future__ import annotations

import fcntl
import os
import pickle
import queue
import resource
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from compliance.errors import BadInput, StorageError
from storage import pii
from storage.contact_files import Progress
from storage.contact_pieces import Order, Piece, Pieces
from storage.key_sources import SECRET_VARIABLES
from storage.keys import Keyring
from storage.keys_memory import LentKeys, MemoryKeyring

LARGE_BYTES = 4_000_000
"""From this size on a second process gains more than its start costs: some 20,000 rows."""

_PACKED = 5  # a workbook is that much smaller than the same rows as CSV
_PIECES_AHEAD = 24  # read, and not yet taken: 2,000 rows of some 800 bytes each
_LENGTH_BYTES = 4
_PIPE_BYTES = 1 << 20


@contextmanager
def pieces(order: Order, keyring: Keyring, progress: Progress) -> Iterator[Iterator[Piece]]:
    """The pieces of a file, by a second process if it is large, the keys can be lent (those of
    an HSM cannot) and this process may use a second core.

    Iterating raises:
        BadInput: as :class:`Pieces` does.
        StorageError: the second process ended before the file did.
    """
    if (
        isinstance(keyring, MemoryKeyring)
        and _size(order.path) >= LARGE_BYTES
        and len(os.sched_getaffinity(0)) > 1
    ):
        with _second_process(order, keyring.lend(pii.COLUMN, pii.NUMBER)) as output:
            yield _received(output, progress)
    else:
        yield iter(Pieces(order, keyring, progress))


def _size(path: Path) -> int:
    try:
        return path.stat().st_size * (_PACKED if path.suffix.lower() == ".xlsx" else 1)
    except OSError:
        return 0  # reading it will tell why


# ---------------------------------------------------------------- the parent


@contextmanager
def _second_process(order: Order, keys: LentKeys) -> Iterator[IO[bytes]]:
    child = subprocess.Popen(
        [sys.executable, "-m", "storage.contact_process"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,  # a traceback might quote a row
        env={
            **{name: value for name, value in os.environ.items() if name not in SECRET_VARIABLES},
            "PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path),
        },
        start_new_session=True,  # Ctrl-C reaches the parent, which ends it
    )
    assert child.stdin is not None
    assert child.stdout is not None
    try:
        with suppress(BrokenPipeError):  # it died at once; there will be nothing to receive
            pickle.dump((order, keys), child.stdin)
            child.stdin.close()
        yield child.stdout
    finally:
        child.kill()
        child.stdout.close()
        child.wait()


def _received(output: IO[bytes], progress: Progress) -> Iterator[Piece]:
    while True:
        length = output.read(_LENGTH_BYTES)
        told = output.read(int.from_bytes(length, "big")) if length else b""
        if not told or len(told) < int.from_bytes(length, "big"):
            raise StorageError(
                "the process that read the file was ended; nothing was stored",
                remedy="import the file again",
            )
        match pickle.loads(told):
            case Piece() as piece:
                yield piece
                if piece.digest:
                    return
            case (int() as done, int() as total):
                progress(done, total)
            case ("bad", str() as detail, str() as remedy, dict() as params):
                raise _as_it_was(detail, remedy, params)
            case ("failed", str() as kind):
                raise StorageError(f"the file could not be read: {kind}")


def _as_it_was(detail: str, remedy: str, params: dict[str, Any]) -> BadInput:
    """The child's error; its detail names field and row already."""
    error = BadInput(detail, remedy=remedy)
    error.field, error.row = params["field"], params["row"]
    error.params = params
    return error


# ---------------------------------------------------------------- the child


def main() -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a dump would hold keys and people (D8)
    out = os.dup(1)
    os.dup2(2, 1)  # whatever a library prints must not get between the pieces
    order, keys = pickle.load(sys.stdin.buffer)
    _widen(out)
    told: queue.Queue[object] = queue.Queue(_PIECES_AHEAD)
    sender = threading.Thread(target=_send, args=(out, told), daemon=True)
    sender.start()
    try:
        for piece in Pieces(order, keys, lambda done, total: told.put((done, total))):
            told.put(piece)
    except BadInput as error:
        told.put(("bad", error.detail, error.remedy, error.params))
    except Exception as error:  # whose text might hold what stood in a row
        told.put(("failed", type(error).__name__))
    told.put(None)
    sender.join()


def _send(out: int, told: queue.Queue[object]) -> None:
    try:
        while (message := told.get()) is not None:
            data = pickle.dumps(message, pickle.HIGHEST_PROTOCOL)
            _write_all(out, len(data).to_bytes(_LENGTH_BYTES, "big") + data)
    except OSError:  # nobody reads any more
        os._exit(1)


def _write_all(out: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(out, rest) :]


def _widen(pipe: int) -> None:
    """Fewer turns for the same bytes, where the system has so much to give."""
    with suppress(OSError):
        fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)


if __name__ == "__main__":
    main()
