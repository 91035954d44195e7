# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no stable interface.
"""Decisions without a plan: about deployed services, or offline about given observations."""

from __future__ import annotations

import time
from typing import Any, Iterable, Mapping

from .._clients.consul import Consul
from .._domain.decision import Decision, decide
from .._domain.documents import Signing
from .._domain.errors import AutoscaleError
from .._domain.given_observation import MOMENT, NOW, read_observation
from .._domain.observation import Scheduled
from .._domain.policy import Schedule
from .._domain.policy_reader import read_policy
from .._domain.reader import Reader
from . import moments
from .descriptions import policy_errors
from .metrics import Sources, read_metrics
from .observe import observations, read_catalog
from .outcome import Outcome
from .records import read_records, select
from .schedules import Calendar


def online(consul: Consul, sources: Sources, signing: Signing, services: Iterable[str]) -> Outcome:
    """Decide about deployed services from what is there now; changes nothing."""
    now, services = time.time(), tuple(services)
    records = select(read_records(consul, signing, services), services)
    catalog = read_catalog(consul, records.by_service, {}, now)
    shown = {name: record for name, record in records.by_service.items() if name not in catalog.hidden}
    observed = observations(shown, catalog, lambda wanted: read_metrics(wanted, sources, now), now)
    decisions = [decide(name, record.service.scale, observed[name], now) for name, record in shown.items()]
    return _outcome(decisions, {**records.problems, **catalog.hidden})


def offline(policies: Mapping[str, Any], observed: Mapping[str, Any]) -> Outcome:
    """Decide from given policies and observations, without any I/O.

    Args:
        policies: `scale` blocks by service.
        observed: by service what was seen; see given_observation.

    Raises:
        InvalidDescription: with every error, each with its path.
    """
    errors: list[str] = []
    read = {}
    for name, policy_reader in Reader(policies, "policies", errors).entries().items():
        # Whether each instance has a request is seen in the observation.
        policy = read_policy(policy_reader, has_cpu_request=True)
        errors += policy_errors(policy_reader)
        seen = Reader(observed.get(name), f"observations.{name}", errors)
        read[name] = (policy, read_observation(seen, policy, _evaluated))
    for name in observed.keys() - read.keys():
        Reader(observed[name], f"observations.{name}", errors).refuse("is about no service in policies")
    Reader(None, "", errors).finish()
    return _outcome([decide(name, policy, observation, NOW) for name, (policy, observation) in read.items()], {})


def _evaluated(schedules: Iterable[Schedule], written: Any) -> Scheduled:
    """Schedules at a time as it is given; see given_observation.Evaluate."""
    at = moments.parse(written)
    if at is None or not 1970 <= at.year < 9999:
        raise AutoscaleError(f"must be {MOMENT}, got {written!r}")
    scheduled = Calendar(at.timestamp()).evaluate(schedules)
    return scheduled._replace(next_change=None if scheduled.next_change is None else NOW + scheduled.next_change - at.timestamp())


def _outcome(decisions: list[Decision], problems: Mapping[str, str]) -> Outcome:
    return Outcome(facts={"decisions": {decision.service: decision.to_dict() for decision in decisions}, "problems": dict(problems)})
