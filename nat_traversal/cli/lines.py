"""The form of the lines on stderr: prose for people, or JSON for programs that collect logs."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any, Protocol


class LineForm(Protocol):
    """Makes a line of what is said."""

    def line(self, level: str, text: str, values: Mapping[str, Any]) -> str:
        """`level` is ``info``, ``error`` or ``debug``; `values` are plain, ready for JSON."""


class Prose:
    """The text alone; with its time before it if `dated`."""

    def __init__(self, *, dated: bool = False) -> None:
        self._dated = dated

    def line(self, level: str, text: str, values: Mapping[str, Any]) -> str:
        """An error is told as such. Debug lines have their time in them already."""
        del values
        if level == "error":
            return f"error: {text}"
        at = f"{time.strftime('%Y-%m-%d %H:%M:%S%z')} " if self._dated and level == "info" else ""
        return at + text


class JsonLines:
    """One JSON object: time (RFC 3339, UTC), level, text, and the values of the event behind it."""

    def line(self, level: str, text: str, values: Mapping[str, Any]) -> str:
        """The values come last, so that the first three fields always stand at the same place."""
        now = time.time()
        at = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now))
        said = {"time": f"{at}.{int(now % 1 * 1000):03}Z", "level": level, "text": text}
        return json.dumps({**said, **{k: v for k, v in values.items() if k not in said}})
