#!/usr/bin/python
# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
---
module: traffic_info
short_description: What balancers see of each instance
version_added: 0.2.0
author:
  - microservices.autoscale authors (@microservices-autoscale)
description:
  - Reads request rate, errors, response time, requests in flight and queue of each instance, in the same shape for HAProxy and Nginx.
    Several balancers of an instance are added up.
  - Prometheus is asked where O(prometheus_url) is given. Otherwise HAProxy's own statistics are read, which have no rates of errors.
  - The same numbers tell a scale-in which instances are the least busy.
options:
  services:
    description: Names of services. Nothing is asked about others.
    type: list
    elements: str
    required: true
  prometheus_url:
    description: Where Prometheus listens, with the labels that the role prometheus gives.
  haproxy_stats_urls:
    description: Statistics pages of the HAProxy balancers, which are read where there is no Prometheus.
extends_documentation_fragment:
  - microservices.autoscale.metrics
  - microservices.autoscale.attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
    details: It changes nothing.
  idempotent:
    support: full
"""

EXAMPLES = r"""
- name: Read what the balancers see
  microservices.autoscale.traffic_info:
    prometheus_url: http://127.0.0.1:9090
    services: [shop]
  register: traffic

- name: Show who is slow
  ansible.builtin.debug:
    msg: "{{ answering | selectattr('value.response_seconds', 'gt', 0.5) | map(attribute='key') }}"
  vars:
    answering: "{{ traffic.services.shop | dict2items | selectattr('value.response_seconds') }}"
"""

RETURN = r"""
services:
  description:
    - By service and instance C(request_rate) (requests per second), C(error_rates) (per second, by V(4xx), V(5xx), V(connection) and
      V(response)), C(response_seconds) (mean), C(in_flight) and C(queued) (requests now).
    - What a balancer does not tell is null, and missing in C(error_rates). Nginx tells neither what is in flight nor connections that
      fail, and has no queue.
  type: dict
  returned: success
  sample:
    shop:
      shop-app1-20000:
        request_rate: 41.5
        error_rates: {4xx: 0.2, 5xx: 0.0, connection: 0.0, response: 0.0}
        response_seconds: 0.052
        in_flight: 3.0
        queued: 0.0
"""

from ..module_utils._module.argspec import METRICS, ArgumentSpec
from ..module_utils._module.controller import sources_from
from ..module_utils._module.run import run
from ..module_utils._operations.traffic import outcome

SPEC = METRICS + ArgumentSpec({"services": {"type": "list", "elements": "str", "required": True}})


def operation(params, _check_mode):
    return outcome(params["services"], sources_from(params))


def main():
    run(SPEC, operation)


if __name__ == "__main__":
    main()
