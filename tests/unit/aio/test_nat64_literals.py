"""A server's IPv4 address where this host has IPv6 alone: the prefix of the network's NAT64 leads there, or one line says that
none does. The lab has a real one (`tests/lab/client/test_nat64_literals.py`)."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Sequence

import pytest

from nat_traversal.aio.client_config import ClientConfig
from nat_traversal.aio.nat64 import NO_PREFIX
from nat_traversal.aio.platform import Platform
from nat_traversal.aio.server_link import ServerLink
from nat_traversal.aio.trunk import Alone
from nat_traversal.errors import NameUnresolvedError
from nat_traversal.machine import events as e
from nat_traversal.wire.endpoint import Endpoint, HostPort
from nat_traversal.wire.nat64 import NAME
from tests.unit.aio.test_nat64 import (
    LITERAL,
    OF_THE_LAB,
    SERVER,
    WAY,
    Resolver,
    a_finder,
    turns,
    way_of,
)


async def test_an_ipv4_address_for_the_server_is_reached_by_each_prefix() -> None:
    resolver = Resolver("2001:db8:65::c000:aa", *OF_THE_LAB)
    async with a_finder(resolver) as finder:
        begun = asyncio.ensure_future(finder.connects([LITERAL]))
        await turns()
        assert not begun.done(), "there is no other way to it"
        resolver.ready.set()
        assert await begun == [Endpoint("2001:db8:65::c000:202", 6545), SERVER]
        finder.reached(SERVER)
        assert way_of(finder) == WAY
        assert not finder.lacks_prefix


@pytest.mark.parametrize(
    ("address", "answer"),
    [("192.0.2.2", "2001:db8:5::2"), ("192.0.2.2", "64:ff9b::c000:aa")],
    ids=["no NAT64", "the well-known prefix is for global addresses alone"],
)
async def test_without_a_prefix_that_leads_there_the_address_stays(
    address: str, answer: str
) -> None:
    resolver = Resolver(answer)
    resolver.ready.set()
    async with a_finder(resolver) as finder:
        literal = Endpoint(address, 6545)
        assert await finder.connects([literal]) == [literal]
        assert finder.lacks_prefix
        await finder.connects([SERVER])
        assert not finder.lacks_prefix


class Names(Resolver):
    """It knows the name of one server too."""

    async def __call__(self, name: HostPort, *, families: Sequence[int]) -> list[Endpoint]:
        found = await super().__call__(name, families=families)
        return found if name.host == NAME else [Endpoint("192.0.2.3", name.port)]


@pytest.mark.parametrize(("ipv4", "found"), [(False, "2001:db8:64::c000:203"), (True, "192.0.2.3")])
async def test_another_server_is_found_by_the_prefix_too(ipv4: bool, found: str) -> None:
    names = Names(*OF_THE_LAB)
    names.ready.set()
    async with a_finder(names, ipv4=ipv4) as finder:
        at = HostPort("turn.example", 3478)
        assert await finder.resolve(at, families=(4, 6)) == [Endpoint(found, 3478)]
        assert way_of(finder) is None, "it says nothing of the way to the traversal server"


async def test_a_check_knows_the_server_by_its_ipv4_address() -> None:
    resolver = Resolver(*OF_THE_LAB)
    resolver.ready.set()
    async with a_finder(resolver) as finder:
        found = await finder.way_to([Endpoint("2001:db8:5::2", 6545), LITERAL, SERVER])
        assert found is not None
        assert found[0] == LITERAL
        assert (found[1].outside(LITERAL), found[1].inside(SERVER)) == (SERVER, LITERAL)
        assert await finder.way_to([SERVER]) is None
    async with a_finder(Resolver(*OF_THE_LAB), ipv4=True) as finder:
        assert await finder.way_to([LITERAL, SERVER]) is None
    without = Resolver("2001:db8:5::2")
    without.ready.set()
    async with a_finder(without) as finder:
        assert await finder.way_to([LITERAL]) is None


class Literals:
    """It knows no name, and so no prefix."""

    async def __call__(self, name: HostPort, *, families: Sequence[int]) -> list[Endpoint]:
        del families
        if name.host == NAME:
            raise NameUnresolvedError("no such name", is_temporary=False)
        return [Endpoint(name.host, name.port)]


async def test_a_server_that_only_a_nat64_would_lead_to_is_told_with_the_remedy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told: list[e.Event] = []
    link = ServerLink(
        ClientConfig(HostPort("192.0.2.2", 6545), "host_a", "host_b"),
        Alone(),
        Platform(resolve=Literals(), has_ipv4=lambda: False, has_ipv6=lambda: True),
        told.append,
    )

    async def unreachable(*_: object, **__: object) -> None:
        raise OSError(errno.ENETUNREACH, "no")

    monkeypatch.setattr(link._trunk, "join", unreachable)
    await link._connect()
    assert told == [
        e.ControlBroken(
            "cannot connect to 192.0.2.2:6545: Network is unreachable", remedy=NO_PREFIX
        )
    ]
