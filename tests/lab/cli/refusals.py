"""The lab's command line in this process, for what it refuses before anything runs."""

from __future__ import annotations

import pytest

from natlab.cli.main import main
from natlab.cli.status import Exit


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The one line on stderr of a command that ends with `Exit.USAGE` and says nothing else."""
    try:
        status = main(arguments)
    except SystemExit as ended:  # as argparse ends it
        status = int(ended.code or 0)
    said = capsys.readouterr()
    assert (status, said.out) == (Exit.USAGE, ""), said
    (line,) = said.err.splitlines()
    return line
