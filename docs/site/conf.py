"""Makes the documents into a site: `make docs`. The pages stay plain Markdown, readable where they lie.

Every warning is an error: a dead link, a page that the contents below lack, a docstring that does not parse.
"""

from __future__ import annotations

from sphinx.application import Sphinx

import nat_traversal

project = "nat_traversal"
author = "the nat_traversal developers"
release = version = nat_traversal.__version__

root_doc = "README"
include_patterns = ["README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "docs/**.md"]
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.viewcode"]
myst_enable_extensions = ["html_image"]
myst_heading_anchors = 4

autodoc_member_order = "bysource"
autodoc_typehints = "description"
add_module_names = False

html_theme = "furo"
html_title = "nat_traversal"
html_additional_pages = {"index": "index.html"}
templates_path = ["templates"]
html_copy_source = False
html_show_copyright = False

CONTENTS = {
    "User guide": "docs/guide/README docs/guide/wireguard docs/guide/games docs/guide/sip docs/guide/ssh docs/guide/firewall docs/guide/running docs/comparison",
    "Use it": (
        "docs/pairing docs/services docs/tcp-services docs/turn docs/client-config docs/check docs/path-status docs/recovery docs/nat-types docs/rungs docs/api "
        "docs/troubleshooting docs/messages docs/events docs/limitations"
    ),
    "Run a server": "docs/server/running docs/server/access docs/server/metrics docs/server/several docs/server/capacity docs/server/under-attack",
    "The lab": "docs/lab/README docs/lab/guide docs/lab/pytest docs/lab/topologies docs/lab/links-and-faults docs/lab/presets docs/lab/program-file docs/lab/ci docs/lab/report docs/lab/how-it-works docs/lab/measurements docs/scoreboard docs/ladder-runs",
    "How it is made": "docs/architecture docs/protocol docs/security docs/exploration docs/performance docs/benchmarks docs/glossary CONTRIBUTING SECURITY CHANGELOG",
}
"""Every page, by what a reader looks for."""


def add_contents(_app: Sphinx, page: str, source: list[str]) -> None:
    """Give the first page the contents, which its Markdown does not need elsewhere."""
    if page == root_doc:
        for caption, pages in CONTENTS.items():
            listed = "\n".join(f"/{page}" for page in pages.split())
            source[0] += f"\n```{{toctree}}\n:hidden:\n:caption: {caption}\n\n{listed}\n```\n"


def setup(app: Sphinx) -> None:
    """As Sphinx calls it."""
    app.connect("source-read", add_contents)
