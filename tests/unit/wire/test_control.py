"""Control messages: what goes out comes in again, and every malformation has its own words."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nat_traversal.errors import LocalProtocolError, UsageError, WireError
from nat_traversal.wire import messages as m
from nat_traversal.wire.control import (
    MAX_LINE,
    MAX_TEXT,
    decode,
    encode,
)
from nat_traversal.wire.endpoint import Endpoint
from nat_traversal.wire.ids import MAX_ID, check_id
from nat_traversal.wire.lines import LineDecoder
from nat_traversal.wire.offers import Offer, Suite, Trust

TOKEN = bytes(range(16))
PUBLIC = bytes(range(32))
OFFER: dict[str, Any] = {
    "instance": TOKEN.hex(),
    "public": PUBLIC.hex(),
    "identity": PUBLIC.hex(),
    "trust": "identity+shared-key",
    "suites": ["aes-256-gcm", "chacha20-poly1305"],
}
REGISTER: dict[str, Any] = {
    "type": "register",
    "transaction": 1,
    "versions": [2],
    "id": "host_a",
    "peer": "host_b",
    "key": PUBLIC.hex(),
    "generation": 1,
    "offer": OFFER,
}
START: dict[str, Any] = {
    "type": "start",
    "attempt": 1,
    "round": 1,
    "role": "a",
    "token": TOKEN.hex(),
    "candidates": [{"kind": "srflx", "address": "192.0.2.1", "port": 1}],
    "peer": OFFER,
}
EXAMPLES: list[dict[str, Any]] = [
    REGISTER,
    {"type": "challenge", "nonce": TOKEN.hex(), "public": PUBLIC.hex()},
    {"type": "proof", "mac": PUBLIC.hex()},
    {"type": "mismatch", "peer": OFFER},
    {"type": "registered", "transaction": 1, "version": 1, "heartbeat": 20},
    {"type": "error", "code": "bad-id", "text": "why"},
    {"type": "peer", "state": "left"},
    {"type": "service", "up": False},
    {"type": "open", "generation": 2},
    {"type": "opened", "generation": 2, "public": PUBLIC.hex()},
    START,
    {"type": "hello", "transaction": 1, "attempt": 1, "round": 1, "step": 3},
    {"type": "sent", "transaction": 1},
    {"type": "established", "attempt": 1, "round": 2},
    {"type": "failed", "attempt": 1, "code": "no-path", "text": "why"},
    {"type": "retry", "generation": 2, "public": ""},
    {"type": "decline", "attempt": 1},
    {"type": "ping", "transaction": 1},
    {"type": "pong", "transaction": 1},
]

ids = st.from_regex(r"\A[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z")
tokens = st.binary(min_size=16, max_size=16)
counters = st.integers(1, 65_535)
transactions = st.integers(0, 65_535)
rounds = st.integers(1, 255)
texts = st.text(max_size=300)
endpoints = st.builds(
    lambda address, port: Endpoint(str(address), port), st.ip_addresses(), st.integers(1, 65_535)
)
candidates = st.lists(
    st.builds(m.Candidate, st.text(max_size=16), endpoints), min_size=1, max_size=8
).map(tuple)
serves = st.sampled_from(m.Serves)
versions = st.lists(st.integers(1, 255), min_size=1, max_size=32).map(tuple)
keys = st.binary(min_size=32, max_size=32)
publics = st.just(b"") | keys
suites = st.sampled_from(Suite) | st.from_regex(r"\A[a-z0-9-]{1,32}\Z")
offers = st.builds(
    Offer, tokens, publics, publics, st.sampled_from(Trust),
    st.lists(suites, min_size=1, max_size=8).map(tuple),
)  # fmt: skip
messages = st.one_of(
    st.builds(
        m.Register,
        transactions,
        versions,
        ids,
        ids,
        keys,
        st.integers(0, 65_535),
        offers,
        serves,
        owner=publics,
        peer_key=publics,
    ),
    st.builds(m.Challenge, tokens, keys),
    st.builds(m.Proof, keys),
    st.builds(m.Mismatch, offers),
    st.builds(m.Registered, transactions, st.integers(1, 255), st.floats(0.1, 3600.0)),
    st.builds(m.Refused, st.text(max_size=32), texts),
    st.builds(m.PeerStatus, st.sampled_from(m.PeerState), serves, st.just("") | ids),
    st.builds(m.ServiceState, st.booleans()),
    st.builds(m.OpenSocket, counters, samples=st.integers(0, 8)),
    st.builds(m.SocketOpened, counters, publics),
    st.builds(m.StartRound, counters, rounds, st.sampled_from(m.Role), tokens, candidates, offers),
    st.builds(m.SendHello, transactions, counters, rounds, st.integers(1, 3)),
    st.builds(m.HelloSent, transactions, st.booleans()),
    st.builds(m.Established, counters, rounds),
    st.builds(m.Failed, counters, st.text(max_size=32), texts),
    st.builds(m.Retry, counters, publics),
    st.builds(m.Decline, counters),
    st.builds(m.Heartbeat, transactions),
    st.builds(m.HeartbeatAnswer, transactions),
)


def refusal(octets: bytes) -> str:
    """The text of the `WireError`, empty if there is none. Any other error fails the test."""
    try:
        decode(octets)
    except WireError as error:
        return str(error)
    return ""


def line(fields: dict[str, Any]) -> bytes:
    return json.dumps(fields).encode()


@given(messages)
def test_every_message_survives_the_wire(message: m.Message) -> None:
    octets = encode(message)
    assert octets.endswith(b"\n")
    assert octets.count(b"\n") == 1
    assert len(octets) <= MAX_LINE
    assert decode(octets[:-1]) == message


@given(st.lists(messages, max_size=5), st.data())
def test_stream_may_be_cut_anywhere(sent: list[m.Message], data: st.DataObject) -> None:
    stream = b"".join(map(encode, sent))
    cuts = data.draw(st.lists(st.integers(0, len(stream)), max_size=8).map(sorted))
    decoder = LineDecoder()
    received: list[m.Message | m.UnknownMessage] = []
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        received += decoder.feed(stream[start:end])
    assert received == sent


@given(st.binary(max_size=300))
def test_noise_raises_nothing_but_wire_error(noise: bytes) -> None:
    assert "\n" not in refusal(noise)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=6,
)


@given(st.sampled_from(EXAMPLES), st.data())
def test_any_value_in_any_field_raises_nothing_but_wire_error(
    example: dict[str, Any], data: st.DataObject
) -> None:
    name = data.draw(st.sampled_from(sorted(example)))
    assert "\n" not in refusal(line({**example, name: data.draw(json_values)}))


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example["type"])
def test_example_of_every_type_is_read_and_written_alike(example: dict[str, Any]) -> None:
    message = decode(line(example))
    assert not isinstance(message, m.UnknownMessage)
    assert json.loads(encode(message)) == example


@pytest.mark.parametrize(
    ("example", "name"),
    [(example, name) for example in EXAMPLES for name in example if name != "type"],
    ids=lambda value: value if isinstance(value, str) else value["type"],
)
def test_missing_field_is_named(example: dict[str, Any], name: str) -> None:
    fields = {key: value for key, value in example.items() if key != name}
    with pytest.raises(WireError, match=rf"^{example['type']}: {name} must be "):
        decode(line(fields))


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({**REGISTER, "transaction": -1}, "register: transaction must be a whole number from 0 to 65535"),
        ({**REGISTER, "transaction": 65_536}, "register: transaction must be a whole number from 0 to 65535"),
        ({**REGISTER, "transaction": 1.0}, "register: transaction must be a whole number from 0 to 65535"),
        ({**REGISTER, "transaction": True}, "register: transaction must be a whole number from 0 to 65535"),
        ({**REGISTER, "versions": []}, "register: versions must be a list of 1 to 32 items"),
        ({**REGISTER, "versions": [1] * 33}, "register: versions must be a list of 1 to 32 items"),
        ({**REGISTER, "versions": 1}, "register: versions must be a list of 1 to 32 items"),
        ({**REGISTER, "versions": [0]}, "register: versions must be a whole number from 1 to 255"),
        ({**REGISTER, "id": ""}, "register: id must be a host id of at most 64 characters"),
        ({**REGISTER, "id": "-x"}, "register: id must be a host id of at most 64 characters"),
        ({**REGISTER, "id": "a\n"}, "register: id must be a host id of at most 64 characters"),
        ({**REGISTER, "id": "a" * 65}, "register: id must be a host id of at most 64 characters"),
        ({**REGISTER, "peer": 7}, "register: peer must be a host id of at most 64 characters"),
        ({**REGISTER, "via": "here"},
         "register: via must be empty or an address: 'here' is not an IP address (such as 192.0.2.1 or 2001:db8::1)"),
        ({"type": "sent", "transaction": 1, "heard": 1}, "sent: heard must be true or false"),
        ({**REGISTER, "key": "ab"}, "register: key must be 64 hexadecimal digits"),
        ({**REGISTER, "key": "AB" * 32}, "register: key must be 64 hexadecimal digits"),
        ({**REGISTER, "key": None}, "register: key must be 64 hexadecimal digits"),
        ({**REGISTER, "key": ""}, "register: key must be 64 hexadecimal digits"),
        ({**REGISTER, "key": "ab" * 32 + "\n"}, "register: key must be 64 hexadecimal digits"),
        ({**REGISTER, "owner": "ab"}, "register: owner must be 64 hexadecimal digits, or an empty string"),
        ({**REGISTER, "peer_key": None}, "register: peer_key must be 64 hexadecimal digits, or an empty string"),
        ({"type": "challenge", "nonce": "", "public": PUBLIC.hex()}, "challenge: nonce must be 32 hexadecimal digits"),
        ({"type": "proof", "mac": TOKEN.hex()}, "proof: mac must be 64 hexadecimal digits"),
        ({**REGISTER, "offer": []}, "register: offer must be an object"),
        ({**REGISTER, "offer": {**OFFER, "instance": ""}}, "register: offer instance must be 32 hexadecimal digits"),
        ({**REGISTER, "offer": {**OFFER, "public": "ab"}},
         "register: offer public must be 64 hexadecimal digits, or an empty string"),
        ({**REGISTER, "offer": {**OFFER, "identity": 1}},
         "register: offer identity must be 64 hexadecimal digits, or an empty string"),
        ({**START, "peer": {**OFFER, "trust": "nobody"}},
         "start: peer trust must be one of server, shared-key, identity, identity+shared-key"),
        ({**START, "peer": {**OFFER, "suites": []}}, "start: peer suites must be a list of 1 to 8 items"),
        ({**START, "peer": {**OFFER, "suites": ["x"] * 9}}, "start: peer suites must be a list of 1 to 8 items"),
        *(
            ({**START, "peer": {**OFFER, "suites": [suite]}},
             "start: peer suites must be names of 1 to 32 lower-case letters, digits and hyphens")
            for suite in (7, "", "x" * 33, "AES", "\ud800", "a\n")
        ),
        ({"type": "opened", "generation": 0, "public": ""}, "opened: generation must be a whole number from 1 to 65535"),
        ({"type": "retry", "generation": 1, "public": None},
         "retry: public must be 64 hexadecimal digits, or an empty string"),
        ({"type": "decline", "attempt": 0}, "decline: attempt must be a whole number from 1 to 65535"),
        ({"type": "registered", "transaction": 1, "version": 1, "heartbeat": 0.05},
         "registered: heartbeat must be a number of seconds from 0.1 to 3600"),
        ({"type": "registered", "transaction": 1, "version": 1, "heartbeat": float("nan")},
         "registered: heartbeat must be a number of seconds from 0.1 to 3600"),
        ({"type": "registered", "transaction": 1, "version": 1, "heartbeat": True},
         "registered: heartbeat must be a number of seconds from 0.1 to 3600"),
        ({"type": "error", "code": "x" * 33, "text": ""}, "error: code must be a string of at most 32 characters"),
        ({"type": "error", "code": "x", "text": "x" * 1001}, "error: text must be a string of at most 1000 characters"),
        ({"type": "peer", "state": "asleep"}, "peer: state must be one of absent, present, left"),
        ({"type": "peer", "state": []}, "peer: state must be one of absent, present, left"),
        ({"type": "peer", "state": "left", "serves": 7}, "peer: serves must be a string of at most 16 characters"),
        ({"type": "peer", "state": "left", "asked_by": "-"}, "peer: asked_by must be a host id of at most 64 characters"),
        ({"type": "service", "up": "yes"}, "service: up must be true or false"),
        ({"type": "open", "generation": 0}, "open: generation must be a whole number from 1 to 65535"),
        ({**START, "round": 256}, "start: round must be a whole number from 1 to 255"),
        ({**START, "role": "c"}, "start: role must be one of a, b"),
        ({**START, "candidates": []}, "start: candidates must be a list of 1 to 8 items"),
        ({**START, "candidates": START["candidates"] * 9}, "start: candidates must be a list of 1 to 8 items"),
        ({**START, "candidates": [7]}, "start: candidates must be objects"),
        ({**START, "candidates": [{"kind": "host", "address": "host", "port": 1}]},
         "start: candidates must hold addresses: 'host' is not an IP address (such as 192.0.2.1 or 2001:db8::1)"),
        ({**START, "candidates": [{"kind": "host", "address": "::1", "port": 0}]},
         "start: candidates must be a whole number from 1 to 65535"),
        ({"type": "hello", "transaction": 1, "attempt": 1, "round": 1, "step": 4},
         "hello: step must be a whole number from 0 to 3"),
    ],
)  # fmt: skip
def test_malformed_field_is_told_with_what_it_must_be(fields: dict[str, Any], text: str) -> None:
    assert refusal(line(fields)) == text


@pytest.mark.parametrize(
    ("octets", "text"),
    [
        (b"", "a line must be one JSON object in UTF-8"),
        (b"\xff", "a line must be one JSON object in UTF-8"),
        (b"{", "a line must be one JSON object in UTF-8"),
        (b"{} {}", "a line must be one JSON object in UTF-8"),
        (b"[" * MAX_LINE, "a line has at most 64 brackets that open"),
        (b'[{"' * 33, "a line has at most 64 brackets that open"),
        (b"[" * 64, "a line must be one JSON object in UTF-8"),
        (b"[]", "a line must be one JSON object"),
        (b"null", "a line must be one JSON object"),
        (b"{}", "a message must have a type"),
        (b'{"type":null}', "a message must have a type"),
    ],
)
def test_malformed_line_is_told(octets: bytes, text: str) -> None:
    assert refusal(octets) == text


def test_unknown_type_is_a_value_with_a_bounded_name() -> None:
    assert decode(b'{"type":"dance","id":7}') == m.UnknownMessage("dance")
    assert decode(line({"type": "x" * 3000})) == m.UnknownMessage("x" * MAX_ID)


@pytest.mark.parametrize("name", OFFER)
def test_missing_part_of_an_offer_is_named(name: str) -> None:
    offer = {key: value for key, value in OFFER.items() if key != name}
    with pytest.raises(WireError, match=rf"^start: peer {name} must be "):
        decode(line({**START, "peer": offer}))


def test_suite_of_a_later_version_is_handed_on() -> None:
    """The server is perhaps the oldest of the three, and both hosts bind the whole offer."""
    suites = ["of-2031", "aes-256-gcm"]
    message = decode(line({**REGISTER, "offer": {**OFFER, "suites": suites}}))
    assert isinstance(message, m.Register)
    assert message.offer.suites == ("of-2031", Suite.AES_256_GCM)
    assert json.loads(encode(message))["offer"]["suites"] == suites


def test_no_secret_shows_in_a_message() -> None:
    for example, secret in ((REGISTER, bytes(range(100, 132))), (START, bytes(range(100, 116)))):
        name = "key" if example is REGISTER else "token"
        shown = repr(decode(line({**example, name: secret.hex()})))
        assert "offer=" in shown or "peer=" in shown
        assert secret.hex() not in shown
        assert repr(secret)[2:-1] not in shown


def test_unknown_fields_are_ignored() -> None:
    assert decode(line({"type": "sent", "transaction": 1, "later": [1]})) == m.HelloSent(1)


def test_optional_fields_may_be_missing_and_hold_words_of_later_versions() -> None:
    assert decode(line({"type": "peer", "state": "left"})) == m.PeerStatus(m.PeerState.LEFT)
    later = decode(line({"type": "peer", "state": "present", "serves": "mirrors"}))
    assert later == m.PeerStatus(m.PeerState.PRESENT, m.Serves.UNTOLD)
    told = {"type": "peer", "state": "present", "serves": "both"}
    assert json.loads(encode(m.PeerStatus(m.PeerState.PRESENT, m.Serves.BOTH))) == told
    assert decode(line({**REGISTER, "owner": ""})) == decode(line(REGISTER))


def test_longest_line_is_read_and_one_octet_more_is_not() -> None:
    start = b'{"type":"sent","transaction":1'
    longest = start + b" " * (MAX_LINE - len(start) - 2) + b"}\n"
    assert len(longest) == MAX_LINE
    assert list(LineDecoder().feed(longest)) == [m.HelloSent(1)]
    for octets in (longest[:-2] + b" }\n", b"x" * MAX_LINE):
        with pytest.raises(WireError, match=r"^a line is longer than 4096 octets$"):
            list(LineDecoder().feed(octets))
    assert list(LineDecoder().feed(b"x" * (MAX_LINE - 1))) == []


def test_good_lines_before_a_bad_one_are_read() -> None:
    messages = LineDecoder().feed(encode(m.HelloSent(1)) + b"bad\n" + encode(m.HelloSent(2)))
    assert next(messages) == m.HelloSent(1)
    with pytest.raises(WireError):
        next(messages)


def test_text_is_cut_when_sent() -> None:
    message = decode(encode(m.Refused("bad-id", "x" * 5000)))
    assert message == m.Refused("bad-id", "x" * MAX_TEXT)


def test_line_that_would_be_too_long_is_refused_here() -> None:
    with pytest.raises(LocalProtocolError, match=r"^a error line of \d+ octets: at most 4096$"):
        encode(m.Refused("bad-id", "\N{PILE OF POO}" * MAX_TEXT))


@pytest.mark.parametrize("text", ["host_a", "a", "7", "A.b-c_d", "x" * MAX_ID])
def test_id_is_accepted(text: str) -> None:
    assert check_id(text) == text


@pytest.mark.parametrize("text", ["", "-a", ".a", "_a", "a b", "a\n", "ä", "x" * (MAX_ID + 1)])
def test_id_is_refused_with_the_rule(text: str) -> None:
    with pytest.raises(UsageError, match=r"cannot be an id: 1 to 64 letters, digits, '\.', '_'"):
        check_id(text)
