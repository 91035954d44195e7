# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no stable interface.
"""As much of Nginx's configuration language as is needed to read a file: directives, the blocks they stand in, and listeners."""

from __future__ import annotations

import dataclasses
import re
from typing import Iterator

from .pool import any_address

# White space, a comment, quoted text, a sign, or a word, in which ${name} is no block.
_TOKEN = re.compile(r"""\s+|\#[^\n]*|"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|[{};]|(?:\$\{[^}]*\}|\\.|[^\s{};\\])+""", re.DOTALL)


@dataclasses.dataclass(frozen=True)
class Directive:
    """A directive as written.

    Args:
        words: its name and its parameters, without quotes.
        blocks: the names of the blocks around it, the outermost first.
        span: where its last word stands in the text.
    """

    words: tuple[str, ...]
    blocks: tuple[str, ...]
    span: tuple[int, int]


def directives(text: str) -> Iterator[Directive]:
    """Every directive of a file, those that open a block included. What is no configuration gives nothing useful, and no error."""
    blocks: list[str] = []
    words: list[str] = []
    span = (0, 0)
    for match in _TOKEN.finditer(text):
        token = match[0]
        if token.isspace() or token.startswith("#"):
            continue
        if token not in ("{", "}", ";"):
            words.append(token[1:-1] if token[0] in "\"'" and token[-1] == token[0] and len(token) > 1 else token)
            span = match.span()
            continue
        if words:
            yield Directive(tuple(words), tuple(blocks), span)
        if token == "{":
            blocks.append(words[0] if words else "")
        elif token == "}" and blocks:
            blocks.pop()
        words = []


def listen_endpoints(text: str) -> tuple[tuple[str, int], ...]:
    """Address and port of every TCP listener; "" stands for all addresses. Sockets and port ranges are left out."""
    found = []
    for directive in directives(text):
        if directive.words[0] == "listen" and len(directive.words) > 1 and not {"udp", "quic"} & set(directive.words[2:]):
            endpoint = _endpoint(directive.words[1])
            if endpoint is not None:
                found.append(endpoint)
    return tuple(found)


def _endpoint(text: str) -> tuple[str, int] | None:
    if text.isdigit():
        return "", int(text)
    match = re.fullmatch(r"(\[[^\]]*\]|[^:/\[\]]+)(?::([0-9]{1,5}))?", text)
    if match is None or (match[2] is None and "-" in match[1]):
        return None
    # Without a port it is 80.
    return any_address(match[1].strip("[]")), int(match[2] or 80)
