"""The due outcome between two NATs, worked out on the NAT model alone, by a method's name. Pure."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

from nat_traversal.wire.methods import RELAYS, MethodName
from natlab.oracle.methods import (
    birthday,
    low_ttl,
    ordered_hello,
    port_mapping,
    prediction,
    simultaneous,
)
from natlab.oracle.outcome import Outcome
from natlab.oracle.prediction import Prediction
from natlab.oracle.turn import Turn, turn_of
from natlab.presets import preset

LADDER = (
    MethodName.ORDERED_HELLO,
    MethodName.PORT_MAPPING,
    MethodName.PREDICTION,
    MethodName.SIMULTANEOUS,
    MethodName.LOW_TTL,
    MethodName.RELAY,
    MethodName.RELAY_TCP,
)
"""The rungs that the project's client has without being asked, as far as the lab can prove them by packets, in their order."""
BY_TURN = (*(each for each in LADDER if each not in RELAYS), MethodName.TURN)
"""The same where a host has a TURN server, and the traversal server relays nothing."""
WITH_CHANCE = (*LADDER[:3], MethodName.BIRTHDAY, *LADDER[3:])
"""All that the lab can prove. `birthday` takes ten seconds a pair."""
METHODS: Mapping[str, Callable[[str, str], Prediction]] = {
    ordered_hello.NAME: ordered_hello.predict,
    port_mapping.NAME: port_mapping.predict,
    prediction.NAME: prediction.predict,
    birthday.NAME: birthday.predict,
    simultaneous.NAME: simultaneous.predict,
    low_ttl.NAME: low_ttl.predict,
}
"""Every method that the model knows, by the name that programs and reports have for it."""


_IN_ORDER: Mapping[str, Callable[[str, str, Collection[int]], Prediction]] = {
    ordered_hello.NAME: ordered_hello.predict,
    port_mapping.NAME: port_mapping.predict,
}
"""Those in which the first HELLOs cross only where the hosts are far from each other."""


def predict(
    nat_a: str, nat_b: str, method: str = ordered_hello.NAME, *, crossing: Collection[int] = ()
) -> Prediction:
    """The outcome of `method` between host_a behind the preset `nat_a` and host_b behind `nat_b`.

    `crossing`: the rounds in which HELLO 1 comes only after HELLO 2 has left (`Regions.hellos_cross`).
    Raises `UsageError` for a name that is no preset.
    """
    if method in _IN_ORDER:
        return _IN_ORDER[method](nat_a, nat_b, crossing)
    return METHODS[method](nat_a, nat_b)


def predict_direct(
    nat_a: str, nat_b: str, methods: Collection[str] = LADDER, *, crossing: Collection[int] = ()
) -> Prediction:
    """The outcome of the first of these methods that opens a direct path, or else the contract's.

    `crossing` is that of `predict`. Raises `UsageError` for a name that is no preset.
    """
    contract = predict(nat_a, nat_b, crossing=crossing)
    if contract.outcome is Outcome.CONNECTED:
        return contract
    further = [
        predict(nat_a, nat_b, name, crossing=crossing) for name in methods if name in METHODS
    ]
    opened = (each for each in further if each.outcome is Outcome.CONNECTED)
    return next(opened, contract)


def method_of(
    nat_a: str,
    nat_b: str,
    methods: Collection[str] = LADDER,
    turn: Turn | None = None,
    *,
    crossing: Collection[int] = (),
) -> MethodName | None:
    """The rung on which host_a's datagrams go at the end, if it may use these; None: on none.

    With `relay` among them the server relays, and comes before the TURN servers that the hosts have.
    `crossing` is that of `predict`. Raises `UsageError` for a name that is no preset, and as `turn_of`.
    """
    direct = predict_direct(nat_a, nat_b, methods, crossing=crossing)
    if direct.outcome is Outcome.CONNECTED:
        return MethodName(direct.method)
    mute_a, mute_b = (
        behavior is not None and behavior.blocks_udp
        for behavior in (preset(name).behavior for name in (nat_a, nat_b))
    )
    is_open = not (mute_a or mute_b) or MethodName.RELAY_TCP in methods
    if MethodName.RELAY in methods and is_open:
        return MethodName.RELAY_TCP if mute_a else MethodName.RELAY
    if turn is None or MethodName.TURN not in methods or turn_of(nat_a, nat_b, turn) is None:
        return None
    return MethodName.TURN
