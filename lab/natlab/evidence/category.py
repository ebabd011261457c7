"""Whose doing an outcome is: the programs', the NATs' or the lab's. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from enum import StrEnum

from nat_traversal.wire.endpoint import Endpoint
from natlab.evidence.check import LINKS_KEPT, MODELLED, Check
from natlab.evidence.replay import HOSTS, model_nats
from natlab.oracle.model import Admission, ModelNat
from natlab.oracle.outcome import Outcome
from natlab.oracle.prediction import SERVER, Prediction

_SOCKETS = {"host_a": Endpoint("10.0.1.2", 40_000), "host_b": Endpoint("10.0.2.2", 50_000)}


class Category(StrEnum):
    """Every cell is of exactly one."""

    AS_PREDICTED = "as predicted"
    """It connected, in the round that the model foresaw."""
    FORBIDDEN = "the NATs forbid it without guessing ports"
    """It failed, every packet fared as in the model, and in the model no path can open to any endpoint
    that the server has seen or a host has heard from. Ports that a program guesses may still open one."""
    MISSED = "the program could have and did not"
    """It failed, or took a round more than needed, between NATs that let a path open."""
    LAB_WRONG = "the lab is wrong"
    """The cell broke, a link was not as asked, or kernel and model disagree: about a packet, or about what
    is possible."""

    @classmethod
    def _missing_(cls, value: object) -> Category | None:
        """Older reports left the last three words out."""
        return cls.FORBIDDEN if value == "the NATs forbid it" else None


def categorize(
    nat_a: str,
    nat_b: str,
    prediction: Prediction,
    observed: tuple[Outcome, int | None],
    checks: Iterable[Check],
) -> Category:
    """The category of a cell that ran. `observed` is the outcome and the round that connected.

    `checks` are all of the cell's: its links must have been what was asked for, and the model must do
    with every captured packet what the kernel did.
    """
    if not all(check.ok for check in checks if check.name in {MODELLED, LINKS_KEPT}):
        return Category.LAB_WRONG
    outcome, round_ = observed
    if outcome is Outcome.FAILED:
        return Category.MISSED if path_can_open(nat_a, nat_b) else Category.FORBIDDEN
    if prediction.round is None or round_ is None or round_ < prediction.round:
        return Category.LAB_WRONG
    return Category.AS_PREDICTED if round_ == prediction.round else Category.MISSED


def path_can_open(nat_a: str, nat_b: str) -> bool:
    """Can any sequence of packets, on the model, open a path between one socket on each host?

    The hosts may send to endpoints that the server has seen or they have themselves heard from;
    guessing ports is left out. No sequence does better than this: both first send packets that end
    before the other NAT, which open what they can and provoke nothing; then one sends, and the
    other answers to where that came from.
    """
    return any(_opens(nat_a, nat_b, first) for first in HOSTS)


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
