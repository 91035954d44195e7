# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no stable interface.
"""The metrics that a run leaves, in Prometheus's text exposition format."""

from __future__ import annotations

import dataclasses
import math
import re
from typing import Callable, Iterable, Iterator

LAST_SUCCESS = "autoscale_reconcile_last_success_timestamp_seconds"


@dataclasses.dataclass(frozen=True)
class ServiceState:
    """One service as the run saw it last."""

    service: str
    desired: int
    ready: int
    min_replicas: int
    max_replicas: int
    held: bool


@dataclasses.dataclass(frozen=True)
class RunState:
    """One run.

    Args:
        time: when it looked last, in seconds since the epoch.
        last_success: when a run last ended well, this one included; None when none has.
        seconds: how long it has taken; None where that is not known.
        problems: how many lines it has to tell of what is wrong.
        services: none where the run could not see them.
    """

    time: float
    last_success: float | None
    seconds: float | None
    problems: int
    services: tuple[ServiceState, ...] = ()


_OF_SERVICES: tuple[tuple[str, str, Callable[[ServiceState], int]], ...] = (
    ("autoscale_desired_replicas", "Replicas that the service should have.", lambda state: state.desired),
    ("autoscale_ready_replicas", "Instances that are healthy in Consul.", lambda state: state.ready),
    ("autoscale_min_replicas", "The policy's lower bound.", lambda state: state.min_replicas),
    ("autoscale_max_replicas", "The policy's upper bound.", lambda state: state.max_replicas),
    ("autoscale_held", "1 while the count is kept because a metric is missing, stale or failing.", lambda state: state.held),
)


def render(run: RunState) -> str:
    """The text of a .prom file for the node exporter's textfile collector; a value that is not known has no line."""
    lines = [
        *_gauge("autoscale_reconcile_last_run_timestamp_seconds", "When reconcile last looked at the fleet.", [("", run.time)]),
        *_gauge(LAST_SUCCESS, "When reconcile last ended without a problem.", _known(run.last_success)),
        *_gauge("autoscale_reconcile_duration_seconds", "How long the last run has taken.", _known(run.seconds)),
        *_gauge("autoscale_reconcile_problems", "Problems that the last run told of.", [("", run.problems)]),
    ]
    for name, text, value_of in _OF_SERVICES:
        lines += _gauge(name, text, [(f'{{service="{escape(state.service)}"}}', value_of(state)) for state in run.services])
    return "".join(f"{line}\n" for line in lines)


def _known(value: float | None) -> list[tuple[str, float]]:
    return [] if value is None else [("", value)]


def _gauge(name: str, text: str, samples: Iterable[tuple[str, float]]) -> Iterator[str]:
    found = [f"{name}{labels} {_number(value)}" for labels, value in samples]
    if found:
        yield from (f"# HELP {name} {text}", f"# TYPE {name} gauge", *found)


def escape(value: str) -> str:
    """A label's value as it stands between quotes."""
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(round(value, 3))


def last_success_in(text: str) -> float | None:
    """When a run last ended well, from the file that the run before has left; None when it does not tell."""
    found = re.search(rf"^{LAST_SUCCESS} (\S+)$", text, re.MULTILINE)
    try:
        value = float(found.group(1)) if found else math.nan
    except ValueError:
        return None
    return value if math.isfinite(value) else None
