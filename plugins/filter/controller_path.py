# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os

DOCUMENTATION = r"""
name: controller_path
short_description: A path on the controller, taken from where the run was started
version_added: 0.1.0
author:
  - microservices.autoscale authors (@microservices-autoscale)
description:
  - Ansible runs tasks in the folder of the playbook, which is that of the installed collection for its playbooks. A relative path would
    be looked for, or written, there.
  - Where the run was started is what the environment variable E(PWD) says.
options:
  _input:
    description: A path; C(~) is the home folder.
    type: str
    required: true
"""

EXAMPLES = r"""
- name: Write the report to where the run was started
  microservices.autoscale.fleet_report:
    service: shop
    prometheus_url: http://127.0.0.1:9090
    dest: "{{ 'reports/shop.html' | microservices.autoscale.controller_path }}"
"""

RETURN = r"""
_value:
  description: An absolute path; empty for an empty one.
  type: str
"""


def controller_path(path):
    return os.path.join(os.environ.get("PWD", ""), os.path.expanduser(path)) if path else ""


class FilterModule:
    def filters(self):
        return {"controller_path": controller_path}
