"""Runs of pytest with the lab's plugin."""

from __future__ import annotations

import pytest

STRICT = ("--strict-markers", "-W", "error", "-p", "no:asyncio")


def run(
    pytester: pytest.Pytester, source: str, *options: str
) -> tuple[dict[str, int], pytest.RunResult]:
    pytester.makepyfile(source)
    result = pytester.runpytest_subprocess(*STRICT, *options, timeout=100)
    return result.parseoutcomes(), result
