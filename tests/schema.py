"""Documents held against their schemas. Only who holds one reads the library, which takes long."""

from __future__ import annotations


def check(content: object, schema: object) -> None:
    """Raises `jsonschema.ValidationError`, with what is wrong."""
    from jsonschema import Draft202012Validator  # noqa: PLC0415

    Draft202012Validator(schema).validate(content)
