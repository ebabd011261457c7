"""The vocabulary of NAT behaviour."""

from __future__ import annotations

import pytest

from nat_traversal.behavior import (
    PRESETS,
    Filtering,
    Mapping,
    NatBehavior,
    Unsolicited,
    preset,
)
from nat_traversal.errors import UsageError


def test_presets_in_the_order_of_tables() -> None:
    assert list(PRESETS) == [
        "none",
        "full-cone",
        "restricted-cone",
        "port-restricted-cone",
        "symmetric",
        "linux-masquerade",
    ]
    assert all(preset(name).name == name and preset(name).summary for name in PRESETS)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("none", "None"),
        ("full-cone", "EIM+EIF"),
        ("restricted-cone", "EIM+ADF"),
        ("port-restricted-cone", "EIM+APDF"),
        ("symmetric", "APDM+APDF"),
        ("linux-masquerade", "EIM+APDF+order-sensitive"),
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
    assert str(behavior) == "ADM+ADF"


def test_unknown_preset_is_refused_with_the_names_there_are() -> None:
    with pytest.raises(UsageError) as caught:
        preset("cone")
    assert str(caught.value) == f"unknown NAT 'cone': choose from {', '.join(PRESETS)}"


def test_presets_cannot_be_changed() -> None:
    with pytest.raises(TypeError):
        PRESETS["none"] = preset("symmetric")  # type: ignore[index]
