# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no stable interface.
"""Reads an observation that somebody gives, to try a policy out; docs/scaling_observation.schema.json describes it."""

from __future__ import annotations

from typing import Any, Callable, Iterable

from . import observation as seen
from .history import Failure, History
from .observation import ActiveSchedule, Observation, Override, Reading, Scheduled, Times
from .policy import PAUSES, Policy, Schedule
from .reader import Reader

# The time of an observation that is given: all its times are seconds before this one.
NOW = 0.0
MOMENT = "a time with an offset, such as '2026-12-24T18:00:00+01:00'"
# Evaluates schedules at a time as it is written; what it names as next is seconds after NOW. Raises AutoscaleError when it is no time.
Evaluate = Callable[[Iterable[Schedule], Any], Scheduled]
# How its states are counted. An instance that is missing is ready, but has no sample.
_MISSING = "missing"
_STATES = {
    "ready": seen.READY,
    _MISSING: seen.READY,
    "starting": seen.STARTING,
    "unready": seen.UNREADY,
    "draining": seen.DRAINING,
    "failed": seen.UNHEALTHY,
}


def read_observation(given: Reader, policy: Policy, evaluate: Evaluate) -> Observation:
    """Read what was seen of one service."""
    if not given.given:
        given.refuse("must be given for each policy")
        return Observation(None)
    fields = given.fields("current_replicas", "status_replicas", "instances", "readings", "history", "override", "schedules", "time")
    states: dict[str, str] = {}
    requests: dict[str, float] = {}
    times: dict[str, Times] = {}
    missing: set[str] = set()
    for item in fields["instances"].items():
        one = item.fields(
            "id", "state", "request", "started_seconds_ago", "ready_changed_seconds_ago", "sample_age_seconds", "sample_window_seconds"
        )
        name = one["id"].text()
        if name in states:
            one["id"].refuse("must be there once")
        state = one["state"].choice(tuple(_STATES))
        states[name] = _STATES[state]
        if state == _MISSING:
            missing.add(name)
        if one["request"].given:
            requests[name] = one["request"].number(above=0)
        times[name] = Times(
            started=_seconds(one["started_seconds_ago"]),
            ready_changed=_seconds(one["ready_changed_seconds_ago"]),
            sample_age=_seconds(one["sample_age_seconds"]),
            sample_window=one["sample_window_seconds"].duration(0.0),
        )
    readings = tuple(_read_reading(item, missing) for item in fields["readings"].items())
    if len(readings) != len(policy.metrics):
        fields["readings"].refuse(f"must have one reading per metric of the policy, which has {len(policy.metrics)}")
    scheduled = _read_scheduled(fields["time"], fields["schedules"], policy, evaluate)
    return Observation(
        current_replicas=fields["current_replicas"].integer(at_least=0),
        states=states,
        readings=readings,
        history=_read_history(fields["history"]),
        override=_read_override(fields["override"]),
        requests=requests,
        times=times,
        schedules=scheduled.active,
        schedule_errors=scheduled.errors,
        next_change=scheduled.next_change,
        there=fields["status_replicas"].integer(at_least=0) if fields["status_replicas"].given else None,
    )


def _seconds(given: Reader) -> float | None:
    return given.duration() if given.given else None


def _read_reading(item: Reader, missing: set[str]) -> Reading:
    fields = item.fields("value", "values", "samples", "error", "age_seconds")
    given = [name for name in ("value", "values", "samples", "error") if fields[name].given]
    if len(given) > 1:
        item.refuse("must have exactly one of value, values, samples and error")
    age = fields["age_seconds"].duration(0.0)
    if not given:
        # Enough for a metric of type fixed; for all others no reading is one that is missing.
        return Reading(error="there is no reading")
    if fields["error"].given:
        return Reading(error=fields["error"].text())
    if fields["value"].given:
        return Reading(value=_number(fields["value"]), age_seconds=age)
    if fields["samples"].given:
        samples = [_number(sample) for sample in fields["samples"].items()]
        return Reading(value=samples[-1] if samples else None, samples=tuple(samples[:-1]), age_seconds=age)
    values = {name: _number(value) for name, value in fields["values"].entries().items()}
    return Reading(values={name: value for name, value in values.items() if name not in missing}, age_seconds=age)


def _number(given: Reader) -> float:
    """Any number, also one that no reading should be: the decision says what is wrong with it."""
    value = given.value
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        given.refuse("must be a number")
        return 0.0
    try:
        return float(value)
    except OverflowError:
        return float("inf")


def _read_history(given: Reader) -> History:
    fields = given.fields("recommendations", "events", "known", "failing", "scaled_to_zero")
    recommendations = [item.fields("age_seconds", "replicas") for item in fields["recommendations"].items()]
    events = [item.fields("age_seconds", "change") for item in fields["events"].items()]
    failing = {name: item.fields("age_seconds", "count") for name, item in fields["failing"].entries().items()}
    return History(
        recommendations=tuple(sorted((_time(one["age_seconds"]), one["replicas"].integer(at_least=0)) for one in recommendations)),
        events=tuple(sorted((_time(one["age_seconds"]), one["change"].integer(at_least=-1_000_000)) for one in events)),
        known={name: item.integer(at_least=0) for name, item in fields["known"].entries().items()},
        failing={name: Failure(_time(one["age_seconds"]), one["count"].integer(1, at_least=1)) for name, one in failing.items()},
        scaled_to_zero=fields["scaled_to_zero"].flag(False),
    )


def _time(age: Reader) -> float:
    value = age.value
    if isinstance(value, (int, float)) and not isinstance(value, bool) and value < 0:
        # From the future, as clocks may have it.
        return NOW - float(max(value, -1e9))
    return NOW - age.duration()


def _read_override(given: Reader) -> Override | None:
    if not given.given:
        return None
    fields = given.fields("min_replicas", "max_replicas", "pause", "expires_in_seconds")
    low, high = (fields[name].integer(at_least=0) if fields[name].given else None for name in ("min_replicas", "max_replicas"))
    return Override(low, high, NOW + fields["expires_in_seconds"].duration(), fields["pause"].choice(PAUSES, "none"))


def _read_scheduled(time: Reader, schedules: Reader, policy: Policy, evaluate: Evaluate) -> Scheduled:
    """Those that are given as active, or the policy's at the time that is given."""
    if schedules.given:
        if time.given:
            schedules.refuse("must not be given together with time, at which those of the policy are evaluated")
        return Scheduled(tuple(_read_schedule(item) for item in schedules.items()))
    if not time.given:
        if policy.schedules:
            time.refuse(f"must be given as {MOMENT} where the policy has schedules; or else schedules, those that are active")
        return Scheduled()
    return time.checked(lambda written: evaluate(policy.schedules, written), Scheduled())


def _read_schedule(item: Reader) -> ActiveSchedule:
    fields = item.fields("name", "min_replicas", "max_replicas", "replicas", "pause")
    low, high, pinned = (
        fields[name].integer(at_least=0) if fields[name].given else None for name in ("min_replicas", "max_replicas", "replicas")
    )
    return ActiveSchedule(fields["name"].text(), low, high, pinned, fields["pause"].choice(PAUSES, "none"))
