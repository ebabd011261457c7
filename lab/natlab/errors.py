"""Every error that the lab raises on purpose, as one tree.

    LabError
    ├── SandboxUnavailableError   this machine does not let us make namespaces; says the remedy
    ├── SandboxError              a sandbox ended without an answer, or the call in it failed
    ├── NetworkError              a command that builds the network failed, or a link stayed dead
    ├── NatMismatchError          a probed NAT is not what its preset says
    └── ProgramError              a program in a node did not start, was not ready, or ended early

The text of each is one line for the person who has to act on it, with the evidence below it
where there is any.
"""

from __future__ import annotations


class LabError(Exception):
    """Base of every documented error of the lab."""


class SandboxUnavailableError(LabError):
    """Namespaces cannot be made here. The text gives the reason and the remedy."""


class SandboxError(LabError):
    """A sandbox ended without an answer, in time or at all, or its answer cannot be carried."""


class NetworkError(LabError):
    """A command that builds the network failed, or a link does not carry frames."""


class NatMismatchError(LabError):
    """A NAT behaves otherwise than its preset says. The text gives both, and the probes."""


class ProgramError(LabError):
    """A program in a node does not exist, ended early, or did not become ready in time."""


_EXTRA = frozenset({"jinja2", "mininet", "rich", "scapy"})
INSTALL = "pip install 'nat-traversal[lab]'"
"""The command that installs the packages that the lab needs."""


def missing_package(error: ModuleNotFoundError) -> str | None:
    """The package of the extra ``lab`` that is not installed; None if `error` is about something else."""
    package = (error.name or "").partition(".")[0]
    return package if package in _EXTRA else None
