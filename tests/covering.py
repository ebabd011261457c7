"""pytest plugin of `make coverage`: in the simulated world, one case of each test.

Under coverage's tracer a simulated world takes three to four times as long. The cases of one test there differ in seeds, NATs
and times: they prove that what holds for one holds for all, and `make test` runs each of them. Few lines run in a further case
alone, and the percentage has to be reached without these.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest

_WORLDS = Path(__file__).parent / "sim"


def further_cases(names: Iterable[str]) -> list[str]:
    """Of tests by their names, as in ``test_it[case]``, all cases but the first of each."""
    met: set[str] = set()
    further: list[str] = []
    for name in names:
        test = name.partition("[")[0]
        if test in met:
            further.append(name)
        met.add(test)
    return further


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    worlds = [item.nodeid for item in items if _WORLDS in item.path.parents]
    further = frozenset(further_cases(worlds))
    config.hook.pytest_deselected(items=[item for item in items if item.nodeid in further])
    items[:] = [item for item in items if item.nodeid not in further]
