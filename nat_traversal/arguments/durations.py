"""The one way to write a duration: ``40ms``, ``2.5s``, ``2m``; a bare number is seconds. Pure."""

from __future__ import annotations

import re
from math import inf

from nat_traversal.errors import UsageError

DAY = 86_400.0
"""Seconds."""
_UNITS = {"us": 1e-6, "ms": 1e-3, "": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0}
_FORM = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)([a-z]*)", re.ASCII)


def parse_duration(text: str, least: float = 0.0, most: float = inf) -> float:
    """The seconds that `text` says, from `least` to `most`. Units: us, ms, s, m, h. Raises `UsageError`."""
    match = _FORM.fullmatch(text)
    if match is None or match[2] not in _UNITS:
        raise UsageError(
            f"{text!r} is no duration: write it like 40ms, 2.5s or 2m (a bare number is seconds)"
        )
    seconds = float(match[1]) * _UNITS[match[2]]
    if not least <= seconds <= most:
        wanted = f"at least {least:g}s" if most == inf else f"{least:g}s to {most:g}s"
        raise UsageError(f"{text!r} is out of range: give {wanted}")
    return seconds
