"""The lab tells the kernel the same about links, addresses and routes as `ip` would tell it."""

from __future__ import annotations

import json
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from natlab.errors import NetworkError
from natlab.network.interfaces import wait_until_running
from natlab.sandbox import iproute
from natlab.sandbox.netns import (
    IP,
    IP_ALL,
    Command,
    in_namespace,
    routing,
    run_together,
    set_sysctl,
)
from tests.lab import warm

LINKS = """
link add name a-0 netns {one} address 02:00:00:00:00:01 index 101 type veth peer name b-0 netns {two} address 02:00:00:00:00:02 index 102
link add name a-1 netns {one} index 103 address 02:00:00:00:00:03 mtu 1400 type veth peer name b-1 mtu 1400 index 104 netns {two}
link add name spare index 105 address 02:00:00:00:00:05 netns {one} type veth peer name other index 106
link add name gone index 107 type veth peer name gone-too index 108
link delete dev gone
link set dev other netns {one} name moved
"""
AT_ONE = """
link set dev lo up
link add name br index 110 address 02:00:00:00:00:10 type bridge forward_delay 0
link set dev a-1 master br
link set dev a-0 mtu 1300
link set dev moved address 02:00:00:00:00:20
address replace 192.0.2.1/24 dev a-0
address add 192.0.2.2/32 dev a-0
address add 198.51.100.1/25 dev a-0
address del 198.51.100.1/25 dev a-0
address replace 2001:db8::1/64 dev a-0 nodad
address replace 203.0.113.1/24 dev br
link set dev a-0 up
link set dev a-1 up
link set dev br up
link set dev spare up
link set dev spare down
route replace default via 192.0.2.9
route replace 10.0.0.0/8 via 192.0.2.8 dev a-0
route add 10.1.0.0/16 dev a-0
route add 10.2.3.4 dev a-0 src 192.0.2.2 metric 7
route add 10.9.0.0/16 via 203.0.113.9
route del 10.9.0.0/16 via 203.0.113.9
route replace default via 2001:db8::9
route add 2001:db8:1::/48 dev a-0 metric 5
neighbor replace 192.0.2.9 lladdr 02:00:00:00:00:02 dev a-0 nud permanent
neighbor replace 2001:db8::9 lladdr 02:00:00:00:00:02 dev a-0 nud permanent
neighbor replace 192.0.2.10 lladdr 02:00:00:00:00:02 dev a-0 nud permanent
neighbor delete 192.0.2.10 dev a-0
"""
AT_TWO = "link set dev b-0 up\nlink set dev b-1 up\n"
SHOWN = (
    "-d link",
    "address",
    "-4 route show table all",
    "-6 route show table all",
    "neighbor show nud permanent",
)
OF_CHANCE = {"link_netnsid", "gc_timer", "hello_timer", "tcn_timer", "topology_change_timer"}
OF_CHANCE |= {"ifindex", "valid_life_time", "preferred_life_time", "operstate", "flags"}
"""Of the process that asks, or of the moment."""


@contextmanager
def _two_nodes() -> Iterator[tuple[int, int]]:
    words = ["mnexec", "-dnp", "cat"]
    pipe = subprocess.PIPE
    with (
        subprocess.Popen(words, stdin=pipe, stdout=pipe) as one,
        subprocess.Popen(words, stdin=pipe, stdout=pipe) as two,
    ):
        for each in (one, two):
            assert each.stdout is not None
            each.stdout.readline()
            with in_namespace(each.pid):  # no addresses of the kernel's own, which take their time
                set_sysctl("net.ipv6.conf.default.addr_gen_mode", 1)
        yield one.pid, two.pid
        for each in (one, two):
            each.kill()


def _known(value: Any) -> Any:
    """Without what differs from one time to another."""
    if isinstance(value, list):
        return [_known(each) for each in value]
    if not isinstance(value, dict):
        return value
    return {key: _known(each) for key, each in value.items() if key not in OF_CHANCE}


def _made(argv: tuple[str, ...]) -> dict[str, Any]:
    """What `ip` shows of a node once `argv` has read the lines."""
    with _two_nodes() as (one, two):
        run_together([Command(argv, LINKS.format(one=one, two=two))])
        run_together([Command(argv, AT_ONE, one), Command(argv, AT_TWO, two)])
        shown = {}
        with in_namespace(one), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as handle:
            for interface in ("a-0", "a-1", "br"):
                wait_until_running(handle, interface, time.monotonic() + 10)
            for words in SHOWN:
                done = subprocess.run(["ip", "-j", *words.split()], capture_output=True, check=True)
                shown[words] = _known(json.loads(done.stdout or b"[]"))
        return shown


def test_the_kernel_has_the_same_as_after_ip() -> None:
    assert len(iproute.steps(LINKS.format(one=1, two=2) + AT_ONE + AT_TWO)) == 36
    ours = warm.call(30, _made, IP)
    theirs = warm.call(30, _made, ("ip", "-b", "-"))
    assert ours == theirs
    assert len(ours["-4 route show table all"]) > 8
    assert {each["ifname"] for each in ours["-d link"]} == {
        *("lo", "a-0", "a-1", "spare", "moved", "br")
    }


def _asked() -> tuple[iproute.Interface, list[str], list[str], iproute.Interface]:
    with _two_nodes() as (one, two):
        run_together([Command(IP, LINKS.format(one=one, two=two))])
        run_together([Command(IP, AT_ONE, one), Command(IP, AT_TWO, two)])
        with routing(one) as netlink:
            return (
                iproute.interface(netlink, "a-0"),
                iproute.addresses(netlink, "a-0"),
                iproute.routes(netlink, "a-0"),
                iproute.interface(netlink, "a-1"),
            )


def test_an_interface_is_told_with_its_addresses_and_routes() -> None:
    interface, addresses, routes, member = warm.call(30, _asked)
    assert interface == iproute.Interface("a-0", 101, 1300, "02:00:00:00:00:01", None)
    assert member.master == "br"
    assert addresses == ["192.0.2.1/24", "192.0.2.2/32", "2001:db8::1/64"]
    assert sorted(routes) == sorted(
        [
            "0.0.0.0/0 dev a-0 via 192.0.2.9",
            "10.0.0.0/8 dev a-0 via 192.0.2.8",
            "10.1.0.0/16 dev a-0",
            "10.2.3.4/32 dev a-0 src 192.0.2.2 metric 7",
            "2001:db8:1::/48 dev a-0 metric 5",
            "::/0 dev a-0 via 2001:db8::9 metric 1024",
        ]
    )
    assert iproute.steps("".join(f"route replace {each}\n" for each in routes))


@pytest.mark.parametrize(
    "line",
    [
        "link set dev lo txqueuelen 10",
        "link add name x type dummy",
        "route add unreachable 10.0.0.0/8",
        "route add 10.0.0.1/8 dev lo",
        "route add default via 2001:db8::1 table 7",
        "address show dev lo",
        "rule add from 10.0.0.1 table 5",
        "neighbor replace 10.0.0.1 dev lo nud stale",
        "link set dev",
    ],
)
def test_what_is_not_known_is_left_to_ip(line: str) -> None:
    with pytest.raises(iproute.Unknown):
        iproute.steps(f"link set dev lo up\n{line}\n")


def _links(text: str) -> list[str]:
    """The words that `ip link` says after `text`."""
    run_together([Command(IP, text)])
    return subprocess.run(["ip", "link"], capture_output=True, check=True).stdout.decode().split()


def test_a_batch_with_an_unknown_line_is_done_by_ip_as_a_whole() -> None:
    assert "dummy0:" in warm.call(30, _links, "link set dev lo up\nlink add dummy0 type bridge\n")


def _told(argv: tuple[str, ...], text: str) -> tuple[str, str]:
    trouble = ""
    try:
        run_together([Command(argv, text)])
    except NetworkError as error:
        trouble = str(error)
    shown = subprocess.run(["ip", "address", "show", "dev", "lo"], capture_output=True, check=True)
    return trouble, shown.stdout.decode()


@pytest.mark.parametrize(("argv", "goes_on"), [(IP, False), (IP_ALL, True)])
def test_what_the_kernel_refuses_is_told_with_its_line(
    argv: tuple[str, ...], goes_on: bool
) -> None:
    text = "address add 10.0.0.1/8 dev lo\n" * 2 + "address add 10.0.0.2/8 dev lo\n"
    trouble, shown = warm.call(30, _told, argv, text)
    assert trouble == "ip address add 10.0.0.1/8 dev lo: File exists"
    assert ("10.0.0.2" in shown) is goes_on


def test_an_interface_that_is_not_there_is_told() -> None:
    trouble, _ = warm.call(30, _told, IP, "link set dev nowhere up\n")
    assert trouble == "ip link set dev nowhere up: there is no interface nowhere"
