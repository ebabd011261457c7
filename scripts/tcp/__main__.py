"""``python -m scripts.tcp``: how fast TCP services are beside wireguard-go, between two NATs of the lab, in turns."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from natlab.links.options import add_link_options, link_conditions
from natlab.sandbox.sandbox import call
from scripts.tcp.inside import Asked, measure

USES = ("iperf3", "beside CUBIC", "curl", "ssh", "crowd")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m scripts.tcp", description=__doc__)
    parser.add_argument("--uses", default="iperf3,curl", help=f"of {','.join(USES)}")
    parser.add_argument("--mebibytes", type=int, default=20, help="of the file (default: 20)")
    parser.add_argument("--sshd", help="where OpenSSH's server is")
    parser.add_argument("--unread", type=int, help="only memory, of so many connections")
    parser.add_argument("--rounds", type=int, default=2)
    add_link_options(parser)
    options = parser.parse_args()
    chosen = tuple(options.uses.split(","))
    if unknown := set(chosen) - set(USES):
        parser.error(f"--uses: {min(unknown)!r} is none of {', '.join(USES)}")
    if "ssh" in chosen and options.sshd is None:
        parser.error("--uses ssh: give --sshd PATH, where OpenSSH's server is")
    links = link_conditions(options)
    asked = Asked(
        links,
        options.mebibytes << 20,
        chosen,
        options.sshd,
        options.rounds,
        options.unread,
    )
    print(f"links: {links}; {options.mebibytes} MiB", flush=True)
    with tempfile.TemporaryDirectory() as directory:
        for use, way, said in call(590.0, measure, asked, Path(directory)):
            print(f"{use} | {way} | {'; '.join(said)}", flush=True)


if __name__ == "__main__":
    main()
