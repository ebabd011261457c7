"""The server's table of relays: whose source counts, what is handed on, and the bounds."""

from __future__ import annotations

import random
from dataclasses import replace

from nat_traversal.crypto.proof import is_signed, signed
from nat_traversal.machine import actions as do
from nat_traversal.machine import events as e
from nat_traversal.machine.counters import Counters
from nat_traversal.machine.timers import Timers
from nat_traversal.server.member import Member
from nat_traversal.server.reflection import AT_ONCE, Reflection
from nat_traversal.server.relays import Relays
from nat_traversal.server.session import numbers
from nat_traversal.settings import ServerSettings
from nat_traversal.wire import messages as m
from nat_traversal.wire.datagrams import Frame, Kind, encode, handle_of
from nat_traversal.wire.endpoint import Endpoint
from nat_traversal.wire.octets import NONCE_BYTES
from nat_traversal.wire.offers import Offer, Suite, Trust
from nat_traversal.wire.relayed import LINK_OCTETS, Bind, Bound, Link

KEYS = (b"a" * 32, b"b" * 32)
SOURCES = (Endpoint("203.0.113.2", 4000), Endpoint("198.51.100.2", 5000))
HERE = e.LocalAddress("192.0.2.2")
FRAME = Frame(Kind.DATA, bytes([Kind.DATA]) + bytes(99))
PING = Frame(Kind.PING, bytes([Kind.PING]) + bytes(34))


def host(which: int, instance: bytes = b"") -> Member:
    """One of the two hosts, as the server knows it, on its control connection 1 or 2."""
    offer = Offer(instance or bytes([which]) * 16, b"", b"", Trust.SERVER, (Suite.AES_256_GCM,))
    return Member("host_" + "ab"[which], which + 1, 1, 5.0, offer, 0, key=KEYS[which])


HOSTS = (host(0), host(1))


class Table:
    """The relays of a server, with two hosts that talk to it."""

    def __init__(self, settings: ServerSettings | None = None) -> None:
        self.timers, self.counters = Timers(), Counters()
        self.relays = Relays(
            self.timers,
            settings or ServerSettings(),
            self.counters,
            numbers(),
            random.Random(0),
        )
        self.reflection = Reflection(settings or ServerSettings(), self.counters)
        self.now = 0.0
        self.numbers = [0, 0]

    def begin(self, now: float = 0.0) -> int:
        relay = self.relays.begin(HOSTS, now)
        assert relay is not None
        self.tickets = [leg.ticket for leg in relay.legs]
        return relay.number

    def bind(
        self,
        which: int,
        number: int,
        echo: bytes = bytes(NONCE_BYTES),
        source: Endpoint | None = None,
    ) -> Bound | None:
        """The answer to a BIND of one of the hosts."""
        self.numbers[which] += 1
        bind = signed(Bind(handle_of(KEYS[which]), number, self.numbers[which], echo), KEYS[which])
        return self.answer(bind, source or SOURCES[which])

    def answer(self, bind: Bind, source: Endpoint) -> Bound | None:
        actions = self.relays.bind(bind, source, HERE, self.now, self.reflection)
        if not actions:
            return None
        (sent,) = actions
        assert isinstance(sent, do.SendDatagram)
        assert isinstance(sent.datagram, Bound)
        assert (sent.destination, sent.local) == (source, HERE)
        assert len(encode(sent.datagram)) <= len(encode(bind)), "nothing is amplified"
        return sent.datagram

    def bound(self, number: int) -> None:
        """Both hosts bind."""
        for which in (0, 1):
            asked = self.bind(which, number)
            assert asked is not None
            assert not asked.stands
            told = self.bind(which, number, asked.nonce)
            assert told is not None
            assert told.stands
            assert is_signed(told, KEYS[which])

    def forward(
        self, datagram: Frame | Link, source: Endpoint, now: float = 0.0
    ) -> list[do.Action]:
        octets = LINK_OCTETS if isinstance(datagram, Link) else len(datagram.octets)
        return self.relays.forward(datagram, octets, source, now)

    def timer(self) -> float:
        deadline = self.timers.deadline()
        assert deadline is not None
        return deadline


def test_frames_and_links_go_to_the_other_source_as_they_came() -> None:
    table = Table()
    table.bound(table.begin())
    link = Link(b"tag-----", True, b"nonce---")
    for datagram in (FRAME, PING, link):
        for source, other in (SOURCES, SOURCES[::-1]):
            assert table.forward(datagram, source) == [do.SendDatagram(datagram, other, local=HERE)]
    assert table.counters["relay-datagrams"] == 6
    assert table.counters["relay-octets"] == 2 * (100 + 35 + LINK_OCTETS)


def test_binds_from_forged_ports_of_one_address_are_answered_within_its_budget_and_move_nothing() -> (
    None
):
    settings = ServerSettings(unproven_per_source=4.0)
    table = Table(settings)
    number = table.begin()
    table.bound(number)
    table.now = 100.0
    answers = [table.bind(0, number, source=Endpoint("192.0.2.99", port)) for port in range(1, 101)]
    assert sum(answer is not None for answer in answers) == 4.0 * AT_ONCE
    assert table.counters["answers-withheld"] == 100 - 4 * AT_ONCE
    assert table.bind(0, number) is not None, "where the host is it is answered"
    assert table.forward(FRAME, SOURCES[1]) == [do.SendDatagram(FRAME, SOURCES[0], local=HERE)]


def test_nothing_goes_to_a_source_that_has_not_echoed_the_nonce_for_it() -> None:
    table = Table()
    number = table.begin()
    for which in (0, 1):
        table.bind(which, number)
    assert table.forward(FRAME, SOURCES[0]) == []
    assert table.counters["relay-stray"] == 1
    asked = table.bind(0, number)
    assert asked is not None
    victim = Endpoint("192.0.2.99", 53)
    told = table.bind(0, number, asked.nonce, victim)
    assert told is not None
    assert not told.stands, "a nonce is for one source"
    told = table.bind(0, number, asked.nonce)
    assert told is not None
    assert told.stands
    assert table.forward(FRAME, SOURCES[0]) == []
    assert table.counters["relay-unready"] == 1


def test_a_bind_of_a_stranger_or_one_that_is_repeated_does_nothing() -> None:
    table = Table()
    number = table.begin()
    table.bound(number)
    bind = signed(Bind(handle_of(KEYS[0]), number, 9, bytes(8)), KEYS[0])
    elsewhere = Endpoint("203.0.113.9", 1)
    asked = table.answer(bind, elsewhere)
    assert asked is not None
    moved = signed(replace(bind, number=10, echo=asked.nonce), KEYS[0])
    forged = replace(moved, mac=bytes(16))
    of_nobody = signed(replace(moved, handle=handle_of(b"c" * 32)), b"c" * 32)
    of_no_relay = signed(replace(moved, relay=number + 1), KEYS[0])
    for bad in (forged, of_nobody, of_no_relay):
        assert table.answer(bad, elsewhere) is None
    assert table.answer(moved, elsewhere) is not None
    assert table.forward(FRAME, SOURCES[1]) == [do.SendDatagram(FRAME, elsewhere, local=HERE)]
    assert table.answer(moved, elsewhere) is None, "a number counts once"
    assert table.forward(FRAME, SOURCES[0]) == [], "the source before counts no more"
    assert table.counters["binds-forged"] == 4


def test_a_pair_and_all_together_have_bounds_and_pings_a_share_of_them() -> None:
    for settings, counter in (
        (ServerSettings(relay_datagrams=10.0), "relay-slow"),
        (ServerSettings(relay_all_datagrams=10.0), "relay-busy"),
    ):
        table = Table(settings)
        table.bound(table.begin())
        handed = [table.forward(FRAME, SOURCES[0]) for _ in range(20)]
        sent = [each for each in handed if each and isinstance(each[0], do.SendDatagram)]
        assert len(sent) == 9, "a tenth is left for pings"
        (told,) = [each for each in handed if each and isinstance(each[0], do.SendMessage)]
        assert [action.connection for action in told if isinstance(action, do.SendMessage)] == [
            1,
            2,
        ]
        assert table.counters[counter] == 11
        assert len(table.forward(PING, SOURCES[0])) == 1
        assert table.forward(PING, SOURCES[0]) == []
        assert len(table.forward(FRAME, SOURCES[0], now=1.0)) == 1, "a second later"


def test_octets_are_bounded_too() -> None:
    table = Table(ServerSettings(relay_octets=65_536.0))
    table.bound(table.begin())
    large = Frame(Kind.DATA, bytes([Kind.DATA]) + bytes(1399))
    handed = [table.forward(large, SOURCES[0]) for _ in range(60)]
    sent = [each for each in handed if each and isinstance(each[0], do.SendDatagram)]
    assert len(sent) == int(0.9 * 65_536 / 1400)


def test_no_more_pairs_than_the_operator_wants() -> None:
    table = Table(ServerSettings(relay_pairs=2))
    assert [table.begin(), table.begin()] == [1, 2]
    assert table.relays.begin(HOSTS, 0.0) is None
    assert table.counters["relays-refused"] == 1
    table.relays.end(1, m.RelayCode.OVER, "over")
    assert table.begin() == 3


def test_a_relay_ends_when_it_is_idle_and_after_its_time_in_any_case() -> None:
    settings = ServerSettings(relay_idle=60.0, relay_most=100.0)
    table = Table(settings)
    number = table.begin()
    table.bound(number)
    assert table.timer() == 60.0
    table.forward(FRAME, SOURCES[0], now=50.0)
    list(table.timers.due(60.0))
    assert table.relays.timed_out(number, 60.0) == []
    assert table.timer() == 100.0
    list(table.timers.due(100.0))
    over = table.relays.timed_out(number, 100.0)
    assert [action.message for action in over if isinstance(action, do.SendMessage)] == [
        m.RelayNews(
            number, m.RelayCode.OVER, "the server gives a pair its relay for 100 s at a time"
        )
    ] * 2
    assert not table.relays.has(number)
    assert table.forward(FRAME, SOURCES[0]) == []

    idle = table.begin(now=200.0)
    list(table.timers.due(260.0))
    (told, _) = table.relays.timed_out(idle, 260.0)
    assert isinstance(told, do.SendMessage)
    assert isinstance(told.message, m.RelayNews)
    assert told.message.code == m.RelayCode.IDLE


def test_only_a_host_of_the_pair_ends_its_relay() -> None:
    table = Table()
    number = table.begin()
    assert table.relays.done(number, host(0, b"another process!")) == []
    assert len(table.relays.done(number, host(0))) == 2
    assert table.relays.done(number, host(0)) == []


def test_a_connection_counts_once_a_datagram_has_come_by_it() -> None:
    """UDP may have been answered while it was made, and then the client closes it."""
    table = Table()
    table.bound(table.begin())
    (joined, switched) = table.relays.join(table.tickets[0], 7, 0.0)
    assert isinstance(joined, do.SendMessage)
    assert switched == do.UseStream(7)
    assert table.relays.join(table.tickets[0], 8, 0.0) == [], "a ticket counts once"
    assert table.forward(FRAME, SOURCES[1]) == [do.SendDatagram(FRAME, SOURCES[0], local=HERE)]
    handed = table.relays.streamed(FRAME, 100, 7, 0.0)
    assert handed == [do.SendDatagram(FRAME, SOURCES[1], local=HERE)]
    assert table.forward(FRAME, SOURCES[1]) == [do.SendOnStream(FRAME, 7)]
    assert table.forward(FRAME, SOURCES[0]) == [], "the source before counts no more"
    table.relays.broken(7)
    assert table.forward(FRAME, SOURCES[1]) == []
    assert table.relays.join(table.tickets[1], 9, 0.0)
    assert table.relays.end_all() == [do.CloseControl(9)]
    assert table.relays.end_all() == []
