# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: run_problems
short_description: What went wrong in a run, as lines for people
version_added: 0.1.0
author:
  - microservices.autoscale authors (@microservices-autoscale)
description:
  - What is wrong with several services in the same words is one line that names the first few of them.
  - Joins the problems that the plan names, the steps that failed and, where a person asked for the run, the services that another
    run had locked.
options:
  _input:
    description: The problems of the module fleet_plan.
    type: list
    elements: str
    required: true
  failures:
    description: What failed, as the filter P(microservices.autoscale.step_failures#filter) gives it.
    type: list
    elements: dict
    required: true
  busy:
    description: The C(busy) of the module consul_lock, when it is to be an error.
    type: list
    elements: dict
    default: []
  earlier:
    description: Problems that an earlier plan of the same run named, of all services.
    type: list
    elements: str
    default: []
  seen_again:
    description: The services that were planned again since, of which the input has the newest problems.
    type: list
    elements: str
    default: []
positional: failures, busy, earlier, seen_again
"""

EXAMPLES = r"""
- name: End with an error when something went wrong
  ansible.builtin.fail:
    msg: "{{ planned.problems | microservices.autoscale.run_problems([]) | join('\\n') }}"
  when: planned.problems | length > 0
"""

RETURN = r"""
_value:
  description: One line each.
  type: list
  elements: str
"""


from ..module_utils._domain.errors import printable
from ..module_utils._domain.problems import together


def run_problems(problems, failures, busy=(), earlier=(), seen_again=()):
    elsewhere = [problem for problem in earlier if problem.partition(": ")[0] not in seen_again]
    lines = list(together([*elsewhere, *problems]))
    for failure in failures:
        what = f"{failure['phase']} {failure['instance']}".strip()
        lines.append(f"{failure['service']}: {what} on {failure['host']} failed: {failure['error']}")
    lines += [f"{entry['service']}: {entry['message']}" for entry in busy]
    # What a check or a program has put out is among it, and the last word of a run is printed as it is.
    return [printable(line) for line in lines]


class FilterModule:
    def filters(self):
        return {"run_problems": run_problems}
