"""A relayed pair behind real NATs says why: both hosts ask the server, and tell each other through the relay."""

# ruff: noqa: PLC0415 - only a sandbox imports Mininet, whose code is full of warnings

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from natlab.network.addressing import SERVER, SERVER_SECOND
from tests.lab import warm
from tests.lab.pairs import PYTHON, prepare, start

_PORT = 7000


def _told(nats: tuple[str, str], directory: Path) -> list[dict[str, Any]]:
    """The event of each client, host_a's first."""
    from natlab.programs.programs import Programs
    from natlab.topologies.two_nats import two_nats_network

    prepare()
    with two_nats_network(*nats) as network, Programs(directory) as programs:
        at = ("--host", str(SERVER.ip), "--alternate", f"{SERVER_SECOND.ip}:6546")
        server = start(programs, "server", (*PYTHON, "server", *at), network.pid("server"))
        server.wait_until_bound("udp", 6546, timeout=20)
        clients = []
        for own, other in (("host_a", "host_b"), ("host_b", "host_a")):
            argv = [*PYTHON, "client", "--server", str(SERVER.ip), "--id", own, "-r", other]
            argv += ["--listen", str(_PORT), "--set", "explain-after=0.1", "--relay", "early"]
            clients.append(start(programs, own, (*argv, "--json"), network.pid(own)))
        for client in clients:
            client.wait_for_line(r'"event": "why-relayed"', timeout=30)
        return [
            json.loads(line.text)
            for client in clients
            for line in client.lines()
            if '"event": "why-relayed"' in line.text
        ]


def test_each_side_of_a_relayed_pair_names_both_nats(tmp_path: Path) -> None:
    mine, theirs = warm.call(60, _told, ("APDM+APDF", "EIM+APDF"), tmp_path)
    assert mine["reason"] == (
        "your NAT gives a new port to every destination, and theirs filters by port, "
        "so there is no direct path without guessing ports"
    )
    assert theirs["reason"].startswith(
        "your NAT filters by port, and theirs gives a new port to every destination"
    )
    assert "port forwarding" in mine["remedy"]
