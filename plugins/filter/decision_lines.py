# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: decision_lines
short_description: Decisions in full, as lines for people
version_added: 0.2.0
author:
  - microservices.autoscale authors (@microservices-autoscale)
description:
  - Tells of each decision what every metric proposes, which one decides, every limit with the count before and after it, the bounds, the
    tolerance, when the count could change by itself, and the conditions in the words of the HorizontalPodAutoscaler.
options:
  _input:
    description: Decisions as M(microservices.autoscale.fleet_plan) and M(microservices.autoscale.scaling_decision) return them.
    type: list
    elements: dict
    required: true
"""

EXAMPLES = r"""
- name: Explain every decision
  ansible.builtin.debug:
    msg: "{{ planned.decisions.values() | microservices.autoscale.decision_lines }}"
"""

RETURN = r"""
_value:
  description: The lines.
  type: list
  elements: str
"""

from ..module_utils._domain import explanation


def decision_lines(decisions):
    return [line for decision in decisions for line in explanation.decision_lines(decision)]


class FilterModule:
    def filters(self):
        return {"decision_lines": decision_lines}
