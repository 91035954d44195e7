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
    description: Names of services.
    required: true
  format:
    description: Whether each endpoint is a dictionary or text such as C(192.0.2.11:20000).
    type: str
    choices: [dict, text]
    default: dict
  require:
    description: Fail when a service has no healthy instance.
    type: bool
    default: false
  consul_url:
    description: Where Consul's HTTP API listens.
    type: str
    default: http://127.0.0.1:8500
    env:
      - name: CONSUL_HTTP_ADDR
    vars:
      - name: autoscale_consul_url
  consul_token:
    description: ACL token. It is sent in a header only, and cannot be given in a term.
    type: str
    env:
      - name: CONSUL_HTTP_TOKEN
    vars:
      - name: autoscale_consul_token
  consul_ca_path:
    description: File of the certificate authority for https.
    type: path
    env:
      - name: CONSUL_CACERT
    vars:
      - name: autoscale_consul_ca_path
  consul_timeout:
    description: Seconds for connecting and for each read.
    type: float
    default: 10
    vars:
      - name: autoscale_consul_timeout
  consul_version:
    description: Version of Consul, such as V(1.8.7), where the token has no right to ask for it (C(agent:read)).
    type: str
    vars:
      - name: autoscale_consul_version
notes:
  - To a token without the right to read a service, Consul answers with an empty list and not with an error. So an empty answer is
    no proof that nothing is there. With O(require=true) it is an error.
  - The lookup runs on the controller. It needs the Python library requests there.
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
from ..module_utils._operations import discovery
from ..plugin_utils.lookups import consul_of, lookup_errors, variables_for

_KEYS = ("service", "id", "node", "address", "port", "weight", "tags", "meta")


class LookupModule(LookupBase):
    def run(self, terms, variables=None, **kwargs):
        self.set_options(var_options=variables_for(self, variables), direct=kwargs)
        endpoints = []
        with lookup_errors():
            consul = consul_of(self)
            for service in terms:
                found, warnings = discovery.endpoints_of(consul, service, require=self.get_option("require"))
                endpoints += found
                for warning in warnings:
                    Display().warning(warning)
        if self.get_option("format") == "text":
            return [names.endpoint(endpoint["address"], endpoint["port"]) for endpoint in endpoints]
        return [{key: endpoint[key] for key in _KEYS} for endpoint in endpoints]
