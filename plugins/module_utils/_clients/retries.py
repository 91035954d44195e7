# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no stable interface.
"""Which requests are sent again, and when.

A request is sent again only where that cannot do a thing twice:

* Nothing was sent: the connection could not be made. Every method.
* It was refused before anything was done: 429 (a rate limit), and what a server's client knows as such. Every method.
* The answer was lost or is 502 or 503: GET, and a request whose caller says that a second one leaves what one leaves (`repeatable`).
  Never a check-and-set or a transaction: they may have been done. Whoever can look whether they were may send them again.

A time-out is not tried again: the whole time was waited already.
"""

from __future__ import annotations

import random
import re
from typing import NamedTuple

# Sendings of one request, where nothing says that waiting helps.
ATTEMPTS = 3
_FIRST_PAUSE_SECONDS = 0.2
_LONGEST_PAUSE_SECONDS = 2.0
# RFC 9110 allows a date as well; that needs equal clocks, and no server of ours sends it.
_SECONDS = re.compile(r"[0-9]{1,9}")


class Failure(NamedTuple):
    """What is known of a request that failed.

    Args:
        undone: it did nothing on the server.
        passing: waiting helps.
        retry_after: seconds after which the server wants to be asked again.
        patience: seconds from the first sending for which waiting helps, where that is longer than the request's own time.
    """

    undone: bool
    passing: bool
    retry_after: float | None = None
    patience: float = 0.0


def pause(failure: Failure, *, attempt: int, left: float, repeatable: bool) -> float | None:
    """Seconds to wait before the request is sent again; None where it is not.

    Args:
        attempt: how often it was sent.
        left: seconds within which it may be sent again.
        repeatable: doing it twice leaves what doing it once leaves.
    """
    if not (failure.undone or repeatable) or (attempt >= ATTEMPTS and not failure.passing):
        return None
    seconds: float = min(_FIRST_PAUSE_SECONDS * 2.0 ** min(attempt - 1, 9), _LONGEST_PAUSE_SECONDS)
    # Jitter, so that many that were refused together do not come back together.
    seconds *= random.uniform(0.5, 1.0)
    if failure.retry_after is not None:
        seconds += failure.retry_after
    return seconds if seconds <= left else None


def retry_after_of(header: str | None) -> float | None:
    """The seconds in a Retry-After header; None where there are none."""
    return float(header) if header is not None and _SECONDS.fullmatch(header.strip()) else None
