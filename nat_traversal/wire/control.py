"""Control messages on the wire: one JSON object a line over TCP.

Unknown fields are ignored, so that later versions can add some. An unknown `type` becomes an
`UnknownMessage`, which the receiver answers with the error `unknown-message`. Everything else that
breaks the rules is a `WireError`, after which the connection is closed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from nat_traversal.errors import LocalProtocolError, UsageError, WireError
from nat_traversal.wire import (
    ACCESS_BYTES,
    CHALLENGE_BYTES,
    INSTANCE_BYTES,
    KEY_BYTES,
    PROOF_BYTES,
    TOKEN_BYTES,
)
from nat_traversal.wire import messages as m
from nat_traversal.wire.behavior import Filtering, Mapping
from nat_traversal.wire.endpoint import Endpoint
from nat_traversal.wire.ids import MAX_ID, is_id
from nat_traversal.wire.octets import MAC_BYTES, NONCE_BYTES
from nat_traversal.wire.offers import Offer, Suite, Trust
from nat_traversal.wire.pairs import MOST_PAIRS
from nat_traversal.wire.samples import MOST_SAMPLES

MAX_LINE = 4096
"""Octets in a line, the newline included."""
MAX_NESTING = 64
"""Brackets that open in a line. No message has so many, and reading a line's JSON stays cheap."""
MAX_TEXT = 1000
"""Characters in a text meant for people; longer ones are cut when sent."""
MAX_COUNTER = 65_535
"""The largest transaction, generation and attempt number. Counters wrap to 1."""
MAX_ROUND = 255
_SUITE = re.compile(r"[a-z0-9-]{1,32}")
_HEX = re.compile(r"(?:[0-9a-f]{2})*")
_json = json.JSONEncoder(separators=(",", ":")).encode


_NEEDED: Any = object()
"""In the place of a default: the field may not be missing."""


@dataclass(frozen=True, slots=True)
class _Form:
    """How one field looks in JSON. `load` raises `WireError` with what the field must be."""

    load: Callable[[Any], Any]
    dump: Callable[[Any], Any] = lambda value: value
    default: Any = _NEEDED
    """The value of a field that may be missing, and is left out where it has this value."""


def _integer(low: int, high: int) -> _Form:
    def load(value: Any) -> int:
        if type(value) is not int or not low <= value <= high:
            raise WireError(f"must be a whole number from {low} to {high}")
        return value

    return _Form(load)


def _text(most: int) -> _Form:
    def load(value: Any) -> str:
        if not isinstance(value, str) or len(value) > most:
            raise WireError(f"must be a string of at most {most} characters")
        return value

    return _Form(load, lambda value: value[:most])


def _member(enum: type[StrEnum]) -> _Form:
    def load(value: Any) -> StrEnum:
        try:
            return enum(value)
        except ValueError:
            raise WireError(f"must be one of {', '.join(enum)}") from None

    return _Form(load, str)


def _load_serves(value: Any) -> m.Serves:
    word = _text(16).load(value)
    return m.Serves(word) if word in set(m.Serves) else m.Serves.UNTOLD


def _load_address(value: Any) -> str:
    text = _text(45).load(value)
    try:
        return Endpoint(text, 0).address if text else ""
    except UsageError as error:
        raise WireError(f"must be empty or an address: {error}") from None


def _load_known_address(value: Any) -> str:
    address = _load_address(value)
    if not address:
        raise WireError("must be an address")
    return address


def _load_flag(value: Any) -> bool:
    if type(value) is not bool:
        raise WireError("must be true or false")
    return value


def _list_of(item: _Form, most: int, least: int = 1) -> _Form:
    def load(value: Any) -> tuple[Any, ...]:
        if not isinstance(value, list) or not least <= len(value) <= most:
            raise WireError(f"must be a list of {least} to {most} items")
        return tuple(item.load(element) for element in value)

    return _Form(load, lambda values: [item.dump(value) for value in values])


def _load_id(value: Any) -> str:
    if not isinstance(value, str) or not is_id(value):
        raise WireError(f"must be a host id of at most {MAX_ID} characters")
    return value


def _octets(length: int, *, or_none: bool = False) -> _Form:
    def load(value: Any) -> bytes:
        digits = len(value) if isinstance(value, str) and _HEX.fullmatch(value) else -1
        if digits != 2 * length and not (or_none and digits == 0):
            none = ", or an empty string" if or_none else ""
            raise WireError(f"must be {2 * length} hexadecimal digits{none}")
        return bytes.fromhex(value)

    return _Form(load, bytes.hex)


def _seconds(low: float) -> _Form:
    def load(value: Any) -> float:
        if type(value) not in (int, float) or not low <= value <= 3600:
            raise WireError(f"must be a number of seconds from {low:g} to 3600")
        return float(value)

    return _Form(load)


def _load_endpoint(value: Any) -> Endpoint:
    if not isinstance(value, dict):
        raise WireError("must be objects")
    if "%" in str(value.get("address")):
        raise WireError("must hold addresses: an interface means nothing to another host")
    address, port = _text(45).load(value.get("address")), _PORT.load(value.get("port"))
    try:
        return Endpoint(address, port)
    except UsageError as error:
        raise WireError(f"must hold addresses: {error}") from None


def _dump_endpoint(endpoint: Endpoint) -> dict[str, Any]:
    return {"address": endpoint.address, "port": endpoint.port}


def _load_candidate(value: Any) -> m.Candidate:
    endpoint, kind = _load_endpoint(value), _text(16).load(value.get("kind"))
    return m.Candidate(kind, endpoint, _load(_FLAG, value, "validated"))


def _dump_candidate(candidate: m.Candidate) -> dict[str, Any]:
    fields = {"kind": candidate.kind, **_dump_endpoint(candidate.endpoint)}
    return {**fields, "validated": True} if candidate.validated else fields


def _load_suite(value: Any) -> str:
    if not isinstance(value, str) or not _SUITE.fullmatch(value):
        raise WireError("must be names of 1 to 32 lower-case letters, digits and hyphens")
    # One of a later version is no mistake; it is just not chosen.
    return Suite(value) if value in set(Suite) else value


_PUBLIC = _octets(KEY_BYTES, or_none=True)
_ACCESS = _octets(ACCESS_BYTES, or_none=True)
_KEY_OR_NONE = _Form(_PUBLIC.load, bytes.hex, default=b"")
_OFFER = {
    "instance": _octets(INSTANCE_BYTES),
    "public": _PUBLIC,
    "identity": _octets(KEY_BYTES, or_none=True),
    "trust": _member(Trust),
    "suites": _list_of(_Form(_load_suite, str), most=8),
}


def _load_offer(value: Any) -> Offer:
    if not isinstance(value, dict):
        raise WireError("must be an object")
    return Offer(**{name: _load(form, value, name) for name, form in _OFFER.items()})


def _load(form: _Form, fields: dict[str, Any], name: str) -> Any:
    if form.default is not _NEEDED and name not in fields:
        return form.default
    try:
        return form.load(fields.get(name))
    except WireError as error:
        raise WireError(f"{name} {error}") from None


def _dump_offer(offer: Offer) -> dict[str, Any]:
    return {name: form.dump(getattr(offer, name)) for name, form in _OFFER.items()}


_TRANSACTION = _integer(0, MAX_COUNTER)
_GENERATION = _integer(1, MAX_COUNTER)
_ATTEMPT = _integer(1, MAX_COUNTER)
_ROUND = _integer(1, MAX_ROUND)
_RELAY = _integer(1, MAX_COUNTER)
_PAIR = _integer(1, MOST_PAIRS)
_HOST_ID = _Form(_load_id)
_TOKEN = _octets(TOKEN_BYTES)
_KEYS = _Form(_load_offer, _dump_offer)
_FLAG = _Form(_load_flag, default=False)
_SERVES = _Form(_load_serves, str, default=m.Serves.UNTOLD)
_METHODS = _Form(_list_of(_text(16), most=8).load, list, default=())
_PORT = _integer(1, 65_535)
_OWN_PORT = _Form(_integer(0, 65_535).load, default=0)
_NONCE = _Form(_octets(NONCE_BYTES, or_none=True).load, bytes.hex, default=b"")
_CANDIDATE = _Form(_load_candidate, _dump_candidate)
_AT = _Form(_load_endpoint, _dump_endpoint, default=None)
_CANDIDATES = _list_of(_CANDIDATE, most=8)
_HOSTS = _list_of(_CANDIDATE, least=0, most=4)
_ADDRESSES = _Form(_CANDIDATES.load, _CANDIDATES.dump, default=())
_SAMPLES = _Form(_integer(0, MOST_SAMPLES).load, default=0)
_SOCKETS = _Form(_integer(0, m.MOST_AT_ONCE).load, default=0)
_PORTS = _Form(_list_of(_integer(1, 65_535), most=m.MOST_AT_ONCE).load, list, default=())

# The whole control protocol: type on the wire, class, fields.
_MESSAGES: tuple[tuple[str, type[Any], dict[str, _Form]], ...] = (
    (
        "register",
        m.Register,
        {
            "transaction": _TRANSACTION,
            "versions": _list_of(_integer(1, 255), most=32),
            "id": _HOST_ID,
            "peer": _HOST_ID,
            "key": _octets(KEY_BYTES),
            "generation": _integer(0, MAX_COUNTER),
            "offer": _KEYS,
            "serves": _SERVES,
            "via": _Form(_load_address, default=""),
            "owner": _KEY_OR_NONE,
            "peer_key": _KEY_OR_NONE,
            "relaying": _Form(_member(m.Relaying).load, str, default=m.Relaying.NEVER),
            "relay_public": _KEY_OR_NONE,
            "access": _Form(_ACCESS.load, bytes.hex, default=b""),
            "methods": _METHODS,
            "turn": _Form(_member(m.TurnPart).load, str, default=m.TurnPart.NEVER),
        },
    ),
    ("challenge", m.Challenge, {"nonce": _octets(CHALLENGE_BYTES), "public": _octets(KEY_BYTES)}),
    ("proof", m.Proof, {"mac": _octets(PROOF_BYTES)}),
    (
        "registered",
        m.Registered,
        {
            "transaction": _TRANSACTION,
            "version": _integer(1, 255),
            "heartbeat": _seconds(0.1),
            "pairs": _Form(_PAIR.load, default=1),
        },
    ),
    ("error", m.Refused, {"code": _text(32), "text": _text(MAX_TEXT)}),
    ("goaway", m.GoAway, {"retry_in": _seconds(0.0)}),
    (
        "peer",
        m.PeerStatus,
        {
            "state": _member(m.PeerState),
            "serves": _SERVES,
            "asked_by": _Form(lambda value: value and _load_id(value), default=""),
        },
    ),
    ("mismatch", m.Mismatch, {"peer": _KEYS}),
    ("service", m.ServiceState, {"up": _Form(_load_flag)}),
    (
        "open",
        m.OpenSocket,
        {"generation": _GENERATION, "samples": _SAMPLES}
        | dict.fromkeys(("goes_on", "hosts", "ipv6", "maps", "own_port", "spare"), _FLAG),
    ),
    (
        "hosts",
        m.HostAddresses,
        {"generation": _GENERATION, "candidates": _HOSTS, "port": _OWN_PORT},
    ),
    ("spare", m.SparePort, {"generation": _GENERATION, "port": _PORT}),
    ("mapped", m.PortMapped, {"generation": _GENERATION, "port": _PORT, "nonce": _NONCE}),
    ("opened", m.SocketOpened, {"generation": _GENERATION, "public": _PUBLIC}),
    (
        "start",
        m.StartRound,
        {
            "attempt": _ATTEMPT,
            "round": _ROUND,
            "role": _member(m.Role),
            "token": _TOKEN,
            "candidates": _CANDIDATES,
            "peer": _KEYS,
            "method": _Form(_text(16).load, str, default="ordered-hello"),
            "sockets": _SOCKETS,
            "ports": _PORTS,
        },
    ),
    (
        "added",
        m.AddedCandidates,
        {"attempt": _ATTEMPT, "round": _ROUND, "candidates": _CANDIDATES},
    ),
    ("validated", m.Validated, {"address": _Form(_load_known_address)}),
    (
        "hello",
        m.SendHello,
        {
            "transaction": _TRANSACTION,
            "attempt": _ATTEMPT,
            "round": _ROUND,
            "step": _integer(0, 3),
        },
    ),
    (
        "agree",
        m.Agree,
        {"attempt": _ATTEMPT, "round": _ROUND, "mac": _octets(MAC_BYTES, or_none=True)},
    ),
    (
        "nat",
        m.NatTold,
        {
            "mapping": _Form(_member(Mapping).load, str),
            "filtering": _Form(_member(Filtering).load, str),
        },
    ),
    ("later", m.GuessLater, {"wait": _Form(_seconds(0.0).load)}),
    ("sent", m.HelloSent, {"transaction": _TRANSACTION, "heard": _FLAG, "opened": _FLAG}),
    ("established", m.Established, {"attempt": _ATTEMPT, "round": _ROUND}),
    (
        "failed",
        m.Failed,
        {"attempt": _ATTEMPT, "code": _text(32), "text": _text(MAX_TEXT), "lasting": _FLAG},
    ),
    ("retry", m.Retry, {"generation": _GENERATION, "public": _PUBLIC}),
    ("decline", m.Decline, {"attempt": _ATTEMPT}),
    (
        "relay",
        m.OpenRelay,
        {"relay": _RELAY, "token": _TOKEN, "ticket": _TOKEN, "peer": _KEYS}
        | {"at": _AT, "key": _KEY_OR_NONE},
    ),
    ("relay-join", m.RelayJoin, {"ticket": _TOKEN}),
    ("relay-joined", m.RelayJoined, {"relay": _RELAY}),
    ("relay-ready", m.RelayReady, {"relay": _RELAY, "public": _PUBLIC}),
    (
        "relay-news",
        m.RelayNews,
        {"relay": _Form(_integer(0, MAX_COUNTER).load), "code": _text(32), "text": _text(MAX_TEXT)},
    ),
    (
        "turn",
        m.OpenTurn,
        {"relay": _RELAY, "token": _TOKEN, "peer": _KEYS, "candidates": _ADDRESSES},
    ),
    ("turned", m.TurnAddress, {"relay": _RELAY, "candidate": _CANDIDATE}),
    ("ping", m.Heartbeat, {"transaction": _TRANSACTION}),
    ("pong", m.HeartbeatAnswer, {"transaction": _TRANSACTION}),
    ("leave", m.Leave, {}),
)
_BY_TYPE = {type_: (class_, forms) for type_, class_, forms in _MESSAGES}
_BY_CLASS = {class_: (type_, forms) for type_, class_, forms in _MESSAGES}


def encode(message: m.Message) -> bytes:
    """One line, newline included. Raises `LocalProtocolError` for a value that has no encoding."""
    said, about = (
        (message.message, {"pair": message.pair})
        if isinstance(message, m.ForPair)
        else (message, {})
    )
    type_, forms = _BY_CLASS[type(said)]
    values = {name: getattr(said, name) for name in forms}
    fields = {
        name: form.dump(values[name])
        for name, form in forms.items()
        if form.default is _NEEDED or values[name] != form.default
    }
    line = _json({"type": type_, **about, **fields}).encode() + b"\n"
    if len(line) > MAX_LINE:
        raise LocalProtocolError(f"a {type_} line of {len(line)} octets: at most {MAX_LINE}")
    return line


def decode(line: bytes) -> m.Message | m.UnknownMessage:
    """Parse one line, without its newline. Raises `WireError`, and nothing else."""
    if line.count(b"[") + line.count(b"{") > MAX_NESTING:
        raise WireError(f"a line has at most {MAX_NESTING} brackets that open")
    try:
        fields = json.loads(line.decode("utf-8"))
    except (ValueError, RecursionError):  # UnicodeDecodeError is a ValueError
        raise WireError("a line must be one JSON object in UTF-8") from None
    if not isinstance(fields, dict):
        raise WireError("a line must be one JSON object")
    if "pair" in fields:
        return m.ForPair(_load(_PAIR, fields, "pair"), _message(fields))
    return _message(fields)


def _message(fields: dict[str, Any]) -> m.Message | m.UnknownMessage:
    type_ = fields.get("type")
    if not isinstance(type_, str):
        raise WireError("a message must have a type")
    if type_ not in _BY_TYPE:
        return m.UnknownMessage(type_[:MAX_ID])
    class_, forms = _BY_TYPE[type_]
    try:
        values = {name: _load(form, fields, name) for name, form in forms.items()}
    except WireError as error:
        raise WireError(f"{type_}: {error}") from None
    message: m.Message = class_(**values)
    return message
