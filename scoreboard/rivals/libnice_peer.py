"""libnice (RFC 8445) as a bridge: datagrams come in at 127.0.0.1:5300 on a, and go out to 127.0.0.1:7000 on b.

    /usr/bin/python3 libnice_peer.py a|b SERVER

TURN is on SERVER's port 3478, signalling on its port 8080 (`swap.py`). TURN tells the reflexive address too: no
STUN server is named, as libnice 0.1.21 takes none of coturn's answers to its old form of requests and waits 2 s.
An agent that has failed is not used again; whoever uses libnice makes another, and so does this. Sending and
receiving go by ctypes, as libnice's introspection leaves them out.
"""

from __future__ import annotations

import ctypes
import json
import socket
import sys
import threading
from typing import Any

import gi

gi.require_version("Nice", "0.1")
from gi.repository import GLib, Nice  # noqa: E402

TURN_PORT, SWAP_PORT = 3478, 8080
_nice = ctypes.CDLL("libnice.so.10")
_RECEIVED = ctypes.CFUNCTYPE(
    None,
    ctypes.c_void_p,
    ctypes.c_uint,
    ctypes.c_uint,
    ctypes.c_uint,
    ctypes.POINTER(ctypes.c_char),
    ctypes.c_void_p,
)
_nice.nice_agent_attach_recv.argtypes = [
    ctypes.c_void_p, ctypes.c_uint, ctypes.c_uint, ctypes.c_void_p, _RECEIVED, ctypes.c_void_p,
]  # fmt: skip
_nice.nice_agent_send.argtypes = [
    ctypes.c_void_p, ctypes.c_uint, ctypes.c_uint, ctypes.c_uint, ctypes.c_char_p,
]  # fmt: skip


class Bridge:
    """The socket towards programs, and one agent after the other."""

    def __init__(self, role: str, server: str) -> None:
        self.role, self.server = role, server
        self.program = None if role == "a" else ("127.0.0.1", 7000)
        self.local = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.local.bind(("127.0.0.1", 5300 if role == "a" else 5301))
        self.local.setblocking(False)
        GLib.io_add_watch(self.local.fileno(), GLib.IO_IN, self.from_program)
        self.received = _RECEIVED(self.from_peer)
        self.agent: Any = None
        self.is_open = False
        self.begin()

    def begin(self) -> bool:
        """A new agent."""
        option = Nice.AgentOption.CONSENT_FRESHNESS
        self.agent = agent = Nice.Agent.new_full(
            GLib.MainContext.default(), Nice.Compatibility.RFC5245, option
        )
        agent.set_property("controlling-mode", self.role == "a")
        agent.connect("candidate-gathering-done", self.gathered)
        agent.connect("component-state-changed", self.changed)
        self.stream = agent.add_stream(1)
        agent.set_stream_name(self.stream, "application")
        for over in (Nice.RelayType.UDP, Nice.RelayType.TCP):
            agent.set_relay_info(self.stream, 1, self.server, TURN_PORT, "lab", "secret", over)
        _nice.nice_agent_attach_recv(hash(agent), self.stream, 1, None, self.received, None)
        agent.gather_candidates(self.stream)
        return False

    def gathered(self, agent: Any, _stream: int) -> None:
        own = agent.generate_local_sdp()
        threading.Thread(target=self.swap, args=(agent, own), daemon=True).start()

    def swap(self, agent: Any, own: str) -> None:
        """Our description for the other's."""
        try:
            with socket.create_connection((self.server, SWAP_PORT)) as link:
                link.sendall(f"{self.role} {json.dumps(own)}\n".encode())
                other = json.loads(link.makefile().readline())
        except (OSError, ValueError) as error:
            GLib.idle_add(self.end, agent, f"no description of the other: {error}")
        else:
            GLib.idle_add(agent.parse_remote_sdp, other)

    def changed(self, agent: Any, _stream: int, _component: int, state: int) -> None:
        name = Nice.ComponentState(state).value_nick
        print(name, flush=True)
        if agent is self.agent:
            self.is_open = name in {"connected", "ready"} or (self.is_open and name != "failed")
            if name == "failed":
                GLib.idle_add(self.end, agent, "failed")

    def end(self, agent: Any, why: str) -> bool:
        """Another agent in a second."""
        if agent is self.agent:
            print(f"session ended: {why}", flush=True)
            self.is_open, self.agent = False, None
            agent.remove_stream(self.stream)
            GLib.timeout_add(1000, self.begin)
        return False

    def from_program(self, *_: object) -> bool:
        data, self.program = self.local.recvfrom(65_536)
        if self.is_open:
            _nice.nice_agent_send(hash(self.agent), self.stream, 1, len(data), data)
        return True

    def from_peer(
        self, _agent: Any, _stream: int, _component: int, size: int, data: Any, _user: Any
    ) -> None:
        if self.program is not None:
            self.local.sendto(data[:size], self.program)


if __name__ == "__main__":
    bridge = Bridge(*sys.argv[1:])
    GLib.MainLoop().run()
