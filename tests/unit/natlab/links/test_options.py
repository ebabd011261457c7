"""Link conditions from a command line."""

from __future__ import annotations

import argparse

import pytest

from nat_traversal.errors import UsageError
from natlab.links.conditions import DEFAULT_LINKS, PLAIN, LinkConditions, Way
from natlab.links.options import add_link_options, conditions_of, link_conditions
from natlab.links.profiles import PROFILES
from tests import ROOT


def _parse(*arguments: str) -> LinkConditions:
    parser = argparse.ArgumentParser()
    add_link_options(parser)
    return link_conditions(parser.parse_args(arguments))


def test_by_default_there_is_a_delay_and_a_seed_alone_changes_nothing() -> None:
    assert _parse() == _parse("--seed", "3") == DEFAULT_LINKS
    assert str(DEFAULT_LINKS) == "delay 5 ms (the default)"
    assert _parse("--delay", "0") == PLAIN
    assert _parse("--delay", "5ms") == LinkConditions(Way(delay=0.005), Way(delay=0.005))


def test_other_conditions_keep_the_default_delay() -> None:
    lossy = Way(delay=0.005, loss=0.01)
    assert _parse("--loss", "1%") == LinkConditions(lossy, lossy, is_default=True)
    assert str(_parse("--loss", "1%")).endswith("loss 1 %, seed 0 (delay: the default)")
    assert _parse("--loss", "1%", "--delay", "0") == LinkConditions(Way(loss=0.01), Way(loss=0.01))


def test_every_option_counts() -> None:
    options = "--delay 40ms/30ms --jitter 5ms --loss 1% --reorder 2% --duplicate 3% --rate 10mbit"
    same = {"jitter": 0.005, "loss": 0.01, "reorder": 0.02, "duplicate": 0.03, "rate": 10_000_000}
    assert _parse(*options.split(), "--mtu", "1400", "--seed", "3") == LinkConditions(
        Way(delay=0.04, **same),  # type: ignore[arg-type]
        Way(delay=0.03, **same),  # type: ignore[arg-type]
        mtu=1400,
        seed=3,
    )
    five = Way(delay=0.005)
    assert _parse("--mtu", "1400") == LinkConditions(five, five, mtu=1400, is_default=True)


def test_a_bare_number_is_seconds_in_a_file_and_a_mark_too() -> None:
    forty = Way(delay=0.04, jitter=0.0)
    for given in ("40ms", "0.04", 0.04):
        assert conditions_of({"delay": given}) == LinkConditions(forty, forty)
    assert conditions_of({"delay": 2}).out.delay == 2.0
    with pytest.raises(UsageError, match="delay: '-1' is no duration"):
        conditions_of({"delay": -1})
    with pytest.raises(
        UsageError, match="delay: True must be a text or a number, as one way, like 40ms"
    ):
        conditions_of({"delay": True})


def test_bad_values_are_refused_with_words(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UsageError, match="delay: '40x' is no duration: write it like 40ms"):
        _parse("--delay", "40x")
    with pytest.raises(SystemExit):
        _parse("--seed", "-1")
    assert "'-1' must be a whole number" in capsys.readouterr().err


def test_a_profile_gives_what_no_option_gives() -> None:
    dsl = LinkConditions(Way(delay=0.025, rate=384_000), Way(delay=0.025, rate=1_500_000))
    assert _parse("--profile", "dsl") == dsl
    slower = _parse("--profile", "dsl", "--delay", "40ms")
    assert (slower.out, slower.back) == (Way(0.04, rate=384_000), Way(0.04, rate=1_500_000))
    with pytest.raises(UsageError, match="profile: unknown link 'dls': did you mean dsl"):
        _parse("--profile", "dls")


def test_every_profile_can_be_made_and_names_its_source() -> None:
    page = (ROOT / "docs/lab/links-and-faults.md").read_text()
    for name, profile in PROFILES.items():
        assert _parse("--profile", name).out.delay > 0
        given = [profile.conditions.get(each, "") for each in ("delay", "rate", "queue")]
        assert f"| `{name}` | {' | '.join(given)} | {profile.source} |" in page


def test_bursts_queues_and_black_holes_have_options() -> None:
    options = "--delay 0 --loss 2% --burst 3.5 --rate 1mbit --queue 20/100 --black-hole 1280"
    way = {"loss": 0.02, "burst": 3.5, "rate": 1_000_000, "black_hole": 1280}
    assert _parse(*options.split()) == LinkConditions(Way(**way, queue=20), Way(**way, queue=100))  # type: ignore[arg-type]
    assert str(_parse(*options.split()).out) == (
        "loss 2 % in runs of 3.5, rate 1 Mbit/s behind 20 frames, more than 1280 octets lost in silence"
    )
