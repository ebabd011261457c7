"""The common part of both adapters: a `machine.driver.Driver` on the event loop's clock."""

from __future__ import annotations

import asyncio

from nat_traversal.machine import driver


class Driver(driver.Driver):
    """Runs one machine on the running event loop. Subclasses carry out the actions."""

    def __init__(self, machine: driver.Machine) -> None:
        self._loop = asyncio.get_running_loop()
        super().__init__(machine, self._loop)

    def _unexpected(self, error: Exception) -> None:
        self._loop.call_exception_handler(
            {"message": "an action could not be carried out", "exception": error}
        )
