"""`docs/protocol.md` against the code: what it lists is what there is."""

from __future__ import annotations

import importlib
import re
from collections.abc import Mapping
from dataclasses import fields
from enum import Enum
from typing import Any

import pytest

from nat_traversal.aio import outbox
from nat_traversal.client import control_link, phases
from nat_traversal.client.agent import FINAL_REFUSALS
from nat_traversal.crypto import epochs, frames, schedule
from nat_traversal.crypto.epochs import EpochSettings
from nat_traversal.paths import bundles, control_channel
from nat_traversal.paths.control_channel import ChannelSettings
from nat_traversal.paths.methods import handshake, relay, turn
from nat_traversal.paths.mtu import MtuSettings
from nat_traversal.server import session
from nat_traversal.server.methods import birthday, ordered_hello, simultaneous
from nat_traversal.settings import ClientSettings, ServerSettings
from nat_traversal.wire import (
    TRANSACTION_BYTES,
    control,
    datagrams,
    forms,
    knock,
    messages,
    offers,
    opener,
    relayed,
    samples,
)
from nat_traversal.wire.octets import MAC_BYTES
from tests import ROOT

DOCUMENT = (ROOT / "docs/protocol.md").read_text(encoding="utf-8")
TABLES: dict[str, Mapping[tuple[Any, Any], Any]] = {
    "session.TABLE": session.TABLE,
    "server.methods.ordered_hello.TABLE": ordered_hello.TABLE,
    "server.methods.simultaneous.TABLE": simultaneous.TABLE,
    "server.methods.birthday.TABLE": birthday.TABLE,
    "control_link.TABLE": control_link.TABLE,
    "phases.TABLE": phases.TABLE,
    "handshake.TABLE_A": handshake.TABLE_A,
    "handshake.TABLE_B": handshake.TABLE_B,
    "relay.TABLE": relay.TABLE,
    "turn.TABLE": turn.TABLE,
}
MODULES = (
    "client.agent", "client.direct", "client.peer", "client.relayed", "client.announcer",
    "client.control_link", "paths.methods.handshake", "paths.methods.ordered_hello",
    "paths.methods.relay", "paths.budget", "paths.consent", "paths.roaming", "server.relays", "server.relaying",
    "server.methods.ordered_hello", "server.methods.simultaneous", "server.methods.prediction",
    "server.allocation",
    "paths.mtu", "paths.upkeep", "paths.bundles", "paths.control_channel", "crypto.window",
    "wire", "wire.control", "wire.datagrams", "wire.octets", "wire.relayed", "wire.services", "client.services",
    "wire.messages", "wire.samples", "wire.opener", "paths.methods.low_ttl", "server.methods.low_ttl",
    "wire.guessing", "server.grants", "server.methods.birthday", "paths.probing",
)  # fmt: skip
STRUCTS = {
    "HELLO": datagrams._HELLO,
    "ANNOUNCE": datagrams._ANNOUNCE,
    "ANNOUNCED": datagrams._ANNOUNCED,
    "ECHO": datagrams._ECHO,
    "CONFIRM": datagrams._CONFIRM,
    "BIND": relayed._BIND,
    "BOUND": relayed._BOUND,
    "LINK": relayed._LINK,
    "SAMPLE": samples._SAMPLE,
    "KNOCK": knock._KNOCK,
    "OPENER": opener._OPENER,
}
INSIDE = {
    "PING": TRANSACTION_BYTES,
    "PONG": TRANSACTION_BYTES,
    "BYE": 0,
    "DATA": outbox.FLOW.size,
    "BUNDLE": bundles.CARRIED.size + bundles.RECORD.size,
    "CONTROL": control_channel._HEADER.size,
}
"""Octets that each kind of frame has inside beside a payload, a body or padding."""


def rows(name: str) -> list[list[str]]:
    """The cells of the table behind that mark, without its two heading lines."""
    found = re.search(rf"<!-- table: {re.escape(name)} -->\n(.*?)<!-- end -->", DOCUMENT, re.DOTALL)
    assert found, f"docs/protocol.md has no table {name}"
    lines = found.group(1).strip().splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def quoted(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def state_rows(table: Mapping[tuple[Any, Any], Any]) -> list[list[str]]:
    """State and exits, one row for each state, in the order of their definition."""
    exits: dict[Enum, list[str]] = {}
    for (state, trigger), after in table.items():
        exits.setdefault(state, []).append(f"{trigger.name} → {after.name}")
        exits.setdefault(after, [])
    order = [state for state in type(next(iter(exits))) if state in exits]
    return [[state.name, ", ".join(exits[state]) or "(final)"] for state in order]


@pytest.mark.parametrize("name", TABLES)
def test_state_table_is_the_one_in_the_code(name: str) -> None:
    documented = rows(name)
    assert [[state, exits] for state, _, exits in documented] == state_rows(TABLES[name])
    assert [row for row in documented if not row[1]] == []


def test_control_messages_are_listed_with_their_fields() -> None:
    documented = [(quoted(row[0])[0], quoted(row[2])) for row in rows("messages")]
    assert documented == [(type_, list(forms)) for type_, _, forms in control.MESSAGES]


def test_every_field_is_described() -> None:
    described = {name for row in rows("fields") for name in quoted(row[0])}
    assert described == {name for _, _, fields in control.MESSAGES for name in fields}


def test_error_codes_are_listed_with_what_the_client_does() -> None:
    listed = {quoted(row[0])[0]: row for row in rows("codes")}
    errors = {code for code, row in listed.items() if quoted(row[1]) == ["error"]}
    assert errors == set(messages.ErrorCode)
    assert {code for code, row in listed.items() if row[3] == "stops"} == FINAL_REFUSALS


def test_verdicts_are_listed() -> None:
    listed = {quoted(row[0])[0] for row in rows("codes") if quoted(row[1]) == ["failed"]}
    assert listed == set(messages.Verdict)


def test_what_a_relay_s_news_may_say_is_listed() -> None:
    listed = {quoted(row[0])[0] for row in rows("codes") if quoted(row[1]) == ["relay-news"]}
    assert listed == set(messages.RelayCode)


def test_datagrams_are_listed_with_their_layout() -> None:
    documented = rows("datagrams")
    assert [(name, int(octet, 16)) for name, octet, _, _ in documented] == [
        (kind.name, kind.value) for kind in datagrams.Kind
    ]
    for name, _, octets, layout in documented:
        if name in INSIDE:
            assert int(octets.split()[0]) == frames.OVERHEAD + INSIDE[name], name
            assert layout == "a frame"
            continue
        head, _, tail = layout.partition(", then the mapped")
        sizes = [int(size) for size in re.findall(r" (\d+)(?:,|$)", head)]
        if tail:  # endpoints in between
            ends = [f"{sum(sizes) + count * 20 + MAC_BYTES}" for count in (1, 2, 3)]
            assert octets == f"{ends[0]}, {ends[1]} or {ends[2]}"
        else:
            assert int(octets) == sum(sizes), name
        assert sum(sizes) == STRUCTS[name].size, name


def test_parts_of_frames_are_listed_with_their_layout() -> None:
    found = {name: int(octets) for name, octets, _ in rows("frames")}
    assert found == {
        "header": frames.HEADER_OCTETS,
        **INSIDE,
        "rekey": epochs._MESSAGE.size,
        "tag": frames.TAG_OCTETS,
    }
    for name, octets, layout in rows("frames"):
        assert sum(int(size) for size in re.findall(r" (\d+)(?:,|$)", layout)) == int(octets), name


def test_offer_is_listed_with_its_fields() -> None:
    assert [quoted(row[0])[0] for row in rows("offer")] == list(forms.OFFER)
    (trust, suites) = (row[1] for row in rows("offer") if quoted(row[0])[0] in ("trust", "suites"))
    assert quoted(trust) == list(offers.Trust)
    assert quoted(suites)[-3:] == list(offers.Suite)


def test_construction_of_the_keys_is_named_as_in_the_code() -> None:
    assert f"`{schedule.NAME.decode()}`" in DOCUMENT


def constants() -> dict[str, int | float]:
    """Every public number of the core's modules."""
    found: dict[str, int | float] = {}
    for module in MODULES:
        for name, value in vars(importlib.import_module(f"nat_traversal.{module}")).items():
            if re.fullmatch(r"[A-Z][A-Z0-9_]+", name) and type(value) in (int, float):
                assert found.setdefault(name, value) == value, f"{name} has two values"
    return found


def test_servers_defaults_are_as_documented() -> None:
    settings = ServerSettings()
    assert f"The heartbeat is {settings.heartbeat:g} s" in DOCUMENT
    assert f"the most connections are {settings.connections:,}" in DOCUMENT


def test_constants_are_listed_with_their_values() -> None:
    documented = {
        quoted(name)[0]: float(value.replace(",", "")) for name, value, _ in rows("constants")
    }
    assert documented == constants()


@pytest.mark.parametrize(
    "kind", [ServerSettings, ClientSettings, EpochSettings, MtuSettings, ChannelSettings]
)
def test_settings_are_listed_with_their_defaults(kind: Any) -> None:
    documented = {
        quoted(name)[0]: float(value.replace(",", "")) for name, value, _ in rows(kind.__name__)
    }
    assert documented == {each.name: each.default for each in fields(kind)}
