"""A judge of RFC 3489: Debian's stun-client inside classifies each NAT, its stun-server is outside.

Its method (section 10.1) has four words for NATs. NATs that it cannot tell apart say the same here: ADM
and APDM, which it calls dependent, as it asks two addresses on one port; random, sequential and
block-per-host ports; no hairpinning and that with the internal source (see the test of it). It has
no word for the filter behind a dependent mapping, but the tests that would show it are made, from a
socket of their own, and told: II asks for an answer from another address and port, III from another
port.
"""

# ruff: noqa: PLC0415 - only a sandbox imports Mininet, whose code is full of warnings

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import pytest

from natlab.behavior import NINE
from natlab.nat.ruleset import Firewall
from natlab.network.addressing import SERVER, SERVER_SECOND, SideAddresses
from natlab.presets import PRESETS, REAL_WORLD
from natlab.programs.program import Program
from natlab.programs.programs import Programs
from tests.lab import warm
from tests.lab.impostors import DNAT, DROP_INPUT, SNAT, impostor, replace_nat_a

_STUN_PORT = 3478
_SERVER = ("stund", "-h", str(SERVER.ip), "-a", str(SERVER_SECOND.ip), "-p", str(_STUN_PORT))
_INSIDE_PORT = 1000
"""No NAT of the lab chooses a port below 1024, so only one that keeps ports shows this one."""


_PORTS_OF_A_JUDGE = 20
_TRIES = 3


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the judge says of one NAT."""

    words: str
    answered: str
    """Which of the tests II and III were."""
    status: int
    """Its exit status: 2 to 8 for the kind of NAT, 1 if it keeps ports, 16 if it does not hairpin."""


def _judge(
    directory: Path,
    names: tuple[str, str],
    iptables: str,
    to_oneself: bool,
    firewall: Firewall = Firewall.NFTABLES,
) -> tuple[Verdict, Verdict]:
    """The judge's verdicts of NAT a, which has the rules `iptables` if there are any, and of NAT b.

    With `to_oneself` its hosts accept packets that seem to come from themselves.
    """
    from natlab.sandbox.netns import in_namespace, set_sysctl
    from natlab.topologies.two_nats import two_nats_network

    with two_nats_network(*names, firewall) as network, Programs(directory) as programs:
        if iptables:
            replace_nat_a(network, iptables)
        programs.start("stund", _SERVER, network.pid("server")).wait_until_bound(
            "udp", _STUN_PORT + 1, timeout=20
        )
        judges = []
        for side in (network.side_a, network.side_b):
            pid = network.pid(side.host_node)
            with in_namespace(pid):
                set_sysctl("net.ipv4.conf.all.accept_local", int(to_oneself))
            judges.append(_ask(programs, side, pid, 0))
        for judge in judges:
            judge.wait(timeout=30)
        sides = (network.side_a, network.side_b)
        for index, side in enumerate(sides):
            for again in range(1, _TRIES):
                if _has_compared(judges[index]):
                    break
                judges[index] = _ask(programs, side, network.pid(side.host_node), again)
                judges[index].wait(timeout=30)
        first, second = (_read(judge) for judge in judges)
    return first, second


def _ask(programs: Programs, side: SideAddresses, pid: int, again: int) -> Program:
    """Start the judge behind a NAT that does not know its port yet."""
    port = str(_INSIDE_PORT - again * _PORTS_OF_A_JUDGE)
    argv = ("stun", str(SERVER.ip), "-v", "-p", port, "-i", str(side.host.ip))
    name = f"{side.host_node}-{again}" if again else side.host_node
    return programs.start(name, argv, pid)


def _has_compared(judge: Program) -> bool:
    """Whether it had both answers that it compares. Where the second is late, on a busy machine, it takes the mapping for
    an independent one."""
    said = "\n".join(line.text for line in judge.lines())
    return "test I = 1" not in said or "test I(2) = 1" in said


def _read(judge: Program) -> Verdict:
    said = "\n".join(line.text for line in judge.lines())
    (words,) = re.findall(r"^Primary: (.*?)\s*$", said, re.MULTILINE)
    answered = re.findall(r"^test (II|III) = 1$", said, re.MULTILINE)
    assert judge.exit_status is not None
    return Verdict(words, " ".join(answered), judge.exit_status)


def _judge_a(
    directory: Path, name: str, iptables: str = "", *, to_oneself: bool = False
) -> Verdict:
    verdicts = warm.call(55, _judge, directory, (name, "none"), iptables, to_oneself)
    return verdicts[0]


_DEPENDENT = "Dependent Mapping, random port, no hairpin"
_SAID = {
    "none": Verdict("Open", "II III", 0 + 1),
    "udp-blocked": Verdict("Blocked or could not reach STUN server", "", 12 + 16),
    "tcp-only": Verdict("Blocked or could not reach STUN server", "", 12 + 16),
    "EIM+EIF": Verdict(
        "Independent Mapping, Independent Filter, preserves ports, no hairpin", "II III", 2 + 1 + 16
    ),
    "EIM+ADF": Verdict(
        "Independent Mapping, Address Dependent Filter, preserves ports, no hairpin",
        "III",
        4 + 1 + 16,
    ),
    "EIM+APDF": Verdict(
        "Independent Mapping, Port Dependent Filter, preserves ports, no hairpin", "", 6 + 1 + 16
    ),
    "ADM+EIF": Verdict(_DEPENDENT, "II III", 8 + 16),
    "ADM+ADF": Verdict(_DEPENDENT, "III", 8 + 16),
    "ADM+APDF": Verdict(_DEPENDENT, "", 8 + 16),
    "APDM+EIF": Verdict(_DEPENDENT, "II III", 8 + 16),
    "APDM+ADF": Verdict(_DEPENDENT, "III", 8 + 16),
    "APDM+APDF": Verdict(_DEPENDENT, "", 8 + 16),
    "linux-masquerade": Verdict(
        "Independent Mapping, Port Dependent Filter, preserves ports, no hairpin", "", 6 + 1 + 16
    ),
    "home-router": Verdict(
        "Independent Mapping, Port Dependent Filter, preserves ports, no hairpin", "", 6 + 1 + 16
    ),
    "EIM+APDF+hairpin-external-source": Verdict(
        "Independent Mapping, Port Dependent Filter, preserves ports, will hairpin", "", 6 + 1
    ),
    "cgnat": Verdict(
        "Independent Mapping, Independent Filter, random port, will hairpin", "II III", 2
    ),
    "corporate": Verdict(_DEPENDENT, "", 8 + 16),
    "mobile-carrier": Verdict(_DEPENDENT, "III", 8 + 16),
    "EIM+ADF+hairpin-external-source": Verdict(
        "Independent Mapping, Address Dependent Filter, preserves ports, will hairpin",
        "III",
        4 + 1,
    ),
    "EIM+ADF+sequential": Verdict(
        "Independent Mapping, Address Dependent Filter, random port, no hairpin", "III", 4 + 16
    ),
    "EIM+APDF+random": Verdict(
        "Independent Mapping, Port Dependent Filter, random port, no hairpin", "", 6 + 16
    ),
    "APDM+EIF+hairpin-external-source": Verdict(
        "Dependent Mapping, random port, will hairpin", "II III", 8
    ),
    "ADM+EIF+block-per-host": Verdict(_DEPENDENT, "II III", 8 + 16),
    "APDM+APDF+preserving": Verdict(
        "Dependent Mapping, preserves ports, no hairpin", "", 8 + 1 + 16
    ),
}


@pytest.mark.parametrize(
    "pair", [*zip([*_SAID][::2], [*_SAID][1::2], strict=True)], ids=" and ".join
)
def test_the_judge_of_rfc_3489_agrees_as_far_as_its_method_goes(
    pair: tuple[str, str], tmp_path: Path
) -> None:
    verdicts = warm.call(55, _judge, tmp_path, pair, "", False)
    assert verdicts == tuple(_SAID[name] for name in pair)


@pytest.mark.parametrize(
    "pair",
    [
        ("EIM+EIF", "EIM+ADF"),
        ("EIM+APDF", "APDM+APDF"),
        ("linux-masquerade", "none"),
    ],
    ids=" and ".join,
)
def test_the_judge_says_the_same_where_the_rules_are_iptables(
    pair: tuple[str, str], tmp_path: Path
) -> None:
    verdicts = warm.call(55, _judge, tmp_path, pair, "", False, Firewall.IPTABLES)
    assert verdicts == tuple(_SAID[name] for name in pair)


def test_every_preset_and_all_nine_are_judged() -> None:
    named = {"full-cone", "restricted-cone", "port-restricted-cone", "symmetric"}
    assert {*PRESETS, *REAL_WORLD, *NINE} - named <= set(_SAID)


@pytest.mark.parametrize(("to_oneself", "hairpins"), [(False, "no"), (True, "will")])
def test_linux_keeps_the_internal_source_from_a_judge_that_asks_by_sending_to_itself(
    to_oneself: bool, hairpins: str, tmp_path: Path
) -> None:
    """The packet comes back from the host's own address, which Linux drops unless told otherwise."""
    said = _judge_a(tmp_path, "EIM+APDF+hairpin-internal-source", to_oneself=to_oneself)
    assert said.words.endswith(f"preserves ports, {hairpins} hairpin")


@pytest.mark.parametrize(
    ("called", "iptables", "really"),
    [
        pytest.param(
            "EIM+APDF",
            impostor(
                nat_rules=f"{DNAT}{SNAT}\n", filter_rules="-A FORWARD -i nat_a-wan -j ACCEPT\n"
            ),
            Verdict(
                "Independent Mapping, Independent Filter, preserves ports, no hairpin",
                "II III",
                2 + 1 + 16,
            ),
            id="everything is forwarded inside",
        ),
        pytest.param(
            "EIM+EIF",
            impostor(filter_rules=DROP_INPUT, nat_rules=f"{SNAT}\n"),
            Verdict(
                "Independent Mapping, Port Dependent Filter, preserves ports, no hairpin",
                "",
                6 + 1 + 16,
            ),
            id="only answers come in",
        ),
        pytest.param(
            "EIM+APDF",
            impostor(
                filter_rules=DROP_INPUT,
                nat_rules=f"{SNAT} -d 192.0.2.2\n{SNAT.replace('113.2', '113.9')} -d 192.0.2.3\n",
            ),
            Verdict("Dependent Mapping, preserves ports, no hairpin", "", 8 + 1 + 16),
            id="another external address for each remote address",
        ),
        pytest.param(
            "APDM+APDF",
            impostor(filter_rules=DROP_INPUT, nat_rules=f"{SNAT}\n"),
            Verdict(
                "Independent Mapping, Port Dependent Filter, preserves ports, no hairpin",
                "",
                6 + 1 + 16,
            ),
            id="a port for everybody",
        ),
        pytest.param(
            "none",
            impostor(nat_rules=""),
            Verdict("Firewall", "", 10 + 1),
            id="a firewall before a public host",
        ),
    ],
)
def test_the_judge_notices_a_nat_that_is_not_what_it_is_called(
    called: str, iptables: str, really: Verdict, tmp_path: Path
) -> None:
    assert really != _SAID[called]
    assert _judge_a(tmp_path, called, iptables) == really
