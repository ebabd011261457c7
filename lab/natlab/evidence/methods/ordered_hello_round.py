"""One round of `ordered-hello` as the captures show it, and when it has proof. Pure."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from math import inf

from nat_traversal.wire import datagrams
from nat_traversal.wire.endpoint import Endpoint
from natlab.evidence.journey import HOMES, Passage

_WAN = {home.host: home.wan for home in HOMES}
_MOST_AIMS = 16
"""Candidates of one round, and those from which the peer was heard."""


@dataclass(frozen=True, slots=True)
class Round:
    """All that carries one round's tag, and the data between its sockets. `confirms` and `data` as well as
    `hellos` are in order."""

    attempt: int
    number: int
    tag: bytes
    hellos: tuple[Passage, ...]
    confirms: tuple[Passage, ...]
    data: tuple[Passage, ...]

    def first(self, step: int) -> Passage | None:
        """The first transmission of HELLO `step`, whoever sent it."""
        return next((hello for hello in self.hellos if hello_of(hello).step == step), None)

    @property
    def is_burst(self) -> bool:
        """One of the hosts spoke from several sockets, or to more ports than there are candidates."""
        sockets = {(hello.sender, hello.source) for hello in self.hellos}
        aims = Counter(sender for sender, _ in {(h.sender, h.destination) for h in self.hellos})
        is_wide = max(aims.values(), default=0) > _MOST_AIMS
        return is_wide or len(sockets) > len({sender for sender, _ in sockets})

    @property
    def crossed(self) -> bool:
        """HELLO 1 did not come to the other's NAT before HELLO 2 had left that."""
        second = self.first(2)
        if second is None:
            return False
        left = dict(second.seen).get(_WAN[second.sender], second.sent)
        came = (each.reached for each in self.hellos_of(1) if each.reached is not None)
        return min(came, default=inf) > left

    @property
    def arrival(self) -> Passage | None:
        """The first HELLO 3 that arrived."""
        return next(
            (hello for hello in self.hellos if hello_of(hello).step == 3 and hello.is_delivered),
            None,
        )

    @property
    def conclusion(self) -> Passage | None:
        """The packet whose arrival gave the second host its proof; None until both have theirs."""
        proofs: dict[str, Passage] = {}
        for passage in sorted((*self.hellos, *self.confirms), key=lambda each: each.arrived or inf):
            if self.proves(passage):
                proofs.setdefault(passage.receiver, passage)
        return list(proofs.values())[1] if len(proofs) == 2 else None

    def proves(self, passage: Passage) -> bool:
        """It echoes the nonce of what its receiver had sent to where it came from.

        That is HELLO 2 or a CONFIRM for a HELLO 3 that says so, and HELLO 3 or a CONFIRM for a CONFIRM
        (`docs/protocol.md`). A CONFIRM that came from a new address is answered by HELLO 3.
        """
        heard: list[tuple[Passage, bytes]] = []
        echo = b""
        match passage.datagram:
            case datagrams.Hello(step=3, heard=True, echo=echo):
                heard = [(each, hello_of(each).nonce) for each in self.hellos_of(2)]
                heard += [(each, confirm_of(each).nonce) for each in self.confirms]
            case datagrams.Confirm(copy=copy, echo=echo):
                heard = [
                    (each, hello_of(each).nonce)
                    for each in self.hellos_of(3)
                    if hello_of(each).copy == copy
                ]
                heard += [(each, confirm_of(each).nonce) for each in self.confirms]
        return passage.is_delivered and any(
            (each.sender, each.destination, nonce) == (passage.receiver, passage.translated, echo)
            for each, nonce in heard
        )

    def hellos_of(self, step: int) -> list[Passage]:
        """Every transmission of HELLO `step`."""
        return [hello for hello in self.hellos if hello_of(hello).step == step]

    @property
    def data_crossed(self) -> frozenset[str]:
        """The hosts that have received application datagrams."""
        return frozenset(passage.receiver for passage in self.data if passage.is_delivered)

    @property
    def is_connected(self) -> bool:
        """Both hosts have had proof, and application datagrams crossed both ways."""
        return self.conclusion is not None and len(self.data_crossed) == 2


def hello_of(passage: Passage) -> datagrams.Hello:
    """The HELLO that `passage` carries."""
    assert isinstance(passage.datagram, datagrams.Hello)
    return passage.datagram


def confirm_of(passage: Passage) -> datagrams.Confirm:
    """The CONFIRM that `passage` carries."""
    assert isinstance(passage.datagram, datagrams.Confirm)
    return passage.datagram


def rounds_of(passages: Iterable[Passage]) -> Iterator[Round]:
    """One `Round` for each tag and round number, in order of their first HELLO.

    Data bears no tag, and nobody but the hosts can open it: it belongs to the round of its socket.
    """
    hellos: dict[tuple[bytes, int], list[Passage]] = {}
    confirms: dict[bytes, list[Passage]] = defaultdict(list)
    data: dict[bytes, list[Passage]] = defaultdict(list)
    tags: dict[tuple[str, Endpoint], bytes] = {}
    for passage in passages:
        match passage.datagram:
            case datagrams.Hello(tag=tag, round=number):
                hellos.setdefault((tag, number), []).append(passage)
                tags[passage.sender, passage.source] = tag
            case datagrams.Confirm(tag=tag):
                confirms[tag].append(passage)
            case datagrams.Frame(kind=kind) if kind in datagrams.PROGRAMS:
                data[tags.get((passage.sender, passage.source), b"")].append(passage)
    attempt = previous = 0
    for (tag, number), group in hellos.items():
        attempt += previous == 0 or number <= previous
        previous = number
        yield Round(
            attempt,
            number,
            tag,
            tuple(group),
            tuple(confirms[tag]),
            tuple(data[tag]),
        )
