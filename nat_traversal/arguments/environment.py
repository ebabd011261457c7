"""Options of a parser from environment variables: NAT_TRAVERSAL_LOG_FORMAT is `--log-format`."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Collection, Iterator, Mapping
from functools import partial
from typing import Any, TypeVar

from nat_traversal.arguments.parser import Many, Parser

P = TypeVar("P", bound=argparse.ArgumentParser)
PREFIX = "NAT_TRAVERSAL_"
SECRETS = ("server-token",)
"""Options whose variable holds the secret itself, and no file's name. Their own code reads it."""
_NEVER = ("help", "version", *SECRETS)
_SWITCHES = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}


def variable(option: argparse.Action) -> str | None:
    """The name of the variable of `option`; None if it has none."""
    for word in option.option_strings:
        name = word.removeprefix("--")
        if word.startswith("--") and name not in _NEVER and option.help != argparse.SUPPRESS:
            return PREFIX + name.upper().replace("-", "_")
    return None


def name_in_help(parser: P) -> P:
    """Add each option's variable to its help, in `parser` and its commands."""
    for option, name in _named(parser):
        shown = f"[${name}]"
        if not (option.help or "").endswith(shown):
            option.help = f"{option.help} {shown}" if option.help else shown
    for command in _commands(parser):
        name_in_help(command)
    return parser


def use(parser: Parser, environment: Mapping[str, str]) -> Parser:
    """Let `parser` and its commands take from `environment` what the command line does not say, and tell so in --help."""
    for each in _all(name_in_help(parser)):
        if isinstance(each, Parser):
            each.outside = partial(values, environment=environment)
    return parser


def values(
    parser: argparse.ArgumentParser, environment: Mapping[str, str]
) -> Iterator[tuple[argparse.Action, Any]]:
    """The options of `parser` that `environment` gives, with their values.

    An empty variable is as if it were not there. A switch takes 1, true, yes, or 0, false, no. An option
    that may be given several times takes words with spaces between them.
    Raises `argparse.ArgumentTypeError`, one line with the variable's name, for one that is wrong.
    """
    for option, name in _named(parser):
        if text := environment.get(name, ""):
            try:
                yield option, _value(option, text)
            except argparse.ArgumentTypeError as error:
                raise argparse.ArgumentTypeError(f"${name}: {error}") from None


def unknown(
    make: Callable[[], argparse.ArgumentParser],
    environment: Mapping[str, str],
    others: Collection[str],
) -> list[str]:
    """One line for each variable that looks like an option's and is of none in the parser, its commands or `others`.

    `make` makes the parser, which takes longer than all else here. Most starts need none.
    """
    alike = [name for name in environment if name.startswith(PREFIX) and name not in others]
    if not alike:
        return []
    parser = make()
    known = {name for each in (parser, *_commands(parser)) for _, name in _named(each)}
    known.update(others)
    strange = sorted(name for name in alike if name not in known)
    if not strange:
        return []
    from difflib import get_close_matches  # noqa: PLC0415 - most starts have no mistake

    lines = []
    words = [name.removeprefix(PREFIX) for name in sorted(known)]
    for name in strange:
        close = get_close_matches(name.removeprefix(PREFIX), words, n=1)
        remedy = f"did you mean ${PREFIX}{close[0]}?" if close else "--help shows them all"
        lines.append(f"${name} is the variable of no option: {remedy}")
    return lines


def _named(parser: argparse.ArgumentParser) -> Iterator[tuple[argparse.Action, str]]:
    for option in parser._actions:  # noqa: SLF001 - argparse has no other list of them
        if (name := variable(option)) is not None:
            yield option, name


def _commands(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    for option in parser._actions:  # noqa: SLF001
        if isinstance(option, argparse._SubParsersAction):  # noqa: SLF001
            yield from option.choices.values()


def _all(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    yield parser
    for command in _commands(parser):
        yield from _all(command)


def _value(option: argparse.Action, text: str) -> Any:
    if option.nargs == 0:
        if text.lower() not in _SWITCHES:
            raise argparse.ArgumentTypeError(f"{text!r} must be 1 or 0, true or false, yes or no")
        return _SWITCHES[text.lower()]
    if isinstance(option, Many):
        return [_checked(option, word) for word in text.split()]
    return _checked(option, text)


def _checked(option: argparse.Action, text: str) -> Any:
    value = option.type(text) if callable(option.type) else text
    if option.choices is not None and value not in option.choices:
        raise argparse.ArgumentTypeError(f"{text!r} must be one of {', '.join(option.choices)}")
    return value
