"""SQL as people write it: taken as it is, and compared without its layout."""

from __future__ import annotations

import re
from collections.abc import Iterator

_PARTS = re.compile(
    r"""(?P<comment>--[^\n]*|/\*(?:[^*]|\*(?!/))*(?:\*/|\Z))
      |(?P<quoted>(?<![\w$])[eE]'(?:[^'\\]|''|\\.)*(?:'|\Z)
         |'(?:[^']|'')*(?:'|\Z)|"(?:[^"]|"")*(?:"|\Z)
         |(?P<tag>\$(?:[A-Za-z_]\w*)?\$).*?(?:(?P=tag)|\Z))
      |(?P<blank>\s+)
      |(?P<word>\w+(?:\$\w*)*|.)""",
    re.VERBOSE | re.DOTALL,
)


def layout_free(query: str) -> str:
    """A query without comments, and with one blank wherever there were some outside quotes."""
    words: list[str] = []
    for kind, part in _parts(query):
        if kind not in {"comment", "blank"}:
            words.append(part)
        elif words and words[-1] != " ":
            words.append(" ")
    while words and words[-1] in {" ", ";"}:
        words.pop()
    return "".join(words)


def statement_of(query: str) -> str:
    """A query without the semicolon, blanks and comments at its end, else as written."""
    parts = list(_parts(query))
    while parts and (parts[-1][0] in {"comment", "blank"} or parts[-1][1] == ";"):
        parts.pop()
    return "".join(part for _, part in parts)


def _parts(query: str) -> Iterator[tuple[str, str]]:
    for match in _PARTS.finditer(query):
        yield match.lastgroup or "word", match.group()
