#!/usr/bin/env python3
# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How well a policy with the default behavior follows a load: flat load with noise, and the traces in the folder AUTOSCALE_TRACES.

A trace is a CSV file with the columns timestamp_seconds and value, the value being the demand over the step that begins there. A run is
told the last step that is over, and decides every 15 s; an instance serves 60 s after it is started.
"""

from __future__ import annotations

import csv
import math
import os
import random
import statistics
import sys
from pathlib import Path
from typing import Any

CLONE = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(CLONE / "tests" / "lab"), str(CLONE / "build" / "workspace")]

from ansible_collections.microservices.autoscale.plugins.module_utils._domain.observation import Reading
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.policy import Policy
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.policy_reader import read_policy
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.reader import Reader
from replay import replay

TRACES = "AUTOSCALE_TRACES"
DAY = 86_400.0
EVERY = 15.0
NOISE = 0.1
MOST_CHANGES = 2
# In instances at their target: rates below, at and above whole numbers, where a count is most easily left.
LOADS = (2.5, 4.5, 4.95, 5.0, 5.05, 5.3, 9.5, 10.05, 19.7, 50.2)
TYPICAL = 5
# What an instance serves before it is too much, against what its target is.
HEADROOM = 0.7


def policy(target: float, low: int = 2) -> Policy:
    metric = {"requests": target}
    scale: dict[str, Any] = {"min_replicas": low, "max_replicas": 100, "metrics": [metric]}
    return read_policy(Reader(scale, "scale"), has_cpu_request=False)


def flat(load: float, seed: int = 4) -> int:
    """Changes in 24 hours of a load that is flat but for noise, new in each run."""
    noise = random.Random(seed)
    rates = [load * (1 + noise.uniform(-NOISE, NOISE)) for _run in range(int(DAY / EVERY))]
    account = replay(
        policy(1.0),
        lambda now: rates[int(now / EVERY)],
        lambda now: Reading(value=rates[int(now / EVERY)], age_seconds=0.0),
        seconds=DAY,
        capacity=1 / HEADROOM,
        first=math.ceil(load),
    )
    return account.changes


def trace(path: Path) -> None:
    """Replay a trace and print what it came to."""
    with path.open(newline="") as file:
        rows = [(float(row["timestamp_seconds"]), float(row["value"])) for row in csv.DictReader(file)]
    step, values = rows[1][0] - rows[0][0], [value for _time, value in rows]
    target = statistics.median(values) / TYPICAL
    capacity = target / HEADROOM

    def reading(now: float) -> Reading:
        over = int(now / step)
        return Reading(value=values[over - 1], age_seconds=now - over * step) if over else Reading(error="no step is over yet")

    account = replay(
        policy(target), lambda now: values[int(now / step)], reading, seconds=step * len(values), capacity=capacity, first=TYPICAL
    )
    under, beyond, days = account.under_seconds, account.beyond_seconds, account.seconds / DAY
    ratio = account.replica_seconds / account.least_replica_seconds
    mean = round(account.replica_seconds / account.seconds)
    fixed = sum(1 for value in values if value > mean * capacity) / len(values)
    print(
        f"  {path.name:28} {days:5.1f} days  under-provisioned {under / 60:6.0f} min, {under / account.seconds:6.2%} of the time"
        f" ({beyond / 60:.0f} min beyond max_replicas)  replica-hours {account.replica_seconds / 3600:7.0f}, {ratio:5.2f} x the least"
        f"  changes a day {account.changes / days:6.1f}  (as many instances, always {mean}: {fixed:6.2%} of the time)",
        flush=True,
    )


def main() -> None:
    print(f"24 h of flat load with {NOISE:.0%} of noise, a decision each {EVERY:g} s, default behavior")
    changes = {load: flat(load) for load in LOADS}
    print(f"  changes, by the load in instances at their target: {', '.join(f'{load:g}: {count}' for load, count in changes.items())}")
    worst = max(changes.values())
    print(f"bar: at most {MOST_CHANGES} changes: {'reached' if worst <= MOST_CHANGES else 'MISSED'}")
    folder = os.environ.get(TRACES)
    if not folder:
        print(f"No traces are replayed: {TRACES} names no folder.")
        return
    print(
        f"traces, min_replicas 2, max_replicas 100, default behavior, requests: the median needs {TYPICAL} instances, which are then"
        f" {HEADROOM:.0%} used; the least is what somebody who knows the future would run"
    )
    for path in sorted(Path(folder).glob("*.csv")):
        trace(path)


if __name__ == "__main__":
    main()
