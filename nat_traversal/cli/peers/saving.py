"""One more peer in a client's configuration file: appended to what stands there, whole or not at all."""

from __future__ import annotations

import fcntl
import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

from nat_traversal.arguments.config import MAX_SIZE
from nat_traversal.arguments.parser import Parser
from nat_traversal.arguments.user_file import descriptor_of, expanded
from nat_traversal.cli.client_arguments import client_options
from nat_traversal.cli.options import ClientOptions
from nat_traversal.cli.peers.file import read_text
from nat_traversal.cli.peers.places import SYSTEM, found, user_folder
from nat_traversal.cli.turn import turn_words
from nat_traversal.crypto.keyfile import PUBLIC, as_text
from nat_traversal.errors import UsageError
from nat_traversal.wire.messages import Relaying

_NOBODY = bytes(31) + b"\x09"
"""In the place of a key that is not known yet."""
_MOST_OF_NAME = 250
"""Octets: file systems take 255, and ``.toml`` may come behind it."""


class Saving:
    """`given`: the file, by its path or name. Raises `UsageError` where none can be."""

    def __init__(self, given: str, environment: Mapping[str, str]) -> None:
        self.path = _place(given, environment)
        self._environment = environment

    def check(self, options: ClientOptions, identity: str) -> None:
        """See that the peer of `options` fits into the file, before its key is known: nothing is made yet.

        Raises `UsageError`.
        """
        self._with(entry_of(options, identity, _NOBODY))
        there = next(each for each in self._real.parents if each.exists())
        if not there.is_dir():
            raise UsageError(f"{there} is no folder: give --save another place")
        _check_writable(there)

    def save(self, options: ClientOptions, identity: str, public: bytes) -> None:
        """Append the peer, whose key is `public`. An older file keeps its mode; a new one is for its owner only.

        Raises `UsageError`: then the file is as it was.
        """
        real = self._real
        folder = _made(real.parent)
        try:
            directory = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
            try:
                fcntl.flock(directory, fcntl.LOCK_EX)  # another pairing may end now
                _replace(real, self._with(entry_of(options, identity, public)))
                os.fsync(directory)
            finally:
                os.close(directory)
        except OSError as error:
            raise UsageError(f"{self.path} cannot be written: {error.strerror}") from None

    @property
    def _real(self) -> Path:
        """The file itself: a link to it stays one, and a client is known by the link's name."""
        return Path(os.path.realpath(self.path))

    def _with(self, entry: str) -> str:
        """The file's text with `entry`, found right."""
        both = f"{self._text().rstrip()}\n\n{entry}"
        if not _is_utf_8(both):
            raise UsageError(
                f"{self.path} holds names in UTF-8 only: rename the files that its options name"
            )
        if len(both.encode()) > MAX_SIZE:
            raise UsageError(
                f"{self.path}: one more peer makes it longer than {MAX_SIZE} octets: give --save another file"
            )
        read_text(self.path, both, client_options(Parser()).parse_args([]), self._environment)
        return both

    def _text(self) -> str:
        """The text of the file; of a new one, its beginning."""
        try:
            self.path.stat()
        except FileNotFoundError:
            return (
                "# The peers of nat-traversal client --config; docs/client-config.md tells more.\n"
            )
        except OSError as error:
            raise UsageError(f"{self.path} cannot be read: {error.strerror}") from None
        try:
            with os.fdopen(descriptor_of(str(self.path)), encoding="utf-8-sig") as file:
                return file.read(MAX_SIZE + 1)
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"{self.path} cannot be read: {error}") from None


def entry_of(options: ClientOptions, identity: str, public: bytes) -> str:
    """The table of one peer, which needs nothing that stands elsewhere in the file."""
    assert options.id is not None, "a random one at least"
    values: list[tuple[str, str | bool]] = [
        ("id", options.remote),
        ("as", options.id),
        ("key", as_text(PUBLIC, public)),
        ("server", str(options.server)),
        ("identity", str(Path(identity).absolute())),
    ]
    if options.token_file is not None:
        values.append(("server-token", str(Path(options.token_file).absolute())))
    if options.tls is not None:
        pin = options.tls.fingerprint
        values.append(("tls", True) if pin is None else ("server-fingerprint", pin))
    if options.relaying is not Relaying.AUTO:
        values.append(("relay", str(options.relaying) or "never"))
    values += turn_words(options)
    for side, at in (("listen", options.listen), ("connect", options.connect)):
        values += [] if at is None else [(side, str(at))]
    lines = ["[[peer]]", *(_line(name, value) for name, value in values)]
    for end in options.services:
        lines += ["", "[[peer.service]]", _line("name", end.name), _line(end.side, end.address)]
    return "\n".join(lines) + "\n"


def _line(name: str, value: str | bool) -> str:
    text = json.dumps(value, ensure_ascii=False).replace(
        "\x7f", "\\u007f"
    )  # TOML's one more escape
    return f"{name} = {text}"


def _is_utf_8(text: str) -> bool:
    """Whether `text` has no octets of a file's name that are none."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _place(given: str, environment: Mapping[str, str]) -> Path:
    if not given or given.endswith("/"):
        raise UsageError(f"--save {given!r} is no file: give its path or its name, or --save alone")
    if max(len(os.fsencode(part)) for part in given.split("/")) > _MOST_OF_NAME:
        raise UsageError(f"--save has a name of more than {_MOST_OF_NAME} octets: shorten it")
    if "/" in given or given.endswith(".toml"):
        return expanded(given).absolute()
    try:
        there = found(given, environment)
    except UsageError:
        there = None
    if there is not None:
        return there.absolute()
    folder = SYSTEM if os.getuid() == 0 else user_folder(environment)
    if folder is None:
        raise UsageError("no HOME to keep a configuration in: give --save a path")
    return folder / f"{given}.toml"


def _made(folder: Path) -> Path:
    try:
        folder.mkdir(mode=0o755, parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"{folder} cannot be made: {error.strerror}") from None
    _check_writable(folder)
    return folder


def _check_writable(folder: Path) -> None:
    if not os.access(folder, os.W_OK | os.X_OK):
        raise UsageError(f"{folder} cannot be written to: give --save another place")


def _replace(path: Path, text: str) -> None:
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=".nat-traversal-")  # mode 600
    draft = Path(name)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            if path.exists():
                older = path.stat()
                os.fchmod(descriptor, older.st_mode & 0o777)
                os.fchown(descriptor, older.st_uid, older.st_gid)
            os.fsync(descriptor)
        draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
