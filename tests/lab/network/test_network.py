"""The topology `two_nats`: addresses, reachability, forgetting, and that it leaves nothing."""

# ruff: noqa: PLC0415 - only a sandbox imports Mininet, whose code is full of warnings

from __future__ import annotations

import os
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from nat_traversal.errors import UsageError
from natlab.errors import NetworkError
from natlab.network.addressing import NODES, SERVER
from tests import ROOT
from tests.lab import warm

_TIMEOUT = 40.0


def _run(*argv: str) -> str:
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout


def _addresses(nat_a: str, nat_b: str) -> dict[str, str]:
    from natlab.sandbox.netns import in_namespace
    from natlab.topologies.two_nats import two_nats_network

    found = {}
    with two_nats_network(nat_a, nat_b) as network:
        for node in NODES:
            with in_namespace(network.pid(node)):
                rows = _run("ip", "-br", "address").splitlines()
            for name, state, *addresses in (row.split() for row in rows):
                if name != "lo":
                    found[name.partition("@")[0]] = " ".join([state, *addresses])
    return found


def test_every_interface_is_up_with_its_addresses_and_no_other() -> None:
    assert warm.call(_TIMEOUT, _addresses, "symmetric", "none") == {
        "host_a-eth0": "UP 10.0.1.2/24",
        "nat_a-lan": "UP 10.0.1.1/24",
        "nat_a-wan": "UP 203.0.113.2/25",
        "internet-a": "UP 203.0.113.1/25",
        "internet-b": "UP 198.51.100.1/25",
        "internet-s": "UP 192.0.2.1/24",
        "nat_b-lan": "UP 198.51.100.129/25",
        "nat_b-wan": "UP 198.51.100.2/25",
        "host_b-eth0": "UP 198.51.100.130/25",
        "server-eth0": "UP 192.0.2.2/24 192.0.2.3/24",
    }


def _before_during_after() -> tuple[list[str], int, list[str]]:
    from natlab.topologies.two_nats import two_nats_network

    def look() -> list[str]:
        processes = len(list(Path("/proc").glob("[0-9]*")))
        return [_run("ip", "-br", "link"), _run("iptables-save"), str(processes)]

    before = look()
    with two_nats_network("full-cone", "restricted-cone"):
        links_here = _run("ip", "-br", "link").count("\n")
    return before, links_here, look()


def test_nothing_is_left_where_it_was_built_and_nothing_was_there_meanwhile() -> None:
    before, links_meanwhile, after = warm.call(_TIMEOUT, _before_during_after)
    assert links_meanwhile == 1
    assert after == before


def _stop_in_the_middle() -> int:
    from natlab.topologies.two_nats import two_nats_network

    with suppress(RuntimeError), two_nats_network("none", "none"):
        raise RuntimeError("something in the cell fails")
    return len(list(Path("/proc").glob("[0-9]*")))


def test_a_failing_cell_takes_its_network_down() -> None:
    assert warm.call(_TIMEOUT, _stop_in_the_middle) == 1


def _reached_after_forgetting(nat: str) -> tuple[bool, bool]:
    """Does the server's answer reach the host while the NAT remembers, and once it has forgotten?"""
    from natlab.sandbox.netns import udp_socket
    from natlab.topologies.two_nats import two_nats_network

    with (
        two_nats_network(nat, "none") as network,
        udp_socket(network.pid("host_a"), "10.0.1.2") as inside,
        udp_socket(network.pid("server"), str(SERVER.ip)) as outside,
    ):
        inside.sendto(b"out", outside.getsockname())
        outside.settimeout(10)
        _, mapped = outside.recvfrom(100)

        def answer() -> bool:
            outside.sendto(b"back", mapped)
            inside.settimeout(0.5)
            try:
                return inside.recv(100) == b"back"
            except TimeoutError:
                return False

        remembered = answer()
        network.forget("nat_a")
        return remembered, answer()


@pytest.mark.parametrize("nat", ["full-cone", "restricted-cone", "symmetric", "linux-masquerade"])
def test_a_nat_that_forgets_closes_what_was_open(nat: str) -> None:
    assert warm.call(_TIMEOUT, _reached_after_forgetting, nat) == (True, False)


def _unknown_preset() -> None:
    from natlab.topologies.two_nats import two_nats_network

    with two_nats_network("cone", "none"):
        pass


def test_an_unknown_preset_is_refused() -> None:
    with pytest.raises(UsageError, match="unknown NAT 'cone': choose from none, full-cone"):
        warm.call(_TIMEOUT, _unknown_preset)


def _namespaces() -> dict[str, str]:
    """The namespace of this thread at each moment."""
    from natlab.sandbox.netns import in_namespace
    from natlab.topologies.two_nats import two_nats_network

    def here() -> str:
        return os.readlink("/proc/thread-self/ns/net")  # noqa: PTH115 - no path, a name

    at = {"home": here()}
    with two_nats_network("none", "none") as network:
        with in_namespace(network.pid("server")):
            at["away"] = here()
            socket.create_server((str(SERVER.ip), 0)).close()
        at["back"] = here()
        with suppress(ValueError), in_namespace(network.pid("host_a")):
            raise ValueError
    return at | {"back after an error": here()}


def test_a_thread_comes_back_from_a_namespace_also_after_an_error() -> None:
    at = warm.call(_TIMEOUT, _namespaces)
    assert at["away"] != at["home"]
    assert at["back"] == at["back after an error"] == at["home"]


def _enter_the_dead() -> None:
    from natlab.sandbox.netns import in_namespace

    with in_namespace(2**22):
        pass


def test_the_namespace_of_a_dead_process_is_an_error() -> None:
    with pytest.raises(NetworkError, match="cannot enter the network namespace of process 4194304"):
        warm.call(_TIMEOUT, _enter_the_dead)


def _command_failures() -> None:
    from natlab.sandbox.netns import Command, run_together

    run_together(
        [
            Command(("true",), ""),
            Command(("iptables-restore",), "*nat\nnonsense\nCOMMIT\n"),
            Command(("no-such-program",), ""),
        ]
    )


def test_every_failed_command_is_told_with_its_words() -> None:
    with pytest.raises(NetworkError) as caught:
        warm.call(_TIMEOUT, _command_failures)
    assert "cannot start no-such-program: No such file or directory" in str(caught.value)
    assert "iptables-restore: exit status" in str(caught.value)
    assert "nonsense" in str(caught.value)


def _refused_by_plain_mininet(custom: str, topology: str) -> tuple[int, str]:
    done = subprocess.run(
        [
            *(str(Path(sys.executable).with_name("mn")), "--custom", custom),
            *("--topo", topology, "--controller", "none"),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("parameter", "words"),
    [
        ("nat_a=typo", "error: unknown NAT 'typo': choose from none, full-cone"),
        ("nat_c=none", "error: TwoNats.build() got an unexpected keyword argument 'nat_c'"),
    ],
)
def test_plain_mn_refuses_a_wrong_parameter_and_does_not_clean_up(
    parameter: str, words: str
) -> None:
    for folder in ("topologies", "lab/natlab/topologies"):
        asked = (f"{folder}/two_nats.py", f"two_nats,{parameter}")
        status, said = warm.call(_TIMEOUT, _refused_by_plain_mininet, *asked)
        assert status == 1
        assert words in said
        assert "lean" not in said  # Cleaning up..., *** Cleanup


def _plain_mininet(custom: str) -> str:
    done = subprocess.run(
        [
            *(str(Path(sys.executable).with_name("mn")), "--custom", custom),
            *("--topo", "two_nats,nat_a=symmetric,nat_b=full-cone", "--controller", "none"),
        ],
        cwd=ROOT,
        input="host_a ping -c 1 -W 5 server\nnat_a nft list chain ip nat_lab source\nnat_b nft list sets\n",
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout + done.stderr


@pytest.mark.parametrize("folder", ["topologies", "lab/natlab/topologies"])
def test_the_topology_configures_itself_under_plain_mn(folder: str) -> None:
    said = warm.call(_TIMEOUT, _plain_mininet, f"{folder}/two_nats.py")
    assert "1 packets transmitted, 1 received" in said
    assert 'oifname "nat_a-wan" snat to 203.0.113.2' in said
    assert "set permitted {" in said
