"""One peer's client in this process: its programs' sockets, its path, and the words about both."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Hashable
from dataclasses import replace
from typing import Any

from nat_traversal.aio.client import Client
from nat_traversal.aio.traffic import Traffic
from nat_traversal.aio.trunk import Trunk
from nat_traversal.cli.console import Console
from nat_traversal.cli.exit import Exit
from nat_traversal.cli.peers.plan import PeerPlan
from nat_traversal.cli.peers.programs import Programs
from nat_traversal.cli.peers.report import Heard, report, server_report, service_state
from nat_traversal.cli.peers.words import (
    exit_status,
    next_steps,
    tell_path,
    tell_report,
    tell_summary,
)
from nat_traversal.cli.teller import Teller
from nat_traversal.client.path_status import PathKind, PathStatus
from nat_traversal.machine import events as e
from nat_traversal.machine import notices as note
from nat_traversal.machine.counters import Counters
from nat_traversal.wire.messages import PeerState
from nat_traversal.wire.services import UNNAMED


class PeerClient:
    """`open`, `start`, `close`, in this order. `ended` gets the exit status once the client ends by itself.

    `waits_until` ends the wait for an address that this host lacks. `trunk`: shared with other peers' clients. Raises `UsageError` for a plan that cannot be used.
    """

    def __init__(
        self,
        plan: PeerPlan,
        console: Console,
        waits_until: asyncio.Future[Exit],
        trunk: Trunk | None = None,
    ) -> None:
        self.plan = plan
        self.ended: asyncio.Future[Exit] = asyncio.get_running_loop().create_future()
        self.counters = Counters()
        self._console = console
        self._trunk = trunk
        self._config = plan.config()
        self._tellers = Teller(asyncio.get_running_loop().time, plan.options.settings.tell_again)
        self.programs = Programs(
            plan.options,
            waits_until,
            console,
            self.counters,
            problem=self._problem,
            changed=self._service_changed,
        )
        self._client: Client | None = None
        self._echoes: list[asyncio.Future[float]] = []
        """Those who wait for the peer's answer to a ping."""
        self._heard = Heard()
        self._refusing: set[int] = set()
        """Named services that refuse datagrams, by their numbers."""

    async def open(self) -> Exit | None:
        """Bind all sockets towards programs, or none. The status to end with if that cannot be. Raises `UsageError`."""
        return await self.programs.open()

    def start(self) -> None:
        """Begin. Needs `open`."""
        assert self.programs.forwarder is not None
        programs = self.programs
        config = replace(self._config, services=programs.offers, certificate=programs.certificate)
        self._client = Client(
            config, self.programs.forwarder, self._told, counters=self.counters, trunk=self._trunk
        )
        self._console.event("started", id=config.local_id, peer=config.remote_id)
        self._client.start()

    def end_services(self, plan: PeerPlan) -> None:
        """End the named services that `plan` has not, which differs in nothing else: `change_services` follows."""
        wanted = plan.options.services
        self.programs.remove([each for each in self.programs.named if each not in wanted])

    async def change_services(self, plan: PeerPlan) -> None:
        """Have the named services of `plan`. Those that were there already lose no datagram.

        Raises `UsageError` for one that cannot be had. The rest are there.
        """
        wanted = plan.options.services
        new = tuple(each for each in wanted if each not in self.programs.named)
        try:
            for named in new:
                await self.programs.open_further(named)
        finally:
            there = tuple(each for each in wanted if each in self.programs.named)
            self.plan = replace(plan, options=replace(plan.options, services=there))
            if self._client is not None:
                offers = [
                    replace(each, refuses=each.number in self._refusing)
                    for each in self.programs.offers
                ]
                certificate = self.programs.certificate
                self._client.feed(e.ServicesChanged(plan.peer, tuple(offers), certificate))
        for step in next_steps(replace(plan.options, listen=None, connect=None, services=new)):
            self._console.say(step)

    def status(self) -> PathStatus:
        """The path to the peer at this moment."""
        if self._client is None:
            return PathStatus(self.plan.peer, PathKind.NONE, reason="it has not begun yet")
        return self._client.status()

    def report(self) -> dict[str, Any]:
        """All that this client can say of the peer, as plain values."""
        status, client, options = self.status(), self._client, self.plan.options
        has_path = status.path is not PathKind.NONE
        troubles = client.service_troubles() if client is not None and has_path else {}

        def state(number: int, at: str) -> dict[str, Any]:
            trouble = troubles.get(number) if number != UNNAMED else self._heard.trouble
            is_told = has_path and (number == UNNAMED or number in troubles)
            refuses = number in self._refusing
            return service_state(at, refuses=refuses, is_told=is_told, trouble=trouble)

        connection = None if client is None else client.server_status()
        server = server_report(
            str(options.server), connection, is_tls=options.tls is not None, own=options.id
        )
        traffic = Traffic(self.counters) if client is None else client.traffic
        return report(status, server, traffic, self.programs.report(state), self._heard.relay)

    async def ping(self, within: float) -> float | None:
        """Seconds until the peer has answered a ping on the path of now; None: it has not, `within` so many."""
        if self._client is None:
            return None
        answer: asyncio.Future[float] = asyncio.get_running_loop().create_future()
        self._echoes.append(answer)
        self._client.feed(e.EchoWanted(self.plan.peer))
        try:
            with contextlib.suppress(TimeoutError):
                return await asyncio.wait_for(answer, within)
            return None
        finally:
            self._echoes.remove(answer)

    def give_up(self, seconds: float) -> None:
        """End if no path stands; `seconds` were to wait for one."""
        status = self.status()
        if status.path is PathKind.NONE and not self.ended.done():
            reason = status.reason or "it has ended"
            self._console.fail(f"no path after {seconds:g} s: {reason}")
            self.ended.set_result(Exit.TRAVERSAL_FAILED)

    def tell_status(self) -> None:
        """Say all that `status` says."""
        tell_report(self._console, self.report())

    async def close(self) -> None:
        """Say goodbye to the peer and the server, free everything, and say how it went."""
        client = self._client
        if client is None:
            self.programs.close()
            return
        last, self._client = self.report(), None
        self.programs.leave()
        await client.close()
        self.programs.close()
        if last["path"] != PathKind.NONE:
            tell_path(self._console, last)
        tell_summary(self._console, self.counters)

    def _goes_on(self) -> str:
        """A clause for people beside that of a lost server, or of a peer that is not back there yet; empty where no direct
        path stands."""
        if self.status().path is not PathKind.DIRECT:
            return ""
        return f"the connection to {self.plan.peer} goes on"

    def _problem(self, text: str) -> None:
        self._console.problem(text, self._tellers)

    def _service_changed(self, up: bool, number: int) -> None:
        (self._refusing.discard if up else self._refusing.add)(number)
        if up:
            at = self.programs.at(number)
            self._console.say(f"a program answers again at {at}")
            self._tellers.forget(lambda kind: f"listens on {at}:" in str(kind))
        if self._client is not None:
            self._client.feed(e.ServiceChanged(up, self.plan.peer, number))

    def _told(self, notice: note.Notice) -> None:
        options, console, tellers = self.plan.options, self._console, self._tellers
        self._heard.told(notice)
        if isinstance(notice, note.PeerAnswered):
            for answer in self._echoes:
                if not answer.done():
                    answer.set_result(notice.seconds)
            return
        match notice:
            case note.AnnounceUnanswered() | note.AskedBy():  # these may come without end
                console.told_now_and_then(notice, tellers, None)
            case note.RelayTold(code, _):
                console.told_now_and_then(notice, tellers, code)
            case note.ServerLost(reason, float()):
                console.told_now_and_then(notice, tellers, reason)
                if goes_on := self._goes_on():
                    alone = f"{goes_on} without the server"
                    console.problem(alone, tellers)
            case note.PeerSeen(peer, PeerState.ABSENT) if goes_on := self._goes_on():
                console.told(notice, f"{peer} is not back at the server yet; {goes_on}")
            case _:
                console.told(notice)
        match notice:
            case note.RegisteredAtServer() | note.PathLost():  # what is lost from now on is news
                tellers.forget(_is_of_lost_server)
            case note.PathEstablished():
                for step in next_steps(options):
                    console.say(step)
        status = exit_status(notice, once=options.once)
        if status is not None and not self.ended.done():
            self.ended.set_result(status)


def _is_of_lost_server(kind: Hashable) -> bool:
    """Of a word that a `Teller` remembers."""
    if isinstance(kind, tuple):
        return kind[0] is note.ServerLost
    return isinstance(kind, str) and kind.endswith(" goes on without the server")
