"""Runs of pytest with the lab's plugin."""

from __future__ import annotations

import pytest

UNUSED = tuple(
    word for name in ("asyncio", "cov", "hypothesispytest") for word in ("-p", f"no:{name}")
)
"""Plugins that these runs have no use for; together they would take as long as pytest itself."""
STRICT = ("--strict-markers", "-W", "error", *UNUSED)


def run(
    pytester: pytest.Pytester, source: str, *options: str
) -> tuple[dict[str, int], pytest.RunResult]:
    pytester.makepyfile(source)
    result = pytester.runpytest_subprocess(*STRICT, *options, timeout=100)
    return result.parseoutcomes(), result
