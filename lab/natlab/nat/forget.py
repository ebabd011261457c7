"""Make a NAT of the lab forget one inside endpoint, and nothing else."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from typing import Any

from natlab.errors import NetworkError
from natlab.nat import tcp
from natlab.nat.rules import TABLE
from natlab.nat.sessions import PLACES
from natlab.sandbox.netns import in_namespace

_TRIES = 5
"""An entry may expire between being listed and being deleted."""


def forget_endpoint(pid: int, address: str, port: int | None = None) -> int:
    """Make the NAT whose namespaces process `pid` holds forget its UDP mappings of an inside endpoint.

    Without `port`, those of every port of `address`. Both its maps and connection tracking are
    cleared of them. Returns how many mappings there were; 0 is no error. Raises `NetworkError`.
    """
    flows = sum(_forget_flows(pid, way, address, port) for way in ("orig", "reply"))
    for attempt in range(1, _TRIES + 1):
        _forget_elements(pid, address, port)
        table = _table(pid)
        ports = _external_ports(table, address, port)
        lines = [*_deletions(table, address, port, ports)]
        if not lines:
            return max(len(ports), min(flows, 1))
        done = _run(pid, ["nft", "-f", "-"], "".join(lines))
        if done.returncode == 0:
            # Packets that were forwarded meanwhile have made flows, but no mapping that was not there.
            for way in ("orig", "reply"):
                _forget_flows(pid, way, address, port)
            return len(ports)
        if attempt == _TRIES:
            break
    raise NetworkError(f"nft cannot delete the mappings of {address}: {done.stderr.strip()}")


def mappings(pid: int, address: str) -> int:
    """How many UDP mappings of an inside address the NAT's table has. Raises `NetworkError`."""
    return len(_external_ports(_table(pid), address, None))


def _forget_flows(pid: int, way: str, address: str, port: int | None) -> int:
    words = ["conntrack", "-D", "-p", "udp", f"--{way}-src", address]
    words += [f"--{way}-port-src", str(port)] if port is not None else []
    done = _run(pid, words)
    # Its exit status is 1 both when nothing matched and when something is wrong.
    if done.returncode not in {0, 1} or "flow entries have been deleted" not in done.stderr:
        raise NetworkError(f"conntrack: exit status {done.returncode}: {done.stderr.strip()}")
    return len(done.stdout.splitlines())


def _forget_elements(pid: int, address: str, port: int | None) -> None:
    """Delete the elements of ipset's sets that begin with the inside endpoint."""
    if not shutil.which("ipset"):
        return
    done = _run(pid, ["ipset", "save"])
    if done.returncode != 0:
        raise NetworkError(f"ipset: exit status {done.returncode}: {done.stderr.strip()}")
    deletions = []
    for line in done.stdout.splitlines():
        verb, name, element = line.split()[:3]
        if verb != "add":
            continue
        inside, _, rest = element.partition(",")
        if name == f"of-{address}" or inside == address:
            number = (rest or element).removeprefix("udp:").partition(",")[0]
            if port in {None, int(number)}:
                deletions.append(f"del {name} {element} -exist\n")
                if name.startswith("of-"):
                    deletions.append(f"del taken {element} -exist\n")
    if deletions:
        done = _run(pid, ["ipset", "restore"], "".join(deletions))
        if done.returncode != 0:
            raise NetworkError(f"ipset cannot delete elements of {address}: {done.stderr.strip()}")


def _table(pid: int) -> dict[str, tuple[str, list[tuple[Any, Any]]]]:
    """The kind (``map`` or ``set``) and the elements (key, value) of each part of the table."""
    done = _run(pid, ["nft", "-j", "list", "ruleset"])
    if done.returncode != 0:
        raise NetworkError(f"nft: exit status {done.returncode}: {done.stderr.strip()}")
    found: dict[str, tuple[str, list[tuple[Any, Any]]]] = {}
    for item in json.loads(done.stdout)["nftables"]:
        for kind in ("map", "set"):
            part = item.get(kind)
            if part is not None and part["table"] == TABLE:
                found[part["name"]] = (kind, [*_elements(kind, part.get("elem", []))])
    return found


def _elements(kind: str, elements: list[Any]) -> Iterator[tuple[Any, Any]]:
    for element in elements:
        key, value = element if kind == "map" else (element, None)
        yield _plain(key), _plain(value)


def _plain(value: Any) -> Any:
    """A tuple for a concatenation; without the counters and times that come with an element."""
    if isinstance(value, dict) and "elem" in value:
        return _plain(value["elem"]["val"])
    if isinstance(value, dict) and "concat" in value:
        return tuple(value["concat"])
    return value


def _external_ports(
    table: dict[str, tuple[str, list[tuple[Any, Any]]]], address: str, port: int | None
) -> set[int]:
    mapped = table.get("mapped", ("map", []))[1]
    return {value for key, value in mapped if key[0] == address and port in {None, key[1]}}


def _deletions(
    table: dict[str, tuple[str, list[tuple[Any, Any]]]],
    address: str,
    port: int | None,
    ports: set[int],
) -> Iterator[str]:
    """One line for each element that belongs to the inside endpoint or to its external ports."""
    for name, (_, elements) in table.items():
        if name in PLACES or name.startswith(tcp.PREFIX):
            continue
        for key, value in elements:
            parts = key if isinstance(key, tuple) else (key,)
            inside = len(parts) > 1 and parts[0] == address and port in {None, parts[1]}
            if inside or parts[0] in ports:
                text = " . ".join(map(str, parts)) + (f" : {value}" if value is not None else "")
                yield f"delete element ip {TABLE} {name} {{ {text} }}\n"


def _run(pid: int, words: list[str], stdin: str = "") -> subprocess.CompletedProcess[str]:
    try:
        with in_namespace(pid):
            return subprocess.run(
                words,
                input=stdin,
                capture_output=True,
                encoding="utf-8",
                errors="replace",
                check=False,
            )
    except OSError as error:
        raise NetworkError(
            f"cannot start {words[0]}: {error.strerror}; install Debian's {_PACKAGES[words[0]]}"
        ) from None


_PACKAGES = {"nft": "nftables", "conntrack": "conntrack", "ipset": "ipset"}
