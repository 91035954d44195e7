# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which instances count, and as what; the groups of the HPA."""

from __future__ import annotations

import dataclasses

import pytest
from ansible_collections.microservices.autoscale.plugins.module_utils._domain import observation as seen
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.grouping import group, micro
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.observation import Times
from ansible_collections.microservices.autoscale.tests.unit.builders import metric, observed, policy

CPU = metric("cpu", "utilization", 80)
QUEUE = dataclasses.replace(metric(), per_instance=True)


def counted_as(of, state, times=None, sample=1.0):
    seen_now = observed(1, states={"a": state}, times={} if times is None else {"a": times})
    groups = group(of, {} if sample is None else {"a": sample}, seen_now, policy(of))
    found = [name for name, members in zip(groups._fields, groups, strict=True) if "a" in members]
    assert len(found) <= 1
    return found[0] if found else "ignored"


@pytest.mark.parametrize("of", [CPU, QUEUE])
@pytest.mark.parametrize(
    ("state", "expected", "without_sample"),
    [
        (seen.READY, "ready", "missing"),
        (seen.SUSPECT, "ready", "missing"),
        (seen.PARKED, "ready", "missing"),
        (seen.STARTING, "unready", "unready"),
        (seen.UNHEALTHY, "ignored", "ignored"),
        (seen.LOST, "ignored", "ignored"),
        (seen.DRAINING, "ignored", "ignored"),
    ],
)
def test_the_table_of_states(of, state, expected, without_sample):
    assert (counted_as(of, state), counted_as(of, state, sample=None)) == (expected, without_sample)


@pytest.mark.parametrize(
    ("state", "times", "expected"),
    [
        # Within the five minutes after its start: unready is unready, ...
        (seen.UNREADY, Times(299, 100), "unready"),
        # ... and so is a sample whose window began before it was ready.
        (seen.READY, Times(299, 100, sample_age=41, sample_window=60), "unready"),
        (seen.READY, Times(299, 100, sample_age=40, sample_window=60), "ready"),
        (seen.READY, Times(299, 100), "ready"),
        # The period is over at its end; then only one that was never ready is unready.
        (seen.READY, Times(300, 100, sample_age=41, sample_window=60), "ready"),
        (seen.UNREADY, Times(300, 100), "ready"),
        (seen.UNREADY, Times(300, 270), "ready"),
        (seen.UNREADY, Times(300, 271), "unready"),
        (seen.UNREADY, Times(9000, 10), "ready"),
        # Whose start is not known is as it is.
        (seen.READY, Times(), "ready"),
        (seen.UNREADY, Times(), "unready"),
        (seen.UNREADY, None, "unready"),
        (seen.UNREADY, Times(9000), "unready"),
    ],
)
def test_the_cpu_of_a_start_says_nothing(state, times, expected):
    assert counted_as(CPU, state, times) == expected
    # Of other metrics readiness is not looked at.
    assert counted_as(QUEUE, state, times) == "ready"


def test_samples_of_unknown_instances_are_left_out():
    groups = group(CPU, {"a": 1.0, "stranger": 9.0}, observed(1, states={"a": seen.READY}), policy(CPU))
    assert groups.ready == {"a": 1_000_000}


@pytest.mark.parametrize(
    ("number", "expected"), [(0, 0), (0.0000004, 0), (0.0000006, 1), (25, 25_000_000), (1e15, 10**21), (1e308, 10**21)]
)
def test_millionths(number, expected):
    assert micro(number) == expected
