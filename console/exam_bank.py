# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads the question bank that comes as data (YAML); checked by ``compliance.exam``."""

from __future__ import annotations

import functools
from importlib import resources

import yaml

from compliance.errors import BadInput
from compliance.exam import Bank, parse_bank

LANGUAGES = ("zh", "en")
# The C parser where it is there: ten times as fast, and a question bank is long.
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@functools.cache
def load(language: str) -> Bank:
    """The bank of one language.

    Raises:
        BadInput: no such language. PolicyError: the file is broken; nobody can pass.
    """
    if language not in LANGUAGES:
        raise BadInput("is neither zh nor en", field="language")
    path = resources.files("compliance") / "data" / "exam" / f"{language}.yaml"
    return parse_bank(yaml.load(path.read_text("utf-8"), _Loader))
