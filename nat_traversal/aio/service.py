"""The addresses of the service behind ``--connect``: looked up again when they may have changed."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Protocol

from nat_traversal.aio.resolver import resolve
from nat_traversal.errors import NameUnresolvedError, UsageError
from nat_traversal.machine.timers import Backoff
from nat_traversal.settings import ClientSettings
from nat_traversal.wire.endpoint import Endpoint, HostPort

LookUp = Callable[[HostPort], Awaitable[list[Endpoint]]]
"""As `resolve`."""


class Service(Protocol):
    """All that a `Connector` needs to know of the service that it connects to."""

    @property
    def addresses(self) -> Sequence[Endpoint]:
        """The newest ones known; none while no question was answered."""

    @property
    def may_move(self) -> bool:
        """Whether other addresses may follow."""

    @property
    def is_fresh(self) -> bool:
        """Whether `addresses` will do for a new flow."""

    def doubt(self) -> None:
        """Let no answer from before count."""

    def ask(self, then: Callable[[], object]) -> None:
        """Look the addresses up, and call `then` once `addresses` are as new as they can be now."""

    def close(self) -> None: ...


class FixedService:
    """A service whose addresses are what the user has given."""

    may_move = False
    is_fresh = True

    def __init__(self, addresses: Sequence[Endpoint]) -> None:
        self.addresses = addresses

    def __str__(self) -> str:
        return " or ".join(map(str, self.addresses))

    def doubt(self) -> None:
        """They do not change."""

    def ask(self, then: Callable[[], object]) -> None:
        """There is nothing to ask."""
        then()

    def close(self) -> None: ...


class NamedService:
    """A service known by name. An answer counts for ``name_kept`` seconds; a slow question keeps new flows
    waiting for ``name_within`` at most, where older addresses are known.

    `look_up` is `resolve` unless given. Trouble goes to `problem`. While no address is known, it asks again by itself, with growing pauses.
    """

    may_move = True

    def __init__(
        self,
        name: HostPort,
        settings: ClientSettings,
        problem: Callable[[str], None],
        *,
        look_up: LookUp | None = None,
        rng: random.Random | None = None,
    ) -> None:
        self.addresses: Sequence[Endpoint] = ()
        self._name = name
        self._settings = settings
        self._problem = problem
        self._look_up = look_up or resolve
        self._loop = asyncio.get_running_loop()
        self._pauses = Backoff(
            rng or random.SystemRandom(), settings.reconnect_first, settings.reconnect_most
        )
        self._answered_at: float | None = None
        self._question: asyncio.Task[None] | None = None
        self._then: list[Callable[[], object]] = []
        self._patience: asyncio.TimerHandle | None = None
        self._again: asyncio.TimerHandle | None = None

    def __str__(self) -> str:
        known = " or ".join(str(each) for each in self.addresses)
        return f"{self._name} ({known})" if known else str(self._name)

    @property
    def is_fresh(self) -> bool:
        """Whether `addresses` will do for a new flow."""
        if self._question is not None and self._patience is None and self.addresses:
            return True  # the question takes too long: until it is answered, what was known will do
        at = self._answered_at
        return at is not None and self._loop.time() - at < self._settings.name_kept

    def doubt(self) -> None:
        """Let no answer from before count."""
        self._answered_at = None

    def ask(self, then: Callable[[], object]) -> None:
        """Look the addresses up, and call `then` once `addresses` are as new as they can be now."""
        self._then.append(then)
        if self._question is None:
            self._stop_waiting()
            self._question = self._loop.create_task(self._ask())
            within = self._settings.name_within
            self._patience = self._loop.call_later(within, self._takes_too_long)

    async def first(self) -> None:
        """The first answer. Raises `NameUnresolvedError`, without a further try."""
        self.addresses = await self._look_up(self._name)
        self._answered_at = self._loop.time()

    def close(self) -> None:
        """Ask no more."""
        self._stop_waiting()
        self._then.clear()
        if self._question is not None:
            self._question.cancel()

    async def _ask(self) -> None:
        try:
            self.addresses = await self._look_up(self._name)
            self._answered_at = self._loop.time()
            self._pauses.reset()
        except NameUnresolvedError as error:
            self._problem(f"--connect {self._name}: {error}")
            if not self.addresses:
                again = self._loop.call_later(self._pauses.next(), self.ask, lambda: None)
                self._again = again
        finally:
            self._question = None
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None
        self._go_on()

    def _takes_too_long(self) -> None:
        self._patience = None
        if self.addresses:
            self._go_on()

    def _go_on(self) -> None:
        waiting, self._then = self._then, []
        for then in waiting:
            then()

    def _stop_waiting(self) -> None:
        for timer in (self._patience, self._again):
            if timer is not None:
                timer.cancel()
        self._patience = self._again = None


def service_at(
    connect: HostPort, settings: ClientSettings, problem: Callable[[str], None]
) -> FixedService | NamedService:
    """The service that a user has given by address or by name."""
    with suppress(UsageError):
        return FixedService([Endpoint(connect.host, connect.port)])
    return NamedService(connect, settings, problem)
