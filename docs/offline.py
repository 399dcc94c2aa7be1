"""A hook of the site's build: what is built asks no other host for anything.

Material fetches fonts, and Mermaid where a page has a diagram of it; a page would be half there
without a network, and tell another host who reads it. A warning fails the build, which is strict.
"""

import logging
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

_LOADS = {"src", "srcset", "data", "poster"}  # attributes of whatever element
_FOREIGN = re.compile(r"^\s*(?:https?:)?//", re.IGNORECASE)
_IN_STYLE = re.compile(r"""(?:url\(|@import)\s*["']?((?:https?:)?//[^"')\s]+)""", re.IGNORECASE)
# What Material's script fetches for an element of such a class.
_FETCHED_FOR = {"mermaid": "https://unpkg.com"}


def on_post_build(config: Any) -> None:
    """Called by MkDocs when all files are written."""
    for path in sorted(Path(config["site_dir"]).rglob("*")):
        for address in foreign(path):
            logging.getLogger("mkdocs.hooks.offline").warning(
                f"{path.relative_to(config['site_dir'])} loads {address}"
            )


def foreign(path: Path) -> list[str]:
    """What a page, a style sheet or a picture loads from another host."""
    if path.suffix in (".html", ".svg"):
        reader = _Reader()
        reader.feed(path.read_text("utf-8"))
        return reader.found
    return _IN_STYLE.findall(path.read_text("utf-8")) if path.suffix == ".css" else []


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self._in_style = False

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self._in_style = tag == "style"
        given = {name: value or "" for name, value in attributes}
        self.found += _IN_STYLE.findall(given.get("style", ""))
        self.found += [
            _FETCHED_FOR[name] for name in given.get("class", "").split() if name in _FETCHED_FOR
        ]
        loads = {name for name in given if name in _LOADS}
        is_shown = tag in ("image", "use", "feimage")  # of SVG
        is_fetched = tag == "link" and given.get("rel", "") not in ("canonical", "next", "prev")
        if is_shown or is_fetched:
            loads |= {"href", "xlink:href"} & given.keys()
        self.found += [given[name] for name in sorted(loads) if _FOREIGN.match(given[name])]

    def handle_data(self, data: str) -> None:
        if self._in_style:
            self.found += _IN_STYLE.findall(data)

    def handle_endtag(self, tag: str) -> None:
        self._in_style = False
