"""``python -m tests.lab.attackers.attacker ATTACK ...``: one attacker, a program of its own on a node of the lab.

Each prints a line when it is done, or at work.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

from nat_traversal.crypto.proof import signed
from nat_traversal.wire import DEFAULT_PORT, datagrams
from nat_traversal.wire import messages as m
from nat_traversal.wire.datagrams import Announce, handle_of
from nat_traversal.wire.endpoint import Endpoint
from tests.lab.attackers.raw import Sniffer, Spoofer
from tests.lab.attackers.wire import Line, registration
from tests.unit.counterpart import Counterpart

SERVER = Endpoint("192.0.2.2", DEFAULT_PORT)
PACE = 0.001
"""Seconds between two datagrams, so that no queue on the way is the reason why one has no effect."""
A_STEP = 0.3
"""Seconds for a client to repeat a HELLO as often as it wants to, at the interval that the test gives it."""


def tell(text: object) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def replay(file: str) -> None:
    """Send each datagram of `file` with the source that it names, or where that is ``own``, with the own one."""
    spoofer = Spoofer()
    own = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    lines = Path(file).read_text(encoding="ascii").splitlines()
    for line in lines:
        source, destination, octets = line.split()
        to = _endpoint(destination)
        if source == "own":
            own.sendto(bytes.fromhex(octets), to.sockaddr)
        else:
            spoofer.send(bytes.fromhex(octets), _endpoint(source), to)
        time.sleep(PACE)
    own.settimeout(0.2)
    try:
        own.recv(2048)
        tell("an answer")
    except TimeoutError:
        tell(f"sent {len(lines)}")


def repeat(octets: str) -> None:
    """Say to the server what somebody else has said, on a connection of one's own."""
    line = Line.to(SERVER)
    line.sock.sendall(bytes.fromhex(octets))
    tell(f"refused {line.refusal()}")


def strangers(host_id: str, peer_id: str, count: str) -> None:
    """Register a living host's id with one key after the other."""
    codes = set()
    for _ in range(int(count)):
        line = Line.to(SERVER)
        line.say(registration(host_id, peer_id))
        codes.add(line.refusal())
        line.sock.close()
    tell(f"refused {' '.join(sorted(codes))}")


def squat(host_id: str, peer_id: str) -> None:
    """Take a free id, and stay."""
    line = Line.to(SERVER)
    line.say(registration(host_id, peer_id))
    tell(f"refused {line.refusal()}")
    while (message := line.next()) is not None:
        if isinstance(message, m.Heartbeat):
            line.say(m.HeartbeatAnswer(message.transaction))


def lie(host_id: str, peer_id: str, victim: str) -> None:
    """A peer that takes part in everything, and whose announces bear a victim's address as their source."""
    spoofer, at, key = Spoofer(), _endpoint(victim), os.urandom(32)
    line = Line.to(SERVER)
    line.say(registration(host_id, peer_id, key))
    number = 0

    def announce(generation: int) -> None:
        nonlocal number
        number += 1
        made = signed(Announce(handle_of(key), number, generation), key)
        spoofer.send(datagrams.encode(made), at, SERVER)

    tell(f"refused {line.refusal()}")
    announce(1)
    while (message := line.next()) is not None:
        match message:
            case m.OpenSocket(generation):
                line.say(m.SocketOpened(generation, os.urandom(32)))
                announce(generation)
            case m.SendHello(transaction):
                line.say(m.HelloSent(transaction, heard=True))
            case m.Heartbeat(transaction):
                line.say(m.HeartbeatAnswer(transaction))


def overtake(wire: str, source: str, destination: str, victim: str, count: str) -> None:
    """On the way between two hosts: each datagram is sent on only after a copy that bears a victim's address."""
    spoofer, at = Spoofer(), _endpoint(victim)
    rule = ["FORWARD", "-p", "udp", "-s", source, "-d", destination, "-j", "DROP"]
    with Sniffer(wire) as sniffer:
        subprocess.run(["iptables", "-I", *rule], check=True)
        tell("at work")
        done = 0
        while done < int(count):
            said_by, said_to, octets = sniffer.next()
            if (said_by.address, said_to.address) == (source, destination):
                spoofer.send(octets, at, said_to)
                spoofer.send(octets, said_by, said_to)
                done += 1
        subprocess.run(["iptables", "-D", *rule], check=True)
    tell(f"overtaken {done}")


def serve(address: str, victim: str) -> None:
    """A server that aims its client at a victim, and says that this has asked for it."""
    with socket.create_server((address, DEFAULT_PORT)) as listening:
        tell("listening")
        line = Line(listening.accept()[0])
    try:
        rounds = _aim(line, _endpoint(victim))
    except ConnectionError:
        rounds = 0
    tell(f"left {rounds}")


def _aim(line: Line, victim: Endpoint) -> int:
    """One round after the other, until the client has had enough: how many it took part in."""
    counterpart = Counterpart("nobody", "")
    for round_ in range(1, 256):
        while not isinstance(message := line.next(), m.Register | m.SocketOpened):
            if message is None:
                return round_
        if isinstance(message, m.Register):
            line.say(m.Registered(message.transaction, 2, 20.0), m.PeerStatus(m.PeerState.PRESENT))
        start = counterpart.start(m.Role.A, round_=round_)
        line.say(replace(start, candidates=(m.Candidate("srflx", victim, validated=True),)))
        for step in (1, 3):
            line.say(m.SendHello(step, start.attempt, round_, step))
            time.sleep(A_STEP)
        line.say(m.OpenSocket(round_ + 1))
    return 256


def _endpoint(text: str) -> Endpoint:
    address, port = text.rsplit(":", 1)
    return Endpoint(address, int(port))


ATTACKS = {each.__name__: each for each in (replay, repeat, strangers, squat, lie, overtake, serve)}

if __name__ == "__main__":
    ATTACKS[sys.argv[1]](*sys.argv[2:])
