"""pytest plugin: the fixture `nat_lab`, the marks `nat_pairs` and `nat_topology`. `docs/lab/pytest.md` shows tests.

It is loaded into every pytest run where this package is installed, so until a test asks for the
fixture it imports nothing but pytest.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import pytest

from natlab.testbed.mark_words import HELP

if TYPE_CHECKING:
    from natlab.testbed.api import TopologyLab

DEFAULT_PAIR = ("port-restricted-cone", "port-restricted-cone")
"""The pair for a test without the mark."""
_kept = pytest.StashKey[bool]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.getgroup("NAT lab").addoption(
        "--nat-lab-keep",
        metavar="DIR",
        help="keep packets, rules, logs and ladder diagram of failed tests in DIR (default: pytest's"
        " temporary directory)",
    )


def pytest_configure(config: pytest.Config) -> None:
    for text in HELP.values():
        config.addinivalue_line("markers", text)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Marks of the test, its class and its module add up."""
    marks = [mark for name in HELP for mark in metafunc.definition.iter_markers(name)]
    if marks and "nat_lab" in metafunc.fixturenames:
        from natlab.testbed.marks import wanted_by  # noqa: PLC0415 - the head of this file says why

        wanted = wanted_by(marks)
        metafunc.parametrize("nat_lab", wanted, indirect=True, ids=map(str, wanted))


def pytest_runtest_setup(item: pytest.Item) -> None:
    own = {mark.name for mark in item.own_markers} & HELP.keys()
    if own and "nat_lab" not in getattr(item, "fixturenames", ()):
        _refuse(item, f"it has the mark {own.pop()} but not the fixture nat_lab")


def _refuse(item: pytest.Item, reason: str) -> NoReturn:
    path, line, test = item.location
    _fail(f"{path}:{(line or 0) + 1}: {test}: {reason}")


def _fail(reason: str) -> NoReturn:
    """Fail the test in these words alone, without the exception that is being handled."""
    raise pytest.fail.Exception(reason, pytrace=False) from None


@pytest.fixture
def nat_lab(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[TopologyLab]:
    """A `natlab.testbed.api.NatLab`: two hosts behind NATs and a server; with the mark `nat_topology` a
    `natlab.testbed.api.TopologyLab`. Fails where the lab cannot work.

    If the test fails, its files are kept, and named in the report.
    """
    from nat_traversal.errors import UsageError  # noqa: PLC0415
    from natlab.errors import (  # noqa: PLC0415
        INSTALL,
        LabError,
        NetworkError,
        SandboxError,
        missing_package,
    )
    from natlab.report.directory import discard  # noqa: PLC0415
    from natlab.testbed.api import NatLab, TopologyLab  # noqa: PLC0415
    from natlab.testbed.marks import Refusal, Wanted  # noqa: PLC0415

    wanted: Wanted | Refusal = getattr(request, "param", None) or Wanted(DEFAULT_PAIR)
    if isinstance(wanted, Refusal):
        _refuse(request.node, wanted.reason)
    name = re.sub(r"\W+", "-", request.node.nodeid).strip("-")[-100:]
    keep = request.config.getoption("--nat-lab-keep")
    directory = Path(keep, name) if keep else tmp_path_factory.mktemp(f"nat-lab-{name}")
    lab: TopologyLab | None = None
    try:
        if isinstance(wanted.network, str):
            lab = TopologyLab(wanted.network, directory, wanted.links, wanted.firewall)
        else:
            lab = NatLab(*wanted.network, directory, wanted.links, wanted.firewall)
        lab.program = wanted.program
        if wanted.faults:
            lab.begin_faults(wanted.faults)
    except UsageError as error:
        if lab is not None:
            lab.close()
        _refuse(request.node, str(error))
    except LabError as error:
        _fail(f"the NAT lab cannot work here: {error}")
    except ModuleNotFoundError as error:
        missing = missing_package(error)
        if missing is None:
            raise
        _fail(f"the NAT lab lacks the package {missing}: {INSTALL}")
    with lab:
        yield lab
        wrong = _unhappened(lab) if wanted.faults else ""
        try:
            lab.require_links()
        except NetworkError as error:  # nothing came through: a test of that would pass
            wrong = f"the lab broke under this test: {error}"
        except SandboxError:  # the test has closed the lab
            pass
    if not request.node.stash.get(_kept, False):
        discard(directory)
        if wrong:
            pytest.fail(wrong, pytrace=False)


def _unhappened(lab: TopologyLab) -> str:
    """The faults of a mark that could not be, or whose moment did not come; empty if there is none."""
    told = lab.end_faults()
    if told.errors:
        return f"a fault could not be: {'; '.join(told.errors)}"
    missed = ", ".join(map(str, told.missed))
    return f"the test ended before these faults: {missed}" if missed else ""


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    lab: TopologyLab | None = getattr(item, "funcargs", {}).get("nat_lab")
    if lab is not None and call.excinfo is not None:
        _end_at_the_test(call.excinfo.value)
    report = yield
    if lab is not None and report.failed and call.when != "teardown":
        item.stash[_kept] = True
        report.sections.append((f"NAT lab {lab.name}", _keep(lab)))
    return report


def _end_at_the_test(error: BaseException) -> None:
    """Leave the lab's own frames out of what is shown of its documented errors: their text is for users."""
    from nat_traversal.errors import NatTraversalError  # noqa: PLC0415
    from natlab.errors import LabError  # noqa: PLC0415

    if not isinstance(error, LabError | NatTraversalError):
        return
    last, frame = None, error.__traceback__
    while frame is not None:
        if frame.tb_frame.f_globals.get("__name__", "").partition(".")[0] not in _PACKAGES:
            last = frame
        frame = frame.tb_next
    if last is not None:
        last.tb_next = None


_PACKAGES = ("natlab", "nat_traversal")
_ROWS = 12
"""How many rows of the ladder diagram a report shows."""


def _keep(lab: TopologyLab) -> str:
    """End what runs, write what is known, and name it; first what the packets say."""
    from natlab.errors import LabError  # noqa: PLC0415

    troubles = [f"not kept: {trouble}" for trouble in lab.finish()]
    told = [f"links: {lab.links}"]
    try:
        head, *rows = lab.ladder().splitlines()
        told += [*(lab.drops() or ["no NAT dropped a packet"]), "", head, *rows[:_ROWS]]
        told += [f"... {len(rows) - _ROWS} rows more in ladder.txt"] if len(rows) > _ROWS else []
    except LabError:  # told among the troubles
        pass
    files = sorted(path for path in lab.directory.iterdir() if path.stat().st_size)
    return "\n".join([*told, "", *(str(path) for path in files), *troubles])
