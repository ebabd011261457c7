"""The parts of scapy that a capture takes, read without this machine's routes, of which none is asked."""

# ruff: noqa: E402 - scapy reads the routes when it is imported, unless it was told before

from scapy.config import conf

conf.route_autoload = False

from scapy.arch.linux import L2ListenSocket
from scapy.data import DLT_EN10MB, MANUFDB, SO_TIMESTAMPNS
from scapy.interfaces import InterfaceProvider, NetworkInterface
from scapy.layers import l2  # noqa: F401 - makes Ethernet known to scapy's sockets
from scapy.sendrecv import AsyncSniffer
from scapy.utils import PcapNgWriter

# 12 MB of who made which interface, which nobody asks. Each fork of a process would take a fifth longer with them.
MANUFDB.d.clear()

__all__ = (
    "DLT_EN10MB",
    "SO_TIMESTAMPNS",
    "AsyncSniffer",
    "InterfaceProvider",
    "L2ListenSocket",
    "NetworkInterface",
    "PcapNgWriter",
)
