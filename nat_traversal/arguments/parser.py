"""A parser of arguments whose errors are one line each, and which knows what it was given."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from shutil import get_terminal_size
from typing import Any, NoReturn, TypeVar

from nat_traversal.errors import UsageError

T = TypeVar("T")

WRONG_USAGE = 2
"""The exit status, as argparse's own."""


def given(options: argparse.Namespace) -> frozenset[str]:
    """The places in `options` of those that stood on the command line."""
    return frozenset(vars(options).get("options_given", ()))


def told(options: argparse.Namespace) -> frozenset[str]:
    """The places in `options` of those that stood on the command line or came from outside."""
    return given(options) | frozenset(vars(options).get("options_told", ()))


Outside = Callable[["Parser"], Iterable[tuple[argparse.Action, Any]]]
"""Options that a parser gets from elsewhere, with values. Raises `argparse.ArgumentTypeError`."""


class _Single(argparse.Action):
    """Stores an option's value. A second one is refused: it would replace the first in silence."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        del parser
        _expect_value(self, values)
        if option_string is not None:
            if self.dest in given(namespace):
                raise argparse.ArgumentError(self, "given twice, but it takes one value")
            _note(namespace, self.dest)
        setattr(namespace, self.dest, values)


class Many(argparse.Action):
    """Stores each value of an option that may be given several times, in a list."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        del parser, option_string
        _expect_value(self, values)
        before = getattr(namespace, self.dest) if self.dest in given(namespace) else []
        setattr(namespace, self.dest, [*before, values])
        _note(namespace, self.dest)


class _Switch(argparse.Action):
    """Stores that the option is there."""

    def __init__(self, **how: Any) -> None:
        super().__init__(**{"default": False, **how, "nargs": 0})

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        del parser, values, option_string
        setattr(namespace, self.dest, True)
        _note(namespace, self.dest)


class Parser(argparse.ArgumentParser):
    """As argparse's, with one line for an error instead of the whole usage, and one value for an option.

    An option that is given several times replaces its default, and does not add to it.
    """

    outside: Outside | None = None
    """Asked when this parser begins. The command line counts more."""

    def __init__(self, *arguments: Any, **how: Any) -> None:
        # argparse makes a formatter for each option that is added, and each would ask for the terminal's width.
        wide = partial(argparse.HelpFormatter, width=get_terminal_size().columns - 2)
        super().__init__(*arguments, **{"formatter_class": wide, **how})
        actions = {None: _Single, "store": _Single, "append": Many, "store_true": _Switch}
        for name, action in actions.items():
            self.register("action", name, action)

    def parse_known_args(  # type: ignore[override] # argparse has overloads for other namespaces
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> tuple[argparse.Namespace, list[str]]:
        """As argparse's, after `outside` has given what it has."""
        before: dict[str, Any] = {}
        try:
            for option, value in () if self.outside is None else self.outside(self):
                before[option.dest] = option.default
                option.default, option.required = value, False
        except argparse.ArgumentTypeError as error:
            self.error(str(error))
        options, rest = super().parse_known_args(args, namespace)
        for rival in self._rivals(options, before):
            setattr(options, rival, before.pop(rival))
        vars(options).setdefault("options_told", set()).update(before)
        return options, rest

    def _rivals(self, options: argparse.Namespace, outside: Iterable[str]) -> Iterator[str]:
        """The places from `outside` that an option on the command line excludes."""
        for group in self._mutually_exclusive_groups:
            places = {option.dest for option in group._group_actions}  # noqa: SLF001
            came = [place for place in outside if place in places and getattr(options, place)]
            if places & given(options):
                yield from (place for place in came if place not in given(options))
            elif len(came) > 1:
                names = " and ".join(f"--{place.replace('_', '-')}" for place in came)
                self.error(f"{names} exclude each other: leave all but one out of the environment")

    def long_options(self) -> dict[str, argparse.Action]:
        """Every option that has a long name, by that name without its dashes."""
        return {
            word.removeprefix("--"): option
            for word, option in self._option_string_actions.items()
            if word.startswith("--")
        }

    def error(self, message: str) -> NoReturn:
        """Print the line and exit with status 2."""
        self.exit(WRONG_USAGE, f"error: {message} (see {self.prog} --help)\n")


def checked(parse: Callable[[str], T]) -> Callable[[str], T]:
    """`parse` as a ``type`` for argparse, which so shows the one line of its `UsageError`."""

    def parse_argument(text: str) -> T:
        try:
            return parse(text)
        except UsageError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return parse_argument


def _expect_value(option: argparse.Action, values: Any) -> None:
    """Refuse ``--name=--``: argparse before Python 3.13 takes the dashes away, and calls no `type` for the empty list left."""
    if option.nargs is None and values == []:
        raise argparse.ArgumentError(option, "expected one argument")


def _note(namespace: argparse.Namespace, dest: str) -> None:
    vars(namespace).setdefault("options_given", set()).add(dest)
