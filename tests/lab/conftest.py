"""Lab tests are never skipped: where the lab cannot work they fail with the reason and the remedy."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling
from xdist.workermanage import WorkerController

from natlab.cli import doctor
from natlab.cli.doctor import Need
from natlab.sandbox.sandbox import Sandbox
from tests.lab import nursery, warm

_FIRST = tuple(
    Path(__file__).parent / place
    for place in ("test_soak.py", "testbed/test_installed.py", "testbed", "matrix", "cli")
)
"""Where tests are long, the longest first. None of them may begin when all others are done."""


_ASKED, _WORD = pytest.StashKey[str](), "what the lab lacks"
_NURSERY = "where to ask for forks"
_TOGETHER = tuple(
    f"tests/lab/{name}"
    for name in (
        "attackers/test_attackers.py",
        "probe/test_conformance.py::test_no_preset_passes_for_another",
        "probe/test_conformance_command.py::test_a_false_claim_is_noticed_and_no_other",
        "probe/test_conformance_command.py::test_a_nat_is_what_it_says",
        "probe/test_conformance_command.py::test_a_nat_of_iptables_is_what_it_says",
        "report/test_browser.py",
        "report/test_report.py",
    )
)
"""Tests that share what takes long to make: each line's run in one worker.

They have no `xdist_group`: with pytest 9.2, pytest-xdist 3.8 does not see that mark and says nothing.
"""


class Together(LoadScopeScheduling):  # type: ignore[misc]
    """Every test goes to whoever is free, but those of `_TOGETHER` to one worker."""

    def _split_scope(self, nodeid: str) -> str:
        return next((name for name in _TOGETHER if nodeid.startswith(name)), nodeid)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadScopeScheduling:
    return Together(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    def turn(item: pytest.Item) -> int:
        places = (n for n, place in enumerate(_FIRST) if item.path.is_relative_to(place))
        return next(places, len(_FIRST))

    items.sort(key=turn)


def _missing() -> str:
    return "".join(
        f"\n  {finding.subject}: {finding.detail}. {finding.remedy}"
        for finding in doctor.examine()
        if not finding.has and finding.need in {Need.LAB, Need.TESTS}
    )


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: WorkerController) -> None:
    """One process asks for all workers, and one has read the modules for them."""
    config = node.config
    if _ASKED not in config.stash:
        config.stash[_ASKED] = _missing()
    node.workerinput[_WORD] = config.stash[_ASKED]
    node.workerinput[_NURSERY] = nursery.begin()


def pytest_configure(config: pytest.Config) -> None:
    begun: str | None = getattr(config, "workerinput", {}).get(_NURSERY)
    if begun is not None:
        nursery.use(begun)


@pytest.fixture(scope="session")
def what_is_missing(pytestconfig: pytest.Config) -> str:
    told: str | None = getattr(pytestconfig, "workerinput", {}).get(_WORD)
    return _missing() if told is None else told


@pytest.fixture(autouse=True)
def _needs_the_lab(what_is_missing: str) -> None:
    if what_is_missing:
        pytest.fail(f"the lab cannot work here (--no-lab leaves it out):{what_is_missing}", False)


@pytest.fixture(scope="session", autouse=True)
def _warm_sandbox() -> Iterator[None]:
    yield
    warm.close()


@pytest.fixture(scope="module", autouse=True)
def _sandboxes_are_forks(request: pytest.FixtureRequest) -> Iterator[None]:
    """Those that a test begins in its own process too, where it is not about their beginning."""
    with pytest.MonkeyPatch.context() as patch:
        if request.path.parent.name != "sandbox":
            patch.setattr(Sandbox, "begin", staticmethod(nursery.sandbox))
        yield
