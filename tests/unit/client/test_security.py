"""What two clients demand of each other: what fits, what is refused and in which words, whose keys agree."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from nat_traversal.client.phases import PathState
from nat_traversal.client.security import Security
from nat_traversal.crypto.dh import KeyPair
from nat_traversal.errors import KeyRefusedError
from nat_traversal.machine import actions as do
from nat_traversal.machine import notices as note
from nat_traversal.wire import messages as m
from nat_traversal.wire.datagrams import Hello
from nat_traversal.wire.endpoint import Endpoint
from nat_traversal.wire.offers import Offer, Suite, Trust
from tests.unit.client.rig import PEER, Rig
from tests.unit.counterpart import Counterpart, altered, opened, some_keys

FORGED: list[do.Action] = [do.Count(do.Fault.FORGED)]
PSK, OTHER_PSK = some_keys("shared", "another")
RNG = random.Random(5)
IDENTITY = {"host_a": KeyPair.generate(RNG), "host_b": KeyPair.generate(RNG)}
IMPOSTOR = KeyPair.generate(RNG)


def with_identity(host: str, psk: bytes | None = None, **known: bytes) -> Security:
    """That host's, which knows the other's key unless told otherwise."""
    other = "host_b" if host == "host_a" else "host_a"
    known = known or {other: IDENTITY[other].public}
    return Security.sealed(psk=psk, identity=IDENTITY[host], known=known)


def pair_of(trust: Trust) -> tuple[Security, Security]:
    """What host_a and host_b have where both ask for that."""
    match trust:
        case Trust.SERVER:
            return Security.sealed(), Security.sealed()
        case Trust.SHARED_KEY:
            return Security.sealed(psk=PSK), Security.sealed(psk=PSK)
        case Trust.IDENTITY:
            return with_identity("host_a"), with_identity("host_b")
        case Trust.BOTH:
            return with_identity("host_a", PSK), with_identity("host_b", PSK)


def offer_of(security: Security, public: bytes = b"p" * 32) -> Offer:
    return security.offer(b"i" * 16, public)


PAIRS = {
    "plaintext": (Security.plaintext(), Security.plaintext()),
    **{trust.value: pair_of(trust) for trust in Trust},
}
_BOTH = "an identity and a shared key"
MISMATCHES = {
    "plaintext against sealed": (
        (Security.plaintext(), Security.sealed()),
        "this side has --plaintext, host_b has not: give it to both or to neither",
        "host_a has --plaintext, this side has not: give it to both or to neither",
    ),
    "a shared key on one side": (
        (Security.sealed(psk=PSK), Security.sealed()),
        "this side asks for a shared key, host_b for no key: give both the same kind of key",
        "this side asks for no key, host_a for a shared key: give both the same kind of key",
    ),
    "an identity against a shared key": (
        (with_identity("host_a"), Security.sealed(psk=PSK)),
        "this side asks for an identity, host_b for a shared key: give both the same kind of key",
        "this side asks for a shared key, host_a for an identity: give both the same kind of key",
    ),
    "both kinds against one": (
        (with_identity("host_a", PSK), with_identity("host_b")),
        f"this side asks for {_BOTH}, host_b for an identity: give both the same kind of key",
        f"this side asks for an identity, host_a for {_BOTH}: give both the same kind of key",
    ),
    "no suite in common": (
        (
            Security.sealed(suites=(Suite.AES_256_GCM,)),
            Security.sealed(suites=(Suite.CHACHA20_POLY1305,)),
        ),
        "host_b seals in no way that this side knows: update the older side",
        "host_a seals in no way that this side knows: update the older side",
    ),
}


@pytest.mark.parametrize("name", PAIRS)
def test_two_that_ask_for_the_same_fit_and_agree_on_their_keys(name: str) -> None:
    a, b = PAIRS[name]
    ours, theirs = Counterpart("host_a", "host_b", a), Counterpart("host_b", "host_a", b, seed=8)
    assert a.refusal("host_b", theirs.offer) is None
    assert b.refusal("host_a", ours.offer) is None
    start = theirs.start(m.Role.A, PEER)
    theirs.voice(start, ours.offer)
    ours.voice(replace(start, role=m.Role.B), theirs.offer)
    assert ours.keys is not None
    assert theirs.keys is not None
    assert ours.keys.path.sending == theirs.keys.path.receiving
    assert ours.keys.path.receiving == theirs.keys.path.sending
    assert ours.keys.suite is theirs.keys.suite
    assert (ours.keys.is_initiator, theirs.keys.is_initiator) == (True, False)


@pytest.mark.parametrize("name", MISMATCHES)
def test_two_that_do_not_fit_are_told_so_in_one_line_each(name: str) -> None:
    (a, b), at_a, at_b = MISMATCHES[name]
    assert a.refusal("host_b", offer_of(b)) == at_a
    assert b.refusal("host_a", offer_of(a)) == at_b


def test_peer_s_identity_has_to_be_the_one_that_is_known() -> None:
    theirs = with_identity("host_b")
    stranger = replace(offer_of(theirs), identity=IMPOSTOR.public)
    knows_nobody = with_identity("host_a", host_x=IMPOSTOR.public)
    text = "no key of host_b is known here: give it with --peer-key"
    assert knows_nobody.refusal("host_b", offer_of(theirs)) == text
    ours = with_identity("host_a")
    text = "the host that answers as host_b does not have its key"
    assert ours.refusal("host_b", stranger) == text
    assert ours.refusal("host_b", replace(stranger, identity=b"")) == text


def test_peer_without_a_key_for_the_round_is_refused() -> None:
    text = "host_b sent no key for this round"
    assert Security.sealed().refusal("host_b", offer_of(Security.sealed(), b"")) == text


def test_trust_is_what_was_given_and_nothing_less() -> None:
    assert Security.plaintext().trust is Trust.SERVER
    assert {trust: pair_of(trust)[0].trust for trust in Trust} == {trust: trust for trust in Trust}


def test_who_vouches_is_told_in_words() -> None:
    assert {name: pair[0].vouched("host_b") for name, pair in PAIRS.items()} == {
        "plaintext": "not encrypted, since both sides have --plaintext",
        "server": "sealed; the server vouches for host_b",
        "shared-key": "sealed; host_b has the shared key",
        "identity": "sealed; host_b has the key that this side knows",
        "identity+shared-key": "sealed; host_b has its own key and the shared one",
    }


def test_own_and_unusable_keys_are_refused() -> None:
    ours = Counterpart("host_a", "host_b")
    assert ours.pair is not None
    for public, text in (
        (ours.pair.public, "this side's own"),
        (bytes(32), "no usable X25519 key"),
        (b"\x01" + bytes(31), "no usable X25519 key"),
    ):
        start = replace(ours.start(m.Role.A, PEER), peer=replace(ours.offer, public=public))
        with pytest.raises(KeyRefusedError, match=text):
            ours.security.keys(ours.ids, start, ours.offer, ours.pair)


# The same at a client's machine


def to_the_peer(rig: Rig) -> list[do.SendDatagram]:
    return [each for each in rig.done(do.SendDatagram) if each.destination is not None]


def failure(rig: Rig) -> tuple[str, str]:
    failed = rig.notices()[-1]
    assert isinstance(failed, note.AttemptFailed)
    return failed.code, failed.text


@pytest.mark.parametrize("name", MISMATCHES)
def test_client_declines_what_does_not_fit_and_says_nothing_to_the_peer(name: str) -> None:
    (a, b), at_a, at_b = MISMATCHES[name]
    for security, peers, text in ((a, b, at_a), (b, a, at_b.replace("host_a", "host_b"))):
        rig = Rig(security=security, peers=peers).registered()
        rig.receive(rig.peer.start(m.Role.A, PEER))
        assert rig.messages()[-1] == m.Decline(1)
        assert failure(rig) == ("keys-differ", text)
        assert "\n" not in text
        rig.receive(m.SendHello(1, 1, 1, 1))
        assert to_the_peer(rig) == []
        assert rig.is_in(PathState.IDLE)
        told = len(rig.notices())
        rig.receive(m.Failed(1, "keys-differ", "host_a takes no part: …"))
        assert len(rig.notices()) == told, "it has been told once"


@pytest.mark.parametrize("once", [True, False])
@pytest.mark.parametrize("name", MISMATCHES)
def test_client_is_told_by_the_server_what_does_not_fit_and_judges_for_itself(
    name: str, once: bool
) -> None:
    (a, b), at_a, at_b = MISMATCHES[name]
    for security, peers, text in ((a, b, at_a), (b, a, at_b.replace("host_a", "host_b"))):
        rig = Rig(security=security, peers=peers, once=once).registered()
        offer = replace(rig.peer.offer, instance=bytes(16), public=b"")
        rig.receive(m.Mismatch(offer))
        if security.mismatch("host_b", offer) is None:  # only the other side's demand is not met
            assert rig.is_in(PathState.ANNOUNCING)
            continue
        assert failure(rig) == ("keys-differ", text)
        assert rig.is_in(PathState.CLOSED if once else PathState.IDLE)
        assert to_the_peer(rig) == []


def test_word_of_a_mismatch_that_is_none_changes_nothing() -> None:
    rig = Rig().registered()
    rig.receive(m.Mismatch(replace(rig.peer.offer, public=b"")))
    assert rig.is_in(PathState.ANNOUNCING)
    rig = Rig().established()
    rig.receive(m.Mismatch(replace(rig.peer.offer, suites=("plaintext",))))
    assert rig.is_in(PathState.ESTABLISHED)


@pytest.mark.parametrize("which", ["own", "small order"])
def test_client_declines_a_key_that_no_honest_server_hands_out(which: str) -> None:
    rig = Rig().registered()
    public = rig.offer().public if which == "own" else bytes(32)
    start = rig.peer.start(m.Role.A, PEER)
    rig.receive(replace(start, peer=replace(start.peer, public=public)))
    assert rig.messages()[-1] == m.Decline(1)
    code, text = failure(rig)
    assert code == "keys-differ"
    assert "the other side's key is" in text
    assert to_the_peer(rig) == []


def test_client_that_declined_asks_again_with_a_fresh_key_and_one_that_tries_once_ends() -> None:
    rig = Rig(peers=Security.plaintext()).registered()
    first = rig.offer().public
    rig.receive(rig.peer.start(m.Role.A, PEER))
    rig.wait(10.0)
    assert isinstance(rig.messages()[-1], m.Retry)
    assert rig.offer().public != first
    rig = Rig(peers=Security.plaintext(), once=True).registered()
    rig.receive(rig.peer.start(m.Role.A, PEER))
    assert rig.is_in(PathState.CLOSED)
    assert rig.messages()[-1] == m.Decline(1)


def test_every_socket_has_a_key_of_its_own() -> None:
    rig = Rig().registered()
    publics = [rig.offer().public]
    for generation in (2, 3):
        rig.receive(m.OpenSocket(generation))
        opened_ = rig.messages()[-1]
        assert isinstance(opened_, m.SocketOpened)
        assert opened_.generation == generation
        publics.append(rig.offer().public)
    assert len(set(publics)) == 3
    assert [public for public in publics if len(public) != 32] == []


@pytest.mark.parametrize(
    ("security", "peers"),
    [
        (Security.sealed(psk=PSK), Security.sealed(psk=OTHER_PSK)),
        (
            with_identity("host_a"),
            Security.sealed(
                identity=IMPOSTOR, known={"host_a": IDENTITY["host_a"].public}
            ),
        ),
    ],
    ids=["shared key", "identity"],
)  # fmt: skip
def test_peer_without_the_right_key_proves_nothing(security: Security, peers: Security) -> None:
    rig = Rig(security=security, peers=peers).registered()
    start = rig.round()
    if security.identity is not None:  # it claims to be host_b, whose key it has not
        offer = replace(start.peer, identity=IDENTITY["host_b"].public)
        start = replace(start, peer=offer)
    rig.receive(start)
    rig.receive(m.SendHello(1, 1, 1, 1))
    assert rig.hear(rig.hello(2)) == FORGED
    rig.receive(m.SendHello(2, 1, 1, 3))
    assert rig.hear(rig.confirm()) == FORGED
    assert rig.is_in(PathState.PUNCHING)
    rig.receive(m.Failed(1, "no-path", "no HELLO got through"))
    assert failure(rig) == ("keys-differ", "the host that answers as host_b does not have its key")


def test_no_path_between_honest_hosts_is_not_blamed_on_keys() -> None:
    rig = Rig().punching()
    rig.receive(m.Failed(1, "no-path", "no HELLO got through"))
    assert failure(rig) == ("no-path", "no HELLO got through")


def test_forged_words_leave_the_round_as_it_is() -> None:
    rig = Rig().punching()
    rig.receive(m.SendHello(1, 1, 1, 1))
    for forged in altered(rig.hello(2)):
        assert rig.hear(forged) in ([], FORGED)
    rig.hear(rig.hello(2))
    assert rig.hear(rig.hello(2), Endpoint("203.0.113.99", 9)) == [do.Count(do.Fault.REPLAYED)]
    for answer in altered(rig.confirm()):
        assert rig.hear(answer) in ([], FORGED)
    assert rig.is_in(PathState.PUNCHING)
    rig.hear(rig.confirm())
    assert rig.is_in(PathState.ESTABLISHED)


@pytest.mark.parametrize("name", PAIRS)
def test_path_is_told_with_who_vouches_and_opens_the_peer_s_frames(name: str) -> None:
    a, b = PAIRS[name]
    rig = Rig(security=a, peers=b).established()
    (path,) = (notice for notice in rig.notices() if isinstance(notice, note.PathEstablished))
    assert path.vouched == a.vouched("host_b")
    (use,) = rig.done(do.UsePath)
    said = rig.said()
    assert said is not None
    theirs = rig.peer.epochs(said.connection)
    assert opened(use.epochs, theirs.sealer.seal(0xC7, b"to a")) == [(0xC7, b"to a")]
    assert opened(theirs, use.epochs.sealer.seal(0xC7, b"to b")) == [(0xC7, b"to b")]


def test_no_frame_leaves_before_the_proof() -> None:
    rig = Rig().punching()
    rig.receive(m.SendHello(1, 1, 1, 1))
    rig.wait(1.0)
    rig.hear(rig.hello(2))
    rig.wait(1.0)
    assert rig.done(do.UsePath) == []
    assert rig.done(do.SendFrame) == []
    rig.hear(rig.confirm())
    assert len(rig.done(do.UsePath)) == 1


def test_no_key_shows_in_what_a_client_does_or_tells() -> None:
    a, b = pair_of(Trust.BOTH)
    rig = Rig(security=a, peers=b).established()
    rig.wait(8.0)
    assert rig.done(do.SendFrame)
    assert rig.peer.keys is not None
    path = rig.peer.keys.path
    secrets = [
        rig.key(), PSK, path.chain, path.sending.seal, path.sending.handshake,
        path.receiving.seal, path.receiving.handshake, rig.round().token,
    ]  # fmt: skip
    shown = "".join(
        map(repr, (rig.actions, rig.agent.peers, rig.agent.link, a, b, rig.peer.keys, path))
    )
    assert "StartRound" in repr(rig.round())
    assert "Register(" in shown
    shown += repr(rig.round())
    for secret in secrets:
        assert secret.hex() not in shown
        assert repr(secret)[2:-1] not in shown


def test_plaintext_client_offers_no_key() -> None:
    rig = Rig(security=Security.plaintext(), peers=Security.plaintext()).established()
    assert rig.offer() == replace(rig.offer(), public=b"", identity=b"", suites=(Suite.NONE,))
    hello = to_the_peer(rig)[0].datagram
    assert isinstance(hello, Hello)
    assert hello.mac != bytes(16), "the token keeps strangers out"
