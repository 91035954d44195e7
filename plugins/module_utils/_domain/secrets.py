# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no stable interface.
"""Credentials inside of URLs."""

from __future__ import annotations

import re
from typing import Any, Iterator

_CREDENTIALS = re.compile(r"(https?://)([^\s/?#]+)@")


def masked_url(text: str) -> str:
    """A text with the users and passwords, or tokens, of all URLs in it masked."""
    return _CREDENTIALS.sub(r"\1***@", text)


def url_credentials(value: Any) -> Iterator[str]:
    """What masked_url masks, of all texts in a value of dicts and lists."""
    if isinstance(value, str):
        yield from (match.group(2) for match in _CREDENTIALS.finditer(value))
    elif isinstance(value, dict):
        for item in value.values():
            yield from url_credentials(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from url_credentials(item)
