# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: fleet_hosts
short_description: The inventory's hosts as the module fleet_plan takes them
version_added: 0.1.0
author:
  - microservices.autoscale authors (@microservices-autoscale)
description:
  - Gives name, Consul node, address, kind of balancer and whether it is cordoned for each host. The node is the host's
    C(autoscale_consul_node), by default its name in the inventory; the address its C(autoscale_address), by default that of its
    Consul node; the kind of its balancer its C(autoscale_balancer_provider), by default C(haproxy).
options:
  _input:
    description: Names of hosts.
    type: list
    elements: str
    required: true
  hostvars:
    description: The variable C(hostvars).
    type: dict
    required: true
  play_hosts:
    description: The hosts of this run, C(ansible_play_hosts_all). Hosts outside, because of C(--limit), are cordoned.
    type: list
    elements: str
    required: true
positional: hostvars, play_hosts
"""

EXAMPLES = r"""
- name: Plan for the whole inventory
  microservices.autoscale.fleet_plan:
    hosts: "{{ groups['all'] | microservices.autoscale.fleet_hosts(hostvars, ansible_play_hosts_all) }}"
    groups: "{{ groups }}"
"""

RETURN = r"""
_value:
  description: One dictionary per host, for the option C(hosts).
  type: list
  elements: dict
"""


def fleet_hosts(names, hostvars, play_hosts):
    inside = set(play_hosts)
    hosts = []
    for name in names:
        variables = hostvars[name]
        hosts.append(
            {
                "name": name,
                "node": variables.get("autoscale_consul_node", name),
                "address": variables.get("autoscale_address"),
                "balancer": variables.get("autoscale_balancer_provider", "haproxy"),
                "cordoned": name not in inside,
            }
        )
    return hosts


class FilterModule:
    def filters(self):
        return {"fleet_hosts": fleet_hosts}
