"""Where a client's configuration file is, by its path or by its name."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path

from nat_traversal.errors import UsageError

USUAL = "client"
"""The name of the file that a client reads unless told otherwise."""
SYSTEM = Path("/etc/nat-traversal")


def found(given: str | None, environment: Mapping[str, str]) -> Path | None:
    """The file that `given` names by its path or its name; None if nothing is given and the usual one is not there.

    A name has no slash and no ``.toml``. Raises `UsageError` for a name that has no file.
    """
    if given is not None and ("/" in given or given.endswith(".toml")):
        return Path(given)
    places = [folder / f"{given or USUAL}.toml" for folder in folders(environment)]
    for place in places:
        with contextlib.suppress(OSError):  # a name that is too long
            if place.is_file():
                return place
    if given is None:
        return None
    looked = " and no ".join(map(str, places))
    raise UsageError(f"there is no {looked}: give the path of a file, or make one of these")


def folders(environment: Mapping[str, str]) -> Iterator[Path]:
    """Where files are looked for by name: the user's folder (XDG), then the system's."""
    home = user_folder(environment)
    if home is not None:
        yield home
    yield SYSTEM


def user_folder(environment: Mapping[str, str]) -> Path | None:
    """The user's configuration; None where nobody has said who the user is."""
    if (given := environment.get("XDG_CONFIG_HOME")) and Path(given).is_absolute():
        return Path(given) / "nat-traversal"
    if home := environment.get("HOME"):
        return Path(home) / ".config" / "nat-traversal"
    return None
