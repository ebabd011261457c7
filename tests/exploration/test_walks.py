"""Random walks of the real machines through all that can happen to them. `python -m tests.exploration.walks` goes on."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from nat_traversal.crypto.window import ReplayWindow
from nat_traversal.machine.timers import Timers
from nat_traversal.paths.methods import handshake
from nat_traversal.server import possession
from nat_traversal.wire import datagrams
from nat_traversal.wire.datagrams import Hello
from nat_traversal.wire.endpoint import Endpoint
from tests.exploration.values import WrongError
from tests.exploration.walks.attacker import Attacker
from tests.exploration.walks.steps import walk
from tests.exploration.walks.world import Walk


@pytest.mark.long
def test_nothing_that_must_not_be_ever_is() -> None:
    walk(40, seed=0)


def connected() -> Walk:
    found = Walk(1, filtered=True)
    while not all(each.is_connected for each in found.clients.values()):
        found.go_on()
    return found


def test_a_walk_reaches_paths_that_carry_programs_datagrams() -> None:
    found = connected()
    found.clients["host_a"].send()
    assert len(found.programs) == 1
    found.go_on()
    assert found.programs == {}


def until_it_is_wrong(walk: Walk, step: Callable[[], object]) -> None:
    """Take the step for a minute at most."""
    while walk.clock.now < 60.0:
        step()


def without_words_of_a(walk: Walk) -> None:
    """What comes next, while every HELLO of host_a is lost."""
    for flight in list(walk.flights):
        is_a = walk.makers.get(flight.octets) is walk.clients["host_a"]
        if is_a and isinstance(datagrams.decode(flight.octets), Hello):
            walk.flights.remove(flight)
    walk.go_on()


def test_a_host_that_takes_every_word_for_proof_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handshake, "is_nonce", lambda *_: True)
    found = Walk(1, filtered=False)
    with pytest.raises(WrongError, match="host_a claims a path"):
        until_it_is_wrong(found, lambda: without_words_of_a(found))


def test_a_server_that_takes_every_proof_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    found = connected()
    monkeypatch.setattr(possession, "is_proof", lambda *_: True)
    found.cut(found.links[1])
    Attacker(found, 1).take("host_a", "host_b")
    with pytest.raises(WrongError, match="the attacker has taken the place of host_a"):
        until_it_is_wrong(found, found.go_on)


def test_a_window_that_takes_everything_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    found = connected()
    monkeypatch.setattr(ReplayWindow, "is_fresh", lambda *_: True)
    monkeypatch.setattr(ReplayWindow, "accept", lambda *_: True)
    found.clients["host_a"].send()
    flight = found.flights[-1]
    found.arrive(flight)
    with pytest.raises(WrongError, match="once more"):
        found.arrive(flight)


def test_machines_without_timers_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    found = Walk(1, filtered=True)
    monkeypatch.setattr(Timers, "deadline", lambda _: None)
    with pytest.raises(WrongError, match="nothing leads on for host_a"):
        until_it_is_wrong(found, found.go_on)


def test_a_client_that_speaks_without_end_is_found() -> None:
    found = Walk(1, filtered=True)
    client = found.clients["host_a"]
    while not client.sockets:
        found.go_on()
    (generation,) = client.sockets
    hello, to = Hello(bytes(8), 1, 1, heard=False), Endpoint("198.51.100.2", 40_000)
    with pytest.raises(WrongError, match="host_a sends 91 to"):
        until_it_is_wrong(found, lambda: client.speak(hello, to, generation))
