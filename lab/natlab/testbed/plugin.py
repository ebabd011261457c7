"""pytest plugin: the fixture `nat_lab`, the marks `nat_pairs` and `nat_topology`. `docs/lab/pytest.md` shows tests.

It is loaded into every pytest run where this package is installed, so until a test asks for the
fixture it imports nothing but pytest.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator, Sequence
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import pytest

if TYPE_CHECKING:
    from natlab.testbed.api import TopologyLab

DEFAULT_PAIR = ("port-restricted-cone", "port-restricted-cone")
"""The pair for a test without the mark."""
_PAIRS, _TOPOLOGY = "nat_pairs", "nat_topology"
_HELP = {
    _PAIRS: f"{_PAIRS}(*pairs, every=(), firewall='nftables'): run the test with `nat_lab` behind each of these"
    " pairs of NATs, as ('symmetric', 'none'), and behind every ordered pair of the NATs named in"
    " `every`; with firewall='iptables' their rules are iptables and ipset",
    _TOPOLOGY: f"{_TOPOLOGY}(*topologies, firewall='nftables'): run the test with `nat_lab` in each of these,"
    " as 'star,peers=4' or 'PATH.py:NAME,parameter=value'",
}
_kept = pytest.StashKey[bool]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.getgroup("NAT lab").addoption(
        "--nat-lab-keep",
        metavar="DIR",
        help="keep packets, rules, logs and ladder diagram of failed tests in DIR (default: pytest's"
        " temporary directory)",
    )


def pytest_configure(config: pytest.Config) -> None:
    for text in _HELP.values():
        config.addinivalue_line("markers", text)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    wanted: list[tuple[str, str] | str] = []
    for name, read in ((_PAIRS, _pairs), (_TOPOLOGY, _topologies)):
        mark = metafunc.definition.get_closest_marker(name)
        if mark is None:
            continue
        if "nat_lab" not in metafunc.fixturenames:
            test = metafunc.definition.name
            pytest.fail(f"{test} has the mark {name} but not the fixture nat_lab", pytrace=False)
        wanted += read(mark)
    if wanted:
        ids = [each if isinstance(each, str) else "--".join(each) for each in wanted]
        metafunc.parametrize("nat_lab", wanted, indirect=True, ids=ids)


def _pairs(mark: pytest.Mark) -> list[tuple[str, str]]:
    from nat_traversal.errors import UsageError  # noqa: PLC0415
    from natlab.nat.rules import check_made  # noqa: PLC0415 - the head of this file says why
    from natlab.nat.ruleset import Firewall, parse_firewall  # noqa: PLC0415
    from natlab.presets import preset  # noqa: PLC0415

    given: list[Sequence[str]] = [*mark.args, *product(mark.kwargs.get("every", ()), repeat=2)]
    wrong = [pair for pair in given if isinstance(pair, str) or len(pair) != 2]
    if wrong or not given or mark.kwargs.keys() - {"every", "firewall"}:
        _refuse(mark, "pairs of NATs")
    try:
        firewall = parse_firewall(mark.kwargs.get("firewall", Firewall.NFTABLES))
        pairs = list(dict.fromkeys((preset(a).name, preset(b).name) for a, b in given))
        for name in dict.fromkeys(name for pair in pairs for name in pair):
            check_made(preset(name), firewall)
    except UsageError as error:
        pytest.fail(str(error), pytrace=False)
    return pairs


def _topologies(mark: pytest.Mark) -> list[str]:
    """Their nodes are only known where Mininet is, when the test begins."""
    strange = mark.kwargs.keys() - {"firewall"}
    if strange or not mark.args or not all(isinstance(each, str) for each in mark.args):
        _refuse(mark, "topologies")
    return list(dict.fromkeys(mark.args))


def _refuse(mark: pytest.Mark, what: str) -> NoReturn:
    given = f"{mark.args} {dict(mark.kwargs)}"
    pytest.fail(f"not {what}: {given}; write it as {_HELP[mark.name]}", pytrace=False)


@pytest.fixture
def nat_lab(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[TopologyLab]:
    """A `natlab.testbed.api.NatLab`: two hosts behind NATs and a server; with the mark `nat_topology` a
    `natlab.testbed.api.TopologyLab`. Fails where the lab cannot work.

    If the test fails, its files are kept, and named in the report.
    """
    from nat_traversal.errors import UsageError  # noqa: PLC0415
    from natlab.errors import INSTALL, LabError, missing_package  # noqa: PLC0415
    from natlab.report.directory import discard  # noqa: PLC0415
    from natlab.testbed.api import NatLab, TopologyLab  # noqa: PLC0415

    wanted: tuple[str, str] | str = getattr(request, "param", DEFAULT_PAIR)
    name = re.sub(r"\W+", "-", request.node.nodeid).strip("-")[-100:]
    keep = request.config.getoption("--nat-lab-keep")
    directory = Path(keep, name) if keep else tmp_path_factory.mktemp(f"nat-lab-{name}")
    marks = [mark for name in _HELP for mark in request.node.iter_markers(name)]
    given = [mark.kwargs["firewall"] for mark in marks if "firewall" in mark.kwargs]
    firewall = given[0] if given else "nftables"
    try:
        if isinstance(wanted, str):
            lab = TopologyLab(wanted, directory, firewall=firewall)
        else:
            lab = NatLab(*wanted, directory, firewall=firewall)
    except UsageError as error:
        pytest.fail(str(error), pytrace=False)
    except LabError as error:
        pytest.fail(f"the NAT lab cannot work here: {error}", pytrace=False)
    except ModuleNotFoundError as error:
        missing = missing_package(error)
        if missing is None:
            raise
        pytest.fail(f"the NAT lab lacks the package {missing}: {INSTALL}", pytrace=False)
    with lab:
        yield lab
    if not request.node.stash.get(_kept, False):
        discard(directory)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    lab: TopologyLab | None = getattr(item, "funcargs", {}).get("nat_lab")
    if lab is not None and report.failed and call.when != "teardown":
        item.stash[_kept] = True
        report.sections.append((f"NAT lab {lab.name}", _keep(lab)))
    return report


def _keep(lab: TopologyLab) -> str:
    """End what runs, write what is known, and name it."""
    troubles = [f"not kept: {trouble}" for trouble in lab.finish()]
    files = sorted(path for path in lab.directory.iterdir() if path.stat().st_size)
    return "\n".join([*(str(path) for path in files), *troubles])
