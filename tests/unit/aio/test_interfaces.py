"""Which interfaces and addresses are told to a peer."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from nat_traversal.aio import interfaces
from nat_traversal.aio.interfaces import host_addresses, hosts_of, is_plausible
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
        assert all(each.port == port and not is_loopback(each.address) for each in hosts_of(sock))
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
        assert hosts_of(sock) == ()


def test_loopback_and_what_is_gone_have_no_address() -> None:
    assert host_addresses(lambda: [(1, "lo"), (99, "gone")]) == []


def test_other_systems_tell_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interfaces, "LINUX", False)
    assert host_addresses(lambda: [(1, "eth0")]) == []
