"""The prediction against the issue's table, and the two sequences worth knowing step by step."""

import itertools

import pytest

from nat_traversal.errors import UsageError
from nat_traversal.wire.behavior import Filtering, Mapping
from natlab.behavior import NINE, NatBehavior, parse_behavior
from natlab.evidence import checks
from natlab.oracle.model import Admission
from natlab.oracle.outcome import Outcome
from natlab.oracle.predict import LADDER, METHODS, method_of, predict
from natlab.presets import PRESETS

PASSABLE_FOR_SYMMETRIC = {"none", "full-cone", "restricted-cone"}


def expected(nat_a: str, nat_b: str) -> Outcome:
    """The contract's table in words: who can connect with whom."""
    pair = {nat_a, nat_b}
    if pair == {"linux-masquerade"}:
        return Outcome.FAILED
    if "symmetric" in pair:
        passable = pair - {"symmetric"} <= PASSABLE_FOR_SYMMETRIC and pair != {"symmetric"}
        return Outcome.CONNECTED if passable else Outcome.FAILED
    return Outcome.CONNECTED


@pytest.mark.parametrize(("nat_a", "nat_b"), list(itertools.product(PRESETS, repeat=2)))
def test_outcome_is_the_contracts(nat_a: str, nat_b: str) -> None:
    assert predict(nat_a, nat_b).outcome is expected(nat_a, nat_b)


def test_expectation_covers_both_outcomes_as_the_issue_counts_them() -> None:
    outcomes = [expected(*pair) for pair in itertools.product(PRESETS, repeat=2)]
    assert (outcomes.count(Outcome.CONNECTED), outcomes.count(Outcome.FAILED)) == (30, 6)
    independent = [
        name
        for name, item in PRESETS.items()
        if item.behavior is None or item.behavior.mapping is Mapping.ENDPOINT_INDEPENDENT
    ]
    assert set(PRESETS) - set(independent) == {"symmetric"}


def test_swapped_round_opens_what_the_order_sensitive_nat_closed() -> None:
    prediction = predict("port-restricted-cone", "linux-masquerade")
    assert prediction.round == 2
    fates = [(step.round, step.name, step.sender, step.admission) for step in prediction.steps]
    assert fates == [
        (1, "HELLO 1", "host_a", Admission.TAKEN_BY_ROUTER),
        (1, "HELLO 2", "host_b", Admission.FILTERED),
        (1, "HELLO 3", "host_a", Admission.TAKEN_BY_ROUTER),
        (2, "HELLO 1", "host_b", Admission.FILTERED),
        (2, "HELLO 2", "host_a", Admission.DELIVERED),
        (2, "HELLO 3", "host_b", Admission.DELIVERED),
        (2, "CONFIRM", "host_a", Admission.DELIVERED),
    ]
    assert predict("linux-masquerade", "port-restricted-cone").round == 1


def test_symmetric_peer_is_answered_at_its_observed_source() -> None:
    prediction = predict("restricted-cone", "symmetric")
    hello_1, hello_2, hello_3, _ = prediction.steps
    assert hello_1.admission is Admission.FILTERED
    assert hello_2.admission is Admission.DELIVERED
    assert hello_3.destination == hello_2.source != hello_1.destination


def test_failed_pair_ran_both_rounds_from_fresh_sockets() -> None:
    prediction = predict("linux-masquerade", "linux-masquerade")
    assert prediction.round is None
    senders = "".join(step.sender[-1] for step in prediction.steps)
    assert senders == "ababab"
    assert prediction.steps[0].source != prediction.steps[4].source


def test_unknown_preset_is_refused_with_the_names_there_are() -> None:
    with pytest.raises(UsageError, match="choose from none, full-cone"):
        predict("none", "conical")


def expected_of_nine(a: NatBehavior, b: NatBehavior) -> Outcome:
    """Who can connect with whom, in words."""
    independent = [nat.mapping is Mapping.ENDPOINT_INDEPENDENT for nat in (a, b)]
    if all(independent):
        return Outcome.CONNECTED
    # What a dependent mapping sends comes from a port that nobody has seen: the other has to let it in.
    lets_in_new_ports = [
        nat.filtering is not Filtering.ADDRESS_AND_PORT_DEPENDENT for nat in (a, b)
    ]
    if any(independent):
        outcome = lets_in_new_ports[independent.index(True)]
    else:
        # One has to be open to whom it has not sent to, and one to keep its port for one address.
        outcome = (
            all(lets_in_new_ports)
            and Filtering.ENDPOINT_INDEPENDENT in {a.filtering, b.filtering}
            and Mapping.ADDRESS_DEPENDENT in {a.mapping, b.mapping}
        )
    return Outcome.CONNECTED if outcome else Outcome.FAILED


@pytest.mark.parametrize(("nat_a", "nat_b"), list(itertools.product(NINE, repeat=2)))
def test_outcome_of_every_pair_of_the_nine_behaviours(nat_a: str, nat_b: str) -> None:
    prediction = predict(nat_a, nat_b)
    assert prediction.outcome is expected_of_nine(parse_behavior(nat_a), parse_behavior(nat_b))
    assert prediction.round in {1, None}


def test_ports_that_move_with_every_answer_make_no_path() -> None:
    prediction = predict("APDM+EIF", "APDM+EIF")
    assert prediction.outcome is Outcome.FAILED
    assert {step.admission for step in prediction.steps} == {Admission.DELIVERED}
    assert [step.name for step in prediction.steps[:4]] == [
        "HELLO 1",
        "HELLO 2",
        "HELLO 3",
        "CONFIRM",
    ]


@pytest.mark.parametrize("blocked", ["udp-blocked", "tcp-only"])
def test_no_round_begins_where_no_udp_passes(blocked: str) -> None:
    prediction = predict("none", blocked)
    assert (prediction.outcome, prediction.steps) == (Outcome.FAILED, ())


def test_each_method_that_is_predicted_has_its_checks_too() -> None:
    assert set(METHODS) == set(checks.METHODS)
    assert [METHODS[name]("none", "none").method for name in METHODS] == list(METHODS)


@pytest.mark.parametrize(
    ("nat_a", "nat_b", "method"),
    [
        ("udp-blocked", "none", "relay-tcp"),
        ("none", "tcp-only", "relay"),
        ("symmetric", "symmetric", "relay"),
    ],
)
def test_without_a_direct_path_host_a_relays_by_tcp_where_its_udp_is_blocked(
    nat_a: str, nat_b: str, method: str
) -> None:
    assert method_of(nat_a, nat_b) == method


def test_blocked_udp_without_the_relay_by_tcp_leaves_nothing() -> None:
    without = [method for method in LADDER if method != "relay-tcp"]
    assert method_of("udp-blocked", "none", without) is None
