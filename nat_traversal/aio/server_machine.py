"""The machine that a server runs, alone or among several: put together from what is installed and asked for."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable
from typing import Any, Protocol

from nat_traversal.machine.counters import Counters
from nat_traversal.server.possession import Possession
from nat_traversal.server.standalone import StandaloneServer
from nat_traversal.settings import ServerSettings
from nat_traversal.wire.endpoint import Endpoint

log = logging.getLogger(__name__)


class SharedStore(Protocol):
    """A store that several servers share."""

    def request(self, request: Any) -> None:
        """Carry out one `server.cluster.words.StoreRequest`."""

    async def close(self) -> None:
        """Give back what this server has there."""


def machine_of(
    store: str | None,
    rng: random.Random,
    settings: ServerSettings,
    counters: Counters | None,
    possession: Possession | None,
    *,
    relay_address: Endpoint | None = None,
) -> tuple[StandaloneServer, Callable[[Callable[[object], None]], SharedStore] | None]:
    """The machine of a server, and what makes the store that it shares."""
    if store is None:
        alone = StandaloneServer(
            rng=rng, settings=settings, counters=counters, possession=possession
        )
        return alone, None
    from nat_traversal.aio.redis_store import RedisStore  # noqa: PLC0415 - an extra
    from nat_traversal.server.cluster.clustered import ClusteredServer  # noqa: PLC0415
    from nat_traversal.server.cluster.places import Places  # noqa: PLC0415

    name = rng.randbytes(8).hex()
    clustered = ClusteredServer(
        name=name,
        rng=rng,
        settings=settings,
        counters=counters,
        possession=possession,
        places=Places(relay_address),
    )
    return clustered, lambda feed: RedisStore(store, name, feed, settings)


def possession_by(rng: random.Random, certificate: bytes) -> Possession | None:
    """Proof of keys, where the package for it is installed."""
    try:
        from nat_traversal.crypto.dh import KeyPair  # noqa: PLC0415 - a server runs without it
    except ImportError:
        log.warning(
            "ids are not held by key: this needs the package cryptography "
            "(apt install python3-cryptography, or pip install cryptography)"
        )
        return None
    return Possession(KeyPair.generate, rng, certificate)
