"""The log of the modules, for developers, by way of the console: it never waits for a reader either."""

from __future__ import annotations

import logging

from nat_traversal.cli.console import Console
from nat_traversal.cli.plain import one_line


class ConsoleHandler(logging.Handler):
    """Hands each record to `console`. Remote text in a record's message stays on its line."""

    def __init__(self, console: Console) -> None:
        super().__init__()
        self._console = console
        self.addFilter(_is_no_secret)

    def emit(self, record: logging.LogRecord) -> None:
        """One record, with its traceback on further lines if it has one."""
        try:
            record.msg, record.args = one_line(record.getMessage()), None
            self._console.log(self.format(record))
        except Exception:  # noqa: BLE001 - as every handler of logging does
            self.handleError(record)


def _is_no_secret(record: logging.LogRecord) -> bool:
    """The library for TURN writes each message: the user's name, and a hash at which a password can be guessed."""
    return not (record.name.startswith("aioice.") and record.levelno < logging.INFO)
