# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From the proposals of several metrics to one recommendation."""

from __future__ import annotations

import dataclasses

import pytest
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.policy import Metric
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.proposal import Proposal
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.verdict import fail_reason, judge
from ansible_collections.microservices.autoscale.tests.unit.builders import policy

CURRENT = 4
DEAD = None


def says(replicas, group=None, rule="value"):
    """A metric with a good reading, or none."""
    return Proposal("", rule, replicas=replicas, error="gone" if replicas is None else None), group


def stands_in(replicas, kind, group=None):
    return Proposal("", "value", replicas=replicas, error="gone", fallback=kind), group


def fixed(replicas, group=None):
    return says(replicas, group, "fixed")


def judged(*drawn):
    named = [proposal._replace(metric=f"m{number}") for number, (proposal, _group) in enumerate(drawn)]
    metrics = [Metric("prometheus", f"m{number}", group=group) for number, (_proposal, group) in enumerate(drawn)]
    verdict = judge(dataclasses.replace(policy(*metrics), groups={"any": "any", "all": "all"}), named, CURRENT)
    assert (verdict.replicas is None) == (verdict.winner is None)
    return verdict.replicas


@pytest.mark.parametrize(
    ("proposals", "expected"),
    [
        ([says(3)], 3),
        ([says(0)], 0),
        ([says(3), says(9), says(1)], 9),
        # All fail, or some do and the rest asks for less: nothing is known.
        ([says(DEAD)], None),
        ([says(DEAD), says(DEAD)], None),
        ([says(DEAD), says(3)], None),
        ([says(DEAD), says(4)], 4),
        ([says(DEAD), says(9)], 9),
        ([says(DEAD), fixed(2)], None),
        # What stands in for a reading is as good as one to grow, but never lowers the count alone.
        ([stands_in(9, "floor")], 9),
        ([stands_in(4, "current_if_higher")], 4),
        ([stands_in(2, "floor")], None),
        ([stands_in(2, "last_known")], None),
        ([stands_in(2, "floor"), stands_in(3, "last_known")], None),
        ([stands_in(2, "floor"), fixed(1)], None),
        ([stands_in(2, "floor"), says(1)], 2),
        ([stands_in(2, "last_known"), says(3)], 3),
        ([stands_in(4, "current_if_higher"), says(1)], 4),
        ([fixed(2)], 2),
        # A group is one voice: any is its highest, all its lowest.
        ([says(3, "any"), says(9, "any")], 9),
        ([says(3, "all"), says(9, "all")], 3),
        ([says(9, "all"), says(8, "all")], 8),
        ([says(3, "all"), says(9, "all"), says(5)], 5),
        ([says(3, "all"), says(9, "all"), says(2, "any"), says(1, "any")], 3),
        # Who has no say has not agreed to more.
        ([says(DEAD, "all"), says(9, "all")], 4),
        ([says(DEAD, "all"), says(2, "all")], None),
        ([says(DEAD, "any"), says(9, "any")], 9),
        ([says(DEAD, "any"), says(2, "any")], None),
        ([says(DEAD, "all"), says(9, "all"), says(7)], 7),
        # What stands in has agreed to as much as it says, and to nothing less than the rest asks for.
        ([stands_in(2, "floor", "all"), says(9, "all")], 4),
        ([stands_in(6, "floor", "all"), says(9, "all")], 6),
        ([stands_in(2, "floor", "all"), says(3, "all")], 3),
        ([stands_in(2, "floor", "all"), says(1, "all")], 2),
        ([stands_in(2, "last_known", "all"), says(9, "all")], 4),
        ([stands_in(4, "current_if_higher", "all"), says(1, "all")], 4),
        ([stands_in(2, "floor", "any"), says(9, "any")], 9),
        ([stands_in(2, "floor", "all"), stands_in(3, "floor", "all")], None),
    ],
)
def test_verdicts(proposals, expected):
    assert judged(*proposals) == expected


@pytest.mark.parametrize(
    ("of", "expected"),
    [
        (Metric("cpu", "m"), "FailedGetResourceMetric"),
        (Metric("prometheus", "m", per_instance=True), "FailedGetPodsMetric"),
        (Metric("prometheus", "m"), "FailedGetExternalMetric"),
        (Metric("formula", "m"), "FailedGetExternalMetric"),
    ],
)
def test_the_words_of_the_hpa_for_failures(of, expected):
    assert fail_reason(of) == expected
