# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What must hold of every decision, over all kinds of rule, and of services that follow their decisions from run to run."""

from __future__ import annotations

import dataclasses
import json

import pytest
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.bookkeeping import decided, scaled
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.bounds import bounds
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.decision import decide
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.documents import (
    Record,
    Signing,
    history_content,
    read_record,
    release_content,
    write_document,
)
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.history import Failure, History
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.observation import ActiveSchedule, Override
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.policy import (
    Fallback,
    FlapGuard,
    Metric,
    OnMissing,
    Step,
    Target,
)
from ansible_collections.microservices.autoscale.tests.unit.builders import (
    NOW,
    failed,
    observed,
    policy,
    ready,
    rules,
    service,
    value,
    values,
)
from hypothesis import given, settings
from hypothesis import strategies as st

HOLD = Fallback()
SAFE = st.sampled_from([HOLD, Fallback("current_if_higher", replicas=3), Fallback("current_if_higher", replicas=30)])
FALLBACKS = SAFE | st.sampled_from(
    [
        Fallback("last_known", seconds=600),
        Fallback("last_known", seconds=30),
        Fallback("floor", replicas=0),
        Fallback("floor", replicas=3),
        Fallback("floor", replicas=30),
    ]
)
STEPS = (Step(below=20, percent=-25), Step(at_least=60, below=90, change=2), Step(at_least=90, replicas=30))
RULES = st.sampled_from(
    [
        {"target": Target("average_value", 10.0)},
        {"target": Target("value", 40.0)},
        {"steps": STEPS},
        {"steps": STEPS, "agree": 2},
        {"pass_through": True},
    ]
)


def metrics(fallbacks):
    return st.lists(st.tuples(RULES, fallbacks, fallbacks, st.sampled_from([None, None, "most", "least"])), min_size=1, max_size=3).map(
        lambda drawn: tuple(
            Metric("prometheus", f"metric-{number}", query="q", group=group, on_missing=OnMissing(up, down), **rule)
            for number, (rule, up, down, group) in enumerate(drawn)
        )
    )


def policies(fallbacks, **more):
    directions = st.builds(
        lambda window, kind, number, select: rules(window, (kind, number, 60), select=select),
        st.sampled_from([0, 120, 300]), st.sampled_from(["pods", "percent"]), st.integers(1, 150),
        st.sampled_from(["max", "max", "disabled"]),
    )  # fmt: skip
    return st.builds(
        lambda of, low, up, down, guard, pause: dataclasses.replace(
            policy(*of, low=low, high=low + 40, up=up, down=down),
            groups={"most": "any", "least": "all"},
            flap_guard=guard,
            pause=pause,
            **more,
        ),
        metrics(fallbacks),
        st.integers(0, 4),
        directions,
        directions,
        st.sampled_from([None, FlapGuard(600.0, 1, 0.2)]),
        st.sampled_from(["none", "none", "scale_up", "scale_down", "both"]),
    )


READINGS = st.integers(0, 300).map(lambda number: value(number / 2)) | st.sampled_from(
    [
        failed(),
        value(float("nan")),
        value(float("inf")),
        value(-1.0),
        value(1e300),
        values(1.0),
        dataclasses.replace(value(5.0), age_seconds=301.0),
    ]
)
AGES = st.integers(0, 700)


@st.composite
def histories(draw):
    return History(
        tuple((NOW - age, count) for age, count in sorted(draw(st.lists(st.tuples(AGES, st.integers(0, 60)), max_size=4)), reverse=True)),
        tuple((NOW - age, change) for age, change in sorted(draw(st.lists(st.tuples(AGES, st.integers(-9, 9)), max_size=4)), reverse=True)),
        known=draw(st.dictionaries(st.sampled_from(["metric-0", "metric-1"]), st.integers(0, 60), max_size=2)),
        failing=draw(st.dictionaries(st.sampled_from(["metric-0"]), st.builds(Failure, AGES.map(lambda age: NOW - age)), max_size=1)),
        samples=draw(st.dictionaries(st.sampled_from(["metric-0", "metric-2"]), st.tuples(st.sampled_from([5.0, 70.0, 95.0])), max_size=2)),
        scaled_to_zero=draw(st.booleans()),
    )


COUNTS = st.none() | st.integers(0, 60)
SCHEDULES = st.builds(
    lambda low, more, pin, pause: ActiveSchedule("s", low, None if more is None else (low or 0) + more, pin, pause),
    COUNTS, COUNTS, st.none() | st.none() | st.integers(0, 60), st.sampled_from(["none", "none", "scale_down", "both"]),
)  # fmt: skip
OVERRIDES = st.none() | st.builds(Override, COUNTS, COUNTS, st.sampled_from([NOW - 1, NOW + 60]), st.sampled_from(["none", "scale_up"]))


@st.composite
def situations(draw, fallbacks=FALLBACKS):
    of = draw(policies(fallbacks))
    current = draw(st.none() | st.integers(0, 50))
    readings = [draw(READINGS) for _metric in of.metrics]
    seen_now = observed(current, *readings, states=ready(draw(st.integers(0, 9))), history=draw(histories()), override=draw(OVERRIDES))
    return of, dataclasses.replace(seen_now, schedules=tuple(draw(st.lists(SCHEDULES, max_size=2))))


def desired(of, seen_now):
    return decide("shop", of, seen_now, NOW).desired


@settings(max_examples=80, deadline=None)
@given(situations())
def test_never_outside_the_bounds_in_force_and_the_same_again_and_json(case):
    of, seen_now = case
    made = decide("shop", of, seen_now, NOW)
    assert made == decide("shop", of, seen_now, NOW)
    force = bounds(of, seen_now, NOW)
    assert force.low <= made.desired <= force.high or (made.kind, made.desired) == ("disabled", 0)
    assert made.reason
    shown = made.to_dict()
    assert json.loads(json.dumps(shown, allow_nan=False)) == shown


@settings(max_examples=80, deadline=None)
@given(situations(SAFE), st.data())
def test_missing_data_never_yields_fewer(case, data):
    of, seen_now = case
    gone = data.draw(st.sets(st.integers(0, len(seen_now.readings) - 1), min_size=1))
    holed = tuple(failed() if number in gone else reading for number, reading in enumerate(seen_now.readings))
    whole = desired(of, seen_now)
    assert desired(of, dataclasses.replace(seen_now, readings=holed)) >= min(whole, seen_now.current_replicas or 0)


@settings(max_examples=100, deadline=None)
@given(situations(), st.data())
def test_what_stands_in_for_a_reading_lets_others_go_down_to_it_and_no_further(case, data):
    """By floor and last_known a user says how far others may go on without this metric."""
    of, seen_now = case
    gone = data.draw(st.sets(st.integers(0, len(seen_now.readings) - 1), min_size=1))
    holed = dataclasses.replace(
        seen_now, readings=tuple(failed() if number in gone else reading for number, reading in enumerate(seen_now.readings))
    )
    made = decide("shop", of, holed, NOW)
    current = seen_now.current_replicas or 0
    standing = [proposal.replicas for proposal in made.proposals if proposal.error is not None and proposal.replicas is not None]
    if made.proposals and made.desired < current and not any(metric.group for metric in of.metrics):
        assert made.desired >= max(standing, default=0)
        assert any(proposal.error is None and (proposal.replicas or 0) < current for proposal in made.proposals)


@settings(max_examples=100, deadline=None)
@given(situations())
def test_a_dead_source_never_scales_in(case):
    of, seen_now = case
    dead = dataclasses.replace(seen_now, readings=tuple(failed() for _metric in of.metrics))
    made = decide("shop", of, dead, NOW)
    force = bounds(of, dead, NOW)
    assert made.desired >= min(seen_now.current_replicas or 0, force.high)


MONOTONE = st.sampled_from([{"target": Target("average_value", 10.0)}, {"target": Target("value", 40.0)}, {"pass_through": True}])


@settings(max_examples=80, deadline=None)
@given(situations(), MONOTONE, st.integers(0, 600), st.integers(0, 600))
def test_more_of_a_metric_never_yields_fewer(case, rule, one, other):
    of, seen_now = case
    first = dataclasses.replace(of.metrics[0], steps=(), agree=1, **{"target": None, "pass_through": False, **rule})
    of = dataclasses.replace(of, metrics=(first, *of.metrics[1:]))
    if first.target is not None and first.target.type == "value":
        # The HPA's formula counts the ready ones, its band keeps the count: the two agree where all that are wanted are ready.
        seen_now = dataclasses.replace(seen_now, states=ready(seen_now.current_replicas or 0))
    low, high = (
        desired(of, dataclasses.replace(seen_now, readings=(value(number / 2), *seen_now.readings[1:]))) for number in sorted((one, other))
    )
    assert low <= high


def test_more_steps_never_yield_fewer():
    of = policy(Metric("prometheus", "queue", steps=STEPS))
    made = [desired(of, observed(8, value(float(number)))) for number in range(120)]
    assert made == sorted(made)
    assert set(made) == {6, 8, 10, 30}


# From run to run


class Run:
    """A service that follows its decisions; every step may go through the documents in Consul KV, as between two controllers."""

    def __init__(self, of, start, *, restarted=False):
        self.of, self.count, self.now, self.restarted = of, start, NOW, restarted
        self.history = scaled(History(), of, None, start, NOW)
        self.decisions = []

    def step(self, *readings, every=60):
        self.now += every
        made = decide("shop", self.of, observed(self.count, *readings, history=self.history), self.now)
        self.history = decided(self.history, self.of, made, self.now)
        if made.desired != self.count:
            self.history = scaled(self.history, self.of, self.count, made.desired, self.now)
        if self.restarted:
            self.history = through_documents(self.history)
        self.count = made.desired
        self.decisions.append(made)
        return made


SHOP, OPEN = service(), Signing(allow_unsigned=True)


def through_documents(history):
    contents = {"release": release_content(SHOP, 1), "history": history_content(Record(SHOP, history=history))}
    texts = {name: write_document(name, "shop", content, now=NOW, signing=OPEN) for name, content in contents.items()}
    return read_record("shop", texts, {}, OPEN).history


TRACES = st.lists(READINGS, min_size=1, max_size=12)


@settings(max_examples=60, deadline=None)
@given(policies(FALLBACKS), st.integers(1, 20), st.lists(st.tuples(READINGS, READINGS, READINGS), min_size=1, max_size=10), st.data())
def test_a_restarted_run_decides_as_one_that_never_ended(of, start, trace, data):
    whole, restarted = Run(of, start), Run(of, start, restarted=True)
    for readings in trace:
        every = data.draw(st.sampled_from([15, 60, 61.7, 240]))
        assert whole.step(*readings[: len(of.metrics)], every=every) == restarted.step(*readings[: len(of.metrics)], every=every)
    assert whole.history == restarted.history


LOADS = st.lists(st.integers(0, 40).map(lambda tens: value(tens * 10.0)), min_size=1, max_size=15)


@settings(max_examples=100, deadline=None)
@given(LOADS, st.integers(1, 30), st.sampled_from([120, 300, 900]), SAFE, st.data())
def test_a_replay_with_one_reading_removed_never_scales_in_further(loads, start, window, fallback, data):
    """Neither below what it did with that reading nor below what it held when it did not know."""
    of = policy(
        Metric("prometheus", "queue", Target("average_value", 10.0), on_missing=OnMissing(fallback, fallback)),
        up=rules(tolerance=0.0),
        down=rules(window, tolerance=0.0),
    )
    gone = data.draw(st.integers(0, len(loads) - 1))
    whole, holed = Run(of, start), Run(of, start)
    for number, reading in enumerate(loads):
        whole.step(reading)
        holed.step(failed() if number == gone else reading)
    held = holed.decisions[gone].desired
    assert [
        (mine.desired, other.desired)
        for mine, other in zip(holed.decisions, whole.decisions, strict=True)
        if mine.desired < min(other.desired, held)
    ] == []


QUEUE = Metric("prometheus", "queue", Target("average_value", 10.0))


def test_a_window_of_five_minutes_still_holds_after_ten_of_the_same_recommendation():
    run = Run(policy(QUEUE, down=rules(300)), 8)
    assert {run.step(value(80.0), every=15).desired for _run in range(40)} == {8}
    # Changes only are kept: 10 minutes of the same are one entry.
    assert len(run.history.recommendations) == 1
    assert [run.step(value(10.0)).desired for _run in range(6)] == [8, 8, 8, 8, 8, 1]


def test_the_window_holds_for_a_restarted_run_too():
    run = Run(policy(QUEUE, down=rules(300)), 8, restarted=True)
    assert {run.step(value(80.0), every=15).desired for _run in range(40)} == {8}
    assert [run.step(value(10.0)).desired for _run in range(6)] == [8, 8, 8, 8, 8, 1]


EVERY_FALLBACK = [
    HOLD,
    Fallback("last_known", seconds=3600),
    Fallback("last_known", seconds=60),
    Fallback("floor", replicas=0),
    Fallback("floor", replicas=2),
    Fallback("floor", replicas=8),
    Fallback("current_if_higher", replicas=2),
    Fallback("current_if_higher", replicas=8),
]


@pytest.mark.parametrize("down", EVERY_FALLBACK, ids=str)
@pytest.mark.parametrize("up", EVERY_FALLBACK, ids=str)
def test_a_source_that_is_dead_for_ten_minutes_never_scales_in(up, down):
    of = policy(dataclasses.replace(QUEUE, on_missing=OnMissing(up, down)), down=rules(60))
    run = Run(of, 8)
    # Its last good proposal is lower than what is there, and the window would have let go of it long ago.
    run.step(value(80.0))
    run.step(value(10.0))
    counts = [run.step(failed(), every=15).desired for _run in range(40)]
    assert counts == sorted(counts)
    assert counts[0] >= 8
    assert all(made.errors or made.proposals[0].fallback for made in run.decisions[2:])
    assert run.history.failing["queue"] == Failure(NOW + 120 + 15, 40)


@pytest.mark.parametrize(
    "bad", [failed(), value(float("nan")), value(float("inf")), value(-1.0), dataclasses.replace(value(0.0), age_seconds=301.0)]
)
def test_one_count_of_failures_whatever_is_bad(bad):
    run = Run(policy(QUEUE), 8)
    made = [run.step(reading) for reading in (failed(), bad, failed())]
    assert [one.proposals[0].failures for one in made] == [1, 2, 3]
    assert [one.kind for one in made] == ["held"] * 3
    assert run.step(value(80.0)).proposals[0].failures == 0
    assert run.history.failing == {}


def test_a_hundred_and_ten_per_cent_of_a_hundred_is_a_hundred_and_ten():
    of = policy(QUEUE, high=500, up=rules(0, ("percent", 10, 60)), down=rules(0, ("percent", 90, 60)))
    assert desired(of, observed(100, value(9000.0))) == 110
    # In floats 10 * (1 - 0.9) is a little less than 1.
    assert desired(dataclasses.replace(of, min_replicas=0), observed(10, value(0.0))) == 1


@settings(max_examples=100, deadline=None)
@given(LOADS, st.sampled_from([60, 300]), st.integers(1, 20), st.integers(1, 4))
def test_the_earliest_change_is_when_it_changes(loads, window, start, pods):
    """With the same readings nothing happens before the time that a limited decision names, and something does then."""
    of = policy(QUEUE, down=rules(window, ("pods", pods, 60)))
    run = Run(of, start)
    for load in loads:
        made = run.step(load, every=30)
        if made.kind == "limited" and made.earliest_change_seconds is not None:
            before, then = (run.now + made.earliest_change_seconds + more for more in (-0.5, 0.5))
            seen_then = observed(run.count, load, history=run.history)
            assert made.earliest_change_seconds < 0.5 or decide("shop", of, seen_then, before).desired == run.count
            assert decide("shop", of, seen_then, then).desired != run.count
