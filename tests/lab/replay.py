# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Replays a load against a policy: runs decide every so often, instances take their time to start. Pure: no clock, no I/O."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

from ansible_collections.microservices.autoscale.plugins.module_utils._domain import bookkeeping
from ansible_collections.microservices.autoscale.plugins.module_utils._domain import observation as seen
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.decision import decide
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.history import History
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.observation import Observation, Reading
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.policy import Policy


@dataclasses.dataclass
class Account:
    """What a replay came to.

    Args:
        seconds: how long it was.
        changes: how often the count was changed.
        under_seconds: during which the ready instances could not serve the demand; beyond_seconds: and max_replicas could not, either.
        replica_seconds: of all instances; least_replica_seconds: of as few as serve the demand within the bounds, known beforehand.
    """

    seconds: float = 0.0
    changes: int = 0
    under_seconds: float = 0.0
    beyond_seconds: float = 0.0
    replica_seconds: float = 0.0
    least_replica_seconds: float = 0.0


def replay(
    policy: Policy,
    demand: Callable[[float], float],
    reading: Callable[[float], Reading],
    *,
    seconds: float,
    capacity: float,
    first: int,
    start_up: float = 60.0,
    every: float = 15.0,
) -> Account:
    """Run a policy of one metric of the whole service against a load.

    Args:
        demand: the load at a time, in the metric's unit.
        reading: what a run at that time is told of it; to be fair, nothing that is not over yet.
        seconds: how long.
        capacity: how much of the load one instance serves.
        first: the count at the beginning, just deployed and all ready.
        start_up: seconds until an instance that is started serves.
        every: seconds between runs.
    """
    account = Account()
    history = bookkeeping.scaled(History(), policy, None, first, 0.0)
    ready_at = [0.0] * first
    for run in range(int(seconds / every)):
        now = run * every
        states = {f"replay-{index}": seen.READY if at <= now else seen.STARTING for index, at in enumerate(ready_at)}
        decision = decide("replay", policy, Observation(len(ready_at), states, (reading(now),), history), now)
        history = bookkeeping.decided(history, policy, decision, now)
        if decision.desired != len(ready_at):
            account.changes += 1
            history = bookkeeping.scaled(history, policy, len(ready_at), decision.desired, now)
            # The newest go first, as they serve the least.
            ready_at = ready_at[: decision.desired] + [now + start_up] * (decision.desired - len(ready_at))
        needed = math.ceil(demand(now) / capacity)
        account.seconds += every
        account.under_seconds += every * (sum(1 for at in ready_at if at <= now) < needed)
        account.beyond_seconds += every * (policy.max_replicas < needed)
        account.replica_seconds += every * len(ready_at)
        account.least_replica_seconds += every * min(max(needed, policy.min_replicas), policy.max_replicas)
    return account
