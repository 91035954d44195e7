# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: consul_service
short_description: Healthy endpoints of services from Consul
version_added: 0.1.0
author:
  - microservices.autoscale authors (@microservices-autoscale)
description:
  - Returns the instances of the given services whose checks all pass, as one flat list.
  - An instance whose address or port is not one is left out with a warning; everybody who may register a service writes these texts.
options:
  _terms:
    description: Names of services, or, with O(prepared_query=true), names or IDs of prepared queries. A token cannot be given in a term.
    required: true
  prepared_query:
    description: The terms are prepared queries, which are executed. Not with O(namespace), O(partition) and O(peer).
    type: bool
    default: false
  format:
    description: Whether each endpoint is a dictionary or text such as C(192.0.2.11:20000).
    type: str
    choices: [dict, text]
    default: dict
  require:
    description: Fail when a service has no healthy instance, as with O(minimum=1).
    type: bool
    default: false
extends_documentation_fragment:
  - microservices.autoscale.catalog
  - microservices.autoscale.consul_plugin
notes:
  - To a token without the right to read a service, Consul answers with an empty list and not with an error. So an empty answer is
    no proof that nothing is there. With O(require=true) or O(minimum) it is an error.
  - The lookup runs on the controller.
seealso:
  - module: microservices.autoscale.consul_service_info
"""

EXAMPLES = r"""
- name: Endpoints of the shop
  ansible.builtin.debug:
    msg: "{{ lookup('microservices.autoscale.consul_service', 'shop', wantlist=true) }}"

- name: The same as text, and an error when there is none
  ansible.builtin.debug:
    msg: "{{ query('microservices.autoscale.consul_service', 'shop', 'cart', format='text', require=true,
      consul_url='https://consul.example.com:8501') }}"

- name: Those with both tags, nearest to the agent first, any server may answer
  ansible.builtin.debug:
    msg: "{{ query('microservices.autoscale.consul_service', 'shop', tags=['blue', 'eu'], near='_agent', consistency='stale') }}"

- name: Two of them at the least, of those for which an expression is true
  ansible.builtin.debug:
    msg: "{{ query('microservices.autoscale.consul_service', 'shop', filter='Service.Meta.zone == \"a\"', minimum=2) }}"

- name: What a prepared query gives
  ansible.builtin.debug:
    msg: "{{ query('microservices.autoscale.consul_service', 'shop-anywhere', prepared_query=true) }}"
"""

RETURN = r"""
_raw:
  description: One element per healthy instance.
  type: list
  elements: raw
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
    weight:
      description: Weight while passing.
      type: int
    tags:
      description: Tags.
      type: list
      elements: str
    meta:
      description: Further pairs of names and values.
      type: dict
"""

from ansible.plugins.lookup import LookupBase
from ansible.utils.display import Display

from ..module_utils._domain import names
from ..module_utils._domain.catalog_query import CatalogQuery
from ..module_utils._operations import discovery
from ..plugin_utils.lookups import consul_of, lookup_errors, variables_for

_KEYS = ("service", "id", "node", "datacenter", "address", "port", "weight", "tags", "meta")


class LookupModule(LookupBase):
    def run(self, terms, variables=None, **kwargs):
        self.set_options(var_options=variables_for(self, variables), direct=kwargs)
        minimum = max(self.get_option("minimum"), int(self.get_option("require")))
        endpoints = []
        with lookup_errors():
            consul, query = consul_of(self), CatalogQuery.from_options(self.get_options())
            for term in terms:
                found, warnings = discovery.endpoints_of(consul, term, query, minimum=minimum, prepared=self.get_option("prepared_query"))
                endpoints += found
                for warning in warnings:
                    Display().warning(warning)
        if self.get_option("format") == "text":
            return [names.endpoint(endpoint["address"], endpoint["port"]) for endpoint in endpoints]
        return [{key: endpoint[key] for key in _KEYS} for endpoint in endpoints]
