# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no stable interface.
"""HTTP to Consul, with patience while its servers have no leader: they elect another one within seconds."""

from __future__ import annotations

import random
import re
import time
from typing import TYPE_CHECKING, Any

from .._domain.consul_rights import TOKEN_UNKNOWN, explain_refusal
from .http_client import HttpClient, HttpError
from .http_faults import Advice

if TYPE_CHECKING:
    import requests

# Consul answers all of these with 500. So it says that nothing was done, since no leader was asked.
_NOT_DONE = re.compile(
    "no cluster leader|no known consul servers|failed to get conn|node is not the leader|not ready to serve consistent reads"
    "|timed out enqueuing operation",
    re.IGNORECASE,
)
# And so that it does not know, since the leader was lost on the way: words of raft, and of the connection to the leader.
_UNKNOWN = re.compile(
    r"leadership lost|leadership transfer|raft is already shutdown|\bEOF\b|stream closed|session shutdown|connection is shut down"
    "|connection reset|broken pipe|closed network connection|connection write timeout|keepalive timeout|i/o (timeout|deadline)",
    re.IGNORECASE,
)
# An election takes up to 15 s where raft_multiplier has its default of 5.
PATIENCE_SECONDS = 25.0
_FIRST_PAUSE_SECONDS = 0.1
_LONGEST_PAUSE_SECONDS = 1.0


_ADVICE = Advice("consul_url", "consul_ca_path", "consul_client_cert and consul_client_key", "consul_token", "consul_timeout")


class ConsulHttp(HttpClient):
    """An HttpClient that asks again while there is no leader.

    Args:
        token: ACL token, sent in a header only.
        connection: see HttpClient.
    """

    # Since when every answer has told of no leader, and since when of an unknown token; in time.monotonic.
    _leaderless: float | None = None
    _token_unknown: float | None = None

    def __init__(self, url: str, *, token: str | None, **connection: Any) -> None:
        headers = {"X-Consul-Token": token} if token else {}
        super().__init__(
            url, what="Consul", headers=headers, advice=_ADVICE, refuses=self._passes_soon, explain=explain_refusal, **connection
        )

    def request(self, method: str, path: str, *, repeatable: bool = False, **options: Any) -> requests.Response:
        """Send a request, again and again while there is no leader, up to PATIENCE_SECONDS.

        One that may have been carried out before its answer was lost is sent again only when it may be carried out twice.

        Args:
            repeatable: carried out twice it does what it does once; so does every GET.

        Raises:
            Unreachable: as HttpClient.request.
            HttpError: as HttpClient.request; there is no leader for too long.
        """
        pause = _FIRST_PAUSE_SECONDS
        while True:
            try:
                response = super().request(method, path, repeatable=repeatable, **options)
            except HttpError as error:
                if not self._has_patience(error, repeatable or method == "GET"):
                    raise
            else:
                self._leaderless = None
                return response
            time.sleep(pause * random.uniform(0.5, 1.0))
            pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)

    def _has_patience(self, error: HttpError, repeatable: bool) -> bool:
        if error.status != 500 or not (_NOT_DONE.search(error.body) or (repeatable and _UNKNOWN.search(error.body))):
            return False
        now = time.monotonic()
        # Patience is for all requests of this process together: it does not wait anew for each instance.
        self._leaderless = self._leaderless or now
        return now - self._leaderless < PATIENCE_SECONDS

    def _passes_soon(self, status: int, body: str) -> bool:
        """Whether Consul did nothing and waiting helps: above a rate limit, and just after its start."""
        if status == 403 and body.startswith(TOKEN_UNKNOWN):
            # An agent says so of a valid token in its first seconds. One that is wrong is waited for once, not at every request.
            now = time.monotonic()
            self._token_unknown = self._token_unknown or now
            return now - self._token_unknown < self._timeout
        return status == 503 and "rate limit exceeded" in body
