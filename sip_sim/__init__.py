# SPDX-License-Identifier: GPL-3.0-or-later
"""The simulated callees: an independent witness on the far end of a SIP line.

This package imports nothing of the platform it observes and shares no SIP or media stack with it.
"""

from sip_sim.errors import SimulatorError
from sip_sim.server import Simulator

__all__ = ["Simulator", "SimulatorError"]
