"""The TCP services for one peer: they share this process's identity towards it."""

from __future__ import annotations

from collections.abc import Callable

from nat_traversal.aio.datapath import Problem
from nat_traversal.aio.service import Service
from nat_traversal.aio.stream_identity import made_identity
from nat_traversal.aio.tcp_service import TcpConnector, TcpListener
from nat_traversal.settings import ClientSettings
from nat_traversal.wire.endpoint import HostPort


class TcpPrograms:
    """Makes the sides. `certificate` gives that of the peer's process, or nothing."""

    def __init__(self, settings: ClientSettings, certificate: Callable[[], bytes]) -> None:
        self._settings = settings
        self._certificate = certificate
        self.identity = made_identity()

    def listener(self, at: HostPort, problem: Problem) -> TcpListener:
        """For programs that connect to `at`. Raises `UsageError`, its kind `LocalAddressError` where time may cure that."""
        return TcpListener(at, problem, self._settings, self._certificate)

    def connector(
        self, service: Service, problem: Problem, changed: Callable[[bool], None]
    ) -> TcpConnector:
        """For the other side's programs, which want `service`."""
        return TcpConnector(service, problem, self._settings, self.identity, changed)
