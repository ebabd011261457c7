"""Text of others as one line that a terminal takes as text: nothing in it moves the cursor or begins a line."""

from __future__ import annotations


def one_line(text: str) -> str:
    """`text` with every character escaped that is neither printable nor a space.

    Among them are newlines, escape sequences, marks that turn the direction of writing, and lone surrogates.
    """
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else _escaped(ord(each)) for each in text)


def _escaped(code: int) -> str:
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x1_0000 else f"\\U{code:08x}"
