"""What the options of `lab run` and `lab topology` ask for, without running it."""

from __future__ import annotations

from argparse import ArgumentParser

from natlab.cli import topology
from natlab.cli.run_request import RunRequest, run_of


def _asked(*options: str) -> RunRequest:
    parser = ArgumentParser()
    topology.define(parser)
    found = parser.parse_args(["own.py", *options])
    return run_of(found.topology, found.on, found)


def test_a_program_is_called_as_its_node_and_further_ones_by_number() -> None:
    run = _asked("--on", "x=one", "--on", "y=two", "--on", "x=three", "--on", "x=four")
    assert {name: each.text for name, each in run.commands.items()} == {
        "x": "one",
        "y": "two",
        "x-2": "three",
        "x-3": "four",
    }


def test_no_program_is_lost_where_a_node_is_called_as_a_second_one() -> None:
    run = _asked("--on", "x=one", "--on", "x=two", "--on", "x-2=three", "--on", "x-2=four")
    assert [(each.node, each.text) for each in run.commands.values()] == [
        ("x", "one"),
        ("x", "two"),
        ("x-2", "three"),
        ("x-2", "four"),
    ]
