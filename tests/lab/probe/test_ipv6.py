"""IPv6 behind a router is what its flag says, on this machine's kernel, and a false claim is noticed."""

from __future__ import annotations

import pytest

from natlab.probe.ipv6 import examined
from natlab.terms import Ipv6
from tests.lab import warm

_TIMEOUT = 40


@pytest.mark.parametrize("ipv6", Ipv6)
def test_ipv6_is_translated_as_the_flag_says(ipv6: Ipv6) -> None:
    found = warm.call(_TIMEOUT, examined, f"APDM+APDF+{ipv6}", ipv6)
    assert [finding for finding in found if not finding.holds] == []
    assert [finding.claim for finding in found] == ["IPv6 source", "IPv6 filtering", "IPv6 unasked"]


def test_another_translation_is_noticed() -> None:
    found = warm.call(_TIMEOUT, examined, "EIM+APDF+nptv6", Ipv6.NAT66)
    assert [finding.claim for finding in found if not finding.holds] == ["IPv6 source"]
