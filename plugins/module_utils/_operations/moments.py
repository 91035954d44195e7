# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no stable interface.
"""Points in time as people read and write them; everywhere else they are seconds since the epoch."""

from __future__ import annotations

import datetime
import time


def parse(text: object) -> datetime.datetime | None:
    """A time from ISO 8601 with an offset, such as 2026-12-24T18:00:00+01:00; None of anything else."""
    written = str(text).strip()
    try:
        # Z is read by later Pythons only.
        parsed = datetime.datetime.fromisoformat(f"{written[:-1]}+00:00" if written.endswith("Z") else written)
    except ValueError:
        return None
    return None if parsed.tzinfo is None else parsed


def local(seconds: float) -> str:
    """A time for people here: local, to the second."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds))


def utc(seconds: float, pattern: str) -> str:
    """A time in UTC, by a pattern of strftime."""
    return time.strftime(pattern, time.gmtime(seconds))
