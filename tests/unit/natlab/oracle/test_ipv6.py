"""IPv6 on the model: prefixes that keep checksums, and who reaches whom."""

from __future__ import annotations

import pytest

from natlab.behavior import NINE
from natlab.nat.ipv6 import outer_prefix
from natlab.oracle.ipv6 import outer_address, predict_ipv6
from natlab.oracle.outcome import Outcome


def test_an_address_outside_is_that_of_the_example_of_rfc_6296() -> None:
    outside = outer_address("fd01:203:405:1::1234", "fd01:203:405::", "2001:db8:1::")
    assert outside == "2001:db8:1:d550::1234"
    assert outer_address(outside, "2001:db8:1::", "fd01:203:405::") == "fd01:203:405:1::1234"


@pytest.mark.parametrize("subnet", ["0", "1", "7fff", "cafe", "fffe"])
def test_the_model_s_address_is_in_the_prefix_of_the_rules(subnet: str) -> None:
    for inside, outside in (("fd00:a:1", "2001:db8:a"), ("2001:db8:ffff", "fd12:3456:789a")):
        own = f"{inside}:{subnet}::2"
        prefix = outer_prefix(f"{inside}:{subnet}::/64", f"{outside}::/48")
        shown = outer_address(own, f"{inside}::", f"{outside}::")
        assert shown == prefix.removesuffix("/64") + "2"


@pytest.mark.parametrize("nat", ["none", *NINE, "linux-masquerade"])
def test_only_flags_of_ipv6_count(nat: str) -> None:
    assert predict_ipv6(nat, "EIM+APDF+nptv6").round == 1
    assert predict_ipv6("EIM+APDF+nat66-apdm", nat).outcome is Outcome.FAILED
