"""docs/events.schema.json describes each event that the commands tell."""

from __future__ import annotations

import ast
import json
from functools import cache
from pathlib import Path

import jsonschema
import pytest

from nat_traversal.cli.console import Console
from nat_traversal.machine import notices as note
from scripts.events import PAGE, SCHEMA, page, schema
from scripts.rooms import nodes, syntax
from tests.unit.cli.test_console import TOLD

REPOSITORY = Path(__file__).parents[3]
REMEDY = "make it anew: python -m scripts.events"


@cache
def validator() -> jsonschema.Draft202012Validator:
    """For `schema()`, which is itself held to what a schema may be."""
    jsonschema.Draft202012Validator.check_schema(schema())
    return jsonschema.Draft202012Validator(schema())


def test_schema_and_page_are_those_of_the_code() -> None:
    assert json.loads((REPOSITORY / SCHEMA).read_text()) == schema(), REMEDY
    assert (REPOSITORY / PAGE).read_text() == page(), REMEDY


@pytest.mark.parametrize("notice", [notice for notice, _, _ in TOLD], ids=str)
def test_each_notice_is_as_the_schema_says(
    notice: note.Notice, capsys: pytest.CaptureFixture[str]
) -> None:
    Console(as_json=True, quiet=True).told(notice)

    validator().validate(json.loads(capsys.readouterr().out))


def test_an_event_with_a_value_of_another_kind_is_refused(
    capsys: pytest.CaptureFixture[str],
) -> None:
    Console(as_json=True, quiet=True).event("server-lost", reason=5, retry_in=None)

    with pytest.raises(jsonschema.ValidationError):
        validator().validate(json.loads(capsys.readouterr().out))


def test_the_schema_has_every_event_that_a_command_tells() -> None:
    told = {
        node.args[0].value
        for file in (REPOSITORY / "nat_traversal").rglob("*.py")
        for node in nodes(syntax(file))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in {"event", "_event_line"}
        and node.args
        and isinstance(node.args[0], ast.Constant)
    }

    assert told
    assert told <= set(schema()["$defs"]), "describe it in scripts/events.py"
