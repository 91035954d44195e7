# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from ..plugin_utils.connection_options import connection_options

DOCUMENTATION = r"""
name: connection_options
short_description: The options of a connection to Consul, also where they are given as text
version_added: 0.1.0
author:
  - microservices.autoscale authors (@microservices-autoscale)
description:
  - The options become the defaults of modules, which Ansible takes as a dictionary only, while C(--extra-vars key=value) gives text.
options:
  _input:
    description: A dictionary, or text that a module would take for one, as JSON or C(key=value).
    type: raw
    required: true
"""

EXAMPLES = r"""
- name: Show the services, with options that may be text
  module_defaults:
    microservices.autoscale.fleet_info: "{{ autoscale_consul_options | default({}) | microservices.autoscale.connection_options }}"
  microservices.autoscale.fleet_info:
"""

RETURN = r"""
_value:
  description: The same as a dictionary.
  type: dict
"""


class FilterModule:
    def filters(self):
        return {"connection_options": connection_options}
