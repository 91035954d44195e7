# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Bounds and pauses by hand, each with an end of its own."""

from __future__ import annotations

import dataclasses

import pytest
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.bounds import bounds
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.documents import (
    Record,
    Signing,
    read_record,
    release_content,
    write_document,
)
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.errors import AutoscaleError
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.observation import Override
from ansible_collections.microservices.autoscale.plugins.module_utils._operations.overrides import pinned
from ansible_collections.microservices.autoscale.tests.unit.builders import NOW, observed, policy, service

BOTH = Override(4, None, NOW + 60, "scale_down", NOW + 600)


@pytest.mark.parametrize(
    ("override", "seconds", "expected"),
    [
        (BOTH, 0, BOTH),
        (BOTH, 60, Override(None, None, 0.0, "scale_down", NOW + 600)),
        (BOTH, 600, None),
        (Override(4, 6, NOW + 600, "both", NOW + 60), 60, Override(4, 6, NOW + 600)),
        # Without an end of its own a pause ends with the bounds.
        (Override(4, None, NOW + 60, "both"), 59, Override(4, None, NOW + 60, "both", NOW + 60)),
        (Override(4, None, NOW + 60, "both"), 60, None),
        (Override(expires=NOW + 60), 0, None),
    ],
)
def test_what_is_left_at_a_time(override, seconds, expected):
    assert override.left(NOW + seconds) == expected


@pytest.mark.parametrize(
    ("seconds", "low", "pauses", "until"),
    [
        (0, 4, {"scale_down": "override.pause"}, NOW + 60),
        (60, 2, {"scale_down": "override.pause"}, NOW + 600),
        (600, 2, {}, None),
    ],
)
def test_what_is_in_force_at_a_time(seconds, low, pauses, until):
    force = bounds(policy(low=2, high=8), observed(5, override=BOTH), NOW + seconds)
    assert (force.low, force.high, force.pauses, force.until) == (low, 8, pauses, until)


def test_a_schedule_that_changes_before_comes_first():
    force = bounds(policy(), observed(5, override=BOTH, next_change=NOW + 10), NOW)
    assert force.until == NOW + 10


RECORD = Record(service(), scale=3)


@pytest.mark.parametrize(
    ("before", "change", "expected"),
    [
        (None, 2, Override(5, None, NOW + 90)),
        (None, -1, Override(None, 2, NOW + 90)),
        # The bounds before are replaced, a pause stays for as long as it would.
        (BOTH, -1, Override(None, 2, NOW + 90, "scale_down", NOW + 600)),
        (Override(4, None, NOW - 1, "both", NOW - 1), 1, Override(4, None, NOW + 90)),
    ],
)
def test_a_count_by_hand_pins_a_bound_and_keeps_a_pause(before, change, expected):
    assert pinned(dataclasses.replace(RECORD, override=before), change, 90, NOW) == expected


@pytest.mark.parametrize(
    ("record", "change", "says"),
    [
        (Record(service()), 1, "shop: cannot be scaled by hand before its first deploy"),
        (RECORD, 6, "shop: 3 +6 is 9 replicas, but its policy allows 2 to 8"),
        (RECORD, -2, "shop: 3 -2 is 1 replicas, but its policy allows 2 to 8"),
    ],
)
def test_a_count_by_hand_that_is_not_allowed(record, change, says):
    with pytest.raises(AutoscaleError, match="^shop: ") as refused:
        pinned(record, change, 90, NOW)
    assert refused.value.message.startswith(says)


def test_a_count_by_hand_may_go_where_a_schedule_lets_it():
    fair = {"name": "fair", "start": "2026-11-23T00:00", "end": "2026-11-24T00:00", "max_replicas": 12}
    record = Record(service(scale={"min_replicas": 2, "max_replicas": 8, "schedules": [fair]}), scale=8)
    assert pinned(record, 4, 600, NOW) == Override(min_replicas=12, expires=NOW + 600)
    with pytest.raises(AutoscaleError, match=r"8 \+5 is 13 replicas, but its policy allows 2 to 12"):
        pinned(record, 5, 600, NOW)
    with pytest.raises(AutoscaleError, match="its policy allows 2 to 8"):
        pinned(record, 1, 600, NOW + 86400)


@pytest.mark.parametrize("override", [BOTH, Override(None, 3, NOW + 9), Override(pause="both", pause_expires=NOW + 9)])
def test_an_override_survives_its_document(override):
    signing = Signing("key")
    texts = {
        "release": write_document("release", "shop", release_content(service(), 1), now=NOW, signing=signing),
        "override": write_document("override", "shop", dataclasses.asdict(override), now=NOW, signing=signing),
    }
    assert read_record("shop", texts, {}, signing).override == override
