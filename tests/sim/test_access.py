"""A server that takes only some clients: what it costs the others, and what becomes of those who are here."""

from __future__ import annotations

from nat_traversal.access import OPEN, Access, parse_allow, parse_tokens
from nat_traversal.crypto.keyfile import SERVER_TOKEN, as_text
from nat_traversal.machine import events as e
from nat_traversal.machine import notices as note
from tests.sim.client import Client
from tests.sim.cluster import ClusterWorld
from tests.sim.world import World
from tests.unit.counterpart import some_keys

TOKEN, OTHER = some_keys("token", "other token")
GUARDED = Access(
    parse_allow("host_a host_b", "allow"),
    parse_tokens(as_text(SERVER_TOKEN, TOKEN), "tokens"),
)


def guarded(access: Access = GUARDED) -> World:
    world = World()
    world.server.feed(e.AccessChanged(access))
    return world


def pair(world: World, token: bytes | None = TOKEN) -> tuple[Client, Client]:
    a = world.client("host_a", "host_b", token=token).start()
    return a, world.client("host_b", "host_a", token=token).start()


def test_those_who_may_connect_as_fast_as_at_an_open_server() -> None:
    times: list[float] = []
    for access in (GUARDED, OPEN):
        world = guarded(access)
        world.connect(*pair(world))
        times.append(world.clock.now)
    assert times[0] == times[1]


def test_a_client_that_comes_back_shows_its_token_anew() -> None:
    world = guarded()
    a, b = pair(world)
    world.connect(a, b)
    world.server.stop()
    world.server.restart()
    world.server.feed(e.AccessChanged(GUARDED))
    world.until(lambda: len(a.told(note.RegisteredAtServer)) == 2)


def test_a_refused_client_says_what_to_do_and_connects_once_it_may() -> None:
    world = guarded()
    a, b = pair(world, token=None)
    world.run(20.0)
    told = {lost.reason for client in (a, b) for lost in client.told(note.ServerLost)}
    assert len(told) == 1
    assert "give it by --server-token FILE" in told.pop()
    assert not a.told(note.MappingLearned), "nothing is answered over UDP either"
    world.server.feed(e.AccessChanged(OPEN))
    world.connect(a, b, within=70.0)


def test_refusal_tells_nothing_of_other_ids() -> None:
    """The same words for an id that is taken, one that waits for this peer, and one that nobody has."""
    words: list[list[str]] = []
    for company in ((), ("host_c", "host_a"), ("host_b", "host_c")):
        world = guarded(Access(parse_allow("host_a host_b\nhost_c host_a", "allow")))
        if company:
            world.client(*company, host="host_a").start()
            world.run(1.0)
        stranger = world.client("host_b", "host_c", host="host_c").start()
        world.run(5.0)
        words.append([lost.reason for lost in stranger.told(note.ServerLost)])
        assert not stranger.told(note.PeerSeen)
    assert words[0] == words[1] == words[2] != []


def test_who_may_not_be_here_any_more_has_to_go_and_a_path_stays() -> None:
    world = guarded()
    a, b = pair(world)
    world.connect(a, b)
    only_others = Access(parse_allow("host_a host_c", "allow"))
    world.server.feed(e.AccessChanged(only_others))
    world.run(10.0)
    assert world.server.rendezvous.registered == set()
    assert "ask its operator for a line" in a.told(note.ServerLost)[0].reason
    assert a.is_connected
    assert b.is_connected


def test_guest_of_another_server_need_not_show_its_token_twice() -> None:
    world = ClusterWorld(2)
    for server in world.servers:
        server.feed(e.AccessChanged(GUARDED))
    a = world.at("host_a", "host_b", server=0, token=TOKEN)
    b = world.at("host_b", "host_a", server=1, token=TOKEN)
    world.connect(a, b)
    stranger = world.at("host_c", "host_a", server=1, token=OTHER)
    world.run(5.0)
    assert "does not know the client's token" in stranger.told(note.ServerLost)[0].reason
    assert a.is_connected
