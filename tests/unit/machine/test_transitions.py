"""The tables of all machines, and the class that obeys them."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from enum import Enum, auto
from typing import Any

import pytest

from nat_traversal.client import control_link, phases
from nat_traversal.errors import LocalProtocolError
from nat_traversal.machine.transitions import StateMachine
from nat_traversal.paths.methods import handshake
from nat_traversal.server import session
from nat_traversal.server.methods import ordered_hello

Table = Mapping[tuple[Any, Any], Any]
MACHINES: dict[str, tuple[Table, Enum, set[Enum]]] = {
    "control link": (
        control_link.TABLE,
        control_link.LinkState.PAUSING,
        {control_link.LinkState.CLOSED},
    ),
    "path": (phases.TABLE, phases.PathState.IDLE, {phases.PathState.CLOSED}),
    "handshake, role A": (
        handshake.TABLE_A,
        handshake.HandshakeState.WAITING,
        {handshake.HandshakeState.ESTABLISHED},
    ),
    "handshake, role B": (
        handshake.TABLE_B,
        handshake.HandshakeState.WAITING,
        {handshake.HandshakeState.ESTABLISHED},
    ),
    "session": (session.TABLE, session.SessionState.IDLE, set()),
    "ordered hello, server": (
        ordered_hello.TABLE,
        ordered_hello.RoundState.GATHERING,
        {ordered_hello.RoundState.OVER},
    ),
}
"""Table, first state, final states."""


def states_of(table: Table) -> set[Enum]:
    return {before for before, _ in table} | set(table.values())


def leads_to(table: Table, start: Enum) -> set[Enum]:
    found, frontier = {start}, [start]
    while frontier:
        state = frontier.pop()
        for (before, _), after in table.items():
            if before is state and after not in found:
                found.add(after)
                frontier.append(after)
    return found


@pytest.mark.parametrize("name", MACHINES)
def test_every_state_is_reached(name: str) -> None:
    table, initial, _ = MACHINES[name]
    assert leads_to(table, initial) == states_of(table)


@pytest.mark.parametrize("name", MACHINES)
def test_every_state_but_the_final_ones_has_a_way_out(name: str) -> None:
    table, _, finals = MACHINES[name]
    for state in states_of(table):
        exits = {after for (before, _), after in table.items() if before is state} - {state}
        assert bool(exits) == (state not in finals), state


def test_every_state_and_trigger_of_the_vocabulary_is_used() -> None:
    both = {**handshake.TABLE_A, **handshake.TABLE_B}
    for table, states, triggers in (
        (control_link.TABLE, control_link.LinkState, control_link.LinkTrigger),
        (phases.TABLE, phases.PathState, phases.PathTrigger),
        (both, handshake.HandshakeState, handshake.HandshakeTrigger),
        (session.TABLE, session.SessionState, session.SessionTrigger),
        (ordered_hello.TABLE, ordered_hello.RoundState, ordered_hello.RoundTrigger),
    ):
        assert states_of(table) == set(states)
        assert {trigger for _, trigger in table} == set(triggers)


def test_client_can_close_from_every_state() -> None:
    for table, states, close in (
        (control_link.TABLE, control_link.LinkState, control_link.LinkTrigger.CLOSE),
        (phases.TABLE, phases.PathState, phases.PathTrigger.CLOSE),
    ):
        assert {before for before, trigger in table if trigger is close} == set(states)


class _Light(Enum):
    RED = auto()
    GREEN = auto()


class _Push(Enum):
    BUTTON = auto()
    LEVER = auto()


_TABLE = {(_Light.RED, _Push.BUTTON): _Light.GREEN, (_Light.GREEN, _Push.BUTTON): _Light.GREEN}


def test_machine_follows_its_table() -> None:
    machine = StateMachine("light", _Light.RED, _TABLE)
    assert machine.allows(_Push.BUTTON)
    assert not machine.allows(_Push.LEVER)
    assert machine.fire(_Push.BUTTON) is _Light.GREEN is machine.state


def test_what_the_table_does_not_list_is_an_error_and_changes_nothing() -> None:
    machine = StateMachine("light", _Light.RED, _TABLE)
    with pytest.raises(LocalProtocolError) as caught:
        machine.fire(_Push.LEVER)
    assert str(caught.value) == "light: LEVER is not possible in state RED"
    assert machine.state is _Light.RED


def test_changes_are_logged_once_each(caplog: pytest.LogCaptureFixture) -> None:
    machine = StateMachine("light", _Light.RED, _TABLE)
    with caplog.at_level(logging.DEBUG, "nat_traversal.machine.transitions"):
        machine.fire(_Push.BUTTON)
        machine.fire(_Push.BUTTON)
    assert caplog.messages == ["light: RED -> GREEN (BUTTON)"]
