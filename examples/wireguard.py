"""WireGuard between two homes, through this project's own UDP tunnel, with ping and iperf3 inside.

python examples/wireguard.py [NAT_A NAT_B]

Home a's WireGuard believes that its peer is at 127.0.0.1: there `traversal_client --listen` takes its
datagrams, and home b's `--connect` hands them to the WireGuard there. It is wireguard-go, since not every
kernel has WireGuard, and a TUN device can be made without being root.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from natlab.testbed.api import NatLab
from natlab.testbed.program import Finished

ADDRESSES = {"a": "10.99.0.1", "b": "10.99.0.2"}
WIREGUARD_PORT = 51820
LISTEN_PORT = 51900
PYTHON = f"{sys.executable} -m nat_traversal"


@dataclass(frozen=True, slots=True)
class Result:
    """The pings through the WireGuard tunnel, and the method of the path under it."""

    method: str
    pings_answered: int
    megabits_per_second: float


def run(lab: NatLab) -> Result:
    """Build the tunnel and the VPN in it, and use it."""
    lab.start("server", f"{PYTHON} server", ready="tcp:6545")
    common = f"{PYTHON} client --server $LAB_SERVER --json"
    clients = [
        lab.start("host_a", f"{common} --id host_a -r host_b --listen {LISTEN_PORT}"),
        lab.start("host_b", f"{common} --id host_b -r host_a --connect 127.0.0.1:{WIREGUARD_PORT}"),
    ]
    established = '"event": "path-established"'
    (line, _) = [client.wait_for_line(established, timeout=30).string for client in clients]
    _wireguard(lab)
    ping = _succeed(lab.run("host_a", f"ping -c 3 -i 0.2 -W 10 {ADDRESSES['b']}"))
    lab.start("host_b", f"iperf3 --server --bind {ADDRESSES['b']}", ready="tcp:5201")
    iperf = _succeed(
        lab.run("host_a", f"iperf3 --json --time 2 --bitrate 2M --client {ADDRESSES['b']}")
    )
    received = json.loads(iperf.stdout)["end"]["sum_received"]
    return Result(
        json.loads(line)["method"],
        ping.stdout.count("bytes from"),
        received["bits_per_second"] / 1e6,
    )


def _wireguard(lab: NatLab) -> None:
    """One interface a home, each with the other as its peer."""
    private = {x: subprocess.check_output(["wg", "genkey"]) for x in "ab"}
    public = {
        x: subprocess.check_output(["wg", "pubkey"], input=key, text=False).decode().strip()
        for x, key in private.items()
    }
    for x, other in ("ab", "ba"):
        device = f"wg_{x}"
        key_file = lab.directory / f"{device}.key"
        key_file.touch(mode=0o600)
        key_file.write_bytes(private[x])
        lab.start(
            f"host_{x}",
            f"wireguard-go --foreground {device}",
            environment={"WG_PROCESS_FOREGROUND": "1", "LOG_LEVEL": "verbose"},
            ready="UAPI listener started",
        )
        peer = f"peer {public[other]} allowed-ips {ADDRESSES[other]}/32"
        if x == "a":  # and b answers where a's datagrams come from
            peer += f" endpoint 127.0.0.1:{LISTEN_PORT}"
        for command in (
            f"wg set {device} private-key {key_file} listen-port {WIREGUARD_PORT} {peer}",
            f"ip address add {ADDRESSES[x]}/24 dev {device}",
            f"ip link set {device} mtu 1280 up",
        ):
            _succeed(lab.run(f"host_{x}", command))


def _succeed(done: Finished) -> Finished:
    if done.status != 0:
        raise SystemExit(f"exit status {done.status}: {done.stdout}{done.stderr}")
    return done


if __name__ == "__main__":
    pair = sys.argv[1:3] or ["port-restricted-cone", "full-cone"]
    with (
        tempfile.TemporaryDirectory() as directory,
        NatLab(pair[0], pair[1], Path(directory)) as lab,
    ):
        print(f"{pair[0]} × {pair[1]}: {run(lab)}")
