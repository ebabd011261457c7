"""A host that has IPv6 alone reaches IPv4 by NAT64 and DNS64, behind a NAT of any behaviour. tayga, unbound and dig are not ours."""

from __future__ import annotations

import pytest

from natlab.behavior import NatBehavior, parse_behavior
from natlab.probe.finding import Finding
from natlab.probe.nat64 import behind, examined
from tests.lab import warm

NATS = (
    *("EIM+EIF+hairpin-external-source", "EIM+ADF", "ADM+EIF"),
    *("APDM+APDF", "EIM+APDF+hairpin-internal-source"),
)


def _asked(really: str, behavior: NatBehavior) -> list[Finding]:
    found: list[Finding] = warm.call(60, examined, really, behavior)
    return found


@pytest.mark.parametrize("nat", NATS)
def test_a_nat64_maps_filters_and_hairpins_as_its_nat_and_tells_names(nat: str) -> None:
    found = _asked(nat, parse_behavior(nat))
    assert [each for each in found if not each.holds] == []
    assert len(found) == 7


def test_another_nat_behind_the_translator_is_noticed() -> None:
    found = _asked("APDM+EIF", parse_behavior("EIM+APDF+hairpin-external-source"))
    wrong = [each.claim for each in found if not each.holds]
    assert wrong == ["NAT64 mapping", "NAT64 filtering", "NAT64 hairpin"]


def test_an_ipv4_address_in_the_prefix_is_that_of_rfc_6052() -> None:
    assert behind("192.0.2.33") == "2001:db8:64::c000:221"
