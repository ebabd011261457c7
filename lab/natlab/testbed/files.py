"""The names of the files that a lab leaves in its directory."""

CAPTURE_FILE = "capture.pcapng"
LADDER_FILE = "ladder.txt"
KEYS_FILE = "keys.log"
PROBES_FILE = "probes.txt"
LINKS_FILE = "links.txt"
RULES_SUFFIX = ".rules"
"""After the name of a NAT's node."""
