"""`make bench-lab`: one lab cell's network up and down, beside a shell script that makes the same.

The script is what one would write by hand: one ``ip -batch`` for namespaces and links, one for each
node's addresses and routes, ``nft -f -`` or ``iptables-restore``; down by deleting the
namespaces. It sets no MAC addresses, settings or checksum offload and does not wait for the links,
which the lab does. The two run in turn in one sandbox; the ratio is taken pair by pair.
"""

from __future__ import annotations

import statistics
import subprocess
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.table import Table

from natlab.errors import NetworkError
from natlab.sandbox import sandbox

if TYPE_CHECKING:
    from natlab.topologies.two_nats import TwoNats

_TIMEOUT = 300.0
BOUND = 1.5
"""The greatest ratio of the lab's time to the script's that counts as good."""
PAIRS = (("none", "none"), ("restricted-cone", "symmetric"), ("linux-masquerade", "cgnat"))
"""Without rules, with nft's, and with iptables' beside the longest of nft's."""


@dataclass(frozen=True, slots=True)
class Taken:
    """Seconds that one network took to come up and to go down."""

    up: float
    down: float

    @property
    def both(self) -> float:
        return self.up + self.down


@dataclass(frozen=True, slots=True)
class BringUp:
    """The measurements of one pair of NATs, in the order of running."""

    nat_a: str
    nat_b: str
    lab: tuple[Taken, ...]
    script: tuple[Taken, ...]

    @property
    def ratio(self) -> float:
        """The median of the lab's time over the script's, up and down together."""
        return statistics.median(
            ours.both / theirs.both for ours, theirs in zip(self.lab, self.script, strict=True)
        )


def measure_bring_up(nat_a: str, nat_b: str, pairs: int = 15) -> BringUp:
    """Bring both up and down `pairs` times (from 1), in a sandbox. The errors are the sandbox's."""
    return sandbox.call(_TIMEOUT, _measure, nat_a, nat_b, pairs)


def bring_up_table(measured: BringUp) -> Table:
    """The medians in milliseconds, and the ratio."""
    drawn = Table(
        title=f"One cell's network ({measured.nat_a}, {measured.nat_b}), medians of"
        f" {len(measured.lab)} in ms"
    )
    for heading in ("made by", "up", "down", "both"):
        drawn.add_column(heading, justify="left" if heading == "made by" else "right")
    for name, taken in (("lab (Mininet)", measured.lab), ("ip -batch and others", measured.script)):
        drawn.add_row(
            name,
            *(
                f"{1000 * statistics.median(values):.1f}"
                for values in zip(*((one.up, one.down, one.both) for one in taken), strict=True)
            ),
        )
    drawn.add_row(f"ratio, pair by pair (bound {BOUND})", "", "", f"{measured.ratio:.2f}")
    return drawn


def _measure(nat_a: str, nat_b: str, pairs: int) -> BringUp:
    """Runs in a sandbox, where Mininet is imported and namespaces have our names."""
    from natlab.topologies.two_nats import TwoNats, two_nats_network  # noqa: PLC0415

    up, down = scripts(TwoNats(nat_a=nat_a, nat_b=nat_b))
    ours, theirs = [], []
    for number in range(pairs + 1):
        start = time.perf_counter()
        with two_nats_network(nat_a, nat_b):
            stood = time.perf_counter()
        ended = time.perf_counter()
        lab = Taken(up=stood - start, down=ended - stood)

        start = time.perf_counter()
        _run(up)
        stood = time.perf_counter()
        _run(down)
        ended = time.perf_counter()
        if number:  # the first pair warms the caches
            ours.append(lab)
            theirs.append(Taken(up=stood - start, down=ended - stood))
    return BringUp(nat_a, nat_b, tuple(ours), tuple(theirs))


def _run(script: str) -> None:
    done = subprocess.run(
        ["sh", "-eu"],
        input=script,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        check=False,
    )
    if done.returncode != 0:
        raise NetworkError(f"the script to compare with failed: {done.stderr.strip()}")


def scripts(topology: TwoNats) -> tuple[str, str]:
    """The shell scripts that make and remove the nodes, links and rules of `topology`."""
    namespaces = [f"netns add {name}" for name in topology.hosts()]
    links = [
        f"link add name {link['intfName1']} netns {link['node1']} index {2 * number + 100}"
        f" type veth peer name {link['intfName2']} netns {link['node2']} index {2 * number + 101}"
        for number, (_, _, link) in enumerate(topology.links(withInfo=True))
    ]
    up = [_fed("ip -batch -", [*namespaces, *links])]
    for name in topology.hosts():
        node = topology.nodeInfo(name)
        lines = ["link set dev lo up"]
        for interface, addresses in node["addresses"].items():
            lines += [f"address add {address} dev {interface}" for address in addresses]
            lines.append(f"link set dev {interface} up")
        lines += [f"route add {route}" for route in node.get("routes", ())]
        up.append(_fed(f"ip -n {name} -batch -", lines))
        rules = node.get("rules")
        for program, text in (
            ("nft -f -", rules.nft if rules else ""),
            ("iptables-restore", rules.iptables if rules else ""),
        ):
            if text:
                up.append(_fed(f"nsenter --net=/run/netns/{name} {program}", text.splitlines()))
    return "".join(up), _fed("ip -batch -", [f"netns del {name}" for name in topology.hosts()])


def _fed(command: str, lines: list[str]) -> str:
    return "\n".join([f"{command} <<'END'", *lines, "END", ""])
