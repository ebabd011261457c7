"""One round of HELLOs, driven by hand: what each order and each datagram makes a host say."""

from __future__ import annotations

import pytest

from nat_traversal.paths.methods.handshake import (
    TABLE_A,
    TABLE_B,
    Handshake,
    HandshakeState,
    HandshakeTrigger,
)
from nat_traversal.settings import ClientSettings
from nat_traversal.wire.datagrams import Confirm, Hello
from nat_traversal.wire.endpoint import Endpoint
from nat_traversal.wire.messages import Candidate, Role, StartRound

SETTINGS = ClientSettings()

S = HandshakeState
TOKEN = bytes(range(16))
PEER = Endpoint("198.51.100.2", 40_000)
OBSERVED = Endpoint("198.51.100.2", 51_234)


def begin(role: Role, *announced: Endpoint) -> Handshake:
    candidates = tuple(Candidate("srflx", endpoint) for endpoint in announced or (PEER,))
    return Handshake(StartRound(1, 1, role, TOKEN, candidates), SETTINGS)


def is_in(shake: Handshake, state: HandshakeState) -> bool:
    return shake.state is state


def hello(step: int, *, heard: bool = True, copy: int = 0, token: bytes = TOKEN) -> Hello:
    return Hello(token, 1, step, heard, copy)


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
            shake.confirm_arrived(Confirm(TOKEN, 1, False), PEER)
    else:
        shake.ordered(2, 0.0)
        if state is S.CONFIRMING:
            shake.hello_arrived(hello(3, heard=False), PEER, 0.0)
        if state is S.ESTABLISHED:
            shake.hello_arrived(hello(3), PEER, 0.0)
    assert shake.state is state
    return shake


def test_role_a_from_order_to_proof() -> None:
    shake = begin(Role.A)
    assert shake.ordered(1, 0.0) == [(hello(1, heard=False), PEER)]
    assert shake.hello_arrived(hello(2), OBSERVED, 0.1) == [(hello(3), OBSERVED)]
    assert shake.ordered(3, 0.2) == []
    assert shake.confirm_arrived(Confirm(TOKEN, 1, False), OBSERVED) == []
    assert shake.state is S.ESTABLISHED
    assert shake.remote == OBSERVED
    assert shake.deadline is None


def test_role_b_from_order_to_proof() -> None:
    shake = begin(Role.B)
    assert shake.hello_arrived(hello(1), OBSERVED, 0.0) == []
    assert shake.ordered(2, 0.1) == [(hello(2), OBSERVED)]
    assert shake.hello_arrived(hello(3), OBSERVED, 0.2) == [(Confirm(TOKEN, 1, False), OBSERVED)]
    assert shake.state is S.ESTABLISHED
    assert shake.deadline is None


def test_deaf_a_answers_the_wanted_confirm() -> None:
    shake = begin(Role.A)
    shake.ordered(1, 0.0)
    assert shake.ordered(3, 0.1) == [(hello(3, heard=False), PEER)]
    answer = shake.confirm_arrived(Confirm(TOKEN, 1, True), PEER)
    assert answer == [(Confirm(TOKEN, 1, False), PEER)]
    assert shake.state is S.ESTABLISHED
    assert shake.confirm_arrived(Confirm(TOKEN, 1, True), PEER) == answer
    assert shake.confirm_arrived(Confirm(TOKEN, 1, True), OBSERVED) is None
    assert shake.remote == PEER


def test_confirm_from_elsewhere_is_no_proof_and_hello_3_goes_there_when_repeated() -> None:
    shake = reach(S.ANSWERING, Role.A)
    assert shake.confirm_arrived(Confirm(TOKEN, 1, True), OBSERVED) is None
    assert is_in(shake, S.ANSWERING)
    assert shake.repeat(SETTINGS.hello_interval) == [(hello(3, copy=1), OBSERVED)]
    # An answer to the first copy, which went elsewhere, proves nothing about the second.
    assert shake.confirm_arrived(Confirm(TOKEN, 1, True), OBSERVED) is None
    assert shake.confirm_arrived(Confirm(TOKEN, 1, True, copy=1), OBSERVED) == [
        (Confirm(TOKEN, 1, False), OBSERVED)
    ]
    assert is_in(shake, S.ESTABLISHED)


def test_path_that_stands_is_not_moved_by_a_late_confirm_from_elsewhere() -> None:
    """HELLO 3 had gone there first, so that its CONFIRM would have been proof."""
    shake = reach(S.ANSWERING, Role.A)
    shake.hello_arrived(hello(2, copy=1), OBSERVED, 0.1)
    assert shake.confirm_arrived(Confirm(TOKEN, 1, False, copy=1), OBSERVED) == []
    assert shake.confirm_arrived(Confirm(TOKEN, 1, True, copy=0), PEER) is None
    assert shake.remote == OBSERVED


def test_hello_3_from_elsewhere_than_hello_2_went_needs_an_answer() -> None:
    shake = reach(S.OPENING, Role.B)
    wanted = [(Confirm(TOKEN, 1, True), OBSERVED)]
    assert shake.hello_arrived(hello(3), OBSERVED, 0.1) == wanted
    assert is_in(shake, S.CONFIRMING)
    assert shake.confirm_arrived(Confirm(TOKEN, 1, False), PEER) is None
    assert is_in(shake, S.CONFIRMING)
    assert shake.confirm_arrived(Confirm(TOKEN, 1, False), OBSERVED) == []
    assert is_in(shake, S.ESTABLISHED)
    assert shake.hello_arrived(hello(3, copy=1), PEER, 0.2) is None
    assert shake.remote == OBSERVED


def test_b_of_a_deaf_a_is_established_only_by_the_answer() -> None:
    shake = begin(Role.B)
    shake.ordered(2, 0.0)
    wanted = [(Confirm(TOKEN, 1, True), OBSERVED)]
    assert shake.hello_arrived(hello(3, heard=False), OBSERVED, 0.1) == wanted
    assert is_in(shake, S.CONFIRMING)
    assert shake.repeat(0.1 + SETTINGS.hello_interval) == wanted
    assert shake.confirm_arrived(Confirm(TOKEN, 1, False), OBSERVED) == []
    assert is_in(shake, S.ESTABLISHED)
    assert shake.hello_arrived(hello(3, heard=False, copy=1), OBSERVED, 1.0) == [
        (Confirm(TOKEN, 1, False, copy=1), OBSERVED)
    ]


def test_b_that_confirms_is_established_by_a_hello_3_from_where_hello_2_went() -> None:
    shake = reach(S.CONFIRMING, Role.B)
    assert shake.hello_arrived(hello(3, copy=1), OBSERVED, 0.1) == [
        (Confirm(TOKEN, 1, True, copy=1), OBSERVED)
    ]
    assert is_in(shake, S.CONFIRMING)
    assert shake.hello_arrived(hello(3, copy=2), PEER, 0.2) == [
        (Confirm(TOKEN, 1, False, copy=2), PEER)
    ]
    assert is_in(shake, S.ESTABLISHED)


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
    assert third == hello(3, copy=0)


def test_every_hello_2_is_answered_at_once() -> None:
    """Its repetition says that HELLO 3 was lost."""
    shake = reach(S.ANSWERING, Role.A)
    assert shake.hello_arrived(hello(2, copy=1), PEER, 0.2) == [(hello(3, copy=1), PEER)]
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
    assert shake.hello_arrived(hello(1), OBSERVED, 0.1) == [(hello(2, copy=1), OBSERVED)]


def test_traffic_is_proof_only_for_a_that_waits_for_confirm() -> None:
    for state, role in ((S.WAITING, Role.A), (S.CALLING, Role.A), (S.ESTABLISHED, Role.A),
                        (S.WAITING, Role.B), (S.OPENING, Role.B), (S.CONFIRMING, Role.B)):  # fmt: skip
        shake = reach(state, role)
        assert not shake.traffic_arrived(PEER)
        assert shake.state is state
    shake = reach(S.ANSWERING, Role.A)
    assert not shake.traffic_arrived(OBSERVED)
    assert shake.traffic_arrived(PEER)
    assert (shake.state, shake.remote, shake.deadline) == (S.ESTABLISHED, PEER, None)


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
        outputs = shake.hello_arrived(hello(step, heard=heard), PEER, 1.0)
        assert (outputs is None) == ((state, trigger) not in table)
        assert shake.state is table.get((state, trigger), state)
    for step, trigger in TRIGGER_OF_ORDER.items():
        shake = reach(state, role)
        assert (shake.ordered(step, 1.0) is None) == ((state, trigger) not in table)
        assert shake.state is table.get((state, trigger), state)
    for wanted in (True, False):
        shake = reach(state, role)
        trigger = HandshakeTrigger.CONFIRM
        outputs = shake.confirm_arrived(Confirm(TOKEN, 1, wanted), PEER)
        assert (outputs is None) == ((state, trigger) not in table)
        assert shake.state is table.get((state, trigger), state)


@pytest.mark.parametrize(("state", "role"), STATES)
def test_another_rounds_datagrams_have_no_effect(state: HandshakeState, role: Role) -> None:
    shake = reach(state, role)
    before = shake.state, shake.remote, shake.deadline
    for step in (1, 2, 3):
        assert shake.hello_arrived(hello(step, token=bytes(16)), OBSERVED, 1.0) is None
        assert shake.hello_arrived(Hello(TOKEN, 2, step, True), OBSERVED, 1.0) is None
    assert shake.confirm_arrived(Confirm(bytes(16), 1, True), OBSERVED) is None
    assert shake.confirm_arrived(Confirm(TOKEN, 2, True), OBSERVED) is None
    assert (shake.state, shake.remote, shake.deadline) == before
