# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: consul_prepared_query
short_description: Keep prepared queries in Consul
version_added: 0.2.0
author:
  - microservices.autoscale authors (@microservices-autoscale)
description:
  - Creates, changes or deletes a prepared query, which is known by its name. What is not declared is empty in Consul, too.
  - The module M(microservices.autoscale.consul_service_info) and the lookup P(microservices.autoscale.consul_service#lookup) execute it.
options:
  name:
    description:
      - Name of the query. With O(template) it is the beginning of all names for which the template answers; an empty text answers for all.
    type: str
    required: true
  state:
    description: Whether there is such a query.
    type: str
    choices: [present, absent]
    default: present
  service:
    description: Name of the service to look for; needed with O(state=present). With O(template) a text such as V(${match(1\)}).
    type: str
  tags:
    description: Tags that an instance has to have, or not to have, with C(!) in front.
    type: list
    elements: str
    default: []
  node_meta:
    description: Meta that a node has to have.
    type: dict
    default: {}
  service_meta:
    description: Meta that an instance has to have.
    type: dict
    default: {}
  only_passing:
    description: Leave out what is in state warning, too, and not only what is critical.
    type: bool
    default: false
  ignore_checks:
    description: IDs of checks that do not count.
    type: list
    elements: str
    default: []
  near:
    description: Sort by distance from this node; V(_agent) is the agent that is asked, V(_ip) the one with the address that asks.
    type: str
  failover:
    description: Where to look when there is no healthy instance in the datacenter.
    type: dict
    suboptions:
      nearest:
        description: In this number of datacenters, nearest first.
        type: int
        default: 0
      datacenters:
        description: Then in these, in this order.
        type: list
        elements: str
        default: []
  dns_ttl:
    description: For how long a DNS answer may be kept, such as V(10s).
    type: str
  template:
    description: Makes it a template, which answers for all names that begin with O(name).
    type: dict
    suboptions:
      regexp:
        description: A regular expression of Go's, whose groups stand in for C(${match(N\)}) in the other options.
        type: str
        default: ""
      remove_empty_tags:
        description: Leave out tags that are empty after that.
        type: bool
        default: false
  token:
    description:
      - ACL token with which the query is executed, whoever asks. Whoever may execute the query sees what this token may read.
      - Consul shows it to those with C(acl:write) only. To others it cannot be compared; a warning says so.
    type: str
  datacenter:
    description: The datacenter that keeps the query. That of the agent by default.
    type: str
extends_documentation_fragment:
  - microservices.autoscale.consul
  - microservices.autoscale.lease
  - microservices.autoscale.attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
    details: The token is masked.
  idempotent:
    support: full
notes:
  - The token needs C(query:write) for the name. Without C(query:read) it is not shown the query, which is then taken for absent.
  - With O(session), the lock of the service for which the query looks is checked.
seealso:
  - module: microservices.autoscale.consul_service_info
  - plugin: microservices.autoscale.consul_service
    plugin_type: lookup
"""

EXAMPLES = r"""
- name: The shop, near the agent that asks, else in two other datacenters
  microservices.autoscale.consul_prepared_query:
    name: shop-anywhere
    service: shop
    only_passing: true
    near: _agent
    failover:
      nearest: 1
      datacenters: [dc2]
    dns_ttl: 10s

- name: A template that answers for blue-shop, blue-cart and so on
  microservices.autoscale.consul_prepared_query:
    name: blue-
    service: ${match(1)}
    tags: [blue]
    template:
      regexp: ^blue-(.+)$

- name: Take it away
  microservices.autoscale.consul_prepared_query:
    name: shop-anywhere
    state: absent
"""

RETURN = r"""
query_id:
  description: The query's ID in Consul, null when there is none (yet).
  returned: success
  type: str
"""

from ..module_utils._module.argspec import CONSUL, LEASE, ArgumentSpec
from ..module_utils._module.clients import consul_from
from ..module_utils._module.run import run
from ..module_utils._operations import prepared_queries
from ..module_utils._operations.lease import Lease

NAMES = {"type": "list", "elements": "str", "default": []}
FAILOVER = {"nearest": {"type": "int", "default": 0}, "datacenters": NAMES}
TEMPLATE = {"regexp": {"type": "str", "default": ""}, "remove_empty_tags": {"type": "bool", "default": False}}
SPEC = (
    ArgumentSpec(
        {
            "name": {"type": "str", "required": True},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "service": {"type": "str"},
            "tags": NAMES,
            "node_meta": {"type": "dict", "default": {}},
            "service_meta": {"type": "dict", "default": {}},
            "only_passing": {"type": "bool", "default": False},
            "ignore_checks": NAMES,
            "near": {"type": "str"},
            "failover": {"type": "dict", "options": FAILOVER},
            "dns_ttl": {"type": "str"},
            "template": {"type": "dict", "options": TEMPLATE},
            "token": {"type": "str", "no_log": True},
            "datacenter": {"type": "str"},
        },
        {"required_if": [("state", "present", ["service"])]},
    )
    + CONSUL
    + LEASE
)


def operation(params, check_mode):
    consul = consul_from(params)
    change = prepared_queries.remove if params["state"] == "absent" else prepared_queries.ensure
    return change(consul, params, Lease(consul, params["session"]), check_mode=check_mode)


def main():
    run(SPEC, operation)


if __name__ == "__main__":
    main()
