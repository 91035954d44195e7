# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no stable interface.
"""What an instance asks of its host."""

from __future__ import annotations

import dataclasses
import re

_MEMORY = re.compile(r"([0-9]{1,15})([KMGT]?)")
_BYTES = {"": 1, "K": 1024, "M": 1024**2, "G": 1024**3, "T": 1024**4}
# Less than the least starts no program: it is a number that was meant as megabytes.
_LEAST, _MOST = 1024**2, 2**60
# What parse_memory takes, for messages.
MEMORY = "a number of bytes or text such as 256M or 1G, at least 1M"


@dataclasses.dataclass(frozen=True)
class Resources:
    """What one instance asks for; cpu in cores, memory in bytes, as its limit."""

    cpu: float | None = None
    memory: int | None = None


def parse_memory(value: object) -> int | None:
    """Bytes from a whole number or from text such as 256M or 1G (K, M, G, T of 1024); else None."""
    match = _MEMORY.fullmatch(value) if isinstance(value, str) else None
    if match:
        size = int(match.group(1)) * _BYTES[match.group(2)]
    elif isinstance(value, int) and not isinstance(value, bool):
        size = value
    else:
        return None
    return size if _LEAST <= size <= _MOST else None
