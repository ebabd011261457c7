"""An IPv6-only host reaches IPv4 by NAT64 and DNS64, behind a NAT of any behaviour. tayga, unbound and dig are not ours."""

# ruff: noqa: PLC0415 - only a sandbox imports Mininet

from __future__ import annotations

import subprocess
from contextlib import suppress
from dataclasses import dataclass

import pytest

from tests.lab import warm

_HOST, _DNS64, _SERVER = "2001:db8:a:1::2", "2001:db8:a:1::1", "2001:db8:64::c000:202"


@dataclass(frozen=True, slots=True)
class Seen:
    """`sources`: of the host at two ports of the server. `heard`: where the host was heard from."""

    resolved: str
    sources: tuple[tuple[str, int], ...]
    own_port: int
    heard: tuple[str, ...]


def _seen(nat_a: str) -> Seen:
    from natlab.network.network import standing
    from natlab.sandbox.netns import in_namespace, udp_socket
    from natlab.topologies.nat64 import Nat64Home

    with standing(Nat64Home(nat_a=nat_a, nat_b="none")) as network:
        pid, server = network.pid("host_a"), network.pid("server")
        with in_namespace(pid):
            words = ("dig", "+short", "+tries=3", "AAAA", "server.lab", f"@{_DNS64}")
            said = subprocess.run(words, check=True, capture_output=True, text=True)
        with (
            udp_socket(pid, _HOST) as host,
            udp_socket(server, "192.0.2.2") as first,
            udp_socket(server, "192.0.2.2") as second,
            udp_socket(server, "192.0.2.3") as stranger,
        ):
            for opened in (host, first, second):
                opened.settimeout(20)
            sources = []
            for remote in (first, second):
                host.sendto(b"out", (_SERVER, remote.getsockname()[1]))
                sources.append(remote.recvfrom(64)[1])
            for remote, word in ((stranger, b"stranger"), (first, b"answer")):
                remote.sendto(word, sources[0])
            heard = [host.recvfrom(64)]
            # The answer was sent last, and all goes one way.
            while heard[-1][0] != b"answer":
                heard.append(host.recvfrom(64))
            host.settimeout(0.2)
            with suppress(TimeoutError):
                heard.append(host.recvfrom(64))
            return Seen(
                said.stdout.strip(),
                (sources[0], sources[1]),
                host.getsockname()[1],
                tuple(source[0] for _, source in heard),
            )


@pytest.mark.parametrize(
    ("nat", "heard"),
    [("full-cone", {_SERVER, "2001:db8:64::c000:203"}), ("symmetric", {_SERVER})],
)
def test_an_ipv6_host_is_behind_a_nat64_of_that_behaviour(nat: str, heard: set[str]) -> None:
    seen = warm.call(60, _seen, nat)
    assert seen.resolved == _SERVER
    assert {address for address, _ in seen.sources} == {"203.0.113.2"}
    assert ({port for _, port in seen.sources} == {seen.own_port}) is (nat == "full-cone")
    assert set(seen.heard) == heard
