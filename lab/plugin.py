"""pytest plugin: the fixture `nat_lab` and the mark `nat_pairs`. `docs/lab.md` shows a test.

It is loaded into every pytest run where this package is installed, so until a test asks for the
fixture it imports nothing but pytest.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Generator, Iterator, Sequence
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from lab.scenario import NatLab

DEFAULT_PAIR = ("port-restricted-cone", "port-restricted-cone")
"""What a test without the mark gets."""
_MARK = "nat_pairs"
_HELP = (
    f"{_MARK}(*pairs, every=()): run the test with `nat_lab` behind each of these pairs of NATs, as"
    " ('symmetric', 'none'), and behind every ordered pair of the NATs named in `every`"
)
_kept = pytest.StashKey[bool]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.getgroup("NAT lab").addoption(
        "--nat-lab-keep",
        metavar="DIR",
        help="keep packets, rules, logs and ladder diagram of failed tests in DIR (default: pytest's"
        " temporary directory)",
    )


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", _HELP)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    mark = metafunc.definition.get_closest_marker(_MARK)
    if mark is None:
        return
    if "nat_lab" not in metafunc.fixturenames:
        pytest.fail(f"{metafunc.definition.name} has the mark {_MARK} but not the fixture nat_lab")
    pairs = _pairs(mark)
    ids = ["--".join(pair) for pair in pairs]
    metafunc.parametrize("nat_lab", pairs, indirect=True, ids=ids)


def _pairs(mark: pytest.Mark) -> list[tuple[str, str]]:
    from nat_traversal.behavior import preset  # noqa: PLC0415 - the head of this file says why
    from nat_traversal.errors import UsageError  # noqa: PLC0415

    given: list[Sequence[str]] = [*mark.args, *product(mark.kwargs.get("every", ()), repeat=2)]
    wrong = [pair for pair in given if isinstance(pair, str) or len(pair) != 2]
    if wrong or not given or mark.kwargs.keys() - {"every"}:
        pytest.fail(f"not pairs of NATs: {mark.args} {dict(mark.kwargs)}; write it as {_HELP}")
    try:
        return list(dict.fromkeys((preset(a).name, preset(b).name) for a, b in given))
    except UsageError as error:
        pytest.fail(str(error))


@pytest.fixture
def nat_lab(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[NatLab]:
    """A `lab.scenario.NatLab`: two hosts behind NATs and a server. Fails where the lab cannot work.

    If the test fails, its files are kept, and named in the report.
    """
    from lab.errors import LabError  # noqa: PLC0415
    from lab.scenario import NatLab  # noqa: PLC0415

    pair: tuple[str, str] = getattr(request, "param", DEFAULT_PAIR)
    name = re.sub(r"\W+", "-", request.node.nodeid).strip("-")[-100:]
    keep = request.config.getoption("--nat-lab-keep")
    directory = Path(keep, name) if keep else tmp_path_factory.mktemp(f"nat-lab-{name}")
    try:
        lab = NatLab(*pair, directory)
    except LabError as error:
        pytest.fail(f"the NAT lab cannot work here: {error}", pytrace=False)
    except ModuleNotFoundError as error:
        remedy = "pip install 'nat-traversal[lab]'"
        pytest.fail(f"the NAT lab lacks the package {error.name}: {remedy}", pytrace=False)
    with lab:
        yield lab
    if not request.node.stash.get(_kept, False):
        shutil.rmtree(directory)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    lab: NatLab | None = getattr(item, "funcargs", {}).get("nat_lab")
    if lab is not None and report.failed and call.when != "teardown":
        item.stash[_kept] = True
        report.sections.append((f"NAT lab {lab.nat_a} × {lab.nat_b}", _keep(lab)))
    return report


def _keep(lab: NatLab) -> str:
    """End what runs, write what is known, and name it."""
    troubles = [f"not kept: {trouble}" for trouble in lab.finish()]
    files = sorted(path for path in lab.directory.iterdir() if path.stat().st_size)
    return "\n".join([*(str(path) for path in files), *troubles])
