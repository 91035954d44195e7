# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no stable interface.
"""What is wrong, as lines for people."""

from __future__ import annotations

from typing import Iterable, Iterator

# A line names so many services and counts the rest.
NAMED = 5


def together(problems: Iterable[str]) -> Iterator[str]:
    """One line for all services whose problem reads the same.

    Args:
        problems: each "SERVICE: what is wrong".
    """
    services: dict[str, list[str]] = {}
    for problem in dict.fromkeys(problems):
        service, _colon, text = problem.partition(": ")
        services.setdefault(text, []).append(service)
    for text, names in services.items():
        more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
        yield f"{', '.join(names[:NAMED])}{more}: {text}"
