"""Every order of one attempt's events within bounds, with the real machines. `make explore` goes further."""

from __future__ import annotations

import pytest

from nat_traversal.machine.timers import Timers
from nat_traversal.paths.methods import handshake
from nat_traversal.server.claims import Claims
from nat_traversal.server.registry import Registry
from nat_traversal.server.store import Claim, Claimed, MemoryStore, StoreAnswer, StoreRequest
from tests.exploration.explore import explore
from tests.exploration.freeze import Dice, Freezer, digest
from tests.exploration.machines import Machines
from tests.exploration.values import Begin, Rules, WrongError
from tests.exploration.world import Explorer

CONNECTED = "connected by sockets 1 and 1"


@pytest.mark.long
def test_nothing_that_must_not_be_ever_is() -> None:
    """With one fault of these kinds; all that comes before it is the same for each."""
    found = explore(Rules(kinds=frozenset({"lose", "delay", "double"})), 1)
    assert found.is_complete
    assert found.ends[CONNECTED] == found.ends.total() > 0, "these faults cost time, and no path"
    assert found.states > 20_000


def test_a_host_that_takes_every_word_for_proof_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handshake, "is_nonce", lambda *_: True)
    with pytest.raises(WrongError, match="nobody has heard it, after"):
        explore(Rules(kinds=frozenset({"lose"})), 1)


@pytest.mark.long
def test_a_store_that_gives_an_id_twice_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    handle = MemoryStore.handle

    def gives_all(store: MemoryStore, request: StoreRequest, now: float) -> list[StoreAnswer]:
        answers = handle(store, request, now)
        return [Claimed(request.holder)] if isinstance(request, Claim) else answers

    monkeypatch.setattr(MemoryStore, "handle", gives_all)
    monkeypatch.setattr(Claims, "settled", lambda *_: [])
    monkeypatch.setattr(Registry, "rivals", lambda *_: [])
    with pytest.raises(WrongError, match="two holders of an id"):
        explore(Rules(kinds=frozenset({"cut"})), 1, most=50_000)


def test_a_machine_without_timers_is_found_where_something_was_lost(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Timers, "deadline", lambda _: None)
    with pytest.raises(WrongError, match=r"nothing leads on after .*lose"):
        explore(Rules(kinds=frozenset({"lose"})), 1)


def test_a_machine_that_was_put_away_goes_on_as_if_it_had_not_been() -> None:
    explorer = Explorer(Rules(begin=Begin.ROUND))
    for state in explorer.first().states:
        machine = explorer.machines.thawed(state)
        again = Freezer()
        assert digest(machine) == digest(again.thaw(again.freeze(machine)))


def test_dice_fall_as_before_where_they_were_put_away() -> None:
    dice = Dice("x")
    dice.random()
    again = Freezer().thaw(Freezer().freeze(dice))
    assert again.randbytes(8) == dice.randbytes(8)
    assert Dice("y").randbytes(8) != Dice("x").randbytes(8)


def test_machines_with_another_future_have_another_digest() -> None:
    states, _ = Machines().first()
    assert len(set(states)) == len(states)
