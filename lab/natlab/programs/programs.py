"""The programs of one cell, by name: all of them end with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

from natlab.errors import ProgramError
from natlab.programs.program import Program, Tell
from natlab.sandbox.zygote import Prepared


class Programs:
    """The programs of one cell. Leaving the ``with`` block ends those that still run, last first.

    Their output goes to ``NAME.stdout`` and ``NAME.stderr`` in `directory`. Leaving the block raises
    `ProgramError` if that of one could not be read or kept.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._started: dict[str, Program] = {}

    def __enter__(self) -> Self:
        return self

    def __getitem__(self, name: str) -> Program:
        """The program that was started under `name`. Raises `ProgramError` if none was."""
        if name not in self._started:
            raise ProgramError(f"{name}: no program of that name was started")
        return self._started[name]

    def __exit__(self, _kind: object = None, error: object = None, *_where: object) -> None:
        for program in reversed(self._started.values()):
            program.terminate()
        if error is None or isinstance(error, ProgramError):
            # Nobody may have waited for one that was killed, or in vain for another.
            for program in self._started.values():
                program.require_kept_output()

    def start(
        self,
        name: str,
        argv: Sequence[str],
        node_pid: int,
        *,
        environment: Mapping[str, str] | None = None,
        interactive: bool = False,
        tell: Tell | None = None,
        prepared: Prepared | None = None,
    ) -> Program:
        """Start `argv` in the node whose namespaces process `node_pid` holds.

        `environment` is added to this process's. `name` is the program's in errors and file names,
        once per cell. Its stdin is empty unless it is `interactive` (`Program.send`). `tell` is called
        with each line as it comes, from another thread. A `prepared` process becomes it, where there is
        one. Raises `ProgramError` if there is no such program here.
        """
        if name in self._started:
            raise ProgramError(f"{name}: started already; give the second one another name")
        program = Program(
            name,
            argv,
            node_pid,
            self._directory,
            environment or {},
            interactive=interactive,
            tell=tell,
            prepared=prepared,
        )
        self._started[name] = program
        return program
