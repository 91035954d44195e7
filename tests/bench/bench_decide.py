#!/usr/bin/env python3
# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How many full decisions a second one core makes, and how their cost grows.

A decision goes from a typed observation to the JSON-ready explanation. The policy has behavior and three metrics, one of them the CPU of
20 instances; the history has recommendations and events. Seconds are those of the processor, so that a busy machine does not count; the
loop beside them says how fast the processor is.
"""

from __future__ import annotations

import gc
import itertools
import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

CLONE = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(CLONE / "build" / "workspace")]

from ansible_collections.microservices.autoscale.plugins.module_utils._domain import observation as seen
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.decision import decide
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.history import History
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.observation import Observation, Reading
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.policy import Policy
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.policy_reader import read_policy
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.reader import Reader

NOW = 1795413600.0
INSTANCES = 20
ENTRIES = 20
# Loads from 60 % to 140 % of what a service is made for, an odd number.
KINDS = 9
BAR_PER_SECOND = 5_000
SERVICES = 10_000
BAR_SECONDS = 2.0
BAR_MIB = 300
TURNS = 5
SCALE = {
    "min_replicas": 2,
    "max_replicas": 1000,
    "metrics": [{"cpu": 60}, {"requests": 50}, {"response_time": 0.25}],
    "behavior": {
        "scale_up": {
            "stabilization_window_seconds": 30,
            "policies": [{"type": "pods", "value": 4, "period_seconds": 60}, {"type": "percent", "value": 50, "period_seconds": 60}],
        },
        "scale_down": {"stabilization_window_seconds": 300, "policies": [{"type": "percent", "value": 10, "period_seconds": 60}]},
    },
}


def read() -> Policy:
    scale = Reader(SCALE, "scale")
    policy = read_policy(scale, has_cpu_request=True)
    scale.finish()
    return policy


def observed(instances: int = INSTANCES, entries: int = ENTRIES, number: int = 0) -> Observation:
    """What is seen of one service; the number varies it, so that decisions go up, down and nowhere."""
    states = {f"svc{number}-app{index}-{20000 + index}": seen.READY for index in range(instances)}
    load = 0.6 + number % KINDS / 10
    # Half of them were asked for the same before, so that windows agree and policies bite.
    asked = int(instances * load) if number % 2 else instances
    return Observation(
        current_replicas=instances,
        states=states,
        readings=(
            Reading(values={name: 0.3 * load + index % 5 / 100 for index, name in enumerate(states)}, age_seconds=3.0),
            Reading(value=50.0 * instances * load, age_seconds=3.0),
            Reading(value=0.2 * load, age_seconds=3.0),
        ),
        history=History(
            recommendations=tuple((NOW - 15.0 * (entries - index), asked + index % 3) for index in range(entries)),
            events=tuple((NOW - 15.0 * (entries - index), 1 - index % 3) for index in range(entries)),
        ),
        requests=dict.fromkeys(states, 0.5),
    )


def cpu_seconds(work: Callable[[], object]) -> float:
    gc.collect()
    start = time.process_time()
    work()
    return time.process_time() - start


def per_decision(observations: Sequence[Observation], count: int) -> float:
    """Seconds per decision, the median of the turns."""
    policy = read()

    def turn() -> None:
        for observation in itertools.islice(itertools.cycle(observations), count):
            decide("shop", policy, observation, NOW).to_dict()

    return statistics.median(cpu_seconds(turn) for _turn in range(TURNS)) / count


def calibration() -> float:
    """Seconds for a loop that has nothing to do with decisions."""

    def loop() -> None:
        total = 0
        for number in range(1_000_000):
            total += number * number % 7

    return min(cpu_seconds(loop) for _turn in range(TURNS))


def fleet() -> None:
    """In a process of its own: decide about a whole fleet, keep all answers, and print seconds and MiB."""
    policy, observations = read(), [observed(number=number) for number in range(SERVICES)]
    answers: list[object] = []
    seconds = cpu_seconds(lambda: answers.extend(decide("shop", policy, observation, NOW).to_dict() for observation in observations))
    print(json.dumps({"seconds": seconds, "mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, "answers": len(answers)}))


def growth(what: str, sizes: Sequence[int], seconds: Sequence[float]) -> None:
    """Print how the cost grows: the slope, what is there at none, and how well a line fits."""
    line = statistics.linear_regression(sizes, seconds)
    fits = statistics.correlation(sizes, seconds) ** 2
    shown = ", ".join(f"{size}: {second * 1e6:.0f}" for size, second in zip(sizes, seconds, strict=True))
    print(f"  {what:9} {line.slope * 1e6:8.3f} us each, {line.intercept * 1e6:6.0f} us besides, r2 {fits:.4f}   ({shown} us)", flush=True)


def verdict(reached: bool) -> str:
    return "reached" if reached else "MISSED"


def main() -> None:
    if sys.argv[1:] == ["fleet"]:
        return fleet()
    # First, while this process is small: a child's peak begins with its parent's.
    whole = json.loads(subprocess.run([sys.executable, __file__, "fleet"], check=True, capture_output=True, text=True).stdout)
    print(f"decisions of {len(SCALE['metrics'])} metrics, {INSTANCES} instances, {ENTRIES} recommendations, {ENTRIES} events; one core")
    varied = [observed(number=number) for number in range(2 * KINDS)]
    rate = 1 / per_decision(varied, 2_000)
    print(f"  {rate:.0f} decisions a second; a loop of a million multiplications takes {calibration():.3f} s")
    print(f"bar: at least {BAR_PER_SECOND} a second: {verdict(rate >= BAR_PER_SECOND)}")
    print(f"  {whole['answers']} services: {whole['seconds']:.2f} s, {whole['mib']:.0f} MiB with all observations and answers")
    print(f"bar: at most {BAR_SECONDS:g} s and {BAR_MIB} MiB: {verdict(whole['seconds'] <= BAR_SECONDS and whole['mib'] <= BAR_MIB)}")
    print("growth of the cost, by number of")
    services = (500, 1_000, 2_000, 4_000)
    growth("services", services, [per_decision(varied, size) * size for size in services])
    instances = (10, 20, 50, 100, 200)
    growth("instances", instances, [per_decision([observed(instances=size)], 500) for size in instances])
    entries = (10, 50, 100, 200, 400)
    growth("entries", entries, [per_decision([observed(entries=size)], 500) for size in entries])
    return None


if __name__ == "__main__":
    main()
