# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no stable interface.
"""How text is written into a systemd unit, as systemd.syntax(7) and systemd.service(5) have it from systemd 247 on."""

from __future__ import annotations

from typing import Sequence


def command_value(what: str, argv: Sequence[str]) -> str:
    """The value of ExecStart= that runs exactly these words; raises ValueError as `word` does."""
    # With the colon a $ is a $ in every word, the program included, where $$ would stay two.
    return " ".join(word(what, text) for text in (f":{argv[0]}", *argv[1:]))


def word(what: str, text: str) -> str:
    """One word of a setting, in quotes: nothing in it is expanded.

    Raises:
        ValueError: systemd does not take the text; it begins with `what`.
    """
    require_text(what, text)
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return '"' + "".join(f"\\x{ord(one):02x}" if is_control(one) else one for one in escaped) + '"'


def is_control(character: str) -> bool:
    return ord(character) < 32 or ord(character) == 127


def require_text(what: str, text: str) -> None:
    """Raise ValueError for text that systemd does not take. It may be a secret: it is not repeated."""
    for character in text:
        code = ord(character)
        # systemd drops a whole line or file for one of these: surrogates, what Unicode calls noncharacters, and the byte order mark.
        if code == 0 or 0xD800 <= code <= 0xDFFF or 0xFDD0 <= code <= 0xFDEF or code & 0xFFFE == 0xFFFE or code == 0xFEFF:
            raise ValueError(f"{what} has the character U+{code:04X}, which systemd does not take")
