"""What links can be told to do, how it is written, and netem's command text for it."""

from __future__ import annotations

from typing import Any

import pytest

from nat_traversal.errors import UsageError
from natlab.links.conditions import LinkConditions, Way, bit_rate, parse_conditions, share
from natlab.links.netem import keeps_seed, netem, options, redirect
from natlab.links.splice import made_anew
from natlab.sandbox.iproute import Interface


@pytest.mark.parametrize(("text", "value"), [("1%", 0.01), ("0.5%", 0.005), ("100%", 1.0)])
def test_shares(text: str, value: float) -> None:
    assert share(text) == pytest.approx(value)


@pytest.mark.parametrize(
    ("text", "value"),
    [("10mbit", 10_000_000), ("512kbit", 512_000), ("1.5gbit", 1_500_000_000), ("9600bit", 9600)],
)
def test_rates(text: str, value: int) -> None:
    assert bit_rate(text) == value


def test_other_texts_are_told_how_to_write_them() -> None:
    with pytest.raises(UsageError, match=r"'1' is not a percentage: write it like 1% or 0\.5%"):
        share("1")
    with pytest.raises(UsageError, match="'101%' must be from 0% to 100%"):
        share("101%")
    with pytest.raises(UsageError, match="'10mb' is not a rate: write it like 10mbit"):
        bit_rate("10mb")


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"delay": 11.0}, "delay 11 s: use 0 to 10 s"),
        ({"delay": -1.0}, "delay -1 s: use 0 to 10 s"),
        ({"delay": float("nan")}, "delay nan s: use 0 to 10 s"),
        ({"delay": 0.01, "jitter": 0.02}, "jitter 0.02 s: use 0 to the delay, which is 0.01 s"),
        ({"loss": 1.1}, "loss 1.1: use a share from 0 (never) to 1 (always)"),
        ({"duplicate": -0.1}, "duplicate -0.1: use a share from 0 (never) to 1 (always)"),
        ({"reorder": 0.1}, "reorder: needs a delay, which the frames that overtake skip"),
        ({"rate": 999}, "rate 999 bit/s: use at least 1kbit"),
        ({"limit": 0}, "limit 0: use at least 1 frame"),
        ({"queue": 0, "rate": 1000}, "queue 0: use at least 1 frame"),
        ({"queue": 5}, "queue: needs a rate, for which frames wait"),
        ({"burst": 5.0}, "burst: needs a loss between 0% and 100%, which comes in bursts"),
        ({"burst": 0.5, "loss": 0.1}, "burst 0.5: at this loss use 1 to 10000 frames"),
        ({"burst": 2.0, "loss": 0.8}, "burst 2: at this loss use 4 to 10000 frames"),
        ({"black_hole": 60}, "black-hole 60: use 68 to 9000 octets"),
    ],
)
def test_what_cannot_be_is_refused(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError) as caught:
        Way(**fields)
    assert str(caught.value) == words


@pytest.mark.parametrize("mtu", [67, 9001])
def test_an_mtu_out_of_range_is_refused(mtu: int) -> None:
    with pytest.raises(UsageError, match=f"MTU {mtu}: use 68 to 9000 octets"):
        LinkConditions(mtu=mtu)


def test_one_text_is_for_both_ways_and_two_are_out_and_back() -> None:
    texts = {"delay": "40ms/20ms", "jitter": "5ms", "loss": "1%/0%", "rate": "1mbit"}
    assert parse_conditions(texts, mtu=1400, seed=7) == LinkConditions(
        Way(delay=0.04, jitter=0.005, loss=0.01, rate=1_000_000),
        Way(delay=0.02, jitter=0.005, rate=1_000_000),
        mtu=1400,
        seed=7,
    )


def test_no_texts_are_plain_conditions() -> None:
    assert parse_conditions({}) == LinkConditions()
    assert str(LinkConditions()) == "plain"
    assert Way().is_plain
    assert not Way(loss=0.1).is_plain


@pytest.mark.parametrize(
    ("texts", "words"),
    [
        (
            {"delay": "fast"},
            "delay: 'fast' is no duration: write it like 40ms, 2.5s or 2m (a bare number is seconds)",
        ),
        ({"loss": "1%/2"}, "loss: '2' is not a percentage: write it like 1% or 0.5%"),
        ({"loss": "/1%"}, "loss: '' is not a percentage: write it like 1% or 0.5%"),
        ({"jitter": "5ms"}, "jitter 0.005 s: use 0 to the delay, which is 0 s"),
        (
            {"colour": "red"},
            "unknown condition 'colour': choose from delay, jitter, loss, reorder, duplicate, rate, burst, queue, black_hole",
        ),
    ],
)
def test_a_text_that_means_nothing_is_named(texts: dict[str, str], words: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_conditions(texts)
    assert str(caught.value) == words


def test_conditions_in_words() -> None:
    way = Way(delay=0.04, jitter=0.005, loss=0.01, reorder=0.02, duplicate=0.03, rate=10_000_000)
    words = "delay 40 ± 5 ms, loss 1 %, reorder 2 %, duplicate 3 %, rate 10 Mbit/s"
    assert str(LinkConditions(way, way, 1400, 9)) == f"{words}, MTU 1400, seed 9"
    assert str(LinkConditions(back=Way(delay=0.001))) == "plain; back: delay 1 ms"


def test_only_chance_needs_a_seed() -> None:
    assert not Way(delay=0.1, loss=1.0, rate=10**6).is_random
    assert [
        way
        for way in (Way(delay=0.1, jitter=0.1), Way(loss=0.1), Way(delay=1, reorder=0.1))
        if not way.is_random
    ] == []


def test_the_slowest_way_counts_delay_jitter_and_rate() -> None:
    way = Way(delay=0.08, jitter=0.04, rate=1_000_000)
    assert LinkConditions(Way(delay=0.1), way).slowest == pytest.approx(0.132)


def test_patience_grows_with_the_delay_and_with_loss() -> None:
    assert LinkConditions().patience == 0
    assert LinkConditions(Way(delay=0.1)).patience == pytest.approx(4)
    assert LinkConditions(back=Way(loss=0.1)).patience == pytest.approx(15)


@pytest.mark.parametrize(
    ("way", "words"),
    [
        (Way(), "limit 1000"),
        (Way(delay=0.04), "limit 1000 delay 40000us"),
        (
            Way(delay=0.04, jitter=0.005),
            "limit 1000 delay 40000us 5000us rate 100gbit seed 3",
        ),
        (Way(loss=0.01), "limit 1000 loss random 1% seed 3"),
        (
            Way(delay=0.01, duplicate=0.015, reorder=0.25, limit=10),
            "limit 10 delay 10000us duplicate 1.5% reorder 25% seed 3",
        ),
        (Way(rate=512_000), "limit 1000 rate 512000bit"),
    ],
)
def test_netem_options(way: Way, words: str) -> None:
    assert options(way, 3) == words


def test_netem_commands() -> None:
    assert netem("b", Way(delay=0.04), 1) == (
        "qdisc replace dev b root netem limit 1000 delay 40000us\n"
    )
    assert redirect("a", "b").splitlines()[1].endswith("action mirred egress redirect dev b")


def test_an_interface_is_made_anew_where_its_index_is_free() -> None:
    """Elsewhere, Linux before 6.13 answers "File exists"."""
    link = Interface("wan", 105, 1500, "02:00:00:00:00:01", None)
    near, _, far = made_anew(link, "link1-b", 1, 42).partition(" type veth peer ")
    assert near == "link add name wan index 105 mtu 1500 address 02:00:00:00:00:01"
    assert far == "name link1-b mtu 1500 index 1000001 netns 42\n"


@pytest.mark.parametrize(
    ("shown", "keeps"),
    [
        (
            '[{"kind":"netem","root":true,"options":{"limit":1000,"seed":1,"ecn":false,"gap":0}}]',
            True,
        ),
        ('[{"kind":"netem","root":true,"options":{"limit":1000,"ecn":false,"gap":0}}]', False),
        ('[{"kind":"noqueue","root":true}]', False),
        ("[]", False),
    ],
)
def test_a_seed_is_only_taken_if_the_kernel_tells_it_again(shown: str, keeps: bool) -> None:
    assert keeps_seed(shown) is keeps
