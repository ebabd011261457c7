"""The plain words that a report has for its NATs."""

from __future__ import annotations

import pytest

from natlab.behavior import FLAGS as ALL_FLAGS
from natlab.behavior import NINE, parse_behavior, usual_behavior
from natlab.presets import PRESETS, REAL_WORLD, preset
from natlab.probe.conformance import EVERY
from natlab.report.legend import in_words

FULL_CONE = "one external port for all destinations; lets everybody in, once the host has sent"
FLAGS = "answers other packets with an ICMP error; packets of both directions refresh a mapping"
BY_PORT = "lets in the addresses and ports to which the host has sent"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("none", "a public host, without a NAT"),
        ("full-cone", f"EIM+EIF: {FULL_CONE}"),
        ("EIM+EIF", FULL_CONE),
        ("EIM+EIF+sequential+30s", f"{FULL_CONE}; chooses ports in sequence; a mapping lives 30 s"),
        (
            "symmetric",
            f"APDM+APDF: one external port for each destination address and port; {BY_PORT}",
        ),
        (
            "home-router",
            f"EIM+APDF+reject+inbound-refresh: one external port for all destinations; {BY_PORT}; {FLAGS}",
        ),
    ],
)
def test_a_nat_in_words(name: str, text: str) -> None:
    assert str(in_words(name)) == text


def test_different_behaviours_have_different_words() -> None:
    behaviors = {preset(name).behavior for name in (*PRESETS, *REAL_WORLD, *EVERY, *NINE)}
    words = {
        (found.mapping, found.filtering, found.flags)
        for name in (*PRESETS, *REAL_WORLD, *EVERY, *NINE)
        if (found := in_words(name))
    }
    assert len(words) == len(behaviors)


@pytest.mark.parametrize("flag", ALL_FLAGS)
def test_every_flag_has_words(flag: str) -> None:
    behavior = parse_behavior(f"ADM+ADF+{flag}")
    if behavior != usual_behavior(behavior.mapping, behavior.filtering):
        assert len(in_words(f"ADM+ADF+{flag}").flags) == 1
