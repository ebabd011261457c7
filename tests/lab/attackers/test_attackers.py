"""Attackers with namespaces, addresses and forged sources of their own: captures say what they achieve."""

from __future__ import annotations

import pytest

from nat_traversal.paths.mtu import HEADERS_IPV4
from nat_traversal.paths.roaming import TRIAL_DATAGRAMS, TRIAL_OCTETS
from nat_traversal.wire.datagrams import Kind
from natlab.capture.packet import Protocol
from tests.lab import warm
from tests.lab.attackers.scenes import (
    BYE,
    ID_1,
    ID_2,
    OVERTAKEN,
    PLACES,
    RECORDED,
    STRANGERS,
    TIMES,
    Played,
    play,
)
from tests.lab.attackers.stage import ATTACKER, PAIR, SERVER, VICTIM, Window

pytestmark = pytest.mark.timeout(120)
HOSTS = (PAIR.first, PAIR.second)


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Played:
    return warm.call(100.0, play, tmp_path_factory.mktemp("attackers"))


def events(played: Played, client: str) -> list[str]:
    return [each["event"] for each in played.events[client]]


def from_server(window: Window, protocol: Protocol) -> list[bytes]:
    return [each.payload for each in window.sent_by(SERVER, protocol=protocol) if each.payload]


@pytest.mark.parametrize("place", PLACES)
def test_every_datagram_sent_again_draws_nothing_and_moves_nothing(
    played: Played, place: str
) -> None:
    """Nobody answers the attacker, nor the server anybody; a host answers no ping that its peer has not sent now."""
    again, window = played.replayed[place], played.windows[place]
    assert {Kind(each.payload[0]) for each in again} >= RECORDED
    assert played.told[place] == f"sent {len(again) * TIMES}"
    assert window.got_by(ATTACKER) == []
    announces = sum(len(window.sent_by(host, Kind.ANNOUNCE)) for host in HOSTS)
    assert len(window.sent_by(SERVER)) <= announces
    pings = {host: len([e for e in again if e.payload[0] == Kind.PING]) * TIMES for host in HOSTS}
    for host, peer in (HOSTS, HOSTS[::-1]):
        asked = len(window.sent_by(peer, Kind.PING))
        answered = len(window.sent_by(host, Kind.PONG))
        assert answered <= asked + 1 < asked + pings[host]
    assert from_server(window, Protocol.TCP) == [], "the server tells the hosts nothing"


def test_the_pair_noticed_nothing_of_all_that_was_sent_again(played: Played) -> None:
    assert {"recorded", *PLACES, "strangers", "overtaken"} <= {*played.crossed}
    assert played.lost == []
    assert played.strays == []
    assert len(played.askers) == 1, "the service still sees the same program"
    for name in (ID_1, ID_2):
        assert events(played, name).count("path-established") >= 1
    assert not {"path-lost", "path-moved", "server-lost"} & set(events(played, ID_1))


def test_who_overtakes_every_datagram_aims_ten_small_ones_at_a_victim_and_no_stream(
    played: Played,
) -> None:
    window = played.windows["overtaken"]
    assert played.told["overtaken"] == f"overtaken {OVERTAKEN}"
    drawn = window.got_by(VICTIM)
    assert drawn, "the victim was not asked whether it is the peer"
    assert {Kind(each.payload[0]) for each in drawn} <= {Kind.PING, Kind.PONG}
    assert len(drawn) <= TRIAL_DATAGRAMS
    assert sum(HEADERS_IPV4 + len(each.payload) for each in drawn) <= TRIAL_OCTETS
    for name in (ID_1, ID_2):
        assert "peer-roamed" not in events(played, name)


def test_a_farewell_of_an_earlier_path_ends_no_later_one(played: Played) -> None:
    assert [each.payload[0] for each in played.replayed[BYE]] == [Kind.BYE, Kind.BYE]
    assert "path-lost" not in events(played, "again")
    after = events(played, ID_2)
    last = len(after) - 1 - after[::-1].index("path-established")
    assert "path-lost" not in after[last:]
    pings = played.windows[BYE]
    assert pings.got_by(ATTACKER) == []


def test_a_registration_said_again_from_elsewhere_is_refused_and_its_holder_hears_nothing(
    played: Played,
) -> None:
    assert played.told["register again"] == "refused key-used"
    window = played.windows["register again"]
    assert [b"key-used" in said for said in from_server(window, Protocol.TCP)] == [True]
    assert window.got_by(PAIR.first, protocol=Protocol.TCP) == []


def test_strangers_at_a_living_id_are_refused_and_its_holder_hears_nothing(played: Played) -> None:
    assert played.told["strangers"] == "refused id-in-use"
    window = played.windows["strangers"]
    said = from_server(window, Protocol.TCP)
    assert len(said) == STRANGERS
    assert [each for each in said if b"id-in-use" not in each] == []
    for host in HOSTS:
        assert window.got_by(host, protocol=Protocol.TCP) == []


def test_a_squatters_victim_says_who_has_its_id_and_gets_it_when_that_one_leaves(
    played: Played,
) -> None:
    said = played.events["rightful"]
    lost = next(each for each in said if each["event"] == "server-lost")
    assert "in use by another client" in lost["reason"]
    assert "registered-at-server" in events(played, "rightful")


def test_a_peer_that_lies_about_its_address_aims_ten_datagrams_at_a_victim(played: Played) -> None:
    """The server itself sends no more there than what the liar sent to the server in the victim's name."""
    window = played.windows["lying peer"]
    server = [len(each.payload) for each in window.got_by(VICTIM, Kind.ANNOUNCED)]
    aimed = [len(each.payload) for each in window.got_by(VICTIM, Kind.HELLO, Kind.CONFIRM)]
    assert len(window.got_by(VICTIM)) == len(server) + len(aimed)
    assert 5 <= len(aimed) <= 10
    assert sum(aimed) <= 1000
    announces = [len(each.payload) for each in window.sent_by(ATTACKER, Kind.ANNOUNCE)]
    assert len(server) <= len(announces)
    assert sum(server) <= sum(announces)


def test_a_server_that_lies_aims_ninety_datagrams_at_a_victim_and_is_left(played: Played) -> None:
    window = played.windows["lying server"]
    came = window.got_by(VICTIM)
    assert len(came) == 90
    assert max(len(each.payload) for each in came) <= 100
    assert played.told["lying server"].startswith("left")
    reasons = [each["reason"] for each in played.events["aimed"] if each["event"] == "server-lost"]
    assert reasons == ["an attempt asks for more datagrams than any that is meant to succeed"]
