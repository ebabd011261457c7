"""Each fault does happen: by packets, by what the kernel holds, by what programs do."""

# ruff: noqa: PLC0415 - only a sandbox imports Mininet, whose code is full of warnings

from __future__ import annotations

import re
import socket
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from natlab.errors import NetworkError
from natlab.faults.grammar import parse_action
from natlab.presets import preset
from natlab.probe.sockets import one_cpu
from natlab.sandbox.netns import in_namespace, udp_socket
from tests.lab import warm
from tests.lab.faults.faulty import SERVER, TIMEOUT, all_heard, faulty, heard_from, say

if TYPE_CHECKING:
    from natlab.network.network import Network
NATS = ["full-cone", "restricted-cone", "port-restricted-cone", "symmetric", "linux-masquerade"]
NATS += [f"iptables {name}" for name in NATS[:-1]]
"""The rules of the last are iptables and ipset."""


def _mapped(inside: socket.socket, server: socket.socket, text: str) -> tuple[str, int]:
    """The source that the server sees of a datagram from `inside`, which has to come."""
    say(text, inside, SERVER)
    return heard_from(server, text)[-1][1]


def _link(where: str) -> list[str]:
    """What the server hears: of host_a while a link is up, down, and up again; of host_b meanwhile."""
    with (
        faulty("port-restricted-cone") as (network, faults),
        udp_socket(network.pid("host_a"), "0.0.0.0") as inside,
        udp_socket(network.pid("host_b"), "0.0.0.0") as elsewhere,
        udp_socket(network.pid("server"), *SERVER) as server,
    ):
        say("up", inside, SERVER)
        heard = all_heard(server, "up")
        faults.link_down(where)
        try:
            say("down", inside, SERVER)
        except OSError as error:
            heard.append(str(error.strerror))
        say("meanwhile", elsewhere, SERVER)
        heard += all_heard(server, "meanwhile")
        faults.link_up(where)
        say("up again", inside, SERVER)
        # What a host said towards a neighbour that was away may have waited for it.
        return heard + [text for text in all_heard(server, "up again") if text != "down"]


@pytest.mark.parametrize(
    ("where", "heard"),
    [
        ("host_a", ["up", "Network is unreachable", "meanwhile", "up again"]),
        ("nat_a-wan", ["up", "meanwhile", "up again"]),
        ("nat_a", ["up", "meanwhile", "up again"]),
    ],
)
def test_a_link_that_is_down_carries_nothing_and_comes_back_with_its_routes(
    where: str, heard: list[str]
) -> None:
    assert warm.call(TIMEOUT, _link, where) == heard


def _remembered(pid: int) -> tuple[int, int]:
    """Elements of the NAT's maps and sets, and tracked UDP flows."""
    with in_namespace(pid):
        ruleset, sets, flows = (
            subprocess.run(words, check=True, capture_output=True, text=True).stdout
            for words in (
                ["nft", "list", "ruleset"],
                ["ipset", "save"],
                ["conntrack", "-L", "-p", "udp"],
            )
        )
    elements = ruleset.count(" expires ") + len(re.findall("^add ", sets, re.MULTILINE))
    return elements, len(flows.splitlines())


def _reboot(nat: str) -> dict[str, object]:
    with (
        faulty(nat) as (network, faults),
        udp_socket(network.pid("host_a"), "10.0.1.2", 4000) as inside,
        udp_socket(network.pid("server"), *SERVER) as server,
    ):
        mapped = _mapped(inside, server, "open")
        say("before", server, mapped)
        heard = all_heard(inside, "before")
        remembered_before = _remembered(network.pid("nat_a"))
        faults.reboot("nat_a")
        remembered = _remembered(network.pid("nat_a"))
        say("after", server, mapped)
        say("opened again", server, _mapped(inside, server, "open again"))
        heard += all_heard(inside, "opened again")
        return {"before": remembered_before, "after": remembered, "heard": heard}


@pytest.mark.parametrize("nat", NATS)
def test_a_rebooted_nat_remembers_nothing(nat: str) -> None:
    seen = warm.call(TIMEOUT, _reboot, nat)
    assert seen.pop("before") != (0, 0)
    assert seen == {"after": (0, 0), "heard": ["before", "opened again"]}


def _swap(before: str, after: str) -> None:
    from natlab.probe.network import probe_nat
    from natlab.probe.observe import check

    with faulty(before) as (network, faults):
        check(preset(before.rpartition(" ")[2]), probe_nat(network, "nat_a"))
        faults.swap("nat_a", after)
        check(preset(after), probe_nat(network, "nat_a"))
        assert network.nat("nat_a").preset.name == after
        assert str(network.rules["nat_a"]) == str(network.nat("nat_a").rules)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("full-cone", "symmetric"),
        ("symmetric", "linux-masquerade"),
        ("linux-masquerade", "restricted-cone"),
        ("iptables full-cone", "symmetric"),
        ("iptables symmetric", "linux-masquerade"),
        ("iptables linux-masquerade", "restricted-cone"),
    ],
)
def test_a_swapped_nat_is_by_its_probes_the_other_one(before: str, after: str) -> None:
    warm.call(TIMEOUT, _swap, before, after)


def _new_address(nat: str) -> dict[str, object]:
    with (
        faulty(nat) as (network, faults),
        udp_socket(network.pid("host_a"), "10.0.1.2", 4000) as inside,
        udp_socket(network.pid("server"), *SERVER) as server,
    ):
        old = _mapped(inside, server, "from the old")
        faults.change_address("nat_a", "203.0.113.77")
        new = _mapped(inside, server, "from the new")
        say("to the old", server, old)
        say("to the new", server, new)
        return {"from": [old[0], new[0]], "heard": all_heard(inside, "to the new")}


@pytest.mark.parametrize(
    "nat", ["full-cone", "symmetric", "linux-masquerade", "iptables full-cone"]
)
def test_a_nat_with_a_new_address_sends_from_it_and_is_deaf_at_the_old(nat: str) -> None:
    assert warm.call(TIMEOUT, _new_address, nat) == {
        "from": ["203.0.113.2", "203.0.113.77"],
        "heard": ["to the new"],
    }


def _expire(nat: str) -> dict[str, object]:
    with (
        faulty(nat) as (network, faults),
        udp_socket(network.pid("host_a"), "10.0.1.2", 4000) as first,
        udp_socket(network.pid("host_a"), "10.0.1.2", 4001) as second,
        udp_socket(network.pid("server"), *SERVER) as server,
    ):
        both = [_mapped(each, server, f"open {each.getsockname()[1]}") for each in (first, second)]
        ended = [faults.expire("nat_a", "host_a", 4000)]
        say("to the ended", server, both[0])
        say("to the neighbour", server, both[1])
        heard_by_second = all_heard(second, "to the neighbour")
        ended.append(faults.expire("nat_a", "host_a"))
        say("to the neighbour, ended", server, both[1])
        for inside in (first, second):
            again = _mapped(inside, server, f"open {inside.getsockname()[1]} again")
            say("opened again", server, again)
        return {
            "ended": ended,
            "heard by 4000": all_heard(first, "opened again"),
            "heard by 4001": heard_by_second + all_heard(second, "opened again"),
        }


@pytest.mark.parametrize("nat", NATS)
def test_an_expired_mapping_is_closed_and_its_neighbour_is_not(nat: str) -> None:
    assert warm.call(TIMEOUT, _expire, nat) == {
        "ended": [1, 1],
        "heard by 4000": ["opened again"],
        "heard by 4001": ["to the neighbour", "opened again"],
    }


def _nothing_to_expire(nat: str) -> None:
    with faulty(nat) as (_, faults):
        faults.expire("nat_a", "host_a", 4000)


@pytest.mark.parametrize("nat", ["full-cone", "iptables full-cone", "linux-masquerade"])
def test_a_mapping_that_is_not_there_cannot_expire(nat: str) -> None:
    with pytest.raises(NetworkError, match="nat_a has no mapping of host_a:4000 that could expire"):
        warm.call(TIMEOUT, _nothing_to_expire, nat)


def _one_way() -> dict[str, list[str]]:
    """What each of two public hosts hears of what the other says, while one way is blocked and not."""
    with (
        faulty("none", "none") as (network, faults),
        udp_socket(network.pid("host_a"), network.address("host_a"), 4000) as a,
        udp_socket(network.pid("host_b"), network.address("host_b"), 4000) as b,
    ):

        def both_say(text: str) -> None:
            say(text, a, b.getsockname())
            say(text, b, a.getsockname())

        both_say("open")
        faults.block("host_a", "host_b")
        both_say("blocked")
        faults.unblock("host_a", "host_b")
        both_say("open again")
        return {"host_a": all_heard(a, "open again"), "host_b": all_heard(b, "open again")}


def test_a_blocked_way_is_blocked_one_way() -> None:
    assert warm.call(TIMEOUT, _one_way) == {
        "host_a": ["open", "blocked", "open again"],
        "host_b": ["open", "open again"],
    }


def _tcp_passes(network: Network, source: str, target: str) -> bool:
    with in_namespace(network.pid(target)):
        listener = socket.create_server((network.address(target), 0))
    with in_namespace(network.pid(source)):
        client = socket.socket()
    with listener, client:
        client.settimeout(10)
        try:
            client.connect(listener.getsockname())
        except TimeoutError:
            return False
    return True


def _relay() -> dict[str, list[bool] | list[str]]:
    """Whether TCP passes, and what each hears, while the relay is whole, cut, and restored."""
    from natlab.faults.inject import Faults
    from natlab.network.loading import load
    from natlab.network.network import standing
    from natlab.programs.programs import Programs

    with (
        standing(load("dual_stack,nat_a=none,nat_b=none")) as network,
        Programs(Path("/run")) as programs,
        udp_socket(network.pid("host_a"), network.address("host_a"), 4000) as a,
        udp_socket(network.pid("host_b"), network.address("host_b"), 4000) as b,
        udp_socket(network.pid("server"), "0.0.0.0", 4000) as server,
    ):
        with in_namespace(network.pid("host_c")):
            c = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        with in_namespace(network.pid("server")):
            server6 = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        server6.bind(("2001:db8:5::2", 4006))

        def all_say(text: str) -> None:
            say(text, a, ("192.0.2.2", 4000))
            say(text + " to the second", a, ("192.0.2.3", 4000))
            say(text + " over IPv6", c, ("2001:db8:5::2", 4006))
            say(text + " from the relay", server, a.getsockname())
            say(text + " from host_b", b, a.getsockname())

        faults = Faults(network, programs)
        with c, server6, one_cpu():
            all_say("whole")
            tcp = [_tcp_passes(network, "host_a", "server")]
            faults.inject(parse_action("relay-cut server"))
            all_say("cut")
            tcp.append(_tcp_passes(network, "host_a", "server"))
            faults.inject(parse_action("relay-restore server"))
            all_say("restored")
            tcp.append(_tcp_passes(network, "host_a", "server"))
            return {
                "TCP": tcp,
                "the relay": all_heard(server, "restored to the second"),
                "the relay over IPv6": all_heard(server6, "restored over IPv6"),
                "host_a": all_heard(a, "restored from host_b"),
            }


def test_a_relay_that_is_cut_has_tcp_alone_until_it_is_restored() -> None:
    assert warm.call(TIMEOUT, _relay) == {
        "TCP": [True, True, True],
        "the relay": ["whole", "whole to the second", "restored", "restored to the second"],
        "the relay over IPv6": ["whole over IPv6", "restored over IPv6"],
        "host_a": [
            *("whole from the relay", "whole from host_b"),
            "cut from host_b",
            *("restored from the relay", "restored from host_b"),
        ],
    }
