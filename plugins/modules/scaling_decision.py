# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: scaling_decision
short_description: Decide how many replicas services should have, and say why
version_added: 0.1.0
author:
  - microservices.autoscale authors (@microservices-autoscale)
description:
  - Applies each service's policy to what is observed and returns the desired count with its reasons. Changes nothing.
  - Without O(observations) it decides about deployed services from Consul and the metric source.
  - With O(observations) and O(policies) it does no I/O at all, for any number of services in one call, which is how a policy is tried out.
  - C(docs/scaling.md) of the collection has the rules, C(docs/scaling_observation.schema.json) and C(docs/scaling_decision.schema.json)
    are JSON Schemas of what is given offline and of what is returned.
options:
  services:
    description: Names of deployed services. All by default.
    type: list
    elements: str
    default: []
  policies:
    description:
      - The C(scale) block of each service, with O(observations).
      - Whether C(run.resources.cpu) is given is seen by the C(request) of the instances.
    type: dict
  observations:
    description:
      - What each service of O(policies) is like. Times are seconds before now, as numbers or text such as V(10s) and V(5m).
      - C(current_replicas), the scale, which is the HPA's C(spec.replicas). Required.
      - C(status_replicas), how many are there, the HPA's C(status.replicas). By default the instances that are neither draining nor
        failed.
      - C(instances), a list of C({id, state, request, started_seconds_ago, ready_changed_seconds_ago, sample_age_seconds,
        sample_window_seconds}). The C(state) is ready, missing (ready, but without a sample), starting, unready, draining or failed.
        C(request) is in CPU cores. By the times it is told whether the CPU of an instance is still that of its start. All but C(id)
        and C(state) may be left out.
      - C(readings), a list with one entry per metric of the policy, in its order. Each has one of C(value), a number of the whole
        service; C(values), numbers by instance id; C(samples), several numbers in a row, newest last, for steps that have to agree;
        or C(error), a text. C(age_seconds) is how old it is. One with none of them is missing.
      - C(history), a mapping of C(recommendations), a list of C({age_seconds, replicas}), each in force until the next; C(events), a
        list of C({age_seconds, change}), a change being above 0 where the scale grew; C(known), by metric its last good proposal;
        C(failing), by metric C({age_seconds, count}), since when and in how many runs it could not be read; and C(scaled_to_zero),
        whether a decision made the count 0. All may be left out.
      - C(override), a mapping of C(min_replicas), C(max_replicas), C(pause) and C(expires_in_seconds), as by hand.
      - C(schedules), a list of C({name, min_replicas, max_replicas, replicas, pause}), those of the policy that are active; or in its
        place C(time), such as V(2026-12-24T18:00:00+01:00), at which those of the policy are evaluated.
    type: dict
extends_documentation_fragment:
  - microservices.autoscale.consul
  - microservices.autoscale.metrics
  - microservices.autoscale.signing
  - microservices.autoscale.attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
    details: It changes nothing.
  idempotent:
    support: full
seealso:
  - module: microservices.autoscale.fleet_plan
"""

EXAMPLES = r"""
- name: Try a policy without any service
  microservices.autoscale.scaling_decision:
    policies:
      shop:
        min_replicas: 2
        max_replicas: 20
        metrics:
          - requests: 50
    observations:
      shop:
        current_replicas: 2
        instances:
          - {id: shop-1, state: ready}
          - {id: shop-2, state: ready}
        readings:
          - {value: 260, age_seconds: 5}
  register: tried

- name: It asks for 6
  ansible.builtin.assert:
    that: tried.decisions.shop.desired_replicas == 6

- name: Try what was recommended before, and a source that does not answer
  microservices.autoscale.scaling_decision:
    policies:
      shop:
        max_replicas: 20
        metrics:
          - {type: cpu, target: {type: utilization, value: 60}}
      cart:
        max_replicas: 20
        metrics:
          - {type: response_time, target: {type: value, value: 0.25}, on_missing: {floor: 4}}
    observations:
      shop:
        current_replicas: 4
        instances:
          - {id: shop-1, state: ready, request: 0.5}
          - {id: shop-2, state: ready, request: 0.5}
          - {id: shop-3, state: ready, request: 0.5, started_seconds_ago: 20, ready_changed_seconds_ago: 5, sample_age_seconds: 10}
          - {id: shop-4, state: draining}
        readings:
          - values: {shop-1: 0.1, shop-2: 0.1, shop-3: 0.5}
        history:
          recommendations:
            - {age_seconds: 10m, replicas: 4}
            - {age_seconds: 2m, replicas: 3}
      cart:
        current_replicas: 2
        readings:
          - error: Prometheus does not answer
  register: tried

- name: Neither is scaled in, and the floor holds
  ansible.builtin.assert:
    that: tried.decisions.shop.kind == 'limited' and tried.decisions.cart.desired_replicas == 4
"""

RETURN = r"""
decisions:
  description: By service, what is desired and everything that led to it.
  type: dict
  returned: success
  contains:
    service:
      description: Its name.
      type: str
    current_replicas:
      description: The scale as it was; none before the first deploy.
      type: int
    desired_replicas:
      description: The scale as it should be.
      type: int
    kind:
      description:
        - One of initial, kept, scale_up, scale_down, steady, limited, disabled and held.
        - Limited is a service of which the metrics ask for another count, which a limit does not allow; disabled one whose count was
          set to 0 by hand; held one about which too little is known.
      type: str
    reason:
      description: One line for people.
      type: str
    recommendation:
      description: What the metrics ask for before any limit; none where they are not asked.
      type: int
    winner:
      description: The metric that decides.
      type: str
    proposals:
      description:
        - What each metric would have, in the policy's order. C(metric), C(rule), C(replicas) and C(error) are always there.
        - C(target), what was measured (C(utilization), C(average) or C(value)), C(age_seconds), C(fallback), C(failing_seconds),
          C(failures) and C(why) are there where there is something to say.
      type: list
      elements: dict
    limits:
      description: Each C(rule) that changed the count or moved a bound, in their order, with the count C(before) and C(after).
      type: list
      elements: dict
    conditions:
      description: The HPA's conditions, C(type), C(status) and C(reason) in its words, and the reason in the collection's as C(name).
      type: list
      elements: dict
    errors:
      description: Of metrics that have no say, of the history and of schedules.
      type: list
      elements: str
    tolerance:
      description: As it was in force, C(scale_up) and C(scale_down).
      type: dict
    bounds:
      description: As they were in force, C(min_replicas) and C(max_replicas).
      type: dict
    earliest_change_seconds:
      description: When the count could change by itself, should the metrics go on as they are; none where it would not.
      type: float
  sample:
    shop:
      service: shop
      current_replicas: 2
      desired_replicas: 6
      kind: scale_up
      reason: requests 130 against a target of 50 asks for 6
      recommendation: 6
      winner: requests
      proposals:
        - {metric: requests, rule: average_value, replicas: 6, error: null, target: 50.0, average: 130.0, age_seconds: 5.0}
      limits: []
      conditions:
        - {type: AbleToScale, status: true, reason: ReadyForNewScale, name: ready_for_new_scale}
        - {type: ScalingActive, status: true, reason: ValidMetricFound, name: valid_metric_found}
        - {type: ScalingLimited, status: false, reason: DesiredWithinRange, name: desired_within_range}
      errors: []
      tolerance: {scale_up: 0.1, scale_down: 0.1}
      bounds: {min_replicas: 2, max_replicas: 20}
      earliest_change_seconds: null
problems:
  description: By service, why nothing could be decided. Empty offline.
  type: dict
  returned: success
"""

from ..module_utils._module.argspec import CONSUL, METRICS, SIGNING, ArgumentSpec
from ..module_utils._module.clients import consul_from
from ..module_utils._module.controller import signing_from, sources_from
from ..module_utils._module.run import run
from ..module_utils._operations import decisions

SPEC = (
    CONSUL
    + METRICS
    + SIGNING
    + ArgumentSpec(
        {
            "services": {"type": "list", "elements": "str", "default": []},
            "policies": {"type": "dict"},
            "observations": {"type": "dict"},
        },
        {"required_together": [["policies", "observations"]]},
    )
)


def operation(params, _check_mode):
    if params["observations"] is not None:
        return decisions.offline(params["policies"], params["observations"])
    return decisions.online(consul_from(params), sources_from(params), signing_from(params), params["services"])


def main():
    run(SPEC, operation)


if __name__ == "__main__":
    main()
