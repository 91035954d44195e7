# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no stable interface.
"""The one root error of the collection and its few children, and text from elsewhere made fit for people's eyes."""

from __future__ import annotations

from typing import Any, Iterable

_LONGEST_QUOTE = 160


def printable(text: str) -> str:
    """The text for a terminal or a log: what could steer one, such as an escape sequence, is shown escaped; line breaks stay."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() or char in "\n\t" else char.encode("unicode_escape").decode() for char in text)


def quoted(text: object) -> str:
    """Text from a catalog or a check inside a message: on one line, in quotes, with nothing that is not printable, and not long."""
    told = repr(text)
    return told if len(told) <= _LONGEST_QUOTE else f"{told[:_LONGEST_QUOTE]}... ({len(told)} characters)"


class AutoscaleError(Exception):
    """Something the user has to know about.

    Args:
        message: what was tried, where, what came back and what to look at; printable() is seen to here.
        context: small JSON-ready facts for a machine that reads the failure.
    """

    def __init__(self, message: str, **context: Any) -> None:
        self.message = printable(message)
        super().__init__(self.message)
        self.context = context


class InvalidDescription(AutoscaleError):
    """Input that was refused before anything was touched; names every path that is wrong."""

    def __init__(self, errors: Iterable[str]) -> None:
        self.errors = tuple(errors)
        super().__init__("\n".join(self.errors), errors=list(self.errors))


class WaitTimeout(AutoscaleError):
    """A wait ended without the state waited for; the message carries the last state seen."""


class LockLost(AutoscaleError):
    """The lock that covers a change is not ours any more; nothing further may be changed."""
