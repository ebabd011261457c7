"""Options of the matrix that do not go together, and places that have no such pair: one line, before anything starts."""

from __future__ import annotations

import pytest

from natlab.cli.main import main
from natlab.cli.matrix import _can_be
from natlab.cli.status import Exit
from natlab.oracle.neighbourhood import Where, parse_where

PUNCHER = ("--program", "examples/puncher.toml")


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (
            (*PUNCHER, "--fault", "at=1s:signal c KILL"),
            "no program 'c': choose from server, a, b",
        ),
        ((*PUNCHER, "--methods", "ordered-hello"), "--methods is for the project's clients"),
        ((*PUNCHER, "--topology", "nat64"), "a program file names its own"),
        (("--topology", "nat64", "--nat", "none"), "a NAT64 cannot be `none`"),
        (("--topology", "ipv6_only", "--nat", "EIM+APDF+nat64"), "use the topology nat64"),
        (("--topology", "nat64", "--methods", "ordered-hello,host"), "cannot prove host here"),
    ],
)
def test_what_cannot_be_is_one_line(
    options: tuple[str, ...], line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["matrix", *options]) == Exit.USAGE
    (said,) = capsys.readouterr().err.splitlines()
    assert line in said


def test_a_pair_that_nobody_chose_and_that_cannot_be_is_left_out() -> None:
    where = parse_where("nat64")
    assert isinstance(where, Where)
    assert not _can_be(where, ("none", "full-cone"), is_chosen=False)
    assert _can_be(where, ("full-cone", "none"), is_chosen=False)
