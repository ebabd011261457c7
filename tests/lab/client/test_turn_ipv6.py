"""A real coturn at an IPv6 address: for hosts that have IPv6 alone, and as the way to an IPv4 address that it relays at."""

# ruff: noqa: PLC0415 - only a sandbox imports Mininet, whose code is full of warnings

from __future__ import annotations

from pathlib import Path

import pytest

from natlab.network.addressing import SERVER
from natlab.topologies.dual_stack import SERVER_IPV6
from tests.lab import warm
from tests.lab.pairs import READY_WITHIN, Pair, events, start_server, tunnels

PAIR = Pair("host_a", "host_b")
TURN = f"turn:[{SERVER_IPV6}]"
_COTURN = (
    *("turnserver", "-n", "-p", "3478", "--lt-cred-mech", "--realm=lab", "--user=lab:secret"),
    *("--no-tls", "--no-dtls", "--no-cli", "--log-file=stdout", "--simple-log"),
    *("-L", SERVER_IPV6, "-E", SERVER_IPV6),
)
_ALONE = "EIM+APDF+nat66-apdm"
"""Two of these do not meet over IPv6."""


def _run(nat: str, at: str, more: tuple[str, ...], directory: Path) -> dict[str, str]:
    """The methods of the clients of two hosts behind such a NAT, with the server at `at`, and the peers' addresses."""
    from natlab.network.network import standing
    from natlab.programs.programs import Programs
    from natlab.topologies.dual_stack import DualStack

    credentials = directory / "credentials"
    credentials.write_text("lab\nsecret\n", encoding="ascii")
    credentials.chmod(0o600)
    own = {"host_b": ("--turn", TURN, "--turn-credentials", str(credentials))}
    options = ("--methods", "ordered-hello,turn", "--server", at, "--set", "hello-interval=0.1")
    with standing(DualStack(nat, nat)) as network, Programs(directory) as programs:
        coturn = programs.start("turnserver", (*_COTURN, *more), network.pid("server"))
        coturn.wait_until_bound("udp", 3478, timeout=READY_WITHIN)
        host = "::" if at == SERVER_IPV6 else "0.0.0.0"
        start_server(network, programs, "--host", host, "--no-relay")
        with tunnels(network, programs, PAIR, options=options, own=own) as found:
            tunnel = found[PAIR]
            assert tunnel.verdicts() == {"path-established"}
            assert tunnel.carries(b"by IPv6")
            paths = {
                host: next(each for each in events(client) if each["event"] == "path-established")
                for host, client in tunnel.clients.items()
            }
    assert {each["method"] for each in paths.values()} == {"turn"}
    return {
        host: str(each["remote"]).rpartition(":")[0].strip("[]") for host, each in paths.items()
    }


@pytest.mark.parametrize(
    ("nat", "at", "more", "relayed_at"),
    [
        (_ALONE, SERVER_IPV6, (), SERVER_IPV6),
        ("symmetric", str(SERVER.ip), ("-E", str(SERVER.ip)), str(SERVER.ip)),
    ],
)
def test_a_turn_server_at_an_ipv6_address_relays_at_one_that_the_peer_can_reach(
    nat: str, at: str, more: tuple[str, ...], relayed_at: str, tmp_path: Path
) -> None:
    seen = warm.call(60.0, _run, nat, at, more, tmp_path)
    assert seen["host_a"] == relayed_at
