"""The events of `--json`, from the notices: `python -m scripts.events` writes docs/events.schema.json and docs/events.md."""

from __future__ import annotations

import inspect
import json
import types
from dataclasses import fields
from enum import StrEnum
from pathlib import Path
from typing import Any, Union, get_args, get_origin, get_type_hints

from nat_traversal.cli.console import event_of
from nat_traversal.client.path_status import PathKind
from nat_traversal.machine import notices as note
from nat_traversal.wire.endpoint import Endpoint
from nat_traversal.wire.messages import Candidate

SCHEMA = "docs/events.schema.json"
PAGE = "docs/events.md"

_TEXT = {"type": "string"}
_NUMBER = {"type": "number"}
_COUNT = {"type": "integer", "minimum": 0}
_ENDPOINT = {"type": "string", "description": "ADDRESS:PORT, with [ADDRESS]:PORT of IPv6."}
_OTHERS: dict[str, tuple[str, dict[str, Any]]] = {
    "started": ("The client begins.", {"id": _TEXT, "peer": _TEXT}),
    "stopped": ("The command ends; of a client, with its counters.", {}),
    "waiting": ("This host lacks what the command needs; it waits for it.", {"text": _TEXT}),
    "problem": (
        "Trouble that every datagram may have: told now and then.",
        {"text": _TEXT, "kept_back": _COUNT},
    ),
    "lines-dropped": ("Nobody read so many lines in time.", {"count": _COUNT}),
    "path-status": (
        "The way of programs' datagrams: see docs/path-status.md.",
        {
            "peer": _TEXT,
            "path": {"enum": [str(kind) for kind in PathKind]},
            "method": {"type": ["string", "null"]},
            "remote": {"type": ["string", "null"]},
            "seconds": {"type": ["number", "null"]},
            "round_trip": {"type": ["number", "null"]},
            "loss": {"type": ["number", "null"]},
            "mtu": {"type": ["integer", "null"]},
            "jitter": {"type": ["number", "null"]},
            "reason": {"type": ["string", "null"]},
            "remedy": {"type": ["string", "null"]},
            "sent": _COUNT,
            "received": _COUNT,
            "sent_octets": _COUNT,
            "received_octets": _COUNT,
            "flows": _COUNT,
            "relay": {"type": ["object", "null"]},
            "services": {"type": "array", "items": {"type": "object"}},
            "server": {"type": "object"},
        },
    ),
    "invitation": ("Pairing: the line to copy. It holds a secret.", {"line": _TEXT}),
    "paired": ("Pairing: both know each other's keys.", {"peer": _TEXT, "key": _TEXT}),
    "saved": (
        "Pairing: the other host stands in a client's configuration file.",
        {"file": _TEXT},
    ),
    "listening": ("Server: it is open.", {"endpoint": _ENDPOINT}),
    "metrics": ("Server: its page of numbers.", {"endpoint": _ENDPOINT}),
    "draining": ("Server: it ends in good order.", {"connections": _COUNT, "attempts": _COUNT}),
    "reloaded": (
        "The configuration file was read again.",
        {
            "changed": {"type": "array", "items": _TEXT},
            "restart": {"type": "array", "items": _TEXT},
        },
    ),
    "reload-failed": ("The configuration file is wrong; nothing changed.", {"text": _TEXT}),
}
"""Events that are no notices: what each says, and its values."""

_HEAD = """# Events

With `--json` each command prints its events on stdout, one JSON object a line. The code makes this page and the schema: `python -m scripts.events`.
[events.schema.json](events.schema.json) describes every line.

Every line has `event` (the name), `elapsed` (seconds since the start) and `time` (seconds since 1970). New events and new values may come with
a new version; a reader ignores those that it does not know. `kept_back` counts like lines that were left out before this one.

"""


def schema() -> dict[str, Any]:
    """The JSON Schema of one line."""
    events = {name: _event(name, *said) for name, said in _described().items()}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "An event of nat_traversal",
        "description": "One line of stdout with --json.",
        "type": "object",
        "properties": {
            "event": {"enum": sorted(events)},
            "elapsed": {**_NUMBER, "description": "Seconds since the start."},
            "time": {**_NUMBER, "description": "Seconds since 1970-01-01, UTC."},
        },
        "required": ["event", "elapsed", "time"],
        "oneOf": [{"$ref": f"#/$defs/{name}"} for name in sorted(events)],
        "$defs": dict(sorted(events.items())),
    }


def page() -> str:
    """The text of docs/events.md."""
    lines = ["| event | meaning | values |", "|---|---|---|"]
    for name, (meaning, values) in sorted(_described().items()):
        lines.append(f"| `{name}` | {meaning} | {', '.join(f'`{value}`' for value in values)} |")
    return _HEAD + "\n".join(lines) + "\n"


def _described() -> dict[str, tuple[str, dict[str, Any]]]:
    notices = {event_of(kind): _notice(kind) for kind in get_args(note.Notice)}
    return {**notices, **_OTHERS}


def _notice(kind: type[Any]) -> tuple[str, dict[str, Any]]:
    hints = get_type_hints(kind)
    meaning = (inspect.getdoc(kind) or "").replace("\n", " ").replace("``", "`")
    return meaning, {field.name: _form(hints[field.name]) for field in fields(kind)}


def _event(name: str, meaning: str, values: dict[str, Any]) -> dict[str, Any]:
    return {
        "description": meaning,
        "properties": {"event": {"const": name}, **values},
        "required": ["event", *values],
    }


def _form(hint: Any) -> dict[str, Any]:
    """The schema of a value of this type."""
    if get_origin(hint) in {Union, types.UnionType}:
        return {"anyOf": [_form(each) for each in get_args(hint)]}
    if get_origin(hint) is tuple:
        return {"type": "array", "items": _form(get_args(hint)[0])}
    if isinstance(hint, type) and issubclass(hint, StrEnum):
        return {"enum": [str(value) for value in hint]}
    forms: dict[Any, dict[str, Any]] = {
        bool: {"type": "boolean"},
        int: {"type": "integer"},
        float: _NUMBER,
        str: _TEXT,
        type(None): {"type": "null"},
        Endpoint: _ENDPOINT,
        Candidate: {
            "type": "object",
            "properties": {"kind": _TEXT, "endpoint": _ENDPOINT},
            "required": ["kind", "endpoint"],
        },
    }
    return forms[hint]


if __name__ == "__main__":
    root = Path(__file__).parents[1]
    (root / SCHEMA).write_text(json.dumps(schema(), indent=2) + "\n")
    (root / PAGE).write_text(page())
