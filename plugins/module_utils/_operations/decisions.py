# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no stable interface.
"""Decisions without a plan: about deployed services, or offline about given observations."""

from __future__ import annotations

import time
from typing import Any, Iterable, Mapping

from .._clients.consul import Consul
from .._domain import observation as seen
from .._domain.decision import Decision, decide
from .._domain.documents import Signing
from .._domain.observation import History, Observation, Reading
from .._domain.policy import read_policy
from .._domain.reader import Reader
from .metrics import Sources, read_metrics
from .observe import observations, read_catalog
from .outcome import Outcome
from .records import read_records, select

# How the states of a given observation are counted; a missing one is ready without a sample.
_STATES = {
    "ready": seen.READY,
    "missing": seen.READY,
    "starting": seen.STARTING,
    "unready": seen.STARTING,
    "draining": seen.DRAINING,
    "failed": seen.UNHEALTHY,
}


def online(consul: Consul, sources: Sources, signing: Signing, services: Iterable[str]) -> Outcome:
    """Decide about deployed services from what is there now; changes nothing."""
    now = time.time()
    records = select(read_records(consul, signing), services)
    catalog = read_catalog(consul, records.by_service, {}, now)
    observed = observations(records.by_service, catalog, lambda wanted: read_metrics(wanted, sources, now))
    decisions = [decide(name, record.service.scale, observed[name], now) for name, record in records.by_service.items()]
    return _outcome(decisions, records.problems)


def offline(policies: Mapping[str, Any], observed: Mapping[str, Any]) -> Outcome:
    """Decide from given policies and observations, without any I/O.

    Args:
        policies: `scale` blocks by service.
        observed: by service: current_replicas, instances [{id, state, request}], readings, history.

    Raises:
        InvalidDescription: with every error, each with its path.
    """
    errors: list[str] = []
    now = 0.0
    read = {}
    for name, policy_reader in Reader(policies, "policies", errors).entries().items():
        given = Reader(observed.get(name), f"observations.{name}", errors)
        observation = _read_observation(given)
        policy = read_policy(policy_reader, has_cpu_request=observation.request is not None)
        if given.given and len(observation.readings) != len(policy.metrics):
            given.refuse(f"must have one reading per metric of the policy, which has {len(policy.metrics)}")
        read[name] = (policy, observation)
    Reader(None, "", errors).finish()
    return _outcome([decide(name, policy, observation, now) for name, (policy, observation) in read.items()], {})


def _outcome(decisions: list[Decision], problems: Mapping[str, str]) -> Outcome:
    return Outcome(facts={"decisions": {decision.service: decision.to_dict() for decision in decisions}, "problems": dict(problems)})


def _read_observation(given: Reader) -> Observation:
    if not given.given:
        given.refuse("must be given for each policy")
    fields = given.fields("current_replicas", "instances", "readings", "history")
    states: dict[str, str] = {}
    request = None
    for item in fields["instances"].items():
        one = item.fields("id", "state", "request")
        states[one["id"].text()] = _STATES[one["state"].choice(tuple(_STATES))]
        if one["request"].given:
            request = one["request"].number(above=0)
    past = fields["history"].fields("recommendations", "events")
    recommendations = [item.fields("age_seconds", "replicas") for item in past["recommendations"].items()]
    events = [item.fields("age_seconds", "change") for item in past["events"].items()]
    return Observation(
        current_replicas=fields["current_replicas"].integer(at_least=0),
        states=states,
        readings=tuple(_read_reading(item) for item in fields["readings"].items()),
        history=History(
            tuple(sorted((-one["age_seconds"].duration(), one["replicas"].integer(at_least=0)) for one in recommendations)),
            tuple(sorted((-one["age_seconds"].duration(), one["change"].integer(at_least=-1_000_000)) for one in events)),
        ),
        request=request,
    )


def _read_reading(item: Reader) -> Reading:
    fields = item.fields("value", "values", "error")
    if sum(1 for field in fields.values() if field.given) != 1:
        item.refuse("must have exactly one of value, values and error")
        return Reading(error="not given")
    if fields["error"].given:
        return Reading(error=fields["error"].text())
    if fields["value"].given:
        return Reading(value=fields["value"].number(at_least=float("-inf")), age_seconds=0.0)
    return Reading(values={name: value.number() for name, value in fields["values"].entries().items()}, age_seconds=0.0)
