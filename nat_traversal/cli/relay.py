"""The options of client and server about the rungs of the ladder, and above all about the relay."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import fields

from nat_traversal.arguments.durations import parse_duration
from nat_traversal.arguments.parser import checked
from nat_traversal.arguments.ranges import parse as parse_settings
from nat_traversal.errors import UsageError
from nat_traversal.settings import ServerSettings
from nat_traversal.wire.messages import Relaying
from nat_traversal.wire.methods import ALL, FURTHER, MethodName, parse_methods

WHEN = {"auto": Relaying.AUTO, "early": Relaying.EARLY, "never": Relaying.NEVER}
BOUNDS = {
    "relay_pairs": ("N", "pairs that have a relay at a time"),
    "relay_datagrams": ("N", "datagrams a second that a pair's relay hands on"),
    "relay_octets": ("N", "octets a second that a pair's relay hands on"),
    "relay_all_datagrams": ("N", "datagrams a second that all relays together hand on"),
    "relay_all_octets": ("N", "octets a second that all relays together hand on"),
    "relay_idle": ("DURATION", "end a relay that has handed nothing on for so long"),
    "relay_most": ("DURATION", "end a relay after so long in any case"),
}
"""The server's settings that have a flag of their own, with its value and its help."""


def add_client_options(parser: argparse.ArgumentParser) -> None:
    """`--relay`, `--no-relay`, `--no-port-mapping` and `--methods`."""
    parser.add_argument(
        "--relay",
        choices=list(WHEN),
        help="let the server hand the sealed datagrams on where no direct path stands soon (auto, "
        "the default), from the beginning (early), or never",
    )
    parser.add_argument("--no-relay", action="store_true", help="the same as --relay never")
    parser.add_argument(
        "--no-port-mapping",
        action="store_true",
        help="never ask the router to lead a port to this host (PCP, NAT-PMP, UPnP)",
    )
    parser.add_argument(
        "--methods",
        type=checked(parse_methods),
        metavar="NAME[,NAME]",
        help=f"ways to a path that may be used: {','.join(ALL)} (default: all; {MethodName.BIRTHDAY} only "
        "where a key vouches for the peer)",
    )


def further_methods(options: argparse.Namespace) -> tuple[str, ...]:
    """The methods beside the contract in which the client takes part. Raises `UsageError` for a contradiction."""
    allowed = FURTHER if options.methods is None else options.methods
    if not options.no_port_mapping:
        return tuple(each for each in FURTHER if each in allowed)
    if options.methods is not None and MethodName.PORT_MAPPING in options.methods:
        text = "--no-port-mapping and --methods with port-mapping exclude each other: give one"
        raise UsageError(text)
    return tuple(each for each in FURTHER if each in allowed and each != MethodName.PORT_MAPPING)


def relaying_of(options: argparse.Namespace) -> Relaying:
    """The client's wish. Raises `UsageError` where its options contradict each other."""
    allowed = options.methods is None or MethodName.RELAY in options.methods
    if options.no_relay and options.relay not in (None, "never"):
        raise UsageError(f"--no-relay and --relay {options.relay} exclude each other: give one")
    if not allowed and options.relay not in (None, "never"):
        raise UsageError(f"--relay {options.relay} needs the method relay, which --methods lacks")
    if options.no_relay or not allowed:
        return Relaying.NEVER
    return WHEN[options.relay or "auto"]


def add_server_options(parser: argparse.ArgumentParser) -> None:
    """`--no-relay`, and a flag for each bound."""
    defaults = ServerSettings()
    parser.add_argument("--no-relay", action="store_true", help="relay nothing")
    for name, (value, text) in BOUNDS.items():
        default = getattr(defaults, name)
        unit = "s" if value == "DURATION" else ""
        parser.add_argument(
            _flag(name),
            metavar=value,
            type=checked(_checker(name)),
            help=f"{text} (default: {default:.12g}{unit})",
        )


def server_words(options: argparse.Namespace) -> list[str]:
    """The settings behind these options, as `--set` has them. Raises `UsageError` for two that say the same."""
    words: list[str] = []
    if options.no_relay:
        if options.relay_pairs is not None:
            raise UsageError("--no-relay and --relay-pairs exclude each other: give one")
        words.append("relay-pairs=0")
    given = {name: getattr(options, name) for name in BOUNDS}
    words += [f"{_key(name)}={text}" for name, text in given.items() if text is not None]
    return words


def _checker(name: str) -> Callable[[str], str]:
    is_duration = BOUNDS[name][0] == "DURATION"

    def parse(text: str) -> str:
        if is_duration:
            parse_duration(text)  # else the error of what is none would name the option twice
        parse_settings(ServerSettings, [f"{_key(name)}={text}"])
        return text

    return parse


def _key(name: str) -> str:
    return name.replace("_", "-")


def _flag(name: str) -> str:
    assert name in {each.name for each in fields(ServerSettings)}
    return f"--{_key(name)}"
