"""Header fields by their place, and what an ICMP error quotes, as nftables expressions. Pure text.

IPv4 without options: fields of a quoted packet have no names, and a key has one type. So a key that
either kind of packet has to find is made of these alone.
"""

from __future__ import annotations

SOURCE, SOURCE_PORT = "@nh,96,32", "@nh,160,16"
TARGET, TARGET_PORT = "@nh,128,32", "@nh,176,16"
QUOTED_SOURCE, QUOTED_SOURCE_PORT = "@th,160,32", "@th,224,16"
QUOTED_TARGET, QUOTED_TARGET_PORT = "@th,192,32", "@th,240,16"
FLOW = f"{SOURCE} . {SOURCE_PORT} . {TARGET} . {TARGET_PORT}"
QUOTES_UDP = (
    "icmp type { destination-unreachable, time-exceeded, parameter-problem }"
    " @th,64,8 0x45 @th,136,8 17"
)
