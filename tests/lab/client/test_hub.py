"""A hub with three friends, each behind a NAT of its own, with two services each, from configuration files."""

# ruff: noqa: PLC0415 - only a sandbox imports Mininet, whose code is full of warnings

from __future__ import annotations

import socket
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from natlab.capture.packet import Packet, Protocol
from natlab.sandbox.netns import in_namespace, udp_socket
from natlab.sandbox.zygote import Prepared, preload
from tests.lab import warm

if TYPE_CHECKING:
    from natlab.network.network import Network
    from natlab.programs.program import Program
    from natlab.programs.programs import Programs

WITHIN = 40.0
HUB, FRIENDS = "host_1", {"anna": "host_2", "ben": "host_3", "carl": "host_4"}
NATS = "port-restricted-cone/full-cone/restricted-cone/linux-masquerade"
OUTSIDE = {HUB: "198.18.1.2", "anna": "198.18.2.2", "ben": "198.18.3.2", "carl": "198.18.4.2"}
SECRET = b"nobody on the way reads this"
GAME, SHELL = 34197, 2222
"""Ports: of the service of the hub over UDP, and of that of each friend over TCP."""
_MODULES = ("cli.main", "cli.peers.command", "cli.server_command", "crypto.dh", "crypto.seal")


@dataclass(slots=True)
class Story:
    """What the programs saw, and the packets."""

    games: dict[str, list[bytes]] = field(default_factory=dict)
    shells: dict[str, list[bytes]] = field(default_factory=dict)
    lost: list[str] = field(default_factory=list)
    """Paths that the hub has lost."""
    restarts: int = 0
    """Registrations at the second server."""
    packets: list[Packet] = field(default_factory=list)

    def between(self, one: str, other: str) -> list[Packet]:
        """UDP from one outside address to the other, where it leaves the first."""
        addresses = (OUTSIDE[one], OUTSIDE[other])
        return [
            each
            for each in self.packets
            if each.protocol is Protocol.UDP
            and not each.outgoing
            and (each.source.address, each.destination.address) == addresses
        ]

    def registrations(self) -> Counter[int]:
        """How many the hub has sent on each of its connections, by the port that the server saw."""
        found: Counter[int] = Counter()
        for each in self.packets:
            if each.protocol is Protocol.TCP and each.source.address == OUTSIDE[HUB]:
                found[each.source.port] += each.payload.count(b'"type":"register"')
        return +found


class Scene:
    """The network, its programs, and the services of all hosts."""

    def __init__(
        self, network: Network, programs: Programs, spares: list[Prepared], folder: Path
    ) -> None:
        self.network = network
        self._programs = programs
        self._spares = spares
        self._folder = folder

    def again(self, name: str) -> Program:
        """Another client of that friend with the same file."""
        file = str(self._folder / f"{name}.toml")
        return self.start(f"{name}-again", FRIENDS[name], "client", "--json", "--config", file)

    def start(self, name: str, node: str, *words: str) -> Program:
        argv = [sys.executable, "-m", "nat_traversal", *words]
        return self._programs.start(
            name,
            argv,
            self.network.pid(node),
            environment={"XDG_RUNTIME_DIR": str(self._folder)},
            prepared=self._spares.pop(),
        )

    def server(self, name: str) -> Program:
        server = self.start(name, "server", "server", "--json")
        server.wait_for_line('"event": "listening"', timeout=WITHIN)
        return server

    def client(self, name: str, node: str, config: str) -> Program:
        file = self._folder / f"{name}.toml"
        often = '[set]\nreconnect-first = "100ms"\n'
        file.write_text('server = "192.0.2.2"\n' + config + often)
        return self.start(name, node, "client", "--json", "--config", str(file))

    @contextmanager
    def echoing(self) -> Iterator[None]:
        """The hub's service over UDP, and each friend's over TCP: they answer with the same octets."""
        with ExitStack() as stack:
            game = stack.enter_context(udp_socket(self.network.pid(HUB), "127.0.0.1", GAME))
            stack.callback(_in_thread(partial(_answer, game), game))
            for node in FRIENDS.values():
                with in_namespace(self.network.pid(node)):
                    shell = stack.enter_context(socket.create_server(("127.0.0.1", SHELL)))
                stack.callback(_in_thread(partial(_echo, shell), shell))
            yield

    def play(self, friend: str, text: bytes) -> bytes:
        """A program of `friend` asks the hub's service over UDP."""
        with udp_socket(self.network.pid(FRIENDS[friend]), "127.0.0.1") as program:
            program.settimeout(WITHIN)
            program.sendto(text, ("127.0.0.1", GAME))
            return program.recv(2048)

    def type_to(self, friend: str, text: bytes) -> bytes:
        """A program of the hub asks the service of `friend` over TCP."""
        with in_namespace(self.network.pid(HUB)):
            shell = socket.create_connection(("127.0.0.1", _entrance(friend)), timeout=WITHIN)
        with shell:
            shell.sendall(text)
            return shell.recv(2048)


def _entrance(friend: str) -> int:
    return SHELL + 1 + list(FRIENDS).index(friend)


def _answer(game: socket.socket) -> None:
    game.sendto(*game.recvfrom(2048))


def _echo(shell: socket.socket) -> None:
    connection, _ = shell.accept()
    connection.settimeout(WITHIN)
    with connection:
        while octets := connection.recv(2048):
            connection.sendall(octets)


def _in_thread(serve: Callable[[], object], sock: socket.socket) -> Callable[[], None]:
    """Serve in a thread; gives what ends it."""
    is_over = threading.Event()
    sock.settimeout(0.1)

    def run() -> None:
        while not is_over.is_set():
            with suppress(TimeoutError):
                serve()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()

    def end() -> None:
        is_over.set()
        thread.join(timeout=WITHIN)

    return end


HUB_FILE = 'id = "hub"\n' + "".join(
    f'[[peer]]\nid = "{name}"\n'
    f'[[peer.service]]\nname = "game"\nconnect = "127.0.0.1:{GAME}"\n'
    f'[[peer.service]]\nname = "shell"\nlisten = "tcp:{_entrance(name)}"\n'
    for name in FRIENDS
)


def friend_file(name: str) -> str:
    return (
        f'id = "{name}"\n[[peer]]\nid = "hub"\n'
        f'[[peer.service]]\nname = "game"\nlisten = {GAME}\n'
        f'[[peer.service]]\nname = "shell"\nconnect = "tcp:127.0.0.1:{SHELL}"\n'
    )


def _seen(program: Program, event: str, peer: str = "") -> int:
    """How often it has told that."""
    lines = [line.text for line in program.lines("stdout") if f'"event": "{event}"' in line.text]
    return sum(f'"{peer}"' in line for line in lines) if peer else len(lines)


def _has_seen(hub: Program, friend: str) -> bool:
    """Whether the services of that friend stand."""
    return _seen(hub, "services-ready", friend) >= 1


def _story() -> Story:
    from natlab.capture.taps import Capture, Tap
    from natlab.network.network import standing
    from natlab.programs.programs import Programs
    from natlab.topologies.star import Star

    story = Story()
    preload(*(f"nat_traversal.{module}" for module in _MODULES))
    with ExitStack() as stack:
        enter = stack.enter_context
        spares = [enter(Prepared()) for _ in range(7)]
        folder = Path(enter(tempfile.TemporaryDirectory()))
        network = enter(standing(Star(peers=4, nats=NATS)))
        scene = Scene(network, enter(Programs(folder)), spares, folder)
        wires = [f"internet-{number}" for number in range(1, 5)]
        with (
            Capture([Tap(network.pid("internet"), wire) for wire in wires]) as capture,
            scene.echoing(),
        ):
            _act(scene, story)
        story.packets = list(capture.packets)
    return story


def _act(scene: Scene, story: Story) -> None:
    def ask(friend: str, word: bytes) -> None:
        text = SECRET + b" " + word
        story.games.setdefault(friend, []).append(scene.play(friend, text).removeprefix(SECRET))
        story.shells.setdefault(friend, []).append(scene.type_to(friend, text).removeprefix(SECRET))

    server = scene.server("server")
    hub = scene.client("hub", HUB, HUB_FILE)
    clients = {name: scene.client(name, node, friend_file(name)) for name, node in FRIENDS.items()}
    for name, client in clients.items():
        client.wait_for_line('"event": "services-ready"', timeout=WITHIN)
        hub.wait_until(partial(_has_seen, hub, name), name, timeout=WITHIN)
        ask(name, b"1")

    clients["ben"].signal(9)
    clients["ben"].wait(timeout=WITHIN)
    for name in ("anna", "carl"):
        ask(name, b"2")
    again = scene.again("ben")
    again.wait_for_line('"event": "services-ready"', timeout=WITHIN)
    hub.wait_until(lambda: _seen(hub, "services-ready", "ben") >= 2, "ben again", timeout=WITHIN)
    ask("ben", b"2")

    before = _seen(hub, "registered-at-server")
    server.terminate()
    for name in FRIENDS:
        ask(name, b"3")
    scene.server("server-again")
    hub.wait_until(
        lambda: _seen(hub, "registered-at-server") == before + 3, "all back", timeout=WITHIN
    )
    for name in FRIENDS:
        ask(name, b"4")
    story.restarts = _seen(hub, "registered-at-server") - before
    story.lost = [line.text for line in hub.lines("stdout") if '"event": "path-lost"' in line.text]


def test_a_hub_serves_three_friends_while_one_and_the_server_restart() -> None:
    story = warm.call(4 * WITHIN, _story)
    words = {"anna": [b" 1", b" 2", b" 3", b" 4"], "ben": [b" 1", b" 2", b" 3", b" 4"]}
    words["carl"] = words["anna"]
    assert (story.games, story.shells) == (words, words)
    assert all('"peer": "ben"' in each for each in story.lost), story.lost
    for name in FRIENDS:
        there, back = story.between(name, HUB), story.between(HUB, name)
        assert min(len(there), len(back)) > 8, (name, len(there), len(back))
    assert not [each for each in story.packets if SECRET in each.payload]
    assert sorted(story.registrations().values()) == [3, 3], "one connection to each server"
