# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no stable interface.
"""How many operations make the next transaction."""

from __future__ import annotations

from typing import Sequence


def fitting(sizes: Sequence[int], *, operations: int | None, size: int) -> int:
    """How many of the first items go into one part: as many as its limits allow, and one at the least.

    Args:
        sizes: of the items that are left, in bytes.
        operations: the most items in a part; None where no limit is known.
        size: the most bytes in a part.
    """
    most = len(sizes) if operations is None else min(len(sizes), operations)
    total = 0
    for number, one in enumerate(sizes[:most]):
        total += one
        if total > size:
            return max(number, 1)
    return max(most, 1)
