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
  - With O(observations) and O(policies) it does no I/O at all, which is how a policy is tried out.
options:
  services:
    description: Names of deployed services. All by default.
    type: list
    elements: str
    default: []
  policies:
    description: The C(scale) block of each service, with O(observations).
    type: dict
  observations:
    description:
      - What each service is like, with O(policies).
      - Per service C(current_replicas); C(instances), a list of C({id, state, request}) with a state of ready, starting, unready,
        missing, draining or failed; C(readings), one per metric of the policy in its order, of C({value}), C({values}) by instance id,
        or C({error}); and C(history) with C(recommendations), a list of C({age_seconds, replicas}), and C(events), a list of
        C({age_seconds, change}).
      - Where the policy has C(schedules), C(time), such as V(2026-12-24T18:00:00+01:00), at which they are evaluated; or else C(schedules),
        a list of those that are active as C({name, min_replicas, max_replicas, replicas, pause}).
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
          - value: 260
  register: tried

- name: It asks for 6
  ansible.builtin.assert:
    that: tried.decisions.shop.desired == 6
"""

RETURN = r"""
decisions:
  description: By service, the desired count, the kind of the decision and everything that led to it.
  type: dict
  returned: success
  sample:
    shop:
      current: 2
      desired: 6
      kind: scale_up
      reason: requests 130 against a target of 50 asks for 6
problems:
  description: By service, why nothing could be decided.
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
