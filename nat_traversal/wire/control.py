"""Control messages on the wire: one JSON object a line over TCP.

Unknown fields are ignored, so that later versions can add some. An unknown `type` becomes an
`UnknownMessage`, which the receiver answers with the error `unknown-message`. Everything else that
breaks the rules is a `WireError`, after which the connection is closed.
"""

from __future__ import annotations

import json
from typing import Any

from nat_traversal.errors import LocalProtocolError, WireError
from nat_traversal.wire import CHALLENGE_BYTES, KEY_BYTES, PROOF_BYTES, TOKEN_BYTES
from nat_traversal.wire import messages as m
from nat_traversal.wire.behavior import Filtering, Mapping
from nat_traversal.wire.forms import (
    ACCESS,
    ADDRESS,
    ASKED_BY,
    CANDIDATE,
    ENDPOINT,
    FLAG,
    HOST_ID,
    KEY_OR_NONE,
    NEEDED,
    OFFERED,
    PORT,
    PUBLIC,
    SERVES,
    VIA,
    Form,
    integer,
    list_of,
    load_field,
    member,
    octets,
    seconds,
    text,
)
from nat_traversal.wire.ids import MAX_ID
from nat_traversal.wire.octets import MAC_BYTES, NONCE_BYTES
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
_json = json.JSONEncoder(separators=(",", ":")).encode

_TRANSACTION = integer(0, MAX_COUNTER)
_GENERATION = integer(1, MAX_COUNTER)
_ATTEMPT = integer(1, MAX_COUNTER)
_ROUND = integer(1, MAX_ROUND)
_RELAY = integer(1, MAX_COUNTER)
_PAIR = integer(1, MOST_PAIRS)
_TOKEN = octets(TOKEN_BYTES)
_METHODS = Form(list_of(text(16), most=8).load, list, default=())
_OWN_PORT = Form(integer(0, 65_535).load, default=0)
_NONCE = Form(octets(NONCE_BYTES, or_none=True).load, bytes.hex, default=b"")
_CANDIDATES = list_of(CANDIDATE, most=8)
_HOSTS = list_of(CANDIDATE, least=0, most=4)
_ADDRESSES = Form(_CANDIDATES.load, _CANDIDATES.dump, default=())
_SAMPLES = Form(integer(0, MOST_SAMPLES).load, default=0)
_SOCKETS = Form(integer(0, m.MOST_AT_ONCE).load, default=0)
_PORTS = Form(list_of(integer(1, 65_535), most=m.MOST_AT_ONCE).load, list, default=())

MESSAGES: tuple[tuple[str, type[Any], dict[str, Form]], ...] = (
    (
        "register",
        m.Register,
        {
            "transaction": _TRANSACTION,
            "versions": list_of(integer(1, 255), most=32),
            "id": HOST_ID,
            "peer": HOST_ID,
            "key": octets(KEY_BYTES),
            "generation": integer(0, MAX_COUNTER),
            "offer": OFFERED,
            "serves": SERVES,
            "via": VIA,
            "owner": KEY_OR_NONE,
            "peer_key": KEY_OR_NONE,
            "relaying": Form(member(m.Relaying).load, str, default=m.Relaying.NEVER),
            "relay_public": KEY_OR_NONE,
            "access": ACCESS,
            "methods": _METHODS,
            "turn": Form(member(m.TurnPart).load, str, default=m.TurnPart.NEVER),
        },
    ),
    ("challenge", m.Challenge, {"nonce": octets(CHALLENGE_BYTES), "public": octets(KEY_BYTES)}),
    ("proof", m.Proof, {"mac": octets(PROOF_BYTES)}),
    (
        "registered",
        m.Registered,
        {
            "transaction": _TRANSACTION,
            "version": integer(1, 255),
            "heartbeat": seconds(0.1),
            "pairs": Form(_PAIR.load, default=1),
        },
    ),
    ("error", m.Refused, {"code": text(32), "text": text(MAX_TEXT)}),
    ("goaway", m.GoAway, {"retry_in": seconds(0.0)}),
    (
        "peer",
        m.PeerStatus,
        {
            "state": member(m.PeerState),
            "serves": SERVES,
            "asked_by": ASKED_BY,
        },
    ),
    ("mismatch", m.Mismatch, {"peer": OFFERED}),
    ("service", m.ServiceState, {"up": Form(FLAG.load)}),
    (
        "open",
        m.OpenSocket,
        {"generation": _GENERATION, "samples": _SAMPLES}
        | dict.fromkeys(("goes_on", "hosts", "ipv6", "maps", "own_port", "spare"), FLAG),
    ),
    (
        "hosts",
        m.HostAddresses,
        {"generation": _GENERATION, "candidates": _HOSTS, "port": _OWN_PORT},
    ),
    ("spare", m.SparePort, {"generation": _GENERATION, "port": PORT}),
    ("mapped", m.PortMapped, {"generation": _GENERATION, "port": PORT, "nonce": _NONCE}),
    ("opened", m.SocketOpened, {"generation": _GENERATION, "public": PUBLIC}),
    (
        "start",
        m.StartRound,
        {
            "attempt": _ATTEMPT,
            "round": _ROUND,
            "role": member(m.Role),
            "token": _TOKEN,
            "candidates": _CANDIDATES,
            "peer": OFFERED,
            "method": Form(text(16).load, str, default="ordered-hello"),
            "sockets": _SOCKETS,
            "ports": _PORTS,
        },
    ),
    (
        "added",
        m.AddedCandidates,
        {"attempt": _ATTEMPT, "round": _ROUND, "candidates": _CANDIDATES},
    ),
    ("validated", m.Validated, {"address": ADDRESS}),
    (
        "hello",
        m.SendHello,
        {
            "transaction": _TRANSACTION,
            "attempt": _ATTEMPT,
            "round": _ROUND,
            "step": integer(0, 3),
        },
    ),
    (
        "agree",
        m.Agree,
        {"attempt": _ATTEMPT, "round": _ROUND, "mac": octets(MAC_BYTES, or_none=True)},
    ),
    (
        "nat",
        m.NatTold,
        {
            "mapping": Form(member(Mapping).load, str),
            "filtering": Form(member(Filtering).load, str),
        },
    ),
    ("later", m.GuessLater, {"wait": Form(seconds(0.0).load)}),
    ("sent", m.HelloSent, {"transaction": _TRANSACTION, "heard": FLAG, "opened": FLAG}),
    ("established", m.Established, {"attempt": _ATTEMPT, "round": _ROUND}),
    (
        "failed",
        m.Failed,
        {"attempt": _ATTEMPT, "code": text(32), "text": text(MAX_TEXT), "lasting": FLAG},
    ),
    ("retry", m.Retry, {"generation": _GENERATION, "public": PUBLIC}),
    ("decline", m.Decline, {"attempt": _ATTEMPT}),
    (
        "relay",
        m.OpenRelay,
        {"relay": _RELAY, "token": _TOKEN, "ticket": _TOKEN, "peer": OFFERED}
        | {"at": ENDPOINT, "key": KEY_OR_NONE},
    ),
    ("relay-join", m.RelayJoin, {"ticket": _TOKEN}),
    ("relay-joined", m.RelayJoined, {"relay": _RELAY}),
    ("relay-ready", m.RelayReady, {"relay": _RELAY, "public": PUBLIC}),
    (
        "relay-news",
        m.RelayNews,
        {"relay": Form(integer(0, MAX_COUNTER).load), "code": text(32), "text": text(MAX_TEXT)},
    ),
    (
        "turn",
        m.OpenTurn,
        {"relay": _RELAY, "token": _TOKEN, "peer": OFFERED, "candidates": _ADDRESSES},
    ),
    ("turned", m.TurnAddress, {"relay": _RELAY, "candidate": CANDIDATE}),
    ("ping", m.Heartbeat, {"transaction": _TRANSACTION}),
    ("pong", m.HeartbeatAnswer, {"transaction": _TRANSACTION}),
    ("leave", m.Leave, {}),
)
"""The whole control protocol: type on the wire, class, fields."""
_BY_TYPE = {type_: (class_, forms) for type_, class_, forms in MESSAGES}
_BY_CLASS = {class_: (type_, forms) for type_, class_, forms in MESSAGES}


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
        if form.default is NEEDED or values[name] != form.default
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
        return m.ForPair(load_field(_PAIR, fields, "pair"), _message(fields))
    return _message(fields)


def _message(fields: dict[str, Any]) -> m.Message | m.UnknownMessage:
    type_ = fields.get("type")
    if not isinstance(type_, str):
        raise WireError("a message must have a type")
    if type_ not in _BY_TYPE:
        return m.UnknownMessage(type_[:MAX_ID])
    class_, forms = _BY_TYPE[type_]
    try:
        values = {name: load_field(form, fields, name) for name, form in forms.items()}
    except WireError as error:
        raise WireError(f"{type_}: {error}") from None
    message: m.Message = class_(**values)
    return message
