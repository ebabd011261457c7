"""Inputs to all targets by chance, and what came of each."""

from __future__ import annotations

import random
from collections import Counter

from tests.exploration.fuzz.decoders import Decoders
from tests.exploration.fuzz.machines import Machines


class FoundError(AssertionError):
    """An input for which something went wrong."""


class Fuzz:
    """Everything follows from `seed`."""

    def __init__(self, seed: int = 0) -> None:
        self._seed = seed
        self._rng = random.Random(seed)
        self._targets = Decoders(self._rng).targets | Machines(self._rng).targets
        self.found: dict[str, Counter[str]] = {name: Counter() for name in self._targets}
        """How often what came of an input, by target."""

    @property
    def done(self) -> int:
        """Inputs so far."""
        return sum(each.total() for each in self.found.values())

    def go_on(self, count: int) -> None:
        """So many more inputs. Raises `FoundError`."""
        names = list(self._targets)
        weights = [weight for weight, _ in self._targets.values()]
        for name in self._rng.choices(names, weights, k=count):
            try:
                came = self._targets[name][1]()
            except Exception as error:
                where = f"input {self.done:,} of seed {self._seed}"
                raise FoundError(f"{where}, to {name}: {error!r}") from error
            self.found[name][came] += 1
