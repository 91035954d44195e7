# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no stable interface.
"""When a TCP connection to an instance is in use (docs/adr/0002-idle-connections-do-not-hold-a-stop.md)."""

from __future__ import annotations

import dataclasses

# Longer than the pauses of an answer that is streamed.
QUIET_SECONDS = 2.0
# Longer than most requests take: it may be one that is in flight.
UNSURE_SECONDS = 8.0


@dataclasses.dataclass(frozen=True)
class Connection:
    """An established connection, seen from the instance.

    Args:
        address, port: the instance's end.
        peer: the other end, in words for an error.
        queued: data wait here for the instance to read them, or for the peer to confirm them.
        received: something has come in since it was opened.
        sent_ago, received_ago: seconds since data last went out or came in; since it was opened, where none did.
    """

    address: str
    port: int
    peer: str
    queued: bool
    received: bool
    sent_ago: float
    received_ago: float

    @property
    def in_use(self) -> bool:
        """Whether an answer is due or on its way, or was until a moment ago."""
        quiet = min(self.sent_ago, self.received_ago)
        if self.queued or quiet < QUIET_SECONDS:
            return True
        if not self.received or self.sent_ago < self.received_ago:
            return False
        # Within one tick of the kernel's clock: an answer that was quick, or the next request right after one.
        return self.sent_ago > self.received_ago or quiet < UNSURE_SECONDS
