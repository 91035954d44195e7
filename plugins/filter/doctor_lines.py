# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: doctor_lines
short_description: The results of doctor_info on several machines as lines of a table
version_added: 0.1.0
author:
  - microservices.autoscale authors (@microservices-autoscale)
description:
  - Makes one line per check, with the machine in front. A machine that could not be reached or examined is one line.
options:
  _input:
    description: What was registered from M(microservices.autoscale.doctor_info), by the name of the machine.
    type: dict
    required: true
  only_wrong:
    description: Only what is wrong, each with how to mend it.
    type: bool
    default: false
positional: only_wrong
"""

EXAMPLES = r"""
- name: Show the table
  ansible.builtin.debug:
    msg: "{{ {inventory_hostname: doctor} | microservices.autoscale.doctor_lines }}"
"""

RETURN = r"""
_value:
  description: The lines.
  type: list
  elements: str
"""


def doctor_lines(results, only_wrong=False):
    rows = [(machine, check) for machine, result in results.items() for check in _checks(result)]
    if only_wrong:
        return [f"{machine}: {check['name']}: {check['found']}. To mend it: {check['mend']}" for machine, check in rows if not check["ok"]]
    widths = [max((len(text) for text in column), default=0) for column in zip(*((machine, check["name"]) for machine, check in rows))]
    return [
        f"{machine.ljust(widths[0])}  {'ok   ' if check['ok'] else 'WRONG'}  {check['name'].ljust(widths[1])}  {check['found']}"
        for machine, check in rows
    ]


def _checks(result):
    if result.get("skipped"):
        return []
    if result.get("checks") is not None:
        return result["checks"]
    if result.get("unreachable"):
        mend = "start it or correct its ansible_host and credentials; take it out of the inventory when it is gone"
        return [{"name": "reachable", "ok": False, "found": str(result.get("msg", "no answer")).strip(), "mend": mend}]
    return [{"name": "examined", "ok": False, "found": str(result.get("msg", "no result")).strip(), "mend": "look at the task's error"}]


class FilterModule:
    def filters(self):
        return {"doctor_lines": doctor_lines}
