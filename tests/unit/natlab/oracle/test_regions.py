"""Times between regions: read, written, and added up."""

from __future__ import annotations

import re

import pytest

from nat_traversal.errors import UsageError
from natlab.oracle.regions import Regions, parse_regions


def test_delays_are_read_and_written_alike() -> None:
    assert parse_regions("regions") == Regions()
    assert str(Regions()) == "regions,a_b=40ms,a_s=20ms,b_s=20ms"
    assert parse_regions("regions,b_s=1s,a_b=2.5ms") == Regions(0.0025, 0.02, 1.0)
    assert parse_regions(str(Regions(0.0025, 0.02, 1.0))) == Regions(0.0025, 0.02, 1.0)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (
            "regions,a_c=1ms",
            "'a_c=1ms' is no delay between regions: give a_b, a_s, b_s, as a_b=80ms",
        ),
        ("regions,a_b", "'a_b' is no delay between regions"),
        ("regions,a_b=11s", "11s"),
        ("regions,a_b=1ms,a_b=2ms", "a_b stands there twice: give it once"),
    ],
)
def test_what_is_none_is_refused(text: str, reason: str) -> None:
    with pytest.raises(UsageError, match=re.escape(reason)):
        parse_regions(text)


@pytest.mark.parametrize(
    ("a_b", "crosses"),
    [(0, False), (0.02, False), (0.04, None), (0.055, None), (0.08, True), (0.3, True)],
)
def test_first_hellos_cross_where_the_way_over_the_server_is_shorter(
    a_b: float, crosses: bool | None
) -> None:
    assert Regions(a_b, 0.015, 0.025).hellos_cross is crosses


def test_least_times_add_up_what_is_on_the_way() -> None:
    regions = Regions(0.06, 0.02, 0.05)
    assert regions.to_server(0.005) == pytest.approx(0.025)
    assert regions.to_peer(0.005, 0.004) == pytest.approx(0.069)
    # Equal ways: 2 R + 1.5 P, with R = 50 ms and P = 80 ms.
    assert Regions(0.03, 0.02, 0.02).connect(0.005, 0.005) == pytest.approx(0.22)
    # 3 R + P where P is longer than 2 R: R = 50 ms and P = 180 ms.
    assert Regions(0.08, 0.02, 0.02).connect(0.005, 0.005) == pytest.approx(0.33)
