"""Each attack of `scripts.attack`, in small: the server refuses or sheds it in a way that it counts, and a pair connects meanwhile.

How long the pair takes is measured by `python -m scripts.attack`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from nat_traversal import Server, ServerSettings
from nat_traversal.machine import notices as note
from nat_traversal.tls import ClientTlsSettings, ServerTlsSettings
from scripts.attack import attacks
from scripts.attack.attacks import Attack, Target
from scripts.attack.swarm import addresses
from tests.certificates import Authority
from tests.features import linux_only
from tests.loopback.hosts import Host, a_server
from tests.loopback.support import DEADLINE, eventually

DEFAULT = ServerSettings()
FREE = ServerSettings(connects_burst=10_000, connects_per_source=10_000, connects_in_all=10_000)
"""Everybody may come: other budgets have to do."""
RATE = 20_000
"""Datagrams a second that the attackers here try for."""


@dataclass(frozen=True, slots=True)
class Case:
    """`counts`: what the server has counted once the attack is at its worst."""

    attack: Callable[[Target], Attack]
    counts: str
    settings: ServerSettings = DEFAULT


def a_flood(make: Callable[..., bytes]) -> Callable[[Target], Attack]:
    return lambda target: attacks.datagrams(target, make, RATE)


CASES = {
    "more registrations than one address may have": Case(
        lambda target: attacks.registered(target, 40),
        "connects-refused-source",
        replace(FREE, registered_per_source=20),
    ),
    "clients that burst after they register": Case(
        lambda target: attacks.bursting(target, 20), "refused-too-fast"
    ),
    "clients at the allowed rate": Case(
        lambda target: attacks.at_rate(target, 20), "messages-deferred"
    ),
    "clients that retry without end": Case(
        lambda target: attacks.retrying(target, 20), "refused-too-fast"
    ),
    "nested JSON": Case(
        lambda target: attacks.saying(target, attacks.NESTED, 50), "refused-bad-message", FREE
    ),
    "garbage": Case(
        lambda target: attacks.saying(target, attacks.GARBAGE, 50), "connects-refused-rate"
    ),
    "lines of 64 KiB": Case(
        lambda target: attacks.saying(target, attacks.LONG, 50), "refused-bad-message", FREE
    ),
    "clients that register, leave and come back": Case(
        lambda target: attacks.churn(target, 50), "connects-refused-rate"
    ),
    "half-open connections": Case(
        lambda target: attacks.half_open(target, 100), "connects-refused-source"
    ),
    "random announces": Case(a_flood(attacks.random_announce), "announces-unknown"),
    "announces with a forged MAC": Case(
        lambda target: attacks.forged_announces(target, RATE), "announces-forged"
    ),
    "noise over UDP": Case(a_flood(attacks.random_octets), "datagrams-dropped"),
    "STUN requests": Case(a_flood(attacks.stun_request), "stun-shed"),
    "proofs that are none": Case(
        lambda target: attacks.bad_proofs(target, 50), "refused-bad-proof"
    ),
}


@asynccontextmanager
async def attacked(server: Server, attack: Callable[[Target], Attack]) -> AsyncIterator[Target]:
    """From one address that is not the pair's, between all else that this process does."""
    target = Target(server.endpoint, addresses(1))

    async def go_on() -> None:
        steps = attack(target)
        try:
            for pause in steps:
                await asyncio.sleep(pause)
        finally:
            steps.close()

    attacking = asyncio.create_task(go_on())
    try:
        yield target
    finally:
        attacking.cancel()
        with suppress(asyncio.CancelledError):
            await attacking


@asynccontextmanager
async def a_pair(server: Server, tls: ClientTlsSettings | None = None) -> AsyncIterator[list[Host]]:
    """A legitimate one, connected."""
    options: dict[str, Any] = {"listen": "127.0.0.1", "tls": tls}
    async with (
        Host(server.endpoint, "host_a", "host_b", **options) as a,
        Host(server.endpoint, "host_b", "host_a", **options) as b,
    ):
        async with asyncio.timeout(DEADLINE):
            await a.connected()
            await b.connected()
        yield [a, b]


@pytest.mark.parametrize("name", CASES)
@linux_only
async def test_a_pair_connects_while_the_server_turns_an_attack_away(name: str) -> None:
    case = CASES[name]
    async with (
        a_server(settings=case.settings) as (server, _),
        attacked(server, case.attack),
    ):
        counters = server.counters
        await eventually(lambda: counters[case.counts] > 0, case.counts)
        await connects_undisturbed(server)
        settings = case.settings
        assert len(server.rendezvous.registered) <= settings.registered_per_source + 2
        assert server.rendezvous.gate.unregistered <= settings.unregistered_per_source


async def connects_undisturbed(server: Server, tls: ClientTlsSettings | None = None) -> None:
    async with a_pair(server, tls) as hosts:
        for host in hosts:
            assert host.notices.of(note.ServerLost) == []
            assert host.notices.of(note.AttemptFailed) == []


@linux_only
async def test_a_pair_connects_while_handshakes_are_begun_and_left(tmp_path: Path) -> None:
    issued = Authority.new().issue("127.0.0.1")
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    issued.key_file(key)
    issued.certificate_file(certificate)
    tls = ServerTlsSettings(str(certificate), str(key))
    async with (
        a_server(tls=tls) as (server, _),
        attacked(server, lambda target: attacks.handshakes(target, 50)),
    ):
        counters = server.counters
        await eventually(lambda: counters["connects-refused-rate"] > 0, "too many handshakes")
        await connects_undisturbed(server, ClientTlsSettings(fingerprint=issued.fingerprint))
