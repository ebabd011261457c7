"""Ids of hosts in a server's log, as hashes: lines about one host belong together, and do not name it."""

from __future__ import annotations

import hashlib
import hmac
import re
from dataclasses import fields, replace
from typing import Any

from nat_traversal.machine import notices as note

_IDS = frozenset({"id", "peer", "first", "second"})
"""The fields of notices that hold ids."""
_BESIDE = r"[A-Za-z0-9._-]"


class Veil:
    """Puts ``id-`` and 12 hexadecimal digits in the place of each id of a notice, also in its text.

    `key`: 16 octets or more that nobody else knows; with another key the same id looks otherwise.
    """

    def __init__(self, key: bytes) -> None:
        self._key = key

    def __call__(self, notice: note.Notice) -> note.Notice:
        """The same notice without ids."""
        names = {each.name for each in fields(notice)}
        ids = {name: getattr(notice, name) for name in names & _IDS}
        veiled: dict[str, Any] = {name: id_ and self.hidden(id_) for name, id_ in ids.items()}
        if "text" in names:
            text = getattr(notice, "text")  # noqa: B009 - of some notices only
            for id_ in filter(None, ids.values()):
                alone = rf"(?<!{_BESIDE}){re.escape(id_)}(?!{_BESIDE})"
                text = re.sub(alone, self.hidden(id_), text)
            veiled["text"] = text
        return replace(notice, **veiled)

    def hidden(self, id_: str) -> str:
        """The hash that stands for an id."""
        digest = hmac.new(self._key, id_.encode(), hashlib.sha256).hexdigest()
        return f"id-{digest[:12]}"
