"""What is played on the stage, one scene after the other. `play` runs in a sandbox and brings back what was on the wires."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from nat_traversal.wire.datagrams import Kind
from natlab.capture.packet import Packet, Protocol
from natlab.sandbox.netns import udp_socket
from tests.lab.attackers.stage import (
    ATTACKER,
    PAIR,
    ROUTER,
    SERVER,
    VICTIM,
    VICTIM_PORT,
    WIRES,
    Stage,
    Window,
    stage,
)
from tests.lab.pairs import READY_WITHIN, Tunnel, events, start_server, tunnels

ID_1, ID_2 = PAIR.clients
PLACES = ("off the path, own source", "off the path, forged source", "on the path")
BYE = "a recorded farewell"
RECORDED = {
    *(Kind.HELLO, Kind.CONFIRM, Kind.PING, Kind.PONG, Kind.DATA),
    *(Kind.ANNOUNCE, Kind.ANNOUNCED, Kind.ECHO),
}
SPEAKERS = (*(PAIR.first, PAIR.second), SERVER)
TIMES = 5
"""Each datagram is played so often again: more often than one that a host says itself, meanwhile."""
STRANGERS = 20
OVERTAKEN = 200
"""Datagrams: four seconds of a stream."""
QUICK = ("--set", "ping-interval=300ms", "--set", "reconnect-first=100ms")
AIMED = (
    *("--set", "hello-interval=5ms", "--set", "hello-repeats=100"),
    *("--methods", "ordered-hello", "--connect", "127.0.0.1:9"),
)
"""Clients that would send more than they may."""


@dataclass(frozen=True, slots=True)
class Played:
    """What came of it."""

    windows: dict[str, Window]
    told: dict[str, str]
    """The attackers' last lines, by scene."""
    events: dict[str, list[dict[str, Any]]]
    """What each client said."""
    replayed: dict[str, list[Packet]]
    """By scene: what was sent again."""
    strays: list[bytes]
    """Datagrams that came out of the tunnel although no program had sent them."""
    crossed: list[str]
    """The scenes after which the pair's programs reached each other."""
    lost: list[str]
    """Those after which they did not."""
    askers: set[tuple[str, int]]
    """Where the service was asked from."""


def play(directory: Path) -> Played:
    replayed: dict[str, list[Packet]] = {}
    crossed: list[str] = []
    lost: list[str] = []
    strays: list[bytes] = []
    with stage(directory) as on, ExitStack() as stack:
        start_server(on.network, on, "--set", "verdict-within=1.5s")
        with on.scene("recorded"):
            made = stack.enter_context(tunnels(on.network, on, PAIR, options=QUICK))
            tunnel = made[PAIR]

            def programs_speak_after(scene: str) -> None:
                (crossed if tunnel.carries(scene.encode()) else lost).append(scene)

            assert tunnel.verdicts() == {"path-established"}
            for client in tunnel.clients.values():
                # the many pings that look for the size of frames are over, and answered
                client.wait_for_line('"path-sized"', timeout=READY_WITHIN)
        while not kinds(on.windows["recorded"]) >= RECORDED:
            with on.scene("recorded"):
                programs_speak_after("recorded")
                time.sleep(0.3)  # a ping's turn may come
        spoken = [each for node in SPEAKERS for each in on.windows["recorded"].sent_by(node)]
        for place in PLACES:
            replayed[place] = spoken
            _replay(on, place, spoken * TIMES, is_own=place == PLACES[0])
            strays += tunnel.strays()
            programs_speak_after(place)
        _register_again(on)
        with on.scene("strangers"):
            on.attack("strangers", "strangers", ID_1, ID_2, str(STRANGERS))
        programs_speak_after("strangers")
        _overtaken(on, tunnel)
        programs_speak_after("overtaken")
        said_of_a = list(events(on.programs[ID_1]))
        _bye_again(on, tunnel, replayed)
        _squatted(on)
        _aimed_by_a_peer(on)
        _aimed_by_a_server(on)
        names = (ID_2, "again", "rightful", "aimed")
        told = {name: list(events(on.programs[name])) for name in names} | {ID_1: said_of_a}
        return Played(
            on.windows, on.told, told, replayed, strays, crossed, lost, set(tunnel.askers)
        )


def kinds(window: Window) -> set[Kind]:
    """Of the datagrams that the pair and the server said."""
    firsts = {each.payload[0] for node in SPEAKERS for each in window.sent_by(node)}
    return {Kind(first) for first in firsts if first in set(Kind)}


def _replay(on: Stage, place: str, packets: Sequence[Packet], *, is_own: bool = False) -> None:
    """Send them again from the attacker's host, or where `place` says so, from the router."""
    lines = [
        f"{'own' if is_own else each.source} {each.destination} {each.payload.hex()}\n"
        for each in packets
    ]
    file = on.directory / f"{place}.datagrams"
    file.write_text("".join(lines), encoding="ascii")
    node = ROUTER if place == PLACES[-1] else ATTACKER
    with on.scene(place):
        on.attack(place, "replay", str(file), node=node)


def _register_again(on: Stage) -> None:
    """The first host's own first words to the server, from the attacker's host."""
    said = on.windows["recorded"].sent_by(PAIR.first, protocol=Protocol.TCP)
    octets = next(each.payload for each in said if each.payload)
    with on.scene("register again"):
        on.attack("register again", "repeat", octets.hex())


def _overtaken(on: Stage, tunnel: Tunnel) -> None:
    """Each datagram of the first host comes from the victim's address first, while a stream goes both ways."""
    at = f"{on.network.address(VICTIM)}:{VICTIM_PORT}"
    said = on.windows["recorded"].sent_by(PAIR.first, Kind.DATA)[0]
    words = (WIRES[PAIR.first], said.source.address, said.destination.address, at, str(OVERTAKEN))
    stream = tunnel.stream()
    with (
        udp_socket(on.network.pid(VICTIM), on.network.address(VICTIM), VICTIM_PORT),
        stream.running(),
        on.scene("overtaken"),
    ):
        stream.flow_on(5)
        attacker = on.attacker("overtaken", "overtake", *words, node=ROUTER)
        attacker.wait(timeout=READY_WITHIN)
        stream.flow_on(5)
    on.told["overtaken"] = attacker.lines()[-1].text
    assert (stream.there.longest_gap, stream.back.longest_gap) <= (5, 5)


def _bye_again(on: Stage, tunnel: Tunnel, replayed: dict[str, list[Packet]]) -> None:
    """The first host leaves with a BYE and comes back; then its BYE is said again, on the new path."""
    client = tunnel.clients[PAIR.first]
    with on.scene("leaving"):
        client.terminate()
    bye = on.windows["leaving"].sent_by(PAIR.first, Kind.BYE)[0]
    with on.scene("back"):
        again = on.start("again", client.argv, on.network.pid(PAIR.first))
        again.wait_for_line('"path-established"', timeout=READY_WITHIN)
    hello = on.windows["back"].sent_by(PAIR.first, Kind.HELLO)[0]
    there = replace(bye, source=hello.source, destination=hello.destination)
    replayed[BYE] = [bye, there]
    _replay(on, BYE, [bye, there] * TIMES)


def _squatted(on: Stage) -> None:
    """Somebody else has a host's id first, and then leaves."""
    squatter = on.attacker("squatter", "squat", "rightful", "liar")
    squatter.wait_for_line("refused", timeout=READY_WITHIN)
    words = ("--server", "192.0.2.2", "--id", "rightful", "-r", "liar", *QUICK, *AIMED)
    rightful = on.client("rightful", PAIR.first, *words)
    rightful.wait_for_line('"server-lost"', timeout=READY_WITHIN)
    squatter.terminate()
    rightful.wait_for_line('"registered-at-server"', timeout=READY_WITHIN)


def _aimed_by_a_peer(on: Stage) -> None:
    """The rightful host's peer says that it is at the victim's address."""
    victim = on.network.address(VICTIM)
    with udp_socket(on.network.pid(VICTIM), victim, VICTIM_PORT), on.scene("lying peer"):
        liar = on.attacker("lying peer", "lie", "liar", "rightful", f"{victim}:{VICTIM_PORT}")
        on.programs["rightful"].wait_for_line('"attempt-failed"', timeout=READY_WITHIN)
        liar.terminate()


def _aimed_by_a_server(on: Stage) -> None:
    victim, address = on.network.address(VICTIM), on.network.address(ATTACKER)
    with udp_socket(on.network.pid(VICTIM), victim, VICTIM_PORT), on.scene("lying server"):
        liar = on.attacker("lying server", "serve", address, f"{victim}:{VICTIM_PORT}")
        liar.wait_for_line("listening", timeout=READY_WITHIN)
        words = ("--server", address, "--id", "aimed", "-r", "nobody", "--once", *AIMED)
        on.client("aimed", PAIR.second, *words).wait(timeout=READY_WITHIN)
        liar.wait(timeout=READY_WITHIN)
    on.told["lying server"] = liar.lines()[-1].text
