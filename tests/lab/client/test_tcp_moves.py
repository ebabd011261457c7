"""One TCP connection while its path moves from the relay to the direct way, back, and to the direct way again.

The link between two regions is cut and healed, so that the hosts reach only the server or each other too. Where
the octets went is seen by packets on the links of one region.
"""

# ruff: noqa: PLC0415 - only a sandbox imports Mininet, whose code is full of warnings

from __future__ import annotations

import socket
import time
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from natlab.sandbox.netns import in_namespace
from tests.lab import warm
from tests.lab.octets import Conversation
from tests.lab.pairs import READY_WITHIN, Pair, prepare, start_server, tunnels, ways

if TYPE_CHECKING:
    from natlab.programs.program import Program

pytestmark = [pytest.mark.measures_time, pytest.mark.timeout(240)]
PAIR = Pair("host_a", "host_b")
PORT = 7000
OPTIONS = ("--methods", "ordered-hello,relay", "--relay", "early")
OWN = {
    "host_a": ["--service", f"web:listen=tcp:{PORT}"],
    "host_b": ["--service", f"web:connect=tcp:127.0.0.1:{PORT}"],
}
REGIONS = ("internet_a", "internet_b")
LINKS = {"internet_a-b": "direct", "internet_a-s": "relay"}
"""Of the region of host_a: where the octets go by which way."""
WAYS = ["relay", "ordered-hello", "relay", "ordered-hello"]
MOVED_WITHIN = 90.0
TIMES = 100
"""Each end hears by each way all that the other says in two seconds."""
LARGE = 600
"""Octets of a frame that has some of the connection's: it has 1,024 of them in each datagram."""


@dataclass(frozen=True, slots=True)
class Seen:
    ways: list[list[str]]
    large: list[dict[str, int]]
    """While the path was each of `WAYS`: large frames on each link."""
    said: tuple[int, int]
    heard: tuple[int, int]
    troubles: tuple[str, str]


def _kinds(client: Program) -> list[str]:
    """The methods that it went by. One direct path may follow another."""
    return [method for method, _ in groupby(ways(client))]


def _moved(directory: Path) -> Seen:
    from natlab.faults.inject import Faults
    from natlab.links.conditions import PLAIN
    from natlab.network.loading import load
    from natlab.testbed.bed import bed

    topology = load("regions,a_b=20ms,a_s=10ms,b_s=10ms")
    points = dict.fromkeys(LINKS, "internet_a")
    spans: list[tuple[float, float]] = []
    prepare()
    with bed(topology, directory, lambda _: points, PLAIN) as lab:
        faults = Faults(lab.network, lab.programs)
        start_server(lab.network, lab.programs)
        faults.cut(*REGIONS)
        with tunnels(lab.network, lab.programs, PAIR, options=OPTIONS, own=OWN) as made:
            clients = made[PAIR].clients.values()
            for client in clients:
                client.wait_for_line('"event": "services-ready"', timeout=READY_WITHIN)
            with in_namespace(lab.network.pid("host_b")):
                listener = socket.create_server(("127.0.0.1", PORT))
            with in_namespace(lab.network.pid("host_a")):
                program = socket.create_connection(("127.0.0.1", PORT))
            listener.settimeout(READY_WITHIN)
            service, _ = listener.accept()
            with listener, program, service:
                talk = Conversation(program, service)
                with talk.running():
                    for count, way in enumerate(WAYS, 1):
                        if count > 1:
                            (faults.cut if way == "relay" else faults.heal)(*REGIONS)
                        for client in clients:
                            client.wait_until(
                                lambda: _kinds(client)[count - 1 :] == [way],  # noqa: B023
                                f"move {count} to {way}",
                                timeout=MOVED_WITHIN,
                            )
                        talk.flow_on(TIMES // 4)  # what was lost on the way before has come again
                        began = time.time()
                        talk.flow_on(TIMES)
                        spans.append((began, time.time()))
            moves = [_kinds(client) for client in clients]
        lab.end()
        large = [
            {
                name: sum(
                    len(frame) > LARGE and frame.sniffed_on == link and began < frame.time < ended
                    for frame in lab.capture.frames
                )
                for link, name in LINKS.items()
            }
            for began, ended in spans
        ]
    one, other = talk.ends
    return Seen(
        moves,
        large,
        (one.said, other.said),
        (other.heard, one.heard),
        (one.trouble, other.trouble),
    )


def test_each_octet_comes_once_and_in_order_whatever_way_the_path_goes(tmp_path: Path) -> None:
    seen = warm.call(220.0, _moved, tmp_path)
    assert seen.troubles == ("", ""), seen
    assert seen.heard == seen.said
    assert seen.ways == [WAYS] * 2
    for way, large in zip(WAYS, seen.large, strict=True):
        used, other = ("relay", "direct") if way == "relay" else ("direct", "relay")
        assert large[used] > TIMES, seen
        assert large[other] < TIMES / 10, seen
