# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: step_failures
short_description: What failed in one phase of a plan, on any host
version_added: 0.1.0
author:
  - microservices.autoscale authors (@microservices-autoscale)
description:
  - Looks at what each host of the phase registered. A host that was not reached, whose task failed, or that is not in the play any
    more, has failed for all of the services that it had a step for; otherwise the failures that the module reported count.
options:
  _input:
    description: The C(plan) of the module fleet_plan.
    type: dict
    required: true
  phase:
    description: One of start, balance, maintain, drain, stop and forget.
    type: str
    required: true
  hostvars:
    description: The variable C(hostvars).
    type: dict
    required: true
  variable:
    description: Name of the variable in which the hosts registered their result.
    type: str
    required: true
  present:
    description: The variable C(ansible_play_hosts). What other hosts registered is of an earlier step.
    type: list
    elements: str
    required: true
positional: phase, hostvars, variable, present
"""

EXAMPLES = r"""
- name: Show what failed while starting
  ansible.builtin.debug:
    msg: "{{ planned.plan | microservices.autoscale.step_failures('start', hostvars, '__instance_start', ansible_play_hosts) }}"
  run_once: true
"""

RETURN = r"""
_value:
  description: The service, host, phase, instance and error of each failure.
  type: list
  elements: dict
"""


def step_failures(plan, phase, hostvars, variable, present):
    failures = []
    for host, items in plan.get("steps", {}).get(phase, {}).items():
        result = hostvars[host].get(variable, {})
        error = _error(result, host in present)
        if error is None:
            found = result.get("failures", [])
        else:
            found = [{"service": item["service"], "instance": item.get("id", ""), "error": error} for item in items]
        for failure in found:
            failures.append(
                {
                    "service": failure["service"],
                    "host": host,
                    "phase": phase,
                    "instance": failure.get("instance", ""),
                    "error": failure["error"],
                }
            )
    return failures


def _error(result, present):
    """What kept a host from its step as a whole, or None."""
    if result.get("unreachable") or result.get("failed"):
        return result.get("msg", "the step failed")
    # The result of one that has left the play is an earlier step's.
    return None if result and present else "the step was not carried out"


class FilterModule:
    def filters(self):
        return {"step_failures": step_failures}
