# SPDX-License-Identifier: GPL-3.0-or-later
"""How fast gate and storage are: ``python -m tests.bench.run [small|default|full]``.

Every figure is taken beside one of a known program in the same run, where there is one; see
docs/benchmarks.md. Prints a table and writes ``bench-results/UTC-TIME.json``.
"""

from __future__ import annotations

import json
import os
import platform
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.progress import track
from rich.table import Table

from tests.bench import gate, imports, ledgers, seals, transactions, words
from tests.bench.figures import Figure, Sizes

SIZES = {
    "small": Sizes(people=5_000, few=2_000, many=20_000, calls=100, entries=5_000, sound_mb=16),
    "default": Sizes(
        people=100_000, few=10_000, many=100_000, calls=500, entries=50_000, sound_mb=64
    ),
    "full": Sizes(
        people=1_000_000, few=10_000, many=1_000_000, calls=1_000, entries=500_000, sound_mb=256
    ),
}
PARTS = (
    gate.measure,
    imports.measure,
    transactions.measure,
    ledgers.measure,
    seals.measure,
    words.measure,
)


def main(size: str) -> int:
    console, sizes = Console(width=None if sys.stdout.isatty() else 130), SIZES[size]
    figures: list[Figure] = []
    before = os.getloadavg()[0]
    for part in track(PARTS, "measuring", console=console, transient=True):
        with tempfile.TemporaryDirectory(prefix="candor-bench-") as folder:
            figures += part(Path(folder), sizes)
    table = Table(title=f"Candor, size {size}")
    for column in ("what", "figure", "unit", "beside it", "n"):
        table.add_column(column, justify="left" if column in ("what", "beside it") else "right")
    for figure in figures:
        table.add_row(
            figure.what, f"{figure.value:,.2f}", figure.unit, figure.beside, f"{figure.n:,}"
        )
    console.print(table)
    at = datetime.now(UTC)
    results = {
        "at": at.isoformat(timespec="seconds"),
        "size": size,
        "cores": os.cpu_count(),
        "machine": platform.machine(),
        "python": platform.python_version(),
        "load": {"before": before, "after": os.getloadavg()[0]},
        "figures": [figure.as_json() for figure in figures],
    }
    folder = Path("bench-results")
    folder.mkdir(exist_ok=True)
    path = folder / f"{at:%Y%m%dT%H%M%SZ}.json"
    path.write_text(json.dumps(results, indent=2) + "\n")
    console.print(f"load before {before:.2f}; {path} written")
    return 0


if __name__ == "__main__":
    asked = sys.argv[1] if len(sys.argv) > 1 else "default"
    if asked not in SIZES:
        sys.exit(f"size {asked!r}: one of {', '.join(SIZES)}")
    sys.exit(main(asked))
