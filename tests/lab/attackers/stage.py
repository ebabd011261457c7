"""A network of four hosts around one router: a pair, an attacker, a victim; and what was on its wires in each scene."""

# ruff: noqa: PLC0415 - only a sandbox imports Mininet, whose code is full of warnings

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from nat_traversal.wire.datagrams import Kind
from natlab.capture.packet import Packet, Protocol
from natlab.sandbox.zygote import Prepared, preload
from tests.lab.pairs import READY_WITHIN, Pair

if TYPE_CHECKING:
    from natlab.network.network import Network
    from natlab.programs.program import Program
    from natlab.programs.programs import Programs

PAIR = Pair("host_1", "host_2")
ATTACKER, VICTIM, ROUTER, SERVER = "host_3", "host_4", "internet", "server"
WIRES = {"host_1": "internet-1", "host_2": "internet-2", "host_3": "internet-3"}
WIRES |= {"host_4": "internet-4", "server": "internet-s"}
"""The router's interface towards each, which sees all that this one sends and gets."""
VICTIM_PORT = 5353
_PREPARED = 16
_MODULES = (
    *("cli.main", "cli.client_command", "cli.server_command", "crypto.dh", "crypto.seal"),
    *("wire.control", "crypto.proof", "client.security"),
)


@dataclass(frozen=True, slots=True)
class Window:
    """All packets of one scene, as the router's interfaces saw them."""

    packets: tuple[Packet, ...]

    def sent_by(self, node: str, *kinds: Kind, protocol: Protocol = Protocol.UDP) -> list[Packet]:
        """What came from that side."""
        return self._at(node, kinds, protocol, outgoing=False)

    def got_by(self, node: str, *kinds: Kind, protocol: Protocol = Protocol.UDP) -> list[Packet]:
        """What went to that side."""
        return self._at(node, kinds, protocol, outgoing=True)

    def _at(
        self, node: str, kinds: Sequence[Kind], protocol: Protocol, *, outgoing: bool
    ) -> list[Packet]:
        return [
            each
            for each in self.packets
            if (each.point, each.outgoing, each.protocol) == (WIRES[node], outgoing, protocol)
            and (not kinds or each.payload[:1] in {bytes([kind]) for kind in kinds})
        ]


@dataclass(slots=True)
class Stage:
    """The standing network. `start` starts programs as the tests' `Programs` does, from prepared processes."""

    network: Network
    programs: Programs
    directory: Path
    spares: list[Prepared]
    windows: dict[str, Window] = field(default_factory=dict)
    told: dict[str, str] = field(default_factory=dict)
    """What each attacker said last, by its scene."""

    def start(self, name: str, argv: Sequence[str], node_pid: int) -> Program:
        return self.programs.start(name, argv, node_pid, prepared=self.spares.pop())

    def client(self, name: str, node: str, *words: str) -> Program:
        argv = [sys.executable, "-m", "nat_traversal", "client", "--json", *words]
        return self.start(name, argv, self.network.pid(node))

    def attacker(self, scene: str, *words: str, node: str = ATTACKER) -> Program:
        """A program that attacks, from the attacker's host or from the router."""
        argv = [sys.executable, "-m", "tests.lab.attackers.attacker", *words]
        return self.start(scene, argv, self.network.pid(node))

    def attack(self, scene: str, *words: str, node: str = ATTACKER) -> None:
        """One whose end is the scene's end."""
        program = self.attacker(scene, *words, node=node)
        program.wait(timeout=READY_WITHIN)
        self.told[scene] = program.lines()[-1].text

    @contextmanager
    def scene(self, name: str) -> Iterator[None]:
        """Keep what is on the wires meanwhile, beside what was there in an earlier part of the scene."""
        from natlab.capture.taps import Capture, Tap

        with Capture([Tap(self.network.pid(ROUTER), wire) for wire in WIRES.values()]) as capture:
            yield
        before = self.windows.get(name, Window(()))
        self.windows[name] = Window(before.packets + capture.packets)


@contextmanager
def stage(directory: Path) -> Iterator[Stage]:
    """The pair is behind full cones, which let everybody in; the others have public addresses."""
    from natlab.network.network import standing
    from natlab.programs.programs import Programs
    from natlab.topologies.star import Star

    preload(*(f"nat_traversal.{module}" for module in _MODULES))
    with ExitStack() as stack:
        spares = [stack.enter_context(Prepared()) for _ in range(_PREPARED)]
        topology = Star(peers=4, nats="full-cone/full-cone/none/none")
        network = stack.enter_context(standing(topology))
        yield Stage(network, stack.enter_context(Programs(directory)), directory, spares)
