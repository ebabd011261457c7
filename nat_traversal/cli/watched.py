"""`--metrics`: what a running server shows to Prometheus and to health checks."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from nat_traversal.aio.monitor import Monitor, Page
from nat_traversal.aio.server import Server
from nat_traversal.cli.console import Console
from nat_traversal.settings import ServerSettings
from nat_traversal.wire.endpoint import HostPort


@asynccontextmanager
async def watched(
    server: Server, at: HostPort | None, console: Console, settings: ServerSettings
) -> AsyncIterator[None]:
    """Show `server` at `at`; nothing if that is None. Raises `UsageError`."""
    if at is None:
        yield
        return
    from nat_traversal.aio.metrics import Metrics  # noqa: PLC0415 - an extra

    metrics = Metrics(server.counters)
    monitor = Monitor(
        {
            "/metrics": lambda: Page(metrics.text(), metrics.content_type),
            "/health": lambda: _health(server),
        },
        settings.monitor_within,
    )
    try:
        await monitor.start(at)
        console.event("metrics", endpoint=monitor.endpoint)
        console.say(f"metrics at http://{monitor.endpoint}/metrics, health at /health")
        yield
    finally:
        await monitor.close()
        metrics.close()


def _health(server: Server) -> Page:
    store = server.rendezvous.is_well
    said = {
        "status": "draining" if server.is_draining else "ok" if store else "store-away",
        "hosts": len(server.rendezvous.registered),
        "connections": len(server.connections),
        "attempts": server.attempts,
    }
    body = json.dumps(said).encode() + b"\n"
    return Page(body, "application/json", is_well=store and not server.is_draining)
