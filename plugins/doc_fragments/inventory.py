# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no stable interface.
"""Documentation of the options of the argument spec of the same name in module_utils/_module/argspec.py."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  hosts:
    description: The hosts of the inventory, as the filter P(microservices.autoscale.fleet_hosts#filter) gives them.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: Name in the inventory.
        type: str
        required: true
      node:
        description: Name of its Consul node.
        type: str
        required: true
      address:
        description: Where its instances listen. The address of its Consul node by default.
        type: str
      balancer:
        description: The kind of its balancer, if it is one.
        type: str
        choices: [haproxy, nginx]
        default: haproxy
      cordoned:
        description: Whether no step may be planned for it.
        type: bool
        default: false
  groups:
    description: Names of the hosts of each inventory group, as in the variable C(groups).
    type: dict
    default: {}
"""
