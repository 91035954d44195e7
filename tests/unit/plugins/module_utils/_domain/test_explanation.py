# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import dataclasses
import json

import pytest
from ansible_collections.microservices.autoscale.plugins.filter.decision_lines import decision_lines as by_filter
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.decision import decide, keep
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.explanation import decision_line, decision_lines, kept
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.history import Failure, History
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.observation import Override
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.policy import Fallback, Metric, OnMissing
from ansible_collections.microservices.autoscale.tests.unit.builders import NOW, as_json, failed, metric, observed, policy, rules, value

REQUESTS, QUEUE = metric("requests", value=10.0), metric("prometheus", value=5.0, name="queue")


def told(of, seen, lines=decision_lines):
    return lines(as_json(decide("shop", of, seen, NOW).to_dict()))


@pytest.mark.parametrize(
    ("of", "seen", "expected"),
    [
        (policy(REQUESTS), observed(4, value(40)), "shop: stays at 4: requests 10 against a target of 10: 4 is right"),
        (policy(REQUESTS), observed(4, value(80)), "shop: 4 -> 8: requests 20 against a target of 10 asks for 8"),
        (
            policy(REQUESTS, high=6),
            observed(6, value(80)),
            "shop: stays at 6: requests 13.33 against a target of 10 asks for 8; max_replicas allows 6",
        ),
        (policy(REQUESTS), observed(4, failed()), "shop: held at 4: requests: Prometheus does not answer"),
        (policy(REQUESTS), observed(0, value(9)), "shop: stays at 0: the count was set to 0: nothing is decided"),
        (policy(REQUESTS, low=2), observed(None), "shop: 0 -> 2: first deploy: starts with 2"),
        (policy(), observed(3), "shop: stays at 3: no metrics: the count is kept"),
    ],
)
def test_every_decision_has_one_line(of, seen, expected):
    assert told(of, seen, decision_line) == expected


def test_in_full():
    of = policy(REQUESTS, QUEUE, low=2, high=9, down=rules(300))
    history = History(((NOW - 100, 6),))
    lines = told(of, observed(6, value(20), value(20), history=history, override=Override(pause="scale_up", pause_expires=NOW + 900)))
    assert lines == [
        "shop: stays at 6: queue 3.333 against a target of 5 asks for 4; scale_down.stabilization_window_seconds allows 6",
        "  requests (average_value): 3.33333 against a target of 10, 1 s old, asks for 2",
        "  queue (average_value): 3.33333 against a target of 5, 1 s old, asks for 4  <- decides",
        "  asked for before any limit: 4",
        "  limit scale_down.stabilization_window_seconds: 6, without it 4",
        "  bounds: 2 to 9",
        "  tolerance: scale_up 0.1, scale_down 0.1",
        "  earliest change by itself: in 300 s",
        "  AbleToScale: True, ScaleDownStabilized (scale_down_stabilized)",
        "  ScalingActive: True, ValidMetricFound (valid_metric_found)",
        "  ScalingLimited: False, DesiredWithinRange (desired_within_range)",
    ]


def test_a_dead_source_in_full():
    of = policy(dataclasses.replace(REQUESTS, on_missing=OnMissing(scale_down=Fallback("floor", replicas=3))), QUEUE)
    history = History(failing={"requests": Failure(NOW - 34, 2), "queue": Failure(NOW - 34, 2)})
    lines = told(of, observed(4, failed("no answer"), failed("a time-out"), history=history))
    assert lines[0].startswith("shop: ")
    assert "  requests (average_value): failing for 34 s, in 3 runs: no answer, asks for 3 by floor of on_missing" in [
        line.replace("  <- decides", "") for line in lines
    ]
    assert "  queue (average_value): failing for 34 s, in 3 runs: a time-out, has no say" in lines


def test_what_is_not_known_is_left_out():
    assert told(policy(REQUESTS), observed(None, value(1)))[1:] == ["  bounds: 1 to 100"]
    assert decision_lines(keep("shop", policy(REQUESTS), observed(3)).to_dict()) == ["shop: stays at 3: a deploy keeps the count"]
    assert decision_lines({}) == ["None: stays at None: None"]


def test_what_is_kept_says_the_same():
    for seen in (observed(4, value(80)), observed(4, failed()), observed(6, value(20), history=History(((NOW - 100, 6),)))):
        full = decide("shop", policy(REQUESTS, down=rules(300)), seen, NOW).to_dict()
        assert decision_lines(as_json(kept(full))) == decision_lines(full)


def test_to_zero_is_kept_as_a_count():
    full = decide("shop", policy(REQUESTS, low=0), observed(1, value(0)), NOW).to_dict()
    assert (kept(full)["desired_replicas"], decision_line(kept(full))[:12]) == (0, "shop: 1 -> 0")


def test_what_is_kept_is_bounded_however_much_there_is_to_tell():
    metrics = [Metric("prometheus", f"query{number}", REQUESTS.target) for number in range(500)]
    full = decide("shop", policy(*metrics), observed(4, *[failed("x" * 100_000)] * 500), NOW).to_dict()
    small = kept(full)
    assert len(json.dumps(small)) < 64 * 1024
    assert (len(small["proposals"]), len(small["proposals"][0]["error"]), small["reason"][-1]) == (20, 300, "…")


def test_the_filter_tells_of_all():
    every = [decide(name, policy(REQUESTS), observed(4, value(40)), NOW).to_dict() for name in ("cart", "shop")]
    assert [line for line in by_filter(every) if not line.startswith(" ")] == [decision_line(one) for one in every]
