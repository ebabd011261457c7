"""Payloads of every length over narrow paths whose routers are silent: whole, both ways, and never in IP fragments."""

# ruff: noqa: PLC0415 - only a sandbox imports Mininet, whose code is full of warnings

from __future__ import annotations

import random
import socket
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from natlab.evidence.journey import CAPTURE_POINTS
from natlab.links.conditions import LinkConditions
from natlab.sandbox.netns import NFT, Command, run_together
from tests.lab import warm
from tests.lab.pairs import Pair, events, prepare, start_server, tunnels

if TYPE_CHECKING:
    from natlab.capture.taps import Frame
    from natlab.network.network import Network
    from natlab.programs.program import Program

pytestmark = pytest.mark.timeout(120)
_TIMEOUT = 100.0
PAIR = Pair("host_a", "host_b")
LINKS = [("nat_a", "internet"), ("nat_b", "internet")]
LONGEST = 65_507
_SILENT = """table ip silent {
	chain out {
		type filter hook output priority 0;
		icmp type 3 icmp code 4 drop
	}
}
"""
SIZES = [0, 1, 1200, 1400, 9000, LONGEST]


@dataclass(frozen=True, slots=True)
class Seen:
    """`lost`: sizes of payloads that did not come whole, with the way they went."""

    lost: list[tuple[str, int]]
    fragments: int
    longest: int
    """Octets of the longest IP packet between the NATs."""
    asked: int
    """ICMP errors that said what would pass."""


def _cross(
    directory: Path,
    mtu: int,
    sizes: list[int],
    *,
    links: int = 2,
    shrinks_to: int | None = None,
    given: int | None = None,
) -> Seen:
    """`links`: how many WANs have that MTU. `shrinks_to`: later they have this one. `given`: by `--mtu`."""
    from natlab.capture.taps import Capture, Tap
    from natlab.links.apply import conditioned
    from natlab.programs.programs import Programs
    from natlab.topologies.two_nats import two_nats_network

    prepare()
    with (
        two_nats_network("full-cone", "full-cone") as network,
        Programs(directory) as programs,
    ):
        with conditioned(network, dict.fromkeys(LINKS[:links], LinkConditions(mtu=mtu))):
            _silence_routers(network)
            taps = [Tap(network.pid(node), interface) for interface, node in CAPTURE_POINTS.items()]
            with Capture(taps) as recorded:
                start_server(network, programs)
                options = ["--once"] if given is None else ["--once", "--mtu", str(given)]
                with tunnels(network, programs, PAIR, options=options) as made:
                    tunnel = made[PAIR]
                    assert tunnel.verdicts() == {"path-established"}
                    assert tunnel.carries(b"first", tries=5, timeout=4)
                    lost = tunnel.lost(sizes)
                    for client in tunnel.clients.values():  # again, once what passes is known
                        client.wait_until(
                            partial(_is_found, client, given or mtu),
                            "the size is found",
                            timeout=30,
                        )
                    lost += tunnel.lost(sizes)
                    if shrinks_to is not None:
                        smaller = LinkConditions(mtu=shrinks_to)
                        with conditioned(network, dict.fromkeys(LINKS[:links], smaller)):
                            # Full-size frames vanish until three pings of that size are lost.
                            assert tunnel.carries(bytes(mtu - 100), tries=20, timeout=1.0)
                            lost += tunnel.lost(sizes)
        frames = [
            frame for frame in recorded.frames if frame.sniffed_on in ("nat_a-wan", "nat_b-wan")
        ]
    return Seen(
        lost,
        sum(map(_is_fragment, recorded.frames)),
        max(_length(frame) for frame in frames),
        sum(_is_icmp(frame) for frame in frames),
    )


def _silence_routers(network: Network) -> None:
    """As many firewalls do: nobody hears what would pass."""
    for node in ("nat_a", "nat_b", "internet"):
        run_together([Command(NFT, _SILENT, network.pid(node))])


def _is_found(client: Program, mtu: int) -> bool:
    """The search ends within eight octets of what passes."""
    most = mtu - 28
    sizes = [each["size"] for each in events(client) if each["event"] == "path-sized"]
    return any(isinstance(size, int) and most - 8 <= size <= most for size in sizes)


def _length(frame: Frame) -> int:
    return int.from_bytes(frame[16:18], "big") if frame[12:14] == b"\x08\x00" else 0


def _is_fragment(frame: Frame) -> bool:
    """More fragments follow, or some came before."""
    return frame[12:14] == b"\x08\x00" and bool(int.from_bytes(frame[20:22], "big") & 0x3FFF)


def _is_icmp(frame: Frame) -> bool:
    return frame[12:14] == b"\x08\x00" and frame[23] == socket.IPPROTO_ICMP


@pytest.mark.parametrize("mtu", [1500, 1400, 1280, 1124])
def test_payloads_of_every_length_arrive_whole_and_no_packet_is_a_fragment(
    mtu: int, tmp_path: Path
) -> None:
    around = [mtu - 28 + offset for offset in range(-70, 6)]
    sizes = [0, 1, 512, *range(1430, 1466), *around, 9000, LONGEST]
    random.Random(mtu).shuffle(sizes)
    seen = warm.call(_TIMEOUT, _cross, tmp_path, mtu, sizes)
    assert seen.lost == []
    assert seen.fragments == 0
    assert seen.longest <= mtu
    assert seen.asked == 0


@pytest.mark.parametrize("mtu", [1280, 1124])
def test_one_narrow_side_is_found_as_well(mtu: int, tmp_path: Path) -> None:
    seen = warm.call(_TIMEOUT, _cross, tmp_path, mtu, SIZES, links=1)
    assert (seen.lost, seen.fragments, seen.asked) == ([], 0, 0)


@pytest.mark.parametrize(("links", "smaller"), [(1, 1280), (2, 1124)])
def test_a_path_that_becomes_narrower_in_mid_flow_is_noticed_without_any_word(
    links: int, smaller: int, tmp_path: Path
) -> None:
    seen = warm.call(_TIMEOUT, _cross, tmp_path, 1500, SIZES, links=links, shrinks_to=smaller)
    assert (seen.lost, seen.fragments, seen.asked) == ([], 0, 0)


def test_a_size_that_is_given_by_hand_is_the_longest_of_all_packets(tmp_path: Path) -> None:
    """The links carry 1,500: no probe of a search is among the packets, nor a larger frame."""
    seen = warm.call(_TIMEOUT, _cross, tmp_path, 1500, SIZES, given=1280)
    assert (seen.lost, seen.fragments) == ([], 0)
    assert seen.longest == 1280
