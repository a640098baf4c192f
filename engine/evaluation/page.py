"""One page that holds everything it shows: no network, no library, texts from data escaped."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .. import __version__
from ..files import atomic_file
from .protocols import Protocol

PARTS = Path(__file__).with_name("page")


def page_text(data: Mapping[str, Any], protocol: Protocol, title: str) -> str:
    """The HTML of a page. data: as `page_data` returns it."""
    parts = {name: (PARTS / f"page.{name}").read_text(encoding="utf-8") for name in ("html", "css", "js")}
    values = {
        "title": html.escape(title),
        "about": html.escape(protocol.about),
        "version": html.escape(__version__),
        "style": parts["css"],
        "script": parts["js"],
        "data": script_json(data),
    }
    # in one pass: nothing that is put in is looked through again
    return re.sub(r"\{\{(\w+)\}\}", lambda found: values[found[1]], parts["html"])


def script_json(value: Any) -> str:
    """JSON that no text can end the script element of."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    # a lone half of a surrogate pair cannot be written as UTF-8
    return text.encode("utf-8", "replace").decode("utf-8")


def write_page(path: Path, data: Mapping[str, Any], protocol: Protocol, title: str) -> None:
    """Write a page. Raises OutputError."""
    text = page_text(data, protocol, title)
    with atomic_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
