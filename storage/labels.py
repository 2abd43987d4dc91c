# SPDX-License-Identifier: GPL-3.0-or-later
"""The label of synthetic voice in what leaves the home (labelling measures of 2025-09-01).

The callee hears the robot word first (S1). Files carry the implicit label beside it: the
``AIGC`` element of GB 45438-2025, here written whatever the profile asks for.
"""

from __future__ import annotations

import json

KEY = "AIGC"
IS_SYNTHETIC = "1"  # 2: may be, 3: suspected


def label(company: str, call: str) -> dict[str, str]:
    """Who made the robot's voice, for which call. The reserved codes are empty: the seal of a
    recording and the ledger prove more than they could."""
    return {
        "Label": IS_SYNTHETIC,
        "ContentProducer": company,
        "ProduceID": call,
        "ReservedCode1": "",
        "ContentPropagator": company,
        "PropagateID": call,
        "ReservedCode2": "",
    }


def label_text(company: str, call: str) -> str:
    """The label as ASCII JSON, for a file's metadata."""
    return json.dumps({KEY: label(company, call)}, separators=(",", ":"))
