"""Whose doing an outcome is: the programs', the NATs' or the lab's. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum

from natlab.evidence.check import LINKS_KEPT, MODELLED, Check
from natlab.oracle.outcome import Outcome
from natlab.oracle.possible import path_can_open
from natlab.oracle.prediction import Prediction


class Category(StrEnum):
    """Every cell is of exactly one."""

    AS_PREDICTED = "as predicted"
    """It connected, in the round that the model foresaw."""
    FORBIDDEN = "the NATs forbid it without guessing ports"
    """It failed, every packet fared as in the model, and no path can open there to any endpoint
    that the server has seen or a host has heard from. Ports that a program guesses may still open one."""
    MISSED = "the program could have and did not"
    """It failed, or took a round more than needed, between NATs that let a path open."""
    LAB_WRONG = "the lab is wrong"
    """The cell broke, a link was not as asked, or kernel and model disagree: about a packet, or about what
    is possible."""
    GUESSED = "connected by guessing ports"
    """It connected between NATs that let no path open to an endpoint which the server has seen or a host
    has heard from: a port that the program guessed was the right one."""

    @classmethod
    def _missing_(cls, value: object) -> Category | None:
        """Older reports left the last three words out."""
        return cls.FORBIDDEN if value == "the NATs forbid it" else None


def categorize(
    nat_a: str,
    nat_b: str,
    prediction: Prediction,
    observed: tuple[Outcome, int | None],
    checks: Iterable[Check],
) -> Category:
    """The category of a cell that ran. `observed` is the outcome and the round that connected.

    `checks` are all of the cell's: its links must have been what was asked for, and the model must do
    with every captured packet what the kernel did.
    """
    if not all(check.ok for check in checks if check.name in {MODELLED, LINKS_KEPT}):
        return Category.LAB_WRONG
    outcome, round_ = observed
    if outcome is Outcome.FAILED:
        return Category.MISSED if path_can_open(nat_a, nat_b) else Category.FORBIDDEN
    if prediction.round is None or round_ is None or round_ < prediction.round:
        return Category.LAB_WRONG
    return Category.AS_PREDICTED if round_ == prediction.round else Category.MISSED
