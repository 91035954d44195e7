# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: consul_service_info
short_description: Read instances of services and their health from Consul
version_added: 0.1.0
author:
  - microservices.autoscale authors (@microservices-autoscale)
description:
  - Returns all instances of the given services, or of one node, healthy or not, with address, port, health and maintenance.
  - Or executes a prepared query, and returns the instances that it gives.
options:
  services:
    description: Names of services.
    type: list
    elements: str
  node:
    description: Name of a node in the catalog. Not with O(near) and O(cached).
    type: str
  prepared_query:
    description:
      - Name or ID of a prepared query to execute. Consul leaves out what is critical, and may answer from another datacenter.
      - Not with O(namespace), O(partition) and O(peer).
    type: str
extends_documentation_fragment:
  - microservices.autoscale.catalog
  - microservices.autoscale.consul
  - microservices.autoscale.attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
    details: Nothing is ever changed.
  idempotent:
    support: full
notes:
  - To a token without the right to read a service, Consul answers with an empty list and not with an error. See O(minimum).
  - What comes from the catalog is text that others wrote. Check it before it reaches a configuration file or a command.
seealso:
  - module: microservices.autoscale.consul_prepared_query
  - module: microservices.autoscale.consul_service
  - plugin: microservices.autoscale.consul_service
    plugin_type: lookup
"""

EXAMPLES = r"""
- name: Who serves the shop
  microservices.autoscale.consul_service_info:
    services: [shop]
  register: shop

- name: Say which instances are in maintenance
  ansible.builtin.debug:
    msg: "{{ shop.instances | selectattr('maintenance') | map(attribute='id') }}"

- name: Instances in one zone, nearest first, and an error when fewer than two of them are healthy
  microservices.autoscale.consul_service_info:
    services: [shop]
    filter: Service.Meta.zone == "a"
    near: _agent
    minimum: 2

- name: What a prepared query gives
  microservices.autoscale.consul_service_info:
    prepared_query: shop-anywhere

- name: Everything on one node
  microservices.autoscale.consul_service_info:
    node: app1
"""

RETURN = r"""
instances:
  description: The instances.
  returned: success
  type: list
  elements: dict
  contains:
    service:
      description: Name of the service.
      type: str
    id:
      description: Identity of the instance.
      type: str
    node:
      description: Name of the node.
      type: str
    datacenter:
      description: Datacenter of the node.
      type: str
    address:
      description: Address of the instance, or else of its node.
      type: str
    port:
      description: Port of the instance.
      type: int
    tags:
      description: Tags.
      type: list
      elements: str
    meta:
      description: Further pairs of names and values.
      type: dict
    weight:
      description: Weight while passing.
      type: int
    status:
      description: The worst status of the instance's and the node's checks, V(passing), V(warning) or V(critical).
      type: str
    passing:
      description: Whether all checks pass.
      type: bool
    maintenance:
      description: Whether the instance or its node is in maintenance.
      type: bool
    maintenance_reason:
      description: Why, or null.
      type: str
    checks:
      description: C(id), C(name), C(status) and last C(output) of each check.
      type: list
      elements: dict
"""

from ..module_utils._domain.catalog_query import CatalogQuery
from ..module_utils._module.argspec import CATALOG, CONSUL, ArgumentSpec
from ..module_utils._module.clients import consul_from
from ..module_utils._module.run import run
from ..module_utils._operations import discovery
from ..module_utils._operations.outcome import Outcome

SUBJECTS = ("services", "node", "prepared_query")
SPEC = (
    ArgumentSpec(
        {"services": {"type": "list", "elements": "str"}, "node": {"type": "str"}, "prepared_query": {"type": "str"}},
        {"required_one_of": [SUBJECTS], "mutually_exclusive": [SUBJECTS]},
    )
    + CATALOG
    + CONSUL
)


def operation(params, check_mode):
    query = CatalogQuery.from_options(params)
    return Outcome(facts={"instances": discovery.instances(consul_from(params), params, query, params["minimum"])})


def main():
    run(SPEC, operation)


if __name__ == "__main__":
    main()
