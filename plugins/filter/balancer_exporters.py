# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: balancer_exporters
short_description: Where the balancers of a kind export their metrics
version_added: 0.1.0
author:
  - microservices.autoscale authors (@microservices-autoscale)
description:
  - Picks the balancers of the kind that name their exporter in C(autoscale_haproxy_exporter) or C(autoscale_nginx_exporter).
options:
  _input:
    description: Names of balancers in the inventory.
    type: list
    elements: str
    required: true
  hostvars:
    description: The variables of hosts by name.
    type: dict
    required: true
  provider:
    description: The kind.
    type: str
    choices: [haproxy, nginx]
    required: true
positional: hostvars, provider
"""

EXAMPLES = r"""
- name: Show what Prometheus is to scrape
  ansible.builtin.debug:
    msg: "{{ groups['autoscale_balancers'] | microservices.autoscale.balancer_exporters(hostvars, 'nginx') }}"
"""

RETURN = r"""
_value:
  description: For the variables C(prometheus_haproxy_targets) and C(prometheus_nginx_targets) of the role C(prometheus).
  type: list
  elements: dict
  contains:
    host:
      description: The balancer.
      type: str
    address:
      description: Address and port of its exporter.
      type: str
"""


def balancer_exporters(hosts, hostvars, provider):
    variable = f"autoscale_{provider}_exporter"
    return [
        {"host": host, "address": hostvars[host][variable]}
        for host in hosts
        if hostvars[host].get("autoscale_balancer_provider", "haproxy") == provider and hostvars[host].get(variable)
    ]


class FilterModule:
    def filters(self):
        return {"balancer_exporters": balancer_exporters}
