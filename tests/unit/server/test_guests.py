"""A client of another server, as the server that manages its pair sees it."""

from __future__ import annotations

import random

import pytest

from nat_traversal.crypto.proof import signed
from nat_traversal.machine import actions as do
from nat_traversal.machine import events as e
from nat_traversal.server.cluster import words as w
from nat_traversal.server.cluster.client import Client
from nat_traversal.server.cluster.clustered import ClusteredServer
from nat_traversal.wire import messages as m
from nat_traversal.wire.datagrams import Announce, handle_of
from nat_traversal.wire.endpoint import Endpoint
from nat_traversal.wire.offers import Offer, Suite, Trust

HERE, THERE = Endpoint("198.51.100.7", 40_000), Endpoint("203.0.113.9", 41_000)
KEY, PUBLIC = bytes(range(32)), bytes(range(1, 33))
OFFER = Offer(bytes(16), PUBLIC, b"", Trust.SERVER, (Suite.AES_256_GCM,))


def registers(id_: str, peer: str, generation: int) -> m.Register:
    return m.Register(1, (2,), id_, peer, KEY, generation, OFFER)


def test_a_socket_that_is_seen_before_its_host_speaks_of_it_counts_once_it_has() -> None:
    """Its announce overtakes its word, and its card had no socket since it was connected: the last attempts with it failed,
    over blocked UDP as it seemed."""
    server = ClusteredServer(name="one", rng=random.Random(1))

    def feed(event: e.Event) -> list[do.Action]:
        return server.handle(event, 0.0)

    def hears(signal: w.Signal) -> list[do.Action]:
        return feed(e.StoreAnswered(w.Heard("two", signal)))

    feed(e.StoreAnswered(w.StoreReached(0.0)))
    feed(e.ControlOpened(1, HERE))
    feed(e.ControlReceived(registers("host_a", "host_b", 1), 1))
    feed(e.StoreAnswered(w.Granted(1, "host_a", None)))
    feed(e.DatagramArrived(signed(Announce(handle_of(KEY), 1, 1), KEY), HERE))
    asked = hears(w.Arrived(7, w.Card(registers("host_b", "host_a", 0), THERE.address)))
    assert do.AskStore(w.Send("two", w.Order(7, m.OpenSocket(1)))) in asked
    assert hears(w.Shown(7, 58, THERE, validated=False)) == []
    began = hears(w.Said(7, m.SocketOpened(58, PUBLIC)))
    (start,) = (
        each.message
        for each in began
        if isinstance(each, do.SendMessage) and isinstance(each.message, m.StartRound)
    )
    assert [each.endpoint for each in start.candidates] == [THERE]


def test_an_arrival_is_compared_with_the_client_that_it_names_and_no_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With 500 clients at each of two servers most of the time went to the others."""
    server = ClusteredServer(name="one", rng=random.Random(1))
    server.handle(e.StoreAnswered(w.StoreReached(0.0)), 0.0)
    for number in range(1, 101):
        register = m.Register(1, (2,), f"a-{number}", f"b-{number}", bytes([number] * 32), 0, OFFER)
        server.handle(e.ControlOpened(number, Endpoint(f"198.51.100.{number}", 40_000)), 0.0)
        server.handle(e.ControlReceived(register, number), 0.0)
        server.handle(e.StoreAnswered(w.Granted(number, register.id, None)), 0.0)
    compared: list[str] = []
    names = Client.names

    def counted(client: Client, card: w.Card) -> bool:
        compared.append(client.id)
        return names(client, card)

    monkeypatch.setattr(Client, "names", counted)
    arrived = w.Arrived(7, w.Card(registers("b-50", "a-50", 0), THERE.address))
    server.handle(e.StoreAnswered(w.Heard("two", arrived)), 0.0)
    assert compared == ["a-50"]
