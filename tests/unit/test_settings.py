"""The settings of both sides: defaults that hold, ranges, and their form on the command line."""

from __future__ import annotations

import math
from dataclasses import fields
from typing import Any

import pytest

from nat_traversal.arguments.ranges import parse
from nat_traversal.errors import UsageError
from nat_traversal.settings import ClientSettings, ServerSettings


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({"heartbeat": 0.0}, "heartbeat must be a number from 0.1 to 3600, not 0.0"),
        ({"heartbeat": math.nan}, "heartbeat must be a number from 0.1 to 3600, not nan"),
        ({"rate": math.inf}, "rate must be a number from 0.001 to 1000000000, not inf"),
        ({"connections": 2.5}, "connections must be a whole number from 2 to 1000000, not 2.5"),
        ({"connections": 0}, "connections must be a whole number from 2 to 1000000, not 0"),
        ({"burst": True}, "burst must be a whole number from 1 to 1000000000, not True"),
        ({"gather_within": "6"}, "gather-within must be a number from 0.001 to 86400, not '6'"),
    ],
)
def test_value_out_of_its_range_is_a_usage_error(changed: dict[str, Any], problem: str) -> None:
    with pytest.raises(UsageError) as error:
        ServerSettings(**changed)
    assert str(error.value) == problem


def test_whole_number_will_do_for_a_time() -> None:
    assert ServerSettings(heartbeat=5).heartbeat == 5.0


@pytest.mark.parametrize(
    ("word", "name", "value"),
    [
        ("heartbeat=5", "heartbeat", 5.0),
        ("heartbeat=400ms", "heartbeat", 0.4),
        ("heartbeat=2.5s", "heartbeat", 2.5),
        ("verdict-most=2m", "verdict_most", 120.0),
        ("verdict-most=1h", "verdict_most", 3600.0),
        ("connections=7", "connections", 7),
        ("silence-heartbeats=3", "silence_heartbeats", 3.0),
    ],
)
def test_setting_as_a_word(word: str, name: str, value: float) -> None:
    found = getattr(parse(ServerSettings, [word]), name)
    assert found == value
    assert type(found) is type(getattr(ServerSettings(), name))


def test_a_name_given_twice_is_refused_and_others_keep_their_defaults() -> None:
    with pytest.raises(UsageError, match=r"^backlog is given twice, but it has one value$"):
        parse(ClientSettings, ["backlog=1", "backlog=1"])
    assert parse(ClientSettings, ["backlog=2"]) == ClientSettings(backlog=2)
    assert parse(ClientSettings, []) == ClientSettings()


CLIENT = ", ".join(each.name.replace("_", "-") for each in fields(ClientSettings))


@pytest.mark.parametrize(
    ("word", "problem"),
    [
        ("backlog", f"'backlog' must be NAME=VALUE, with one of {CLIENT}"),
        ("blacklog=1", f"'blacklog=1' must be NAME=VALUE, with one of {CLIENT}"),
        ("close_within=1", f"'close_within=1' must be NAME=VALUE, with one of {CLIENT}"),
        ("close-within=", "close-within: '' is no duration: write it like 40ms, 2.5s or 2m (a bare number is seconds)"),
        ("close-within=-1", "close-within: '-1' is no duration: write it like 40ms, 2.5s or 2m (a bare number is seconds)"),
        ("close-within=2d", "close-within: '2d' is no duration: write it like 40ms, 2.5s or 2m (a bare number is seconds)"),
        ("close-within=48h", "close-within must be a number from 0 to 86400, not 172800.0"),
        ("backlog=2s", "backlog must be a number, not '2s'"),
        ("backlog=2.5", "backlog must be a whole number from 1 to 1073741824, not 2.5"),
        ("backlog=\u0663", "backlog must be a number, not '\u0663'"),
    ],
)  # fmt: skip
def test_word_that_is_no_setting_is_a_usage_error(word: str, problem: str) -> None:
    with pytest.raises(UsageError) as error:
        parse(ClientSettings, [word])
    assert str(error.value) == problem


@pytest.mark.parametrize("consent", [0.5, 10.0, 30.0, 300.0])
def test_another_consent_leaves_room_for_six_pings(consent: float) -> None:
    settings = ClientSettings(hello_repeats=3).with_consent(consent)
    assert settings.consent == consent
    assert settings.hello_repeats == 3
    assert 6 * settings.ping_interval <= consent or settings.ping_interval == 5.0
    assert settings.ping_repeat <= 1.0
    assert settings.ping_repeat <= settings.ping_interval < settings.silent_after < consent
    assert settings.doubt_interval < settings.doubt_within <= consent
