# SPDX-License-Identifier: GPL-3.0-or-later
"""Every rule of the gate, in the order findings are listed."""

from __future__ import annotations

from compliance.rules.base import Breach, LineRule, Rule
from compliance.rules.campaign import CAMPAIGN_RULES
from compliance.rules.consent import CONSENT_RULES
from compliance.rules.line import LINE_RULES as OF_LINES
from compliance.rules.number import NUMBER_RULES
from compliance.rules.own_numbers import OWN_NUMBER_RULES
from compliance.rules.papers import PAPER_RULES, SUPPLIER_RULES
from compliance.rules.standing import STANDING_RULES
from compliance.rules.timing import TIMING_RULES

RULES: tuple[Rule, ...] = (
    CAMPAIGN_RULES + STANDING_RULES + PAPER_RULES + CONSENT_RULES + NUMBER_RULES + TIMING_RULES
)
LINE_RULES: tuple[LineRule, ...] = OF_LINES + SUPPLIER_RULES + OWN_NUMBER_RULES

__all__ = ["LINE_RULES", "RULES", "Breach", "LineRule", "Rule"]
