"""A slice of the fuzz. `python -m tests.exploration.fuzz 10000000` goes on for longer."""

from __future__ import annotations

import random

import pytest

from nat_traversal.client.agent import Agent
from nat_traversal.machine import actions as do
from nat_traversal.machine import events as e
from nat_traversal.wire import forms
from nat_traversal.wire import messages as m
from nat_traversal.wire.datagrams import Kind
from tests.exploration.fuzz.fuzz import FoundError, Fuzz
from tests.exploration.fuzz.messages import Messages

INPUTS = 8000


@pytest.fixture(scope="module")
def fuzz() -> Fuzz:
    return Fuzz()


def test_no_decoder_and_no_machine_raises_what_it_must_not(fuzz: Fuzz) -> None:
    fuzz.go_on(INPUTS)
    assert fuzz.done == INPUTS
    assert len(fuzz.found) == 12
    for name in ("control lines", "datagrams", "relay records", "relayed TCP frames"):
        assert fuzz.found[name]["refused"] > 0
        assert fuzz.found[name]["taken"] > 0, "near enough to what is right"
    assert fuzz.found["frames on a path"]["delivered"] > 0
    for name in ("client", "server"):
        acted = [n for what, n in fuzz.found[name].items() if what.endswith("acted on")]
        assert sum(acted) > 50


def test_a_decoder_that_fails_is_found(fuzz: Fuzz, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forms, "_HEX", None)
    with pytest.raises(FoundError, match="AttributeError"):
        fuzz.go_on(INPUTS)


def test_a_client_that_speaks_without_a_path_is_found(
    fuzz: Fuzz, monkeypatch: pytest.MonkeyPatch
) -> None:
    handle = Agent.handle

    def says_more(agent: Agent, event: e.Event, now: float) -> list[do.Action]:
        return [*handle(agent, event, now), do.SendFrame(Kind.BYE, b"", 77)]

    monkeypatch.setattr(Agent, "handle", says_more)
    with pytest.raises(FoundError, match="to client: AssertionError"):
        fuzz.go_on(INPUTS)


def test_every_message_can_come_by_chance() -> None:
    messages = Messages(random.Random(1))
    made = {type(messages.make()) for _ in range(1000)}
    assert made == set(m.Message.__args__)
