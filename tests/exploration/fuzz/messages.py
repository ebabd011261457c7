"""Messages by chance: every field has a value that its decoder takes, near those that are in use."""

from __future__ import annotations

import random
from dataclasses import fields
from typing import Any

from nat_traversal.errors import LocalProtocolError, WireError
from nat_traversal.wire import control
from nat_traversal.wire import messages as m
from nat_traversal.wire.behavior import Filtering, Mapping
from nat_traversal.wire.endpoint import Endpoint
from nat_traversal.wire.methods import FURTHER
from nat_traversal.wire.offers import Offer, Suite, Trust

CLASSES = tuple(m.Message.__args__)
ADDRESSES = (
    "192.0.2.2", "203.0.113.2", "198.51.100.2", "192.0.2.66", "10.0.0.1", "127.0.0.1", "224.0.0.1", "255.255.255.255",
    "0.0.0.0", "169.254.1.1", "::1", "fe80::1", "2001:db8::1", "ff02::1", "::ffff:192.0.2.1",
)  # fmt: skip
CODES = (*m.ErrorCode, *m.Verdict, *m.RelayCode, "", "unheard-of")


class Messages:
    """Makes them from what has been seen: tokens, keys and offers in use are likely again."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._seen: dict[tuple[str, str], list[Any]] = {}
        """By name and type of the field."""

    def learn(self, message: object) -> None:
        """Remember the fields of a message that was really sent."""
        for each in fields(message):  # type: ignore[arg-type]
            kept = self._seen.setdefault((each.name, str(each.type)), [])
            kept.append(getattr(message, each.name))
            del kept[:-8]

    def make(self) -> m.Message | m.UnknownMessage:
        """One that could have come over a control connection."""
        while True:
            class_ = self._rng.choice(CLASSES)
            if class_ is m.ForPair:
                said = self.make()
                if isinstance(said, m.ForPair | m.UnknownMessage):
                    continue
                return m.ForPair(self._rng.randrange(1, 4), said)
            values = {each.name: self._value(each.name, str(each.type)) for each in fields(class_)}
            try:
                return control.decode(control.encode(class_(**values)).removesuffix(b"\n"))
            except (WireError, LocalProtocolError):
                continue

    def _value(self, name: str, type_: str) -> Any:
        rng = self._rng
        if (name, type_) in self._seen and rng.randrange(4):
            return rng.choice(self._seen[name, type_])
        return self._offer() if type_ == "Offer" else self._other(name, type_)

    def _other(self, name: str, type_: str) -> Any:
        rng = self._rng
        match name:
            case "transaction" | "generation" | "attempt" | "relay" | "round" | "version":
                return rng.choice([rng.randrange(5), rng.randrange(65_536), 255, 65_535])
            case "samples" | "sockets":
                return rng.randrange(10)
            case "port":
                return rng.choice([1, 6545, 65_535])
            case "ports":
                return tuple(rng.choice([1, 6545, 65_535]) for _ in range(rng.randrange(3)))
            case "step":
                return rng.randrange(1, 4)
            case "versions":
                return tuple(rng.randrange(1, 4) for _ in range(rng.randrange(1, 3)))
            case "id" | "peer" | "asked_by":
                return rng.choice(["host_a", "host_b", "x", ""])
            case "key" | "mac":
                return rng.choice([b"", rng.randbytes(16), *3 * [rng.randbytes(32)]])
            case "public" | "owner" | "peer_key" | "relay_public":
                return rng.choice([b"", bytes(32), rng.randbytes(32)])
            case "nonce" | "token" | "ticket":
                return rng.randbytes(rng.choice([8, 16]))
            case "heartbeat" | "retry_in" | "wait":
                return rng.choice([0.0, 0.1, 1.0, 20.0, 3600.0])
            case "candidates":
                return tuple(self._candidate() for _ in range(rng.randrange(1, 9)))
            case "code":
                return str(rng.choice(CODES))
            case "text" | "via":
                return rng.choice(["", "why\n\x1b[2J", "x" * 900])
            case "address":
                return rng.choice(ADDRESSES)
            case "serves":
                return rng.choice(list(m.Serves))
            case "state":
                return rng.choice(list(m.PeerState))
            case "role":
                return rng.choice(list(m.Role))
            case "methods":
                return rng.choice([(), tuple(FURTHER), ("unheard-of",)])
            case "relaying":
                return rng.choice(list(m.Relaying))
            case "turn":
                return rng.choice(list(m.TurnPart))
            case "candidate":
                return self._candidate()
            case "mapping":
                return rng.choice(list(Mapping))
            case "filtering":
                return rng.choice(list(Filtering))
            case "at":
                return rng.choice([None, self._candidate().endpoint])
        return rng.choice([b"", rng.randbytes(40)]) if type_ == "bytes" else rng.random() < 0.5

    def _offer(self) -> Offer:
        rng = self._rng
        suites = rng.choice([(Suite.AES_256_GCM,), (Suite.NONE,), ("unheard-of",), tuple(Suite)])
        public = rng.choice([b"", bytes(32), rng.randbytes(32)])
        identity = rng.choice([b"", bytes(32), rng.randbytes(32)])
        return Offer(rng.randbytes(16), public, identity, rng.choice(list(Trust)), suites)

    def _candidate(self) -> m.Candidate:
        rng = self._rng
        endpoint = Endpoint(rng.choice(ADDRESSES), rng.choice([1, 6545, 40_001, 65_535]))
        return m.Candidate(rng.choice(["srflx", "host", "relay", ""]), endpoint, rng.random() < 0.5)
