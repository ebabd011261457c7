"""pytest plugin of `make fuzz`: gives tests of random input a budget of examples and seeds that lasts a night."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings

from tests import seeds

PROFILE = "nightly"
WORLD = 50
"""Examples of a decoder in the time of one example that runs a simulated world."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--fuzz-examples",
        metavar="N",
        type=int,
        default=20_000,
        help=f"examples for each decoder's test, {WORLD} times fewer for a simulated world's"
        " (default: %(default)s)",
    )
    parser.addoption(
        "--fuzz-seeds",
        metavar="N",
        type=int,
        default=20,
        help="times as many seeds of random worlds as usual (default: %(default)s)",
    )


def pytest_configure(config: pytest.Config) -> None:
    seeds.factor = config.getoption("--fuzz-seeds")
    settings.register_profile(
        PROFILE,
        max_examples=config.getoption("--fuzz-examples"),
        deadline=None,
        print_blob=True,
        suppress_health_check=[HealthCheck.too_slow],
    )
    settings.load_profile(PROFILE)


def of_a_world() -> settings:
    """The present budget, for a test whose every example runs a simulated world."""
    return settings(max_examples=max(1, settings().max_examples // WORLD), deadline=None)
