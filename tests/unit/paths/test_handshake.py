"""One round of HELLOs, driven by hand: what each order and each datagram makes a host say."""

from __future__ import annotations

from dataclasses import replace

import pytest

from nat_traversal.crypto.proof import signed
from nat_traversal.paths.budget import TrafficBudget
from nat_traversal.paths.methods.handshake import (
    TABLE_A,
    TABLE_B,
    Handshake,
    HandshakeState,
    HandshakeTrigger,
)
from nat_traversal.paths.methods.method import HandshakeKeys
from nat_traversal.settings import ClientSettings
from nat_traversal.wire.datagrams import Confirm, Hello
from nat_traversal.wire.endpoint import Endpoint
from nat_traversal.wire.messages import Candidate, Role, StartRound
from tests.unit.counterpart import NO_ECHO, TOKEN, Voice, altered, an_offer, some_keys

SETTINGS = ClientSettings()

S = HandshakeState
US = Endpoint("203.0.113.2", 50_000)
PEER = Endpoint("198.51.100.2", 40_000)
OBSERVED = Endpoint("198.51.100.2", 51_234)
_OURS, _THEIRS, _OUR_SECRET, _THEIR_SECRET = some_keys("ours", "theirs", "secret", "other secret")
KEYS = HandshakeKeys(_OURS, _THEIRS, _OUR_SECRET, b"ours")
MINE = Voice(KEYS)
"""What the host under test ought to say."""
PEERS = Voice(HandshakeKeys(_THEIRS, _OURS, _THEIR_SECRET, b"peer"))
HEARD = PEERS.nonce(US)
"""The nonce that the peer sends to the host under test."""


def begin(role: Role, *announced: Endpoint) -> Handshake:
    candidates = tuple(Candidate("srflx", endpoint) for endpoint in announced or (PEER,))
    start = StartRound(1, 1, role, TOKEN, candidates, an_offer("peer"))
    budget = TrafficBudget()
    for endpoint in announced or (PEER,):
        budget.validate(endpoint.address)
    return Handshake(start, KEYS, SETTINGS, budget)


def is_in(shake: Handshake, state: HandshakeState) -> bool:
    return shake.state is state


def hello(
    step: int, *, heard_at: Endpoint | None = None, copy: int = 0, echo: bytes | None = None
) -> Hello:
    """The peer's. `heard_at`: where the peer heard the host under test say its nonce, if it did."""
    if echo is None:
        echo = MINE.nonce(heard_at) if heard_at else NO_ECHO
    return PEERS.hello(step, to=US, echo=echo, heard=echo != NO_ECHO, copy=copy)


def confirm(*, heard_at: Endpoint, wanted: bool = False, copy: int = 0) -> Confirm:
    """The peer's."""
    return PEERS.confirm(to=US, echo=MINE.nonce(heard_at), wanted=wanted, copy=copy)


def says_hello(
    step: int, to: Endpoint, *, heard: bool = True, copy: int = 0
) -> tuple[Hello, Endpoint]:
    """What the host under test says, and to whom."""
    echo = HEARD if heard else NO_ECHO
    return MINE.hello(step, to=to, echo=echo, heard=heard, copy=copy), to


def says_confirm(to: Endpoint, *, wanted: bool = False, copy: int = 0) -> tuple[Confirm, Endpoint]:
    return MINE.confirm(to=to, echo=HEARD, wanted=wanted, copy=copy), to


def reach(state: HandshakeState, role: Role) -> Handshake:
    """A handshake in that state, by the shortest way."""
    shake = begin(role)
    if state is S.WAITING:
        return shake
    if role is Role.A:
        shake.ordered(1, 0.0)
        if state in (S.ANSWERING, S.ESTABLISHED):
            shake.hello_arrived(hello(2), PEER, 0.0)
        if state is S.ESTABLISHED:
            shake.confirm_arrived(confirm(heard_at=PEER), PEER)
    else:
        shake.ordered(2, 0.0)
        if state is S.CONFIRMING:
            shake.hello_arrived(hello(3), PEER, 0.0)
        if state is S.ESTABLISHED:
            shake.hello_arrived(hello(3, heard_at=PEER), PEER, 0.0)
    assert shake.state is state
    return shake


def test_role_a_from_order_to_proof() -> None:
    shake = begin(Role.A)
    assert shake.ordered(1, 0.0) == [says_hello(1, PEER, heard=False)]
    assert shake.hello_arrived(hello(2), OBSERVED, 0.1) == [says_hello(3, OBSERVED)]
    assert shake.ordered(3, 0.2) == []
    assert shake.confirm_arrived(confirm(heard_at=OBSERVED), OBSERVED) == []
    assert shake.state is S.ESTABLISHED
    assert (shake.remote, shake.peer_connection) == (OBSERVED, b"peer")
    assert shake.deadline is None
    assert shake.peer_has_proof


def test_role_b_from_order_to_proof() -> None:
    shake = begin(Role.B)
    assert shake.hello_arrived(hello(1), OBSERVED, 0.0) == []
    assert shake.ordered(2, 0.1) == [says_hello(2, OBSERVED)]
    third = hello(3, heard_at=OBSERVED)
    assert shake.hello_arrived(third, OBSERVED, 0.2) == [says_confirm(OBSERVED)]
    assert shake.state is S.ESTABLISHED
    assert (shake.remote, shake.peer_connection) == (OBSERVED, b"peer")
    assert shake.deadline is None


def test_each_destination_gets_a_nonce_of_its_own() -> None:
    """Else the echo would not tell at which address this side was heard."""
    shake = begin(Role.A, PEER, OBSERVED)
    said = [output for output, _ in shake.ordered(1, 0.0) or []]
    assert len({output.nonce for output in said}) == 2


def test_deaf_a_answers_the_wanted_confirm() -> None:
    shake = begin(Role.A)
    shake.ordered(1, 0.0)
    assert shake.ordered(3, 0.1) == [says_hello(3, PEER, heard=False)]
    wanted = confirm(heard_at=PEER, wanted=True)
    answer = shake.confirm_arrived(wanted, PEER)
    assert answer == [says_confirm(PEER)]
    assert shake.state is S.ESTABLISHED
    assert shake.confirm_arrived(wanted, PEER) == answer
    assert shake.confirm_arrived(wanted, OBSERVED) is None
    assert shake.confirm_arrived(confirm(heard_at=OBSERVED, wanted=True), OBSERVED) is None
    assert shake.remote == PEER


def test_confirm_from_elsewhere_is_no_proof_and_hello_3_goes_there_when_repeated() -> None:
    shake = reach(S.ANSWERING, Role.A)
    elsewhere = confirm(heard_at=PEER, wanted=True)
    assert shake.confirm_arrived(elsewhere, OBSERVED) is None
    assert is_in(shake, S.ANSWERING)
    assert shake.repeat(SETTINGS.hello_interval) == [says_hello(3, OBSERVED, copy=1)]
    # An answer to the first copy, which went elsewhere, proves nothing about the second.
    assert shake.confirm_arrived(elsewhere, OBSERVED) is None
    proof = confirm(heard_at=OBSERVED, wanted=True, copy=1)
    assert shake.confirm_arrived(proof, OBSERVED) == [says_confirm(OBSERVED)]
    assert is_in(shake, S.ESTABLISHED)


def test_words_recorded_and_sent_again_from_elsewhere_draw_nothing_and_move_nothing() -> None:
    shake = reach(S.OPENING, Role.B)
    first = hello(1)
    assert shake.hello_arrived(first, PEER, 0.1) == []
    assert shake.hello_arrived(first, OBSERVED, 0.1) is None
    assert (shake.remote, shake.replayed) == (PEER, 1)
    assert shake.hello_arrived(first, PEER, 0.2) is not None, "the network may double it"
    third = hello(3, heard_at=PEER)
    assert shake.hello_arrived(third, PEER, 0.3) is not None
    assert shake.hello_arrived(third, OBSERVED, 0.3) is None
    assert (shake.remote, shake.replayed) == (PEER, 2)


def test_path_that_stands_is_not_moved_by_a_late_confirm_from_elsewhere() -> None:
    """HELLO 3 had gone there first, so that its CONFIRM would have been proof."""
    shake = reach(S.ANSWERING, Role.A)
    shake.hello_arrived(hello(2, copy=1), OBSERVED, 0.1)
    assert shake.confirm_arrived(confirm(heard_at=OBSERVED, copy=1), OBSERVED) == []
    assert shake.confirm_arrived(confirm(heard_at=PEER, wanted=True), PEER) is None
    assert shake.remote == OBSERVED


def test_hello_3_from_elsewhere_than_hello_2_went_needs_an_answer() -> None:
    shake = reach(S.OPENING, Role.B)
    third = hello(3, heard_at=PEER)
    assert shake.hello_arrived(third, OBSERVED, 0.1) == [says_confirm(OBSERVED, wanted=True)]
    assert is_in(shake, S.CONFIRMING)
    assert shake.confirm_arrived(confirm(heard_at=OBSERVED), PEER) is None
    assert is_in(shake, S.CONFIRMING)
    repeated = signed(replace(confirm(heard_at=OBSERVED), copy=1), _THEIRS)
    assert shake.confirm_arrived(repeated, OBSERVED) == []
    assert is_in(shake, S.ESTABLISHED)
    assert shake.hello_arrived(hello(3, heard_at=PEER, copy=1), PEER, 0.2) is None
    assert shake.remote == OBSERVED


def test_b_of_a_deaf_a_is_established_only_by_the_answer() -> None:
    shake = begin(Role.B)
    shake.ordered(2, 0.0)
    wanted = [says_confirm(OBSERVED, wanted=True)]
    assert shake.hello_arrived(hello(3), OBSERVED, 0.1) == wanted
    assert is_in(shake, S.CONFIRMING)
    assert shake.repeat(0.1 + SETTINGS.hello_interval) == wanted
    assert shake.confirm_arrived(confirm(heard_at=OBSERVED), OBSERVED) == []
    assert is_in(shake, S.ESTABLISHED)
    assert shake.hello_arrived(hello(3, copy=1), OBSERVED, 1.0) == [says_confirm(OBSERVED, copy=1)]


def test_b_that_confirms_is_established_by_a_hello_3_from_where_hello_2_went() -> None:
    shake = reach(S.CONFIRMING, Role.B)
    assert shake.hello_arrived(hello(3, heard_at=PEER, copy=1), OBSERVED, 0.1) == [
        says_confirm(OBSERVED, wanted=True, copy=1)
    ]
    assert is_in(shake, S.CONFIRMING)
    assert shake.hello_arrived(hello(3, heard_at=PEER, copy=2), PEER, 0.2) == [
        says_confirm(PEER, copy=2)
    ]
    assert is_in(shake, S.ESTABLISHED)


def test_what_the_peer_merely_says_to_have_heard_is_no_proof() -> None:
    """The flag is for people; the echo of the own nonce counts, of this address and round."""
    other_round = Voice(KEYS, bytes(16)).nonce(PEER)
    for echo in (NO_ECHO, HEARD, MINE.nonce(OBSERVED), other_round):
        shake = reach(S.OPENING, Role.B)
        third = replace(hello(3, echo=echo), heard=True)
        shake.hello_arrived(signed(third, PEERS.keys.sending), PEER, 0.1)
        assert is_in(shake, S.CONFIRMING)
        for state, role in ((S.ANSWERING, Role.A), (S.CONFIRMING, Role.B)):
            shake = reach(state, role)
            assert shake.confirm_arrived(PEERS.confirm(to=US, echo=echo), PEER) is None
            assert is_in(shake, state)


@pytest.mark.parametrize(
    ("state", "role"),
    [
        (S.CALLING, Role.A),
        (S.ANSWERING, Role.A),
        (S.OPENING, Role.B),
        (S.CONFIRMING, Role.B),
    ],
)
def test_who_waits_says_it_again_but_not_for_ever(state: HandshakeState, role: Role) -> None:
    shake = reach(state, role)
    said = 0
    while shake.deadline is not None:
        assert shake.repeat(shake.deadline - 0.01) == []
        said += len(shake.repeat(shake.deadline))
    assert said == SETTINGS.hello_repeats
    assert shake.state is state


def test_repetitions_are_counted_anew_in_a_new_state_only() -> None:
    shake = reach(S.CALLING, Role.A)
    for _ in range(SETTINGS.hello_repeats):
        assert shake.repeat(shake.deadline or 0.0)
    shake.hello_arrived(hello(2), PEER, 10.0)
    said = 0
    while shake.deadline is not None:
        shake.hello_arrived(hello(2, copy=1), PEER, shake.deadline)
        said += len(shake.repeat(shake.deadline))
    assert said == SETTINGS.hello_repeats


@pytest.mark.parametrize(("state", "role"), [(S.WAITING, Role.A), (S.ESTABLISHED, Role.B)])
def test_who_has_nothing_to_say_has_no_deadline(state: HandshakeState, role: Role) -> None:
    shake = reach(state, role)
    assert shake.deadline is None
    assert shake.repeat(100.0) == []


def test_copies_are_numbered_within_their_step() -> None:
    shake = begin(Role.A)
    copies = [output.copy for output, _ in shake.ordered(1, 0.0) or [] if isinstance(output, Hello)]
    for now in (1.0, 2.0):
        copies += [output.copy for output, _ in shake.repeat(now) if isinstance(output, Hello)]
    assert copies == [0, 1, 2]
    ((third, _),) = shake.hello_arrived(hello(2), PEER, 3.0) or []
    assert third == says_hello(3, PEER)[0]


def test_every_hello_2_is_answered_at_once() -> None:
    """Its repetition says that HELLO 3 was lost."""
    shake = reach(S.ANSWERING, Role.A)
    assert shake.hello_arrived(hello(2, copy=1), PEER, 0.2) == [says_hello(3, PEER, copy=1)]
    assert shake.deadline == 0.2 + SETTINGS.hello_interval


def test_all_announced_addresses_are_called_until_one_is_heard() -> None:
    other = Endpoint("203.0.113.9", 9)
    shake = begin(Role.A, PEER, other)
    assert [to for _, to in shake.ordered(1, 0.0) or []] == [PEER, other]
    shake.hello_arrived(hello(2), other, 0.1)
    assert [to for _, to in shake.repeat(1.0)] == [other]


def test_hello_1_from_where_it_was_expected_changes_nothing() -> None:
    shake = reach(S.OPENING, Role.B)
    assert shake.hello_arrived(hello(1), PEER, 0.1) == []
    assert shake.hello_arrived(hello(1, copy=1), OBSERVED, 0.2) == []


def test_hello_1_from_elsewhere_redirects_hello_2_at_once() -> None:
    shake = reach(S.OPENING, Role.B)
    assert shake.hello_arrived(hello(1), OBSERVED, 0.1) == [says_hello(2, OBSERVED, copy=1)]


STATES = [
    *((state, Role.A) for state in (S.WAITING, S.CALLING, S.ANSWERING, S.ESTABLISHED)),
    *((state, Role.B) for state in (S.WAITING, S.OPENING, S.CONFIRMING, S.ESTABLISHED)),
]
TRIGGER_OF_HELLO = {
    (1, True): HandshakeTrigger.HELLO_1,
    (1, False): HandshakeTrigger.HELLO_1,
    (2, True): HandshakeTrigger.HELLO_2,
    (2, False): HandshakeTrigger.HELLO_2,
    (3, True): HandshakeTrigger.HELLO_3,
    (3, False): HandshakeTrigger.HELLO_3_UNPROVEN,
}
TRIGGER_OF_ORDER = {
    1: HandshakeTrigger.ORDER_1,
    2: HandshakeTrigger.ORDER_2,
    3: HandshakeTrigger.ORDER_3,
}


@pytest.mark.parametrize(("state", "role"), STATES)
def test_only_what_the_table_lists_has_an_effect(state: HandshakeState, role: Role) -> None:
    table = TABLE_A if role is Role.A else TABLE_B
    for (step, heard), trigger in TRIGGER_OF_HELLO.items():
        shake = reach(state, role)
        outputs = shake.hello_arrived(hello(step, heard_at=PEER if heard else None), PEER, 1.0)
        assert (outputs is None) == ((state, trigger) not in table)
        assert shake.state is table.get((state, trigger), state)
    for step, trigger in TRIGGER_OF_ORDER.items():
        shake = reach(state, role)
        assert (shake.ordered(step, 1.0) is None) == ((state, trigger) not in table)
        assert shake.state is table.get((state, trigger), state)
    for wanted in (True, False):
        shake = reach(state, role)
        trigger = HandshakeTrigger.CONFIRM
        outputs = shake.confirm_arrived(confirm(heard_at=PEER, wanted=wanted), PEER)
        assert (outputs is None) == ((state, trigger) not in table)
        assert shake.state is table.get((state, trigger), state)


def everything(shake: Handshake) -> tuple[object, ...]:
    return (
        shake.state, shake.remote, shake.deadline, shake.peer_connection, shake.peer_has_proof,
        set(shake.heard_steps),
    )  # fmt: skip


@pytest.mark.parametrize(("state", "role"), STATES)
def test_another_rounds_datagrams_have_no_effect(state: HandshakeState, role: Role) -> None:
    shake = reach(state, role)
    before = everything(shake)
    for voice in (Voice(PEERS.keys, bytes(16)), Voice(PEERS.keys, TOKEN, 2)):
        echo = MINE.nonce(PEER)
        for step in (1, 2, 3):
            assert shake.hello_arrived(voice.hello(step, to=US, echo=echo), PEER, 1.0) is None
        assert shake.confirm_arrived(voice.confirm(to=US, echo=echo), PEER) is None
    assert everything(shake) == before
    assert shake.forged == 0, "they are authentic, of another round"


@pytest.mark.parametrize(("state", "role"), STATES)
def test_a_datagram_with_any_field_changed_is_not_accepted(
    state: HandshakeState, role: Role
) -> None:
    shake = reach(state, role)
    before = everything(shake)
    tried = 0
    for step in (1, 2, 3):
        for forged in altered(hello(step, heard_at=PEER)):
            assert shake.hello_arrived(forged, PEER, 1.0) is None, forged
            assert everything(shake) == before
            tried += 1
    for wanted in (True, False):
        for answer in altered(confirm(heard_at=PEER, wanted=wanted)):
            assert shake.confirm_arrived(answer, PEER) is None, answer
            assert everything(shake) == before
            tried += 1
    assert tried > 5 * 44
    foreign = 5 * 8 + 3 * 2 + 2 * 2  # of another tag or another round: no forgery of this one's
    assert shake.forged == tried - foreign


@pytest.mark.parametrize(("state", "role"), STATES)
def test_a_host_s_own_words_sent_back_to_it_are_not_accepted(
    state: HandshakeState, role: Role
) -> None:
    """Each direction has a key of its own."""
    shake = reach(state, role)
    before = everything(shake)
    for step in (1, 2, 3):
        mirrored = MINE.hello(step, to=PEER, echo=MINE.nonce(PEER))
        assert shake.hello_arrived(mirrored, PEER, 1.0) is None
    assert shake.confirm_arrived(MINE.confirm(to=PEER, echo=MINE.nonce(PEER)), PEER) is None
    assert everything(shake) == before
    assert shake.forged == 4
