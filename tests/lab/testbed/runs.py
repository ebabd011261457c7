"""Runs of pytest with the lab's plugin."""

from __future__ import annotations

import time

import pytest

from tests.lab import commands

UNUSED = tuple(
    word for name in ("asyncio", "cov", "hypothesispytest") for word in ("-p", f"no:{name}")
)
"""Plugins that these runs have no use for; together they would take as long as pytest itself."""
WARM = "ignore:Module already imported so cannot be rewritten:pytest.PytestAssertRewriteWarning"
"""Of what these runs have read before they begin, where the package's own metadata lies in the checkout."""
STRICT = ("--strict-markers", "-W", "error", "-W", WARM, *UNUSED)


def run(
    pytester: pytest.Pytester, source: str, *options: str
) -> tuple[dict[str, int], pytest.RunResult]:
    pytester.makepyfile(source)
    result = run_pytest(pytester, *STRICT, *options)
    return result.parseoutcomes(), result


def run_pytest(pytester: pytest.Pytester, *options: str, timeout: float = 100) -> pytest.RunResult:
    """As `pytest.Pytester.runpytest_subprocess`, but that it starts warm."""
    words = ("pytest", f"--basetemp={pytester.mkdir('basetemp')}", *options)
    begin = time.monotonic()
    done = commands.run(*words, directory=pytester.path, timeout=timeout)
    print(done.stdout, done.stderr, sep="")  # noqa: T201 - shown where the test fails
    out, err = done.stdout.splitlines(), done.stderr.splitlines()
    return pytest.RunResult(done.returncode, out, err, time.monotonic() - begin)
