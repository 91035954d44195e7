# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import random

from ansible_collections.microservices.autoscale.plugins.module_utils._domain.observation import Reading
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.policy_reader import read_policy
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.reader import Reader
from replay import Account, replay

DAY = 86_400
EVERY = 15


def policy(**more):
    scale = Reader({"min_replicas": 2, "max_replicas": 20, "metrics": [{"requests": 1}], **more}, "scale")
    read = read_policy(scale, has_cpu_request=False)
    scale.finish()
    return read


def noisy_day(**more):
    """A flat load of 5.05 instances, five or six of which are right, with 10 % of noise in either direction."""
    noise = random.Random(4)
    rates = [5.05 * noise.uniform(0.9, 1.1) for _run in range(DAY // EVERY)]
    return replay(
        policy(**more),
        lambda now: rates[int(now / EVERY)],
        lambda now: Reading(value=rates[int(now / EVERY)], age_seconds=0.0),
        seconds=DAY,
        capacity=1.5,
        first=6,
    )


def test_noise_on_a_flat_load_changes_the_count_twice_a_day_at_most():
    assert noisy_day().changes <= 2


def test_without_windows_the_same_noise_changes_it_all_the_time():
    assert noisy_day(behavior={"scale_down": {"stabilization_window_seconds": 0}}, tolerance=0.01).changes > 100


def doubled(start_up):
    """A load that doubles after a minute."""

    def demand(now):
        return 2.0 if now < 60 else 4.0

    return replay(
        policy(), demand, lambda now: Reading(value=demand(now), age_seconds=0.0), seconds=600, capacity=1, first=2, start_up=start_up
    )


def test_a_load_that_grows_is_served_when_the_new_instances_have_started():
    assert doubled(60) == Account(
        seconds=600, changes=1, under_seconds=60, replica_seconds=60 * 2 + 540 * 4, least_replica_seconds=60 * 2 + 540 * 4
    )
    assert doubled(0).under_seconds == 0


def test_what_no_count_could_serve_is_told_apart():
    account = replay(policy(), lambda now: 50.0, lambda now: Reading(value=50.0, age_seconds=0.0), seconds=600, capacity=1, first=20)
    assert (account.under_seconds, account.beyond_seconds, account.least_replica_seconds) == (600, 600, 600 * 20)


def test_a_source_that_dies_removes_nothing():
    account = replay(policy(), lambda now: 1.0, lambda now: Reading(error="it is down"), seconds=3600, capacity=1, first=8)
    assert account.changes == 0
