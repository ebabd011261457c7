"""The pictures of README.md and docs/nat-types.md as SVG: `python -m scripts.pictures` writes docs/pictures/.

Each has a ground of its own, light or dark as its reader prefers, so it can be read on any page.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from xml.sax.saxutils import escape

FOLDER = "docs/pictures"
_STYLE = """
svg { --ground: #ffffff; --ink: #1f2328; --line: #57606a; --nat: #ddf4ff; --good: #1a7f37; --bad: #cf222e }
@media (prefers-color-scheme: dark) {
  svg { --ground: #161b22; --ink: #e6edf3; --line: #9198a1; --nat: #12324a; --good: #3fb950; --bad: #ff7b72 }
}
.ground { fill: var(--ground); stroke: var(--line); stroke-width: 1 }
.box { fill: var(--ground); stroke: var(--line); stroke-width: 1.5 }
.nat { fill: var(--nat); stroke: var(--line); stroke-width: 1.5 }
.way { stroke: var(--line); stroke-width: 1.5; fill: none }
.good { stroke: var(--good); stroke-width: 2.5; fill: none }
.bad { stroke: var(--bad); stroke-width: 2; fill: none; stroke-dasharray: 6 4 }
.asks { stroke: var(--line); stroke-width: 1.5; fill: none; stroke-dasharray: 2 4 }
text { fill: var(--ink); font: 13px ui-monospace, "DejaVu Sans Mono", monospace; text-anchor: middle }
.note { font: 13px system-ui, "DejaVu Sans", sans-serif }
.left { text-anchor: start }
.head-way { fill: var(--line) } .head-good { fill: var(--good) } .head-bad { fill: var(--bad) }
"""


class Picture:
    """One SVG of `width` by `height` pixels. `title` tells what is in it, for those who cannot see it."""

    def __init__(self, width: int, height: int, title: str) -> None:
        heads = "".join(
            f'<marker id="{kind}" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="8" markerHeight="8" '
            f'markerUnits="userSpaceOnUse" orient="auto"><path class="head-{kind}" d="M0 0L10 5L0 10z"/></marker>'
            for kind in ("way", "good", "bad")
        )
        size = f'viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
        self._parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img"><title>{escape(title)}</title>',
            f"<style>{_STYLE}</style><defs>{heads}</defs>",
            f'<rect class="ground" x="0.5" y="0.5" width="{width - 1}" height="{height - 1}" rx="8"/>',
        ]

    def box(self, x: int, y: int, width: int, height: int, *lines: str, kind: str = "box") -> None:
        """A host or a NAT with its name, around its middle `x`, `y`."""
        self._parts.append(
            f'<rect class="{kind}" x="{x - width // 2}" y="{y - height // 2}" width="{width}" '
            f'height="{height}" rx="6"/>'
        )
        for number, line in enumerate(lines):
            self.text(x, y + 5 + 18 * number - 9 * (len(lines) - 1), line)

    def text(self, x: int, y: int, words: str, kind: str = "") -> None:
        """Words around `x`; ``left``: from there on."""
        self._parts.append(f'<text class="{kind}" x="{x}" y="{y}">{escape(words)}</text>')

    def arrow(self, *points: tuple[int, int], kind: str = "way", head: bool = True) -> None:
        """From the first point to the last."""
        path = "L".join(f"{x} {y}" for x, y in points)
        end = f' marker-end="url(#{kind})"' if head and kind != "asks" else ""
        self._parts.append(f'<path class="{kind}" d="M{path}"{end}/>')

    def svg(self) -> str:
        """The file's text."""
        return "\n".join((*self._parts, "</svg>")) + "\n"


def mapping(title: str, ports: Iterable[str]) -> Picture:
    """A host sends from one socket to three endpoints: the NAT's external port for each."""
    picture = Picture(720, 190, title)
    picture.box(95, 95, 150, 44, "host", "10.0.1.2:5000")
    picture.box(285, 95, 90, 150, "NAT", kind="nat")
    picture.arrow((170, 95), (240, 95))
    there = ("192.0.2.2:6545", "192.0.2.2:7000", "198.51.100.2:5000")
    for y, port, destination in zip((45, 95, 145), ports, there, strict=True):
        picture.arrow((330, y), (515, y), kind="good")
        picture.text(425, y - 8, f"from :{port}")
        picture.box(610, y, 185, 36, destination)
    return picture


def filtering(title: str, passes: Iterable[bool]) -> Picture:
    """The host has sent to P:1: which of three senders get in."""
    picture = Picture(720, 190, title)
    picture.box(80, 95, 110, 44, "host")
    picture.box(285, 95, 90, 150, "NAT", kind="nat")
    for y, sender, is_let_in in zip((45, 95, 145), ("P:1", "P:2", "Q:1"), passes, strict=True):
        picture.box(610, y, 120, 36, sender)
        if is_let_in:
            picture.arrow((550, y), (330, y), kind="good")
            picture.text(440, y - 8, "comes in")
            picture.arrow((240, y), (135, 95 + (y - 95) // 4), kind="good")
        else:
            picture.arrow((550, y), (334, y), kind="bad")
            picture.text(440, y - 8, "dropped")
    picture.text(187, 178, "has sent to P:1", "note")
    return picture


def punching() -> Picture:
    """Why symmetric and port-restricted do not meet."""
    picture = Picture(
        720, 200, "A symmetric NAT sends from another port than the one that the other NAT lets in."
    )
    picture.box(75, 100, 110, 44, "host A")
    picture.box(215, 100, 110, 130, "symmetric", "NAT", kind="nat")
    picture.box(505, 100, 110, 130, "port-", "restricted", "NAT", kind="nat")
    picture.box(645, 100, 110, 44, "host B")
    picture.arrow((130, 85), (160, 85))
    picture.arrow((270, 70), (446, 70), kind="bad")
    picture.text(360, 60, "HELLO from :48113", "note")
    picture.arrow((590, 115), (560, 115))
    picture.arrow((450, 130), (274, 130), kind="bad")
    picture.text(360, 122, "HELLO to :62000", "note")
    picture.text(360, 188, "B's NAT is open for :62000 only, which the server saw", "note")
    return picture


def way() -> Picture:
    """The whole of it, for README.md."""
    picture = Picture(
        720, 250, "Two hosts behind NATs ask a public server for each other, then send directly."
    )
    picture.box(360, 45, 200, 44, "public server")
    picture.box(75, 150, 120, 60, "program", "and host A")
    picture.box(225, 150, 80, 80, "NAT", kind="nat")
    picture.box(495, 150, 80, 80, "NAT", kind="nat")
    picture.box(645, 150, 120, 60, "host B", "and service")
    picture.arrow((100, 120), (160, 45), (260, 45), kind="asks")
    picture.arrow((620, 120), (560, 45), (460, 45), kind="asks")
    picture.text(130, 36, "who is B, and where?", "note")
    picture.text(592, 36, "who is A, and where?", "note")
    picture.arrow((135, 150), (185, 150), kind="good", head=False)
    picture.arrow((265, 143), (451, 143), kind="good")
    picture.arrow((455, 158), (269, 158), kind="good")
    picture.arrow((535, 150), (585, 150), kind="good", head=False)
    picture.text(360, 132, "sealed UDP, directly", "note")
    picture.text(
        360, 226, "each NAT lets the other side in, since its own host has sent first", "note"
    )
    return picture


_SAME, _EACH = "62000", ("62000", "31907", "48113")
PICTURES: dict[str, Callable[[], Picture]] = {
    "way.svg": way,
    "eim.svg": lambda: mapping("One external port for every destination.", [_SAME] * 3),
    "adm.svg": lambda: mapping(
        "One external port for each destination address.", (_SAME, _SAME, "48113")
    ),
    "apdm.svg": lambda: mapping("One external port for each destination address and port.", _EACH),
    "eif.svg": lambda: filtering("Everybody may send.", (True, True, True)),
    "adf.svg": lambda: filtering("Every port of the address P may send.", (True, True, False)),
    "apdf.svg": lambda: filtering("Only P:1 may send.", (True, False, False)),
    "punching.svg": punching,
}
"""By their files in `FOLDER`."""


if __name__ == "__main__":
    folder = Path(__file__).parents[1] / FOLDER
    folder.mkdir(exist_ok=True)
    for name, make in PICTURES.items():
        (folder / name).write_text(make().svg(), encoding="utf-8")
