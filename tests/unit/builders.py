# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Small pictures of services, fleets and policies for unit tests."""

from __future__ import annotations

import dataclasses
import json

from ansible_collections.microservices.autoscale.plugins.module_utils._domain import observation as seen
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.decision import Decision
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.description import read_service
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.documents import Record
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.history import History
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.observation import Instance, Observation, Reading
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.placement import Host
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.plan import Fleet, Situation
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.policy import (
    Behavior,
    Metric,
    Policy,
    ScalingPolicy,
    ScalingRules,
    Target,
)

NOW = 1795413600.0  # 2026-11-23T06:00:00Z

DESCRIPTION = {
    "version": "1.4.2",
    "run": {"provider": "supervisor", "command": "/srv/shop --port {port}"},
    "hosts": "app",
    "port_range": "20000-20009",
    "balance": {"listen": 8080},
    "scale": {"min_replicas": 2, "max_replicas": 8},
}


def merged(base, changes):
    """A mapping with changes laid over it at any depth; None takes a key away."""
    result = dict(base)
    for key, value in changes.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merged(result.get(key, {}), value) if isinstance(value, dict) and isinstance(result.get(key), dict) else value
    return result


def service(name="shop", **changes):
    return read_service(name, merged(DESCRIPTION, changes), f"autoscale_services.{name}")


def as_json(value):
    """What is left of a value after a way through JSON."""
    return json.loads(json.dumps(value))


# policies and observations


def metric(kind="prometheus", target="average_value", value=10.0, name=None):
    return Metric(kind, name or kind, Target(target, value))


def rules(window=0, *policies, select="max", tolerance=0.1):
    return ScalingRules(
        window, tuple(ScalingPolicy(*policy) for policy in policies) or (ScalingPolicy("percent", 10_000, 15),), select, tolerance
    )


def policy(*metrics, low=1, high=100, up=None, down=None):
    """Without rules neither windows nor limits of speed."""
    return Policy(low, high, metrics, Behavior(up or rules(), down or rules()))


def observed(current, *readings, states=None, history=None, request=None, **more):
    """All instances are ready unless said otherwise."""
    states = ready(current or 0) if states is None else states
    requests = dict.fromkeys(states, request) if request is not None else {}
    return Observation(current, states, readings, history or History(), requests=requests, **more)


def ready(count, state=seen.READY):
    return {f"shop-{index}": state for index in range(count)}


def value(number):
    return Reading(value=number, age_seconds=1.0)


def values(*numbers):
    return Reading(values={f"shop-{index}": number for index, number in enumerate(numbers) if number is not None}, age_seconds=1.0)


def failed(text="Prometheus does not answer"):
    return Reading(error=text)


# fleets


def host(name, **more):
    return Host(name, f"node-{name}", f"192.0.2.{sum(name.encode()) % 250 + 1}", **more)


def fleet(*hosts, balancers=("lb1",), group=None, **more):
    """A fleet of the given app hosts, two by default, and the balancers."""
    apps = hosts or (host("app1"), host("app2"))
    by_name = {one.name: one for one in apps}
    by_name.update({name: host(name) for name in balancers if name not in by_name})
    group = [one.name for one in apps if one.name not in balancers] if group is None else group
    return Fleet(by_name, {"app": group, "autoscale_balancers": list(balancers)}, tuple(balancers), **more)


def instance(of, where, port, state=seen.READY, digest=None, node=None):
    return Instance(
        id=f"{of.name}-{where}-{port}",
        node=node or f"node-{where}",
        host=where,
        address=host(where).address,
        port=port,
        version=of.version,
        digest=of.digest if digest is None else digest,
        state=state,
    )


def decision(desired, current=None, name="shop", kind="steady", **more):
    return Decision(name, desired if current is None else current, desired, kind, "because", **more)


def situation(of, instances, desired, *, pool=None, **record):
    """A service of which lb1 is confirmed to balance the given instances (all but the failing ones by default)."""
    settled = [one.id for one in instances if one.state in seen.LIVE] if pool is None else pool
    pools = {"lb1": {"digest": "confirmed", "servers": settled}} if settled else {}
    known = Record(**{"service": of, "scale": desired, "pools": pools, **record})
    return Situation(known, decision(desired, name=of.name), tuple(instances))


def stated(one, state):
    return dataclasses.replace(one, state=state)
