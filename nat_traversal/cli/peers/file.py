"""A client's configuration file: its peers, each with all that its client needs, and every mistake with its place."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from nat_traversal.arguments.config import Config, Key, parse, read
from nat_traversal.arguments.configured import CheckWord, collected, filled, text_of
from nat_traversal.arguments.near import near
from nat_traversal.arguments.parser import Parser, told
from nat_traversal.arguments.ranges import check_setting
from nat_traversal.arguments.user_file import expanded
from nat_traversal.cli.client_arguments import client_options_of
from nat_traversal.cli.peers.clashes import clashes
from nat_traversal.cli.peers.plan import PeerPlan, plan_of
from nat_traversal.cli.services import LACKS_QUIC, NamedEnd, parse_service
from nat_traversal.errors import ConfigError, UsageError
from nat_traversal.settings import ClientSettings
from nat_traversal.wire.services import MOST_SERVICES, ServiceKind, Side

_NEVER = ("config", "help", "version", "once", "wait")
"""Options that no file has."""
_PROCESS = ("json", "quiet", "verbose")
"""Those of the whole process: no peer has them."""
_PEER = ("remote", "peer-key", "key-file", "listen", "connect", "service")
"""Those that one peer has: they stand in its table."""
_RENAMED = {"remote": "id", "id": "as", "peer-key": "key"}
"""Options that have another name in a peer's table."""
_FILES = (
    "key_file",
    "identity",
    "known_peers",
    "ca",
    "server_token",
    "key_log",
    "turn_credentials",
    "turn_ca",
)
"""Options whose values are files: their names count from the folder of the configuration."""
_SERVICE = ("name", *Side)
_TABLES: Mapping[str, CheckWord] = {"set": partial(check_setting, ClientSettings)}
_FLAG = re.compile(r"(?<!\S)-(?:-([a-z][a-z-]*)|r)\b")


@dataclass(frozen=True, slots=True)
class ClientFile:
    """One file, read and found right."""

    path: Path
    plans: tuple[PeerPlan, ...]
    process: tuple[bool, ...]
    """The options of the process: these change only with a restart."""


def read_file(
    path: Path, options: argparse.Namespace, environment: Mapping[str, str]
) -> tuple[argparse.Namespace, ClientFile]:
    """The options of the process, and the peers of the file. `options`: the command line, which counts more.

    Raises `UsageError` for a file that is no TOML, and `ConfigError` with all mistakes of one that is.
    """
    return _read(path, read(str(path)), options, environment)


def read_text(
    path: Path, text: str, options: argparse.Namespace, environment: Mapping[str, str]
) -> tuple[argparse.Namespace, ClientFile]:
    """The same of `text`, which is to be the file `path`."""
    return _read(path, parse(text, str(path)), options, environment)


def _read(
    path: Path, config: Config, options: argparse.Namespace, environment: Mapping[str, str]
) -> tuple[argparse.Namespace, ClientFile]:
    reader = _Reader(config, options, environment)
    reader.read()
    if reader.mistakes:
        told = dict.fromkeys(str(each) for each in sorted(reader.mistakes, key=_line))
        raise ConfigError(list(told))  # what each peer has of the whole file, once
    process = tuple(bool(getattr(reader.top, name)) for name in _PROCESS)
    return reader.top, ClientFile(path, tuple(reader.plans.values()), process)


class _Reader:
    """Reads one file, and goes on after a mistake."""

    def __init__(
        self, config: Config, options: argparse.Namespace, environment: Mapping[str, str]
    ) -> None:
        self._config = config
        self._options = options
        self._environment = environment
        parser: Parser = options.parser
        self._known = {
            name: option for name, option in parser.long_options().items() if name not in _NEVER
        }
        self.top = options
        self.plans: dict[Key, PeerPlan] = {}
        self.mistakes: list[UsageError] = []
        self._lacks_file = False
        self._lacks_quic = False

    def read(self) -> None:
        """The whole file."""
        self._refuse_flags()
        values = dict(self._config.values)
        tables = values.pop("peer", [])
        known = {name: option for name, option in self._known.items() if name not in _PEER}
        own = self._collected(known, (), values)
        self.top = filled(self._options, own)
        if self.top.quiet and self.top.verbose:
            self._add("quiet and verbose exclude each other: give one", "quiet")
        if not isinstance(tables, list) or not all(isinstance(each, dict) for each in tables):
            self._add("peer must be a table for each peer: write [[peer]] above it", "peer")
            return
        if not tables:
            self._add('no peer: write [[peer]], below it id = "NAME", and [[peer.service]]')
        for number, table in enumerate(tables):
            self._peer(("peer", number), table, own)
        for text, key in clashes(self.plans):
            self._add(text, *key)

    def _refuse_flags(self) -> None:
        if self._options.wait is not None:
            text = "--wait has no place beside --config: it is for a script that waits for one peer"
            self.mistakes.append(UsageError(text))
        for name in _PEER:
            option = self._known[name]
            if option.dest in told(self._options):
                self.mistakes.append(
                    UsageError(
                        f"--{name} has no place beside --config: "
                        f"a [[peer]] of {self._config.path} says that"
                    )
                )

    def _peer(self, at: Key, table: dict[str, Any], own: Mapping[str, Any]) -> None:
        """One table ``[[peer]]``."""
        before = len(self.mistakes)
        values = dict(table)
        services = values.pop("service", [])
        for flag in ("remote", "peer-key"):
            if flag in values:
                del values[flag]
                self._add(f"a [[peer]] has {_RENAMED[flag]} in the place of {flag}", *at, flag)
        known = {
            _RENAMED.get(name, name): option
            for name, option in self._known.items()
            if name not in (*_PROCESS, "service")
        }
        theirs = self._collected(known, at, values)
        if "id" not in table:
            self._add('this peer has no id: write id = "NAME" below it', *at)
        said = {*self._config.values, *table}
        if "as" not in table and "id" not in self._config.values and self._options.id is None:
            self._add('this host has no id: write id = "NAME" before the first [[peer]]', *at)
        if self._options.server is None and "server" not in said:
            self._add('no server: write server = "HOST" before the first [[peer]]', *at)
        ends = self._services(at, services)
        if len(self.mistakes) > before or self._lacks_file:
            return
        merged = filled(self._options, _both(own, theirs))
        merged.service = ends
        try:
            options = client_options_of(merged)
            self.plans[at] = plan_of(options, self._environment, may_change=True)
        except UsageError as error:
            if str(error).startswith(LACKS_QUIC):
                self._needs_quic(error, at, ends)
                return
            self.mistakes.append(
                self._of_service(error, at, ends) or self._placed(error, at, table)
            )

    def _needs_quic(self, error: UsageError, at: Key, ends: list[NamedEnd]) -> None:
        """Once for the file, at its first TCP service: one package is enough for all."""
        if not self._lacks_quic:
            self._lacks_quic = True
            kinds = [each.kind for each in ends]
            place = (
                () if ServiceKind.TCP not in kinds else ("service", kinds.index(ServiceKind.TCP))
            )
            self._add(str(error), *at, *place)

    def _of_service(self, error: UsageError, at: Key, ends: list[NamedEnd]) -> UsageError | None:
        """`error` with the place of the service of this peer that it is about; None: it is about none."""
        text = str(error)
        for number in reversed(range(len(ends))):
            key: Key = (*at, "service", number)
            if f"and --service {ends[number]} have one" in text:
                key = (*key, "name" if "one name" in text else ends[number].side)
            elif number != MOST_SERVICES or not text.startswith("more than"):
                continue
            return self._config.problem(_in_file(text), *key)
        return None

    def _services(self, at: Key, tables: Any) -> list[NamedEnd]:
        if not isinstance(tables, list) or not all(isinstance(each, dict) for each in tables):
            self._add("service must be tables: write [[peer.service]] above each", *at, "service")
            return []
        ends: list[NamedEnd] = []
        for number, table in enumerate(tables):
            key = (*at, "service", number)
            try:
                ends.append(self._service(key, table))
            except UsageError as error:
                self.mistakes.append(error)
        return ends

    def _service(self, key: Key, table: Mapping[str, Any]) -> NamedEnd:
        config = self._config
        for name in table:
            if name not in _SERVICE:
                raise config.problem(
                    f"a service has no {name!r}: {near(name, _SERVICE)}", *key, name
                )
        if "name" not in table:
            raise config.problem('this service has no name: write name = "NAME"', *key)
        sides = [side for side in Side if side in table]
        if len(sides) != 1:
            text = "a service needs one of listen = PORT and connect = HOST:PORT, and not both"
            raise config.problem(text, *key)
        (side,) = sides
        words = {each: text_of(config, table[each], *key, each) for each in ("name", side)}
        try:
            return parse_service(f"{words['name']}:{side}={words[side]}")
        except UsageError as error:
            raise config.problem(str(error), *key) from None

    def _collected(
        self, known: Mapping[str, argparse.Action], at: Key, table: Mapping[str, Any]
    ) -> dict[str, Any]:
        found, mistakes = collected(known, self._config, at, table, tables=_TABLES)
        self.mistakes += mistakes
        folder = Path(self._config.path).parent
        for dest in _FILES:
            if isinstance(found.get(dest), str):
                try:
                    found[dest] = str(folder / expanded(found[dest]))
                except UsageError as error:
                    self._lacks_file |= not at  # each peer would tell it again
                    self._add(str(error), *at, dest.replace("_", "-"))
        return found

    def _placed(self, error: UsageError, at: Key, table: Mapping[str, Any]) -> UsageError:
        """`error` of one peer's options, in the words of the file, and with the place of the first that stands there."""
        text = str(error)
        names = ["remote" if each is None else each for each in _flags(text)]
        for key in (_RENAMED.get(name, name) for name in names):
            if key in table:
                return self._config.problem(_in_file(text), *at, key)
        for name in (each.replace("_", "-") for each in _FILES):
            for place, values in ((at, table), ((), self._config.values)):
                value = values.get(name)
                if isinstance(value, str) and Path(value).name in text.partition(":")[0]:
                    return self._config.problem(_in_file(text), *place, name)
        for name in names:
            if name in self._config.values:
                return self._config.problem(_in_file(text), name)
        return self._config.problem(_in_file(text), *at)

    def _add(self, text: str, *key: str | int) -> None:
        self.mistakes.append(self._config.problem(text, *key))


def _both(own: Mapping[str, Any], theirs: Mapping[str, Any]) -> dict[str, Any]:
    """The values of a peer's table over those of the whole file."""
    both = {**own, **theirs}
    for name, value in theirs.items():
        if isinstance(value, dict):
            both[name] = {**own.get(name, {}), **value}
    return both


def _flags(text: str) -> Iterator[str | None]:
    for match in _FLAG.finditer(text):
        yield match[1]


def _in_file(text: str) -> str:
    """`text` with the names of options as a file has them."""

    def name(match: re.Match[str]) -> str:
        option = "remote" if match[1] is None else match[1]
        return _RENAMED.get(option, option)

    return _FLAG.sub(name, text)


def _line(error: UsageError) -> int:
    place = re.match(r"[^:]*:(\d+): ", str(error))
    return int(place[1]) if place else 0
