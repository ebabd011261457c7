"""Lab tests are never skipped: where the lab cannot work they fail with the reason and the remedy."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from natlab.cli import doctor
from natlab.cli.doctor import Need
from tests.lab import warm

_FIRST = tuple(Path(__file__).parent / room for room in ("testbed", "matrix", "cli"))
"""Where tests are long. None of them may begin when all others are done."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: not any(item.path.is_relative_to(room) for room in _FIRST))


@pytest.fixture(scope="session")
def what_is_missing() -> str:
    return "".join(
        f"\n  {finding.subject}: {finding.detail}. {finding.remedy}"
        for finding in doctor.examine()
        if not finding.has and finding.need in {Need.LAB, Need.TESTS}
    )


@pytest.fixture(autouse=True)
def _needs_the_lab(what_is_missing: str) -> None:
    if what_is_missing:
        pytest.fail(f"the lab cannot work here (--no-lab leaves it out):{what_is_missing}", False)


@pytest.fixture(scope="session", autouse=True)
def _warm_sandbox() -> Iterator[None]:
    yield
    warm.close()
