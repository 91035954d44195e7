# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: fleet_info
short_description: The fleet as a table that people read
version_added: 0.1.0
author:
  - microservices.autoscale authors (@microservices-autoscale)
description:
  - Reads, for each deployed service, its release, scale and last decision from Consul KV and its instances from the catalog.
options:
  services:
    description: Names of the services. All by default.
    type: list
    elements: str
    default: []
extends_documentation_fragment:
  - microservices.autoscale.consul
  - microservices.autoscale.signing
  - microservices.autoscale.inventory
  - microservices.autoscale.descriptions
  - microservices.autoscale.attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
    details: It changes nothing.
  idempotent:
    support: full
"""

EXAMPLES = r"""
- name: Read the fleet
  microservices.autoscale.fleet_info:
    consul_url: http://127.0.0.1:8500
    allow_unsigned: true
  register: fleet

- name: Show it
  ansible.builtin.debug:
    var: fleet.table
"""

RETURN = r"""
table:
  description: Lines of a table of service, version, desired, ready, draining and other instances, last decision and why.
  type: list
  elements: str
  returned: success
services:
  description: The same as data, with the instances of each service.
  type: list
  elements: dict
  returned: success
problems:
  description: By service, why its documents, or what the catalog shows as instances of it, are refused.
  type: dict
  returned: success
"""

from ..module_utils._module.argspec import CONSUL, DESCRIPTIONS, INVENTORY, SIGNING, ArgumentSpec
from ..module_utils._module.clients import consul_from
from ..module_utils._module.controller import described_from, signing_from
from ..module_utils._module.run import run
from ..module_utils._operations.status import status

SPEC = CONSUL + SIGNING + INVENTORY + DESCRIPTIONS + ArgumentSpec({"services": {"type": "list", "elements": "str", "default": []}})


def operation(params, _check_mode):
    nodes = {host["node"]: host["name"] for host in params["hosts"]}
    return status(consul_from(params), signing_from(params), params["services"], described_from(params), nodes)


def main():
    run(SPEC, operation)


if __name__ == "__main__":
    main()
