"""Which rung opens which pair: the same as `docs/rungs.md` and the lab's oracle say."""

from __future__ import annotations

import itertools
import re
from dataclasses import replace

import pytest

from nat_traversal.check.rungs import GUESSED, PEERS, Nat, Row, rows, rung
from nat_traversal.check.verdict import Ipv6, Udp, Verdict
from nat_traversal.wire.behavior import Filtering, Mapping, PortAllocation
from nat_traversal.wire.endpoint import Endpoint
from natlab.behavior import NINE, Unsolicited
from natlab.oracle import rungs as oracle
from natlab.presets import PRESETS, preset
from tests import ROOT

SERVER = Endpoint("192.0.2.2", 6545)
STRICT = Verdict(
    SERVER,
    Udp.PASSES,
    0.05,
    nat=True,
    mapping=Mapping.ENDPOINT_INDEPENDENT,
    filtering=Filtering.ADDRESS_AND_PORT_DEPENDENT,
    allocation=PortAllocation.PRESERVING,
    order_sensitive=False,
)


def nat_of(name: str) -> Nat:
    behavior = preset(name).behavior
    if behavior is None:
        return Nat()
    return Nat(
        behavior.mapping,
        behavior.filtering,
        behavior.allocation,
        behavior.unsolicited is Unsolicited.ORDER_SENSITIVE,
        not behavior.blocks_udp,
    )


def test_the_pairs_that_need_a_guess_are_those_of_the_page() -> None:
    page = (ROOT / "docs" / "rungs.md").read_text(encoding="utf-8")
    found = re.search(r"<!-- table: rungs -->\n(.*?)<!-- end -->", page, re.DOTALL)
    assert found
    told = re.findall(r"^\| `(\S+)` \| `(\S+)` \| (?:the )?(\w+) \|", found[1], re.MULTILINE)
    assert {(one, other): whose for one, other, whose in told} == GUESSED


@pytest.mark.parametrize("allocation", PortAllocation)
def test_every_pair_of_the_nine_is_the_oracles(allocation: PortAllocation) -> None:
    for pair in itertools.product(NINE, repeat=2):
        nats = [nat if nat.startswith("EIM") else f"{nat}+{allocation}" for nat in pair]
        assert rung(*map(nat_of, nats)) == oracle.rung(*nats), nats


@pytest.mark.parametrize("mixed", [("sequential", "random"), ("random", "sequential")])
def test_two_allocations_are_the_oracles(mixed: tuple[str, str]) -> None:
    dependent = [nat for nat in NINE if not nat.startswith("EIM")]
    for pair in itertools.combinations_with_replacement(dependent, 2):
        nats = [f"{nat}+{allocation}" for nat, allocation in zip(pair, mixed, strict=True)]
        assert rung(*map(nat_of, nats)) == oracle.rung(*nats), nats


def test_every_pair_of_presets_is_the_oracles() -> None:
    for pair in itertools.product(PRESETS, repeat=2):
        assert rung(*map(nat_of, pair)) == oracle.rung(*pair), pair


def by_peer(verdict: Verdict) -> dict[str, Row]:
    return {row.peer: row for row in rows(verdict)}


def test_what_is_not_told_is_not_guessed_and_what_holds_in_any_case_is_told() -> None:
    why = {"mapping": "one address only", "filtering": "one address only"}
    found = by_peer(Verdict(SERVER, Udp.PASSES, 0.05, nat=True, not_told=why))
    assert found["a public host"].rung == "ordered-hello"
    assert found["EIM+EIF"].rung == "ordered-hello"
    assert found["APDM+APDF"] == Row("APDM+APDF", None, note="not told: one address only")
    assert found["UDP blocked"].rung == "relay-tcp"


def test_times_count_the_measured_round_trip() -> None:
    found = by_peer(STRICT)
    assert found["EIM+ADF"].seconds == 0.1
    assert found["APDM+APDF"].rung == "birthday"
    assert found["APDM+APDF+sequential"].rung == "prediction"
    assert "swapped" in found["EIM+APDF+order-sensitive"].note


def test_ipv6_and_a_router_that_maps_ports_come_before_a_guess() -> None:
    strict = replace(
        STRICT, mapping=Mapping.ADDRESS_AND_PORT_DEPENDENT, allocation=PortAllocation.RANDOM
    )
    alone = by_peer(strict)
    assert alone["APDM+APDF"].rung == alone["APDM+APDF, with IPv6"].rung == "relay"
    assert alone["APDM+APDF, mapping ports"].rung == "port-mapping"
    both = by_peer(replace(strict, ipv6=Ipv6.UNTRANSLATED, port_mapping={"pcp": True}))
    assert both["APDM+APDF, with IPv6"].rung == "ipv6"
    assert (both["APDM+APDF"].rung, both["APDM+APDF"].seconds) == ("port-mapping", 0.7)
    assert both["EIM+EIF"].rung == "ordered-hello"
    assert both["UDP blocked"].rung == "relay-tcp"
    unanswered = replace(strict, ipv6=Ipv6.UNANSWERED, port_mapping={"pcp": False})
    assert by_peer(unanswered) == alone


def test_two_order_sensitive_nats_are_told_what_follows() -> None:
    verdict = replace(STRICT, order_sensitive=True)
    row = by_peer(verdict)["EIM+APDF+order-sensitive"]
    assert row.rung == "simultaneous"
    assert "low-ttl" in row.note


def test_a_host_without_udp_needs_the_tcp_relay_towards_everybody() -> None:
    assert {row.rung for row in rows(Verdict(SERVER, Udp.BLOCKED))} == {"relay-tcp"}
    assert [row.peer for row in rows(Verdict(SERVER, Udp.BLOCKED))] == list(PEERS)
