"""`nat-traversal check` behind the lab's NATs: the verdict equals the definition of each."""

# ruff: noqa: PLC0415 - only a sandbox imports Mininet, whose code is full of warnings

from __future__ import annotations

import asyncio
import re
import subprocess
from pathlib import Path

import pytest

from nat_traversal import Endpoint, HostPort, ServerSettings, Verdict, check_nat, serve
from nat_traversal.check.verdict import Udp
from nat_traversal.settings import CheckSettings
from nat_traversal.wire.behavior import PortAllocation
from natlab.behavior import NINE
from natlab.network.addressing import SERVER, SERVER_SECOND
from natlab.presets import PRESETS, REAL_WORLD, preset
from tests.lab import warm
from tests.nats import seen_from_inside
from tests.seeds import seeds

QUICK = CheckSettings(rate=10_000, tries=3, interval=0.03, first_interval=0.05)
GENEROUS = ServerSettings(stun_per_source=1e6, stun_in_all=1e6)
_NAMED = {"full-cone", "restricted-cone", "port-restricted-cone", "symmetric"}
"""Among the nine."""


def _verdicts(names: list[str]) -> dict[str, Verdict]:
    """Behind nat_a as each of `names` in turn; host_b is public. The server and the checks share this process."""
    from natlab.nat.rules import rules_for
    from natlab.network.reload import load_rules
    from natlab.sandbox.netns import in_namespace
    from natlab.topologies.two_nats import two_nats_network

    async def one(host: str) -> Verdict:
        with in_namespace(network.pid("server")):
            other = Endpoint(str(SERVER_SECOND.ip), 6546)
            server = await serve(str(SERVER.ip), 6545, alternate=other, settings=GENEROUS)
        async with server:
            with in_namespace(network.pid(host)):
                return await check_nat(HostPort(str(SERVER.ip), 6545), settings=QUICK)

    found = {}
    with two_nats_network("full-cone", "none") as network:
        nat = network.nat("nat_a")
        with in_namespace(network.pid("host_a")):  # systemd lets everybody ping
            Path("/proc/sys/net/ipv4/ping_group_range").write_text("0 0", encoding="ascii")
        for name in names:
            is_public = preset(name).behavior is None
            if not is_public:
                load_rules(network.node("nat_a"), rules_for(preset(name), nat.ports))
            found[name] = asyncio.run(one("host_b" if is_public else "host_a"))
    return found


@seeds(1)
def test_the_verdict_is_the_nats_definition(seed: int) -> None:
    """All presets, and the nine with one allocation each; four seeds are the nine with each allocation."""
    allocations = [*PortAllocation]
    nine = [
        f"{nat}+{allocations[(number + seed) % len(allocations)]}"
        for number, nat in enumerate(NINE)
    ]
    names = [*nine, *sorted({*PRESETS, *REAL_WORLD} - _NAMED)]
    found = warm.call(150, _verdicts, names)
    assert {name: each.id for name, each in found.items()} == {
        name: seen_from_inside(name) for name in names
    }
    for name, each in found.items():
        behavior = preset(name).behavior
        blocked = behavior is not None and behavior.blocks_udp
        assert (name, each.udp) == (
            name,
            behavior.protocols if behavior and blocked else Udp.PASSES,
        )
        if not blocked:
            assert (name, each.nat, each.mtu) == (name, behavior is not None, 1500)


_SERVERS = {
    "stund": ("stund", "-h", str(SERVER.ip), "-a", str(SERVER_SECOND.ip), "-p", "3478"),
    "coturn": (
        *("turnserver", "-n", "-L", str(SERVER.ip), "-L", str(SERVER_SECOND.ip), "-p", "3478"),
        *("--no-auth", "--no-tcp", "--no-tls", "--log-file", "stdout"),
    ),
}


def _asked_of(server: str, name: str, directory: Path) -> Verdict:
    """Behind `name`, by a server from elsewhere."""
    from natlab.programs.programs import Programs
    from natlab.sandbox.netns import in_namespace
    from natlab.topologies.two_nats import two_nats_network

    # From 4.7 on coturn answers RFC 5780 requests only when told to; what it does not know ends it.
    offers = subprocess.run(["turnserver", "-h"], capture_output=True, text=True, check=False)
    extra = ("--rfc5780",) if re.search(r"^ --rfc5780", offers.stdout, re.MULTILINE) else ()
    argv = _SERVERS[server] + (extra if server == "coturn" else ())
    with two_nats_network(name, "none") as network, Programs(directory) as programs:
        started = programs.start(server, argv, network.pid("server"))
        started.wait_until_bound("udp", 3479, timeout=20)
        with in_namespace(network.pid("host_a")):
            return asyncio.run(check_nat(HostPort(str(SERVER.ip), 3478), settings=QUICK))


@pytest.mark.parametrize(
    ("server", "name"), [("stund", "APDM+ADF+sequential"), ("coturn", "linux-masquerade")]
)
def test_servers_from_elsewhere_tell_the_same(server: str, name: str, tmp_path: Path) -> None:
    found = warm.call(60, _asked_of, server, name, tmp_path)
    assert found.id == seen_from_inside(name), found.as_json()
