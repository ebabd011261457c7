"""asyncio adapters: sockets and timers around the machines."""
