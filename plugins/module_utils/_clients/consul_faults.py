# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no stable interface.
"""What Consul's own words tell of a request that failed: whether it was done, and whether waiting helps."""

from __future__ import annotations

import re
import time

from .._domain.consul_rights import UNKNOWN_TOKEN
from .retries import Failure

# An election takes up to 15 s where raft_multiplier has its default of 5.
PATIENCE_SECONDS = 25.0
# Answers further apart are of two losses; Consul itself waits for a leader up to 7 s before it answers.
_APART_SECONDS = 25.0
# No leader was asked, so that nothing was done; all with 500.
_NO_LEADER = re.compile(
    "no cluster leader|no known consul servers|failed to get conn|node is not the leader|not ready to serve consistent reads"
    "|timed out enqueuing operation",
    re.IGNORECASE,
)
# The leader was lost on the way, so that nobody knows: words of raft, and of the connections to the leader.
_LEADER_LOST = re.compile(
    r"leadership lost|leadership transfer|raft is already shutdown|\bEOF\b|stream closed|session shutdown|connection is shut down"
    "|connection reset|broken pipe|closed network connection|connection write timeout|keepalive timeout|i/o (timeout|deadline)",
    re.IGNORECASE,
)


class Faults:
    """One client's judgement of its failures.

    Args:
        timeout: seconds for which a token may be unknown, which agents say of a valid one in their first seconds.
    """

    def __init__(self, timeout: float) -> None:
        self._timeout = timeout
        self._token_unknown_since: float | None = None
        # When an answer told of no leader for the first time and for the last.
        self._leaderless: tuple[float, float] | None = None

    def judge(self, status: int, body: str) -> Failure | None:
        """What is known of a request with this answer; None where its status says all.

        Waiting is for all requests of a client together: one that waited for as long as it helps is followed by others that do not.
        """
        now = time.monotonic()
        if status == 403 and body.startswith(UNKNOWN_TOKEN):
            self._token_unknown_since = self._token_unknown_since or now
            return Failure(undone=True, passing=True) if now - self._token_unknown_since < self._timeout else None
        if status == 503 and "rate limit exceeded" in body:
            return Failure(undone=True, passing=True)
        if status != 500:
            return None
        undone = bool(_NO_LEADER.search(body))
        if not undone and not _LEADER_LOST.search(body):
            return None
        began, last = self._leaderless or (now, now)
        began = began if now - last < _APART_SECONDS else now
        self._leaderless = (began, now)
        left = PATIENCE_SECONDS - (now - began)
        return Failure(undone, passing=True, patience=PATIENCE_SECONDS) if left > 0 else None
