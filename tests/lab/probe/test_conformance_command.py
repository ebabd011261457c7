"""Every claim of every NAT holds on this machine's kernel, and a false one is noticed."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache, partial
from pathlib import Path
from typing import Any

import pytest

from nat_traversal.errors import UsageError
from natlab.behavior import NUMBERS
from natlab.cli.main import main
from natlab.cli.status import Exit
from natlab.nat.ruleset import Firewall
from natlab.presets import preset
from natlab.probe import conformance_table
from natlab.probe.conformance import BY_IPTABLES, CROWDED, EVERY, Conformance, examine
from natlab.probe.finding import Finding
from natlab.sandbox.machine import search_path
from natlab.sandbox.sandbox import Sandbox
from tests.lab import warm


def is_crowded(name: str) -> bool:
    return any(f"+{flag}-" in name for flag in NUMBERS)


ELSEWHERE = {
    *("EIM+ADF+tcp-adf+syn-reset", "EIM+APDF+reject+syn-drop"),
    "APDM+APDF+tcp-established-300s+tcp-transitory-60s",
    *("EIM+ADF+icmp-closes", "EIM+APDF+random+port-parity"),
    *("EIM+APDF+nat66", "EIM+APDF+nptv6", "EIM+APDF+nat66-apdm"),  # test_ipv6.py
    *("EIM+APDF+ipv6-adf", "EIM+APDF+nptv6+ipv6-eif"),
    *("EIM+EIF+hairpin-external-source+nat64", "APDM+APDF+nat64"),  # test_nat64.py
}
HERE = [
    *(name for name in EVERY if not is_crowded(name) and name not in ELSEWHERE),
    *(CROWDED, "EIM+EIF+sessions-256"),
]
"""The ids that are left out have other values of the same flags at most; every night `lab conformance` asks all."""


_SIDE_BY_SIDE = 6
_NAMES = ("name", "really")


@pytest.fixture(scope="module")
def _begun() -> Iterator[Callable[..., Future[Conformance]]]:
    pool = ThreadPoolExecutor(_SIDE_BY_SIDE)
    ask = partial(examine, warm=warm.sandbox(), filled=False)
    yield cache(lambda *names: pool.submit(ask, *names))
    pool.shutdown(cancel_futures=True)


def cases(request: pytest.FixtureRequest) -> Iterator[dict[str, Any]]:
    """The parameters of all cases of this test that this process runs."""
    for item in request.session.items:
        if isinstance(item, pytest.Function) and item.function is request.function:
            yield item.callspec.params


@pytest.fixture
def examined(
    request: pytest.FixtureRequest, _begun: Callable[..., Future[Conformance]]
) -> Callable[..., Conformance]:
    """`examine`, for several cases of the test at once: each waits for seconds and computes next to nothing."""
    for case in cases(request):
        _begun(*(case[each] for each in _NAMES if each in case))
    return lambda *names: _begun(*names).result()


@pytest.mark.parametrize("name", HERE)
def test_a_nat_is_what_it_says(name: str, examined: Callable[..., Conformance]) -> None:
    found = examined(name)
    assert found.error is None
    assert [finding for finding in found.findings if not finding.holds] == []
    if name in {"udp-blocked", "tcp-only"}:
        assert len(found.findings) == 5
    else:
        further = sum(f"+{flag}-" in name for flag in NUMBERS)
        further += "hairpin-external-source" in found.behavior
        further += "+port-parity" in name
        further += "+tcp-sessions" in name
        # Stock Linux has its own times for TCP, which are days.
        assert len(found.findings) == (22 if name == "linux-masquerade" else 24) + further


@pytest.mark.parametrize("name", ["cgnat", "EIM+EIF", "EIM+EIF+sequential", "linux-masquerade"])
def test_every_port_of_a_nat_is_given_once_however_many_ask(name: str) -> None:
    """The NATs before gave 59,524 of 64,512, 951 of 1,024 in a block, 32,768 in sequence.

    A NAT of each way to give ports; every night `lab conformance` asks all.
    """
    found = examine(name, warm=warm.sandbox())
    filled = [finding for finding in found.findings if "filled " in finding.claim]
    assert [finding for finding in filled if not finding.holds] == []
    assert len(filled) == (1 if name == "linux-masquerade" else 2)


@pytest.fixture(scope="module", params=["xtables-nft-multi", "xtables-legacy-multi"])
def by_iptables(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[str], Future[Conformance]]]:
    """`examine` with one of the two programs that Debian's `iptables` is, as the machine's alternatives have it."""
    tool, directory = request.param, tmp_path_factory.mktemp("tools")
    program = shutil.which(tool, path=search_path())
    assert program is not None
    for called in ("iptables", "iptables-restore"):
        (directory / called).symlink_to(program)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", f"{directory}:{search_path()}")
        own = Sandbox()  # which has this PATH
    pool = ThreadPoolExecutor(len(BY_IPTABLES))

    def begin(name: str) -> Future[Conformance]:
        filled = name == "full-cone" and tool == "xtables-nft-multi"
        return pool.submit(examine, name, warm=own, filled=filled, firewall=Firewall.IPTABLES)

    with own:
        yield cache(begin)
        pool.shutdown(cancel_futures=True)


@pytest.mark.parametrize("name", BY_IPTABLES)
def test_a_nat_of_iptables_is_what_it_says_with_either_tool(
    name: str,
    by_iptables: Callable[[str], Future[Conformance]],
    request: pytest.FixtureRequest,
) -> None:
    for case in cases(request):
        by_iptables(case["name"])
    found = by_iptables(name).result()
    assert found.error is None
    assert [finding for finding in found.findings if not finding.holds] == []
    assert len(found.findings) >= 22


@pytest.mark.parametrize(
    ("name", "really", "broken"),
    [
        ("EIM+EIF", "EIM+EIF+random", {"port allocation"}),
        ("EIM+EIF+sequential", "EIM+EIF+random", {"port allocation"}),
        ("EIM+EIF+block-per-host", "EIM+EIF+random", {"port allocation"}),
        ("APDM+ADF", "ADM+ADF", {"mapping"}),
        ("APDM+ADF", "APDM+EIF", {"filtering"}),
        ("EIM+EIF", "EIM+EIF+hairpin-internal-source", {"hairpin"}),
        (
            "EIM+EIF+hairpin-external-source",
            "EIM+EIF+hairpin-internal-source",
            {"hairpin", "errors about hairpinned"},
        ),
        (
            "APDM+EIF+hairpin-external-source",
            "APDM+EIF",
            {"hairpin", "errors about hairpinned"},
        ),
        ("APDM+APDF+hairpin-internal-source", "APDM+APDF", {"hairpin"}),
        ("EIM+ADF", "EIM+ADF+reject", {"unsolicited", "TCP from outside"}),
        ("EIM+EIF", "EIM+EIF+inbound-refresh", {"inbound packets refresh"}),
        ("EIM+EIF", "EIM+EIF+absolute", {"outbound packets refresh"}),
        # The ages asked are of a lifetime of 2 s: this one also outlives the last question.
        (
            "EIM+APDF",
            "EIM+APDF+3s",
            {"lifetime", "inbound packets refresh", "errors 3 s late"},
        ),
        (
            CROWDED,
            "APDM+APDF+sessions-512+background-60+addresses-2",
            {"external addresses of a host", "foreign flows a second", "session 257"},
        ),
        (
            "EIM+EIF+tcp-eif+syn-icmp",
            "EIM+EIF+tcp-adf+syn-reset+tcp-apdm+no-crossing-syn",
            {"TCP mapping", "TCP filtering", "SYNs that cross", "TCP from outside"},
        ),
        (
            "EIM+APDF+syn-hold+tcp-sessions-64",
            "EIM+APDF+syn-icmp+tcp-sessions-128",
            {"TCP connection 65", "TCP from outside"},
        ),
        (
            "EIM+APDF",
            "EIM+APDF+tcp-established-1s+tcp-transitory-3s",
            {"TCP lifetime, established", "TCP lifetime, transitory"},
        ),
        (
            "EIM+APDF+random+port-parity",
            "EIM+APDF+random+icmp-closes+no-fragments+alg",
            {"port parity", "an error about a datagram", "fragments", "addresses in payloads"},
        ),
        (
            "EIM+APDF",
            "EIM+APDF+no-icmp-errors",
            {"errors 3 s late", "errors on the way"},
        ),
        ("udp-blocked", "EIM+APDF", {"no UDP passes, and TCP does"}),
        ("udp-blocked", "tcp-only", {"ICMP echo passes"}),
        ("tcp-only", "udp-blocked", {"ICMP echo passes"}),
    ],
)
def test_a_false_claim_is_noticed_and_no_other(
    name: str, really: str, broken: set[str], examined: Callable[..., Conformance]
) -> None:
    found = examined(name, really)
    assert found.error is None
    assert {finding.claim for finding in found.findings if not finding.holds} == broken
    assert not found.ok


def test_the_command_writes_what_it_found(tmp_path: Path) -> None:
    files = tmp_path / "found.md", tmp_path / "found.json"
    nats = ["cgnat", "udp-blocked"]
    arguments = ["--markdown", str(files[0]), "--json", str(files[1]), "--jobs", "2"]
    assert main(["conformance", *nats, *arguments]) == Exit.OK
    said = json.loads(files[1].read_text())
    assert said["ok"]
    assert [nat["name"] for nat in said["nats"]] == nats
    assert "table ip nat_lab" in said["nats"][0]["rules"]
    assert files[0].read_text().count("\n| `") == 2


def test_what_is_no_nat_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["conformance", "none"]) == Exit.USAGE
    assert "none is no NAT: there is nothing to ask" in capsys.readouterr().err
    with pytest.raises(UsageError, match="goes with EIM or EIF"):
        examine("APDM+APDF+hairpin-external-source")


def test_what_does_not_hold_stands_out() -> None:
    findings = (Finding("mapping", "a", "a"), Finding("filtering", "b", "c"))
    name = "EIM+ADF"
    found = [
        Conformance(name, str(preset(name).behavior), findings),
        Conformance(name, "", (), error="boom"),
    ]
    assert not any(one.ok for one in found)
    assert conformance_table.markdown(found) == (
        "| NAT | mapping | filtering |\n|---|---|---|\n"
        "| `EIM+ADF` | a | **c, not b** |\n| `EIM+ADF` **boom** |  |  |\n"
    )
