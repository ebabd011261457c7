"""Which interfaces and addresses are told to a peer."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from nat_traversal.aio import interfaces
from nat_traversal.aio.interfaces import (
    Found,
    host_addresses,
    hosts_of,
    is_plausible,
    likeliest_first,
)
from nat_traversal.wire.addresses import is_loopback


@pytest.mark.parametrize(
    ("name", "plausible"),
    [
        *((name, True) for name in ("eth0", "wlan0", "enp3s0", "bond0", "br0", "host_a-eth0")),
        *((name, False) for name in ("docker0", "br-0123456789ab", "veth1a2b3c4", "virbr0")),
        *((name, False) for name in ("vnet7", "tun0", "tap3", "wg0", "tailscale0", "ppp0")),
    ],
)
def test_names_of_containers_machines_and_tunnels_are_left_out(name: str, plausible: bool) -> None:
    assert is_plausible(name, Path("/nowhere")) is plausible


def test_tunnel_of_any_name_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "office").mkdir()
    (tmp_path / "office" / "tun_flags").write_text("0x1001")
    assert not is_plausible("office", tmp_path)
    assert is_plausible("lan", tmp_path)


def test_this_hosts_addresses_have_the_sockets_port_and_no_loopback() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("0.0.0.0", 0))
        port = sock.getsockname()[1]
        assert [
            each
            for each in hosts_of(sock)
            if not (each.port == port and not is_loopback(each.address))
        ] == []
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
        assert hosts_of(sock) == ()


def test_loopback_and_what_is_gone_have_no_address() -> None:
    assert host_addresses(lambda: [(1, "lo"), (99, "gone")]) == []


def test_the_likeliest_addresses_come_first(tmp_path: Path) -> None:
    """Of a host with a bridge for its machines, a cable without a carrier, Wi-Fi and the cable that leads outward."""
    for card in ("eth0", "eth1", "wlan0"):
        (tmp_path / card / "device").mkdir(parents=True)
    found = [
        Found("br0", "10.9.0.1", is_running=True),
        Found("eth0", "10.0.0.2", is_running=False),
        Found("wlan0", "10.0.1.2", is_running=True),
        Found("eth1", "10.0.2.2", is_running=True),
        Found("br1", "10.9.1.1", is_running=False),
    ]
    rest = ["10.9.0.1", "10.0.0.2", "10.9.1.1"]
    assert likeliest_first(found, "10.0.2.2", tmp_path) == ["10.0.2.2", "10.0.1.2", *rest]
    assert likeliest_first(found, None, tmp_path) == ["10.0.1.2", "10.0.2.2", *rest]
    assert likeliest_first(found, "10.9.1.1", tmp_path)[0] == "10.9.1.1", "whatever it is"


def test_other_systems_tell_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interfaces, "LINUX", False)
    assert host_addresses(lambda: [(1, "eth0")]) == []
