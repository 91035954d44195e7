# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no stable interface.
"""The lock that covers a change: checked and renewed before each change and inside each wait.

There is no background renewer: one that outlives a killed play would keep a dead lock. The session alone tells whose the lock is:
each run makes a session of its own, which acquires a lock once, so that the lock's index has nothing to add.
"""

from __future__ import annotations

import time

from .._clients.consul import Consul
from .._domain.errors import LockLost
from .._domain.names import KV_ROOT

# A wait polls often; the session's time to live is many times this.
RENEW_EVERY_SECONDS = 5.0


def lock_key(service: str) -> str:
    """The KV key of a service's lock."""
    return f"{KV_ROOT}/{service}/lock"


class Lease:
    """Our hold on the locks of some services.

    Args:
        consul: any agent of the datacenter.
        session: the session that acquired the locks; None checks nothing (a single module call outside a play).
    """

    def __init__(self, consul: Consul, session: str | None) -> None:
        self._consul = consul
        self._session = session
        self._checked: dict[str, float] = {}

    def check(self, service: str) -> None:
        """Renew the session and make sure that the service's lock is still ours, or raise LockLost."""
        if self._session is None:
            return
        last = self._checked.get(service)
        if last is not None and time.monotonic() - last < RENEW_EVERY_SECONDS:
            return
        entry = self._consul.kv_get(lock_key(service)) if self._consul.session_renew(self._session) else None
        if entry is None or entry.session != self._session:
            raise LockLost(f"{service}: the lock {lock_key(service)} is not held by this run any more; nothing further is changed")
        self._checked[service] = time.monotonic()
