"""The vocabulary of NAT behaviour."""

from __future__ import annotations

import re

import pytest

from nat_traversal.errors import UsageError
from nat_traversal.wire.behavior import Filtering, Mapping, PortAllocation
from natlab.behavior import NINE, NatBehavior, Unsolicited, parse_behavior
from natlab.presets import PRESETS, REAL_WORLD, preset

FLAGGED = (
    "EIM+ADF+random+hairpin-internal-source+reject+absolute+3s",
    "APDM+EIF+sequential+inbound-refresh",
    "ADM+APDF+preserving",
    "EIM+APDF+no-udp",
    "APDM+EIF+tcp-only+9s",
    "APDM+APDF+evict+sessions-4096",
    "EIM+EIF+arbitrary+background-20+addresses-2+30s",
    "EIM+EIF+tcp-apdm+tcp-adf+no-crossing-syn+syn-icmp+30s",
    "APDM+ADF+icmp-closes+no-fragments+port-parity+alg",
    "EIM+ADF+syn-hold+tcp-sessions-256+tcp-established-300s+tcp-transitory-60s",
)


def test_presets_in_the_order_of_tables() -> None:
    assert list(PRESETS) == [
        "none",
        "full-cone",
        "restricted-cone",
        "port-restricted-cone",
        "symmetric",
        "linux-masquerade",
    ]
    assert [
        name for name in PRESETS if not (preset(name).name == name and preset(name).summary)
    ] == []


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("none", "None"),
        ("full-cone", "EIM+EIF"),
        ("restricted-cone", "EIM+ADF"),
        ("port-restricted-cone", "EIM+APDF"),
        ("symmetric", "APDM+APDF"),
        ("linux-masquerade", "EIM+APDF+order-sensitive+inbound-refresh"),
    ],
)
def test_preset_is_the_behaviour_of_its_name(name: str, text: str) -> None:
    assert str(preset(name).behavior) == text


def test_both_axes_have_the_values_of_rfc_4787() -> None:
    values = {"endpoint-independent", "address-dependent", "address-and-port-dependent"}
    assert {str(each) for each in Mapping} == values
    assert {str(each) for each in Filtering} == values


def test_behaviour_drops_the_unsolicited_unless_told_otherwise() -> None:
    behavior = NatBehavior(Mapping.ADDRESS_DEPENDENT, Filtering.ADDRESS_DEPENDENT)
    assert behavior.unsolicited is Unsolicited.DROP
    assert str(behavior) == "ADM+ADF+preserving"


def test_unknown_preset_is_refused_with_the_names_there_are() -> None:
    with pytest.raises(UsageError) as caught:
        preset("cone")
    names = ", ".join([*PRESETS, *REAL_WORLD])
    assert str(caught.value) == (
        f"unknown NAT 'cone': choose from {names}, or give a behaviour such as EIM+ADF"
    )


@pytest.mark.parametrize("text", [*NINE, *FLAGGED])
def test_an_id_is_read_and_written_alike(text: str) -> None:
    assert str(parse_behavior(text)) == text
    assert preset(text).behavior == parse_behavior(text)
    assert preset(text).name == text


def test_there_are_nine_pairs_of_the_two_axes() -> None:
    pairs = {(parse_behavior(text).mapping, parse_behavior(text).filtering) for text in NINE}
    assert pairs == {(mapping, filtering) for mapping in Mapping for filtering in Filtering}


def test_only_endpoint_independent_mappings_usually_keep_the_port() -> None:
    kept = {text for text in NINE if parse_behavior(text).allocation is PortAllocation.PRESERVING}
    assert kept == {"EIM+EIF", "EIM+ADF", "EIM+APDF"}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("EIM", "'EIM' is no NAT behaviour: give EIM|ADM|APDM, a plus, and EIF|ADF|APDF"),
        ("EIF+EIM", "'EIF+EIM' is no NAT behaviour"),
        ("EIM+EIF+odd", "unknown flag 'odd': choose from 30s, sessions-4096, background-20"),
        ("EIM+EIF+sessions-4097", "sessions-4097 is no power of two: give one, as 4096"),
        ("EIM+EIF+sessions-16", "'sessions-16': give sessions- and 64 to 32768"),
        ("EIM+EIF+tcp-sessions-65", "tcp-sessions-65 is no power of two: give one, as 4096"),
        (
            "EIM+EIF+tcp-established-0",
            "'tcp-established-0': give tcp-established- and 1s to 432000s",
        ),
        ("EIM+EIF+tcp_transitory-9s", "unknown flag 'tcp_transitory-9s'"),
        ("EIM+EIF+addresses-1", "'addresses-1': give addresses- and 2 to 4"),
        ("EIM+EIF+background-x", "unknown flag 'background-x'"),
        ("EIM+EIF+", "unknown flag ''"),
        ("EIM+EIF+random+random", "says its allocation twice"),
        ("EIM+EIF+3s+4s", "says its lifetime twice"),
        ("EIM+EIF+no-udp+tcp-only", "says its protocols twice"),
        ("EIM+EIF+1.5s", "'1.5s' is no lifetime: give whole seconds, as 30s"),
        ("EIM+EIF+3d", "'3d' is no duration"),
        ("EIM+EIF+0s", "cannot live 0 seconds: give 1 or more"),
    ],
)
def test_an_id_that_makes_no_sense_is_refused(text: str, reason: str) -> None:
    with pytest.raises(UsageError, match=re.escape(reason)):
        parse_behavior(text)


def test_a_lifetime_is_a_duration_and_its_id_has_seconds() -> None:
    assert str(parse_behavior("EIM+EIF+3m")) == "EIM+EIF+180s"
    assert str(parse_behavior("EIM+EIF+2m")) == "EIM+EIF"  # the usual 120 s
    for text in ("5m", "300s", "300", "300000ms"):
        assert parse_behavior(f"EIM+EIF+tcp-established-{text}").tcp_established == 300


def test_names_are_unique_and_described() -> None:
    assert not set(PRESETS) & set(REAL_WORLD)
    assert [name for name in REAL_WORLD if not preset(name).summary] == []


def test_presets_cannot_be_changed() -> None:
    with pytest.raises(TypeError):
        PRESETS["none"] = preset("symmetric")  # type: ignore[index]
