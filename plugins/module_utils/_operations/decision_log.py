# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no stable interface.
"""The decision log: one JSON object per line, a decision being in force until the service's next."""

from __future__ import annotations

import json
import os
from typing import Any, Iterable, Iterator

from .._domain.decision import Decision
from .._domain.errors import AutoscaleError


def append(path: str | None, decisions: Iterable[tuple[Decision, float]]) -> None:
    """Append decisions with their times (seconds since the epoch); does nothing without a path.

    Whole lines are appended by one write, so that runs at the same time do not mix theirs. What a crash cut off stays a line
    of its own.
    """
    lines = [json.dumps({"time": round(now, 3), **decision.to_dict()}, sort_keys=True) + "\n" for decision, now in decisions]
    if path is None or not lines:
        return
    try:
        os.makedirs(os.path.dirname(path) or ".", mode=0o755, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            size = os.fstat(descriptor).st_size
            cut_off = size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"
            os.write(descriptor, ("\n" * cut_off + "".join(lines)).encode())
        finally:
            os.close(descriptor)
    except OSError as error:
        raise AutoscaleError(f"the decision log {path} cannot be written: {error.strerror}; see autoscale_decision_log") from None


def read(path: str, service: str) -> Iterator[dict[str, Any]]:
    """The decisions about one service, oldest first; a line that was cut off by a crash is passed over."""
    with open(path, encoding="utf-8") as lines:
        for line in lines:
            try:
                entry = json.loads(line)
            except ValueError:
                continue
            if isinstance(entry, dict) and entry.get("service") == service:
                yield entry
