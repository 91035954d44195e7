# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: step_items
short_description: What a host has to do in one phase of a plan
version_added: 0.1.0
author:
  - microservices.autoscale authors (@microservices-autoscale)
description:
  - Picks the items of one host and phase from the plan, without those of services of which an earlier step failed.
  - A pool that the plan marks as C(partial) comes into rotation all the same, without the instances that failed to start.
options:
  _input:
    description: The C(plan) of the module fleet_plan.
    type: dict
    required: true
  phase:
    description: One of start, balance, maintain, drain, stop and forget.
    type: str
    required: true
  host:
    description: Name of the host in the inventory.
    type: str
    required: true
  failures:
    description: What failed so far, as the filter P(microservices.autoscale.step_failures#filter) gives it.
    type: list
    elements: dict
    default: []
positional: phase, host, failures
"""

EXAMPLES = r"""
- name: Show what this host has to start
  ansible.builtin.debug:
    msg: "{{ planned.plan | microservices.autoscale.step_items('start', inventory_hostname) }}"
"""

RETURN = r"""
_value:
  description: The items.
  type: list
  elements: dict
"""


def step_items(plan, phase, host, failures=()):
    failed = {}
    for failure in failures:
        failed.setdefault(failure["service"], []).append(failure)
    items = []
    for planned in plan.get("steps", {}).get(phase, {}).get(host, []):
        item = {key: value for key, value in planned.items() if key != "partial"}
        those = failed.get(item["service"], [])
        if those and not (planned.get("partial") and all(failure["phase"] == "start" and failure["instance"] for failure in those)):
            continue
        if those:
            missing = {failure["instance"] for failure in those}
            item["servers"] = [server for server in item["servers"] if server["id"] not in missing]
        if not those or item["servers"]:
            items.append(item)
    return items


class FilterModule:
    def filters(self):
        return {"step_items": step_items}
