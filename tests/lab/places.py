# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where in a run a fault strikes, drawn from a seed that a failing test prints: AUTOSCALE_TEST_SEED=... repeats it."""

from __future__ import annotations

import dataclasses
import os
import random
from typing import Any

QUICK = {"autoscale_drain_deadline": 3, "autoscale_lock_ttl": 10, "autoscale_lock_delay": 1}
# In the environment, for the processes of `pytest -n`: they have to draw the same.
SEED = os.environ.setdefault("AUTOSCALE_TEST_SEED", str(random.SystemRandom().randrange(10**6)))


def named(playbook: str, *services: str) -> dict[str, Any]:
    """The variables by which a playbook is told about services."""
    if playbook in ("reconcile", "status"):
        return {"autoscale_only": list(services)}
    confirmation = {"autoscale_confirm_remove": services[0]} if playbook == "remove" else {}
    return {"autoscale_service": services[0], **confirmation} if playbook != "deploy" else {}


@dataclasses.dataclass(frozen=True)
class Place:
    """Where a run is killed: at a moment drawn from the seconds after a task has begun for the nth time."""

    task: str
    seconds: float
    nth: int = 1


# Printed when a decision has been committed.
BEGIN = "fleet : Carry out the steps"
LOCKING = (
    Place("fleet : Take the services' locks", 0.8),
    Place("fleet : Observe, decide and plan", 1.2, nth=2),
    Place(BEGIN, 0.1),
)
ADDING = (
    Place("instance : Start instances", 3.5),
    Place("fleet : Note what failed to start", 0.1),
    Place("balancer : Keep pools on HAProxy", 1.5),
)
TAKING = (
    Place("instance : Take instances out of discovery", 1.0),
    Place("balancer : Drain instances on HAProxy", 1.0),
    Place("instance : Stop instances", 2.5),
    Place("fleet : Note what failed to stop", 0.1),
)
ENDING = (Place("fleet : Record what was carried out", 1.0), Place("fleet : Give the locks back", 0.5))
PLACES = {
    "scale_out": (*LOCKING, *ADDING, *ENDING),
    "scale_in": (*LOCKING, *TAKING, Place("balancer : Keep pools on HAProxy", 1.2), *ENDING),
    "deploy": (
        Place("release : Publish the releases", 1.0),
        *LOCKING,
        *ADDING,
        *TAKING,
        Place("balancer : Keep pools on HAProxy", 0.8, nth=2),
        *ENDING,
        # In the second round.
        Place("instance : Start instances", 3.0, nth=2),
        Place("instance : Stop instances", 1.5, nth=2),
    ),
    "remove": (
        Place("release : Mark the service as being removed", 0.7),
        *LOCKING,
        *TAKING,
        Place("balancer : Keep pools on HAProxy", 0.8),
        *ENDING,
        Place("release : Forget the service", 0.6),
    ),
}


def chance_of(place: Place) -> random.Random:
    return random.Random(f"{SEED} {place}")
