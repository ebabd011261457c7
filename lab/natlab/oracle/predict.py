"""The due outcome between two NATs, worked out on the NAT model alone, by a method's name. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from natlab.oracle.methods import ordered_hello
from natlab.oracle.prediction import Prediction

METHODS: Mapping[str, Callable[[str, str], Prediction]] = {
    ordered_hello.NAME: ordered_hello.predict,
}
"""Every method that the model knows, by the name that programs and reports have for it."""


def predict(nat_a: str, nat_b: str, method: str = ordered_hello.NAME) -> Prediction:
    """The outcome of `method` between host_a behind the preset `nat_a` and host_b behind `nat_b`.

    Raises `UsageError` for a name that is no preset.
    """
    return METHODS[method](nat_a, nat_b)
