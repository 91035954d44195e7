# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: plan_news
short_description: Where a plan differs from the one that was told before, as lines for people
version_added: 0.2.0
author:
  - microservices.autoscale authors (@microservices-autoscale)
description:
  - Between a first look and the look under the locks the readings go on, and other runs may have acted.
    What is committed may be another plan.
  - Plans that do the same are equal, whatever the readings behind them.
options:
  _input:
    description: The result of the module fleet_plan.
    type: dict
    required: true
  told:
    description: The C(plan.changes) of the result that was told before.
    type: dict
    required: true
  services:
    description: The services that were planned again.
    type: list
    elements: str
    required: true
positional: told, services
"""

EXAMPLES = r"""
- name: Tell what is done in place of what was told
  ansible.builtin.debug:
    msg: "{{ planned | microservices.autoscale.plan_news(first.plan.changes, ['shop']) }}"
"""

RETURN = r"""
_value:
  description: The lines of C(summary) of the services whose plan is another one; one that has nothing to do any more says so.
  type: list
  elements: str
"""


def plan_news(planned, told, services):
    changes = planned["plan"]["changes"]
    news = [service for service in services if changes.get(service) != told.get(service)]
    lines = [line for line in planned["summary"] if line.partition(": ")[0] in news]
    return lines + [f"{service}: nothing to do any more" for service in news if service not in changes]


class FilterModule:
    def filters(self):
        return {"plan_news": plan_news}
