"""`python -m lab shell`: a prompt, or one command, on a node of a standing lab, whoever started it.

A standing lab is found by its nodes: each is held by a process of this user that has the node's name
in its environment (`NODE_MARK`). So nothing has to be registered, and nothing stays when a lab is
killed. One enters by nsenter(1); it needs no root where the lab needed none.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from nat_traversal.arguments.parser import checked
from nat_traversal.errors import UsageError
from natlab.cli.arguments import process_id, program_name
from natlab.cli.firewall import add_firewall_option, check_firewall
from natlab.errors import LabError
from natlab.presets import HOW_TO_NAME
from natlab.sandbox.machine import search_path
from natlab.sandbox.netns import NODE_MARK
from natlab.testbed.api import NatLab

_MARK = f"{NODE_MARK}=".encode()


@dataclass(frozen=True, slots=True)
class FoundLab:
    """A lab that runs on this machine, for this user."""

    pid: int
    """Of the process that started it."""
    command: str
    nodes: Mapping[str, int]
    """Node name to the process that holds its namespaces."""

    def __str__(self) -> str:
        return f"{self.pid} ({self.command}): {', '.join(self.nodes)}"


def found_labs() -> list[FoundLab]:
    """Every lab that stands, the oldest process first."""
    found: dict[int, dict[str, int]] = defaultdict(dict)
    for directory in sorted(Path("/proc").glob("[0-9]*"), key=lambda path: int(path.name)):
        try:
            if (directory / "comm").read_bytes() != b"cat\n":
                continue
            environment = (directory / "environ").read_bytes().split(b"\0")
            names = [each.removeprefix(_MARK) for each in environment if each.startswith(_MARK)]
            if names:
                found[_owner(int(directory.name))][os.fsdecode(names[-1])] = int(directory.name)
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue  # it has ended, or is another user's
    return [FoundLab(pid, _command(pid), nodes) for pid, nodes in sorted(found.items())]


def _owner(holder: int) -> int:
    """The process that started the sandbox in which `holder` runs."""
    inside = _namespace(holder, "pid")
    pid = _parent(holder)
    if inside == _namespace(os.getpid(), "pid"):
        return pid  # no sandbox: plain `mn`
    while _namespace(pid, "pid") == inside:
        pid = _parent(pid)
    return _parent(pid)  # that was unshare


def _namespace(pid: int, kind: str) -> str:
    return os.readlink(f"/proc/{pid}/ns/{kind}")  # noqa: PTH115 - no path, a name


def _parent(pid: int) -> int:
    rest = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2]
    return int(rest.split()[1])


def _command(pid: int) -> str:
    try:
        return " ".join(os.fsdecode(Path(f"/proc/{pid}/cmdline").read_bytes()).split("\0")).strip()
    except (FileNotFoundError, ProcessLookupError):
        return "ended"


def holder_of(labs: Sequence[FoundLab], pid: int | None, node: str) -> int:
    """The process that holds `node`, in lab `pid` or in the only one. Raises `UsageError`."""
    chosen = [lab for lab in labs if pid in {None, lab.pid}]
    listed = "".join(f"\n  {lab}" for lab in labs)
    if not labs:
        raise UsageError(
            f"no lab stands: start one in another terminal ({program_name()} run ... --keep-open), or"
            " name the NATs of a new one with --nat-a and --nat-b"
        )
    if not chosen:
        raise UsageError(f"there is no lab {pid}; there are:{listed}")
    if len(chosen) > 1:
        raise UsageError(f"several labs stand, choose one with --lab PID:{listed}")
    if node not in chosen[0].nodes:
        names = ", ".join(chosen[0].nodes)
        raise UsageError(f"there is no node {node!r} in lab {chosen[0].pid}: choose from {names}")
    return chosen[0].nodes[node]


def entry(holder: int, node: str, command: Sequence[str]) -> list[str]:
    """The words that run `command` (nothing: an interactive bash) on the node that `holder` holds."""
    user = _namespace(holder, "user") != _namespace(os.getpid(), "user")
    spaces = [*(["--user", "--preserve-credentials"] if user else []), "--mount", "--net", "--pid"]
    settings = [f"PS1={node}:\\w# ", f"PATH={search_path()}", f"LAB_NODE={node}"]
    words = list(command) or ["bash", "--norc"]
    # The mount namespace begins at its root; it has the same files as ours.
    inside = ["env", f"--chdir={Path.cwd()}", *settings, *words]
    return ["nsenter", "--target", str(holder), *spaces, "--", *inside]


def define(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.epilog = HOW_TO_NAME
    parser.add_argument(
        "node", nargs="?", metavar="NODE", help="like host_a; without: list the labs"
    )
    parser.add_argument(
        "words", nargs=argparse.REMAINDER, metavar="COMMAND", help="run this instead of a prompt"
    )
    lab = "which lab, where several stand"
    parser.add_argument("--lab", metavar="PID", type=checked(process_id), help=lab)
    for letter in "ab":
        parser.add_argument(f"--nat-{letter}", metavar="NAT", help="in a new lab with these NATs")
    add_firewall_option(parser)
    parser.set_defaults(run=run_shell)


def run_shell(options: argparse.Namespace) -> int:
    """Open the prompt; returns the exit status of what ran. Raises `UsageError` and `LabError`."""
    words = options.words[1:] if options.words[:1] == ["--"] else options.words
    if (options.nat_a is None) != (options.nat_b is None):
        raise UsageError("a new lab needs both --nat-a and --nat-b")
    if options.nat_a is not None:
        check_firewall(options.firewall, (options.nat_a, options.nat_b))
        with (
            tempfile.TemporaryDirectory(prefix="nat-lab-") as directory,
            NatLab(options.nat_a, options.nat_b, Path(directory), firewall=options.firewall) as lab,
        ):
            return _in_own_lab(lab, options.node, words)
    labs = found_labs()
    if options.node is None and labs:
        print(*labs, sep="\n")
        return 0
    holder = holder_of(labs, options.lab, options.node or "")
    return _become(entry(holder, options.node, words))


def _become(argv: Sequence[str]) -> NoReturn:
    """The terminal is the program's own from here on."""
    sys.stdout.flush()
    try:
        os.execvp(argv[0], list(argv))  # noqa: S606
    except OSError as error:
        reason = f"cannot start {argv[0]}: {error.strerror}; install Debian's util-linux"
        raise LabError(reason) from None


def _in_own_lab(lab: NatLab, node: str | None, words: Sequence[str]) -> int:
    if node is None:
        lab.prompt()
        return 0
    own = [each for each in found_labs() if each.pid == os.getpid()]
    holder = holder_of(own, None, node)
    status = subprocess.run(entry(holder, node, words), check=False).returncode
    return status if status >= 0 else 128 - status  # as shells tell a signal
