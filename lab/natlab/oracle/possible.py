"""Whether any path can open between two hosts behind NATs, worked out on the NAT model alone. Pure."""

from __future__ import annotations

import random
from collections.abc import Iterator

from nat_traversal.wire.endpoint import Endpoint
from natlab.oracle.methods.port_mapping import predict
from natlab.oracle.model import Admission, ModelNat
from natlab.oracle.prediction import NAT_ADDRESS, SERVER
from natlab.presets import preset

HOSTS = tuple(NAT_ADDRESS)
_SOCKETS = {"host_a": Endpoint("10.0.1.2", 40_000), "host_b": Endpoint("10.0.2.2", 50_000)}


def model_nats(nat_a: str, nat_b: str) -> dict[str, ModelNat]:
    """A fresh model NAT in front of each host."""
    rng = random.Random(0)  # noqa: S311 - model ports, not secrets
    return {
        host: ModelNat(preset(name).behavior, NAT_ADDRESS[host], rng)
        for host, name in zip(HOSTS, (nat_a, nat_b), strict=True)
    }


def path_can_open(nat_a: str, nat_b: str) -> bool:
    """Can any sequence of packets, on the model, open a path between one socket on each host?

    The hosts may send to endpoints that the server has seen or they have themselves heard from;
    guessing ports is left out. No sequence does better than this: both first send packets that end
    before the other NAT, which open what they can and provoke nothing; then one sends, and the
    other answers to where that came from. Nor does any where a router leads a port to its host, if it is asked. Raises `UsageError` for a name that is no preset.
    """
    return predict(nat_a, nat_b).round is not None or any(
        _opens(nat_a, nat_b, first) for first in HOSTS
    )


def _opens(nat_a: str, nat_b: str, first: str) -> bool:
    nats = model_nats(nat_a, nat_b)
    second = next(host for host in HOSTS if host != first)
    sockets = {
        host: _SOCKETS[host] if nat.behavior else Endpoint(nat.public_address, _SOCKETS[host].port)
        for host, nat in nats.items()
    }
    announced = {host: nats[host].outbound(sockets[host], SERVER, 0.0) for host in HOSTS}
    sources = dict(zip(HOSTS, _openers(nats, sockets, announced), strict=True))
    if (
        nats[second].judge(sources[first], announced[second], 0.0).admission
        is not Admission.DELIVERED
    ):
        return False
    answer = nats[second].outbound(sockets[second], sources[first], 0.0)
    return nats[first].judge(answer, sources[first], 0.0).admission is Admission.DELIVERED


def _openers(
    nats: dict[str, ModelNat], sockets: dict[str, Endpoint], announced: dict[str, Endpoint]
) -> Iterator[Endpoint]:
    """Each host sends to the other's announced endpoint; no packet gets there. Their sources."""
    for host, peer in (HOSTS, HOSTS[::-1]):
        yield nats[host].outbound(sockets[host], announced[peer], 0.0)
