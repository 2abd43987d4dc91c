# SPDX-License-Identifier: GPL-3.0-or-later
"""Write the two lock files anew: every package with its hashes, and no index address."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
OPTIONS = [
    "--universal",
    "--python-version=3.11",
    "--generate-hashes",
    "--no-emit-index-url",
    "--no-emit-find-links",
    "--no-header",
    "--no-annotate",
]


def main() -> int:
    """Resolve pyproject.toml with uv; its exit code."""
    for output, extras in (
        ("requirements.lock", ["build"]),
        ("requirements-dev.lock", ["build", "dev"]),
    ):
        command = [sys.executable, "-m", "uv", "pip", "compile", "pyproject.toml", "--quiet"]
        command += [f"--extra={extra}" for extra in extras] + OPTIONS + ["-o", output]
        code = subprocess.run(command, cwd=ROOT, check=False).returncode
        if code:
            return code
    return 0


if __name__ == "__main__":
    sys.exit(main())
