"""Capturing on many interfaces of many network namespaces at once, on one timeline, with scapy.

Every socket is opened inside its node's namespace and stays
there; one thread of this process reads them all. The kernel stamps the time, so the order of
packets does not depend on when they are read. Parsing is left until the traffic has ended.
"""

from __future__ import annotations

import errno
import socket
import struct
import threading
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from natlab.capture.packet import Packet, dissect
from natlab.capture.ring import Ring
from natlab.capture.scapy_parts import (
    DLT_EN10MB,
    SO_TIMESTAMPNS,
    AsyncSniffer,
    InterfaceProvider,
    L2ListenSocket,
    NetworkInterface,
    PcapNgWriter,
)
from natlab.errors import LabError
from natlab.sandbox.netns import in_namespace
from natlab.sandbox.threads import in_words

_TIMESPEC = struct.Struct("@qq")
_START_TIMEOUT = 10.0
_FRAME_BYTES = 65_536
_BUFFER_BYTES = 8 << 20
"""Asked for. The kernel grants at most twice the machine's `net.core.rmem_max`, and not even root in
a sandbox may exceed that. Frames lost for want of room are counted, and fail the capture."""
_DIRECTION_IN, _DIRECTION_OUT = 1, 2  # pcapng's epb_flags


class CaptureError(LabError):
    """A capture lost frames or a socket: what it holds is no evidence."""


@dataclass(frozen=True, slots=True)
class Tap:
    """One capture point: `interface` in the network namespace of the process `pid`."""

    pid: int
    interface: str


Sighting = tuple[str, float]
"""An interface and the time at which a packet was there."""


class Frame(bytes):
    """The octets of one frame, with the attributes under which scapy's writer looks for the rest."""

    time: float
    """Seconds since 1970, from the kernel."""
    sniffed_on: str
    direction: int
    comments: list[bytes]


class Capture:
    """Captures from construction until `stop`; also a context manager.

    All sockets are bound when the constructor returns: a packet sent after that is in the capture.
    Stop it before the interfaces go away.
    """

    def __init__(self, taps: Iterable[Tap]) -> None:
        """Raises `OSError` if an interface does not exist, is down, or may not be listened on, and
        `CaptureError` if the reading thread does not come up."""
        self._frames: tuple[Frame, ...] | None = None
        self._stopped = False
        wanted = list(taps)
        # One after the other they would take 0.1 s, in which the kernel waits for its CPUs.
        with ThreadPoolExecutor(len(wanted)) as pool:
            opening = [pool.submit(_listen, tap) for tap in wanted]
        self._sockets: dict[_Listener, str] = {
            future.result(): tap.interface
            for future, tap in zip(opening, wanted, strict=True)
            if future.exception() is None
        }
        for error in filter(None, (future.exception() for future in opening)):
            self._close()
            raise error
        # scapy asks the session for frames whenever a socket is readable, and labels what it gets.
        started = threading.Event()
        self._sniffer = AsyncSniffer(
            opened_socket=self._sockets, session=_Reader, started_callback=started.set
        )
        self._sniffer.start()
        if not started.wait(_START_TIMEOUT):
            self._close()
            raise CaptureError(f"the capture did not start within {_START_TIMEOUT:g} s")

    def stop(self) -> None:
        """Read what the kernel still holds, then close. A second call does nothing.

        Raises `CaptureError` if frames were lost: the evidence would have holes.
        """
        if self._stopped:
            return
        self._stopped = True
        if self._sniffer.running:  # it ends by itself when every link is gone
            self._sniffer.stop()
        try:
            try:
                self._sniffer.join()
            except Exception as error:
                raise CaptureError(f"the capture broke: {in_words(error)}") from error
            frames: list[Frame] = [*self._sniffer.results]
            for listener, interface in self._sockets.items():
                if (
                    listener.closed or not listener.ins.getsockname()[0]
                ):  # which names its interface
                    raise CaptureError(f"the capture on {interface} ended early: is the link gone?")
                for frame in _Reader().recv(listener):
                    frame.sniffed_on = interface
                    frames.append(frame)
                lost = listener.ring.lost()
                if lost:
                    raise CaptureError(f"the kernel dropped {lost} frames on {interface}")
        finally:
            self._close()
        self._frames = tuple(sorted(frames, key=lambda frame: frame.time))

    @property
    def frames(self) -> tuple[Frame, ...]:
        """Every frame, in order of time. Only after `stop`."""
        if self._frames is None:
            raise CaptureError(
                "there is nothing yet: first stop the capture, and that must succeed"
            )
        return self._frames

    @property
    def packets(self) -> tuple[Packet, ...]:
        """The frames that can be evidence, as `natlab.evidence.trace` takes them. Only after `stop`."""
        packets = (
            dissect(
                bytes(frame),
                time=frame.time,
                point=frame.sniffed_on,
                outgoing=frame.direction == _DIRECTION_OUT,
            )
            for frame in self.frames
        )
        return tuple(packet for packet in packets if packet is not None)

    def write(self, path: Path, comments: Mapping[Sighting, str] | None = None) -> None:
        """Write all frames to one pcapng file, each with its interface, direction and comment.

        Raises `LabError` if the file cannot be written; what there was of it is removed.
        """
        frames = self.frames
        try:
            with PcapNgWriter(str(path)) as writer:
                writer.linktype = DLT_EN10MB
                writer.write_header(None)
                for frame in frames:
                    comment = (comments or {}).get((frame.sniffed_on, frame.time))
                    frame.comments = [] if comment is None else [comment.encode()]
                    writer.write_packet(frame)
        except OSError as error:
            with suppress(OSError):
                path.unlink()
            raise LabError(f"cannot write {path}: {error.strerror}") from None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with suppress(CaptureError) if error else nullcontext():  # the first error counts
            self.stop()

    def _close(self) -> None:
        for listener in self._sockets:
            listener.close()


class _Listener(L2ListenSocket):  # type: ignore[misc]
    """scapy's socket, with a ring."""

    ring: Ring

    def close(self) -> None:
        if not self.closed:
            self.ring.close()
        super().close()


class _Reader:
    """A scapy session that takes all that a socket holds, with its direction, undissected."""

    def recv(self, listener: _Listener) -> Iterator[Frame]:
        for caught in listener.ring.take():
            yield _frame(caught.octets, caught.time, caught.packet_type)
        yield from self._queued(listener)

    def _queued(self, listener: _Listener) -> Iterator[Frame]:
        """The frames that no slot of the ring can hold."""
        while True:
            try:
                octets, ancillary, _, address = listener.ins.recvmsg(
                    _FRAME_BYTES, socket.CMSG_SPACE(_TIMESPEC.size) + 64, socket.MSG_DONTWAIT
                )
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno != errno.ENETDOWN:
                    raise
                continue  # told once; frames come again when the link is up
            yield _frame(octets, _timestamp(ancillary), address[2])


def _frame(octets: bytes, time: float, packet_type: int) -> Frame:
    frame = Frame(octets)
    frame.time = time
    outgoing = packet_type == socket.PACKET_OUTGOING
    frame.direction = _DIRECTION_OUT if outgoing else _DIRECTION_IN
    return frame


def _timestamp(ancillary: list[tuple[int, int, bytes]]) -> float:
    for level, kind, data in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, SO_TIMESTAMPNS):
            seconds, nanoseconds = _TIMESPEC.unpack(data)
            return float(seconds + nanoseconds * 1e-9)
    raise CaptureError("the kernel gave a frame no time")


def _listen(tap: Tap) -> _Listener:
    # By its name alone, scapy would look for the interface in this process's own namespace.
    interface = NetworkInterface(InterfaceProvider())
    interface.network_name = tap.interface
    with in_namespace(tap.pid):
        listener = _Listener(iface=interface, promisc=False)
    listener.ins.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER_BYTES)
    listener.ring = Ring(listener.ins)
    return listener
