# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no stable interface.
"""The one root error of the collection and its few children."""

from __future__ import annotations

from typing import Any, Iterable


class AutoscaleError(Exception):
    """Something the user has to know about.

    Args:
        message: what was tried, where, what came back and what to look at.
        context: small JSON-ready facts for a machine that reads the failure.
    """

    def __init__(self, message: str, **context: Any) -> None:
        super().__init__(message)
        self.message = message
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
