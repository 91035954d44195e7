# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: schedule_entry
short_description: What the units or the cron job of a schedule say
version_added: 0.2.0
author:
  - microservices.autoscale authors (@microservices-autoscale)
description:
  - Checks the variables of the role C(schedule), and gives the values of the settings in its systemd units or the fields of its cron job,
    quoted as either wants it.
options:
  _input:
    description: The variables of the role by name.
    type: dict
    required: true
  provider:
    description: Who runs it.
    type: str
    choices: [systemd, cron]
    required: true
  lock:
    description: The file that keeps runs of cron apart.
    type: str
    default: ""
positional: provider, lock
"""

EXAMPLES = r"""
- name: Show the entry
  ansible.builtin.debug:
    msg: "{{ variables | microservices.autoscale.schedule_entry('cron', '/etc/autoscale-reconcile.lock') }}"
  vars:
    variables:
      schedule_name: autoscale-reconcile
      schedule_user: autoscale
      schedule_interval: 1m
      schedule_jitter: 0s
      schedule_timeout: 30m
      schedule_ansible_playbook: /usr/bin/ansible-playbook
      schedule_playbook: microservices.autoscale.reconcile
      schedule_inventory: [/srv/inventory]
      schedule_extra_vars_file: /etc/autoscale-reconcile.json
      schedule_environment: {}
      schedule_directory: ""
      schedule_logger: logger
"""

RETURN = r"""
_value:
  description:
    - With systemd, C(command), C(environment), C(directory), C(interval), C(jitter) and C(timeout).
    - With cron, C(minute), C(hour) and C(job).
  type: dict
"""

from ansible.errors import AnsibleFilterError

from ..module_utils._domain.errors import AutoscaleError
from ..module_utils._domain.schedule import cron_entry, read_schedule, systemd_entry


def schedule_entry(variables, provider, lock=""):
    try:
        schedule = read_schedule(variables)
        return systemd_entry(schedule) if provider == "systemd" else cron_entry(schedule, lock)
    except AutoscaleError as error:
        raise AnsibleFilterError(error.message) from error


class FilterModule:
    def filters(self):
        return {"schedule_entry": schedule_entry}
