"""A client's host changes its network: what the kernel says, what counts of it, and what the machine is told."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from nat_traversal import Endpoint
from nat_traversal.aio.network_changes import Ends, NetworkChanges, Ways, ends_of, route_events
from nat_traversal.machine import events as e
from tests.loopback.support import eventually

HOME, AWAY = "192.0.2.2", "198.51.100.2"
PEER, SERVER = Endpoint("203.0.113.2", 7), Endpoint("203.0.113.9", 6545)
OF_HOME, OF_AWAY = frozenset({("wlan0", 1, HOME)}), frozenset({("wwan0", 1, AWAY)})
NONE = frozenset[tuple[str, int, str]]()


class FakeHost:
    """A host whose network is what the test says. `word` is the kernel's that something has changed."""

    def __init__(self) -> None:
        self.here = OF_HOME
        self.source: str | None = HOME
        self.paths: dict[int, Ends | None] = {4: Ends(Endpoint(HOME, 5000), PEER)}
        self.fed: list[e.Event] = []
        self.looks = 0
        self.kernel, self._other = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.kernel.setblocking(False)

    @contextmanager
    def watched(self, *, told: bool = True) -> Iterator[NetworkChanges]:
        """`told`: the kernel tells of changes; else the timer looks each millisecond."""
        changes = NetworkChanges(
            3600.0 if told else 0.001,
            self._ways,
            self.fed.append,
            slept=lambda: 0.0,
            events=lambda: self.kernel if told else None,
            here=lambda: self.here,
            source=lambda _: self.source,
        )
        try:
            yield changes
        finally:
            changes.close()
            self.kernel.close()
            self._other.close()

    def word(self, times: int = 1) -> None:
        for _ in range(times):
            self._other.send(b"a link has changed")

    async def looked(self, times: int = 1) -> None:
        wanted = self.looks + times
        await eventually(lambda: self.looks >= wanted, "it has looked")

    def _ways(self) -> Ways:
        self.looks += 1
        return Ways(self.paths, Ends(Endpoint(HOME, 6000), SERVER))


async def test_another_way_out_is_told_with_the_sockets_that_it_leaves_behind() -> None:
    host = FakeHost()
    with host.watched():
        host.here, host.source = OF_AWAY, AWAY
        host.word()
        await host.looked()
    assert host.fed == [e.NetworkChanged(frozenset({4}), server_is_stale=True)]


async def test_words_about_interfaces_that_do_not_count_lead_to_nothing() -> None:
    host = FakeHost()
    with host.watched():
        for _ in range(2):
            host.word()
            await host.looked()
    assert host.fed == []


async def test_many_words_at_once_lead_to_one_look() -> None:
    host = FakeHost()
    with host.watched():
        host.here = OF_HOME | OF_AWAY
        host.word(times=20)
        await host.looked()
        assert host.looks == 1
    assert host.fed == [e.NetworkChanged()]


async def test_a_network_that_goes_and_comes_back_is_told_once_it_is_back() -> None:
    host = FakeHost()
    with host.watched():
        host.here, host.source = NONE, None
        host.word()
        await host.looked()
        assert host.fed == []
        host.here, host.source = OF_HOME, HOME
        host.word()
        await host.looked()
    assert host.fed == [e.NetworkChanged()]


async def test_without_a_kernel_that_tells_the_timer_looks_and_tells_each_change_once() -> None:
    host = FakeHost()
    with host.watched(told=False):
        host.here, host.source = OF_AWAY, AWAY
        await host.looked(times=5)
        assert len(host.fed) == 1
        host.paths = {5: None}  # nothing could be sent there
        await host.looked(times=5)
    assert host.fed[1:] == [e.NetworkChanged(frozenset({5}), server_is_stale=True)]


async def test_a_socket_that_is_left_behind_is_told_once_and_its_end_is_no_change() -> None:
    host = FakeHost()
    with host.watched(told=False):
        host.here, host.source = OF_AWAY, AWAY
        await host.looked(times=3)
        host.paths = {}
        await host.looked(times=3)
    assert host.fed == [e.NetworkChanged(frozenset({4}), server_is_stale=True)]


def test_only_a_connected_socket_has_two_ends() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        assert ends_of(sock) is None
        sock.connect(("127.0.0.1", 9))
        here = Endpoint(*sock.getsockname())
        assert ends_of(sock) == Ends(here, Endpoint("127.0.0.1", 9))
    assert ends_of(sock) is None
    assert ends_of(None) is None


def test_a_system_without_rtnetlink_tells_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(socket, "AF_NETLINK", raising=False)
    assert route_events() is None
