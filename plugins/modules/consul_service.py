# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: consul_service
short_description: Register services with their checks at a Consul agent
version_added: 0.1.0
author:
  - microservices.autoscale authors (@microservices-autoscale)
description:
  - Registers one or many service instances with their checks at a Consul agent, each in one atomic call, takes them out, or puts
    them in maintenance.
  - The agent is read once, whatever the number of instances, and only what differs is sent. Consul does not give the definition
    of a check back, so a digest of the declared checks is kept in the service's meta (key C(autoscale-checks)). Registering
    the same again sends nothing.
  - Registering again never ends a maintenance. Checks of the instance that are not declared any more are removed, whoever made
    them.
  - Kinds and details of checks that the agent's version does not know are refused with the least version that does, and not sent.
    The version is asked for only where one of them is new or changed.
options:
  state:
    description:
      - V(present) registers, V(absent) deregisters.
      - V(maintenance) begins or ends the maintenance of instances that are registered, see O(enable). It lasts also when the
        agent is restarted.
    type: str
    choices: [present, absent, maintenance]
    default: present
  scope:
    description:
      - With O(state=maintenance), whether it is that of O(services), or that of the agent's own node and so of everything on it.
      - O(session) is not looked at for a node.
    type: str
    choices: [services, node]
    default: services
  node:
    description:
      - With O(state=absent), the node of a dead agent, whose instances are deregistered through the catalog; all of them where
        O(services) is not set. Consul itself keeps the node with all that is registered on it for 72 hours.
      - It is refused unless the catalog shows the node's C(serfHealth) as critical, and the agent at O(consul_url) sees it
        as failed or left. An agent that is alive would register its instances again; use it at that agent without this option.
    type: str
  grace:
    description:
      - With O(node), seconds for which the agent has to be dead at the least.
      - Consul does not say since when it is. So the first time is noted in Consul KV, below C(autoscale/_nodes/), together with the
        index of the node's C(serfHealth); when that has moved, the node was back meanwhile, and the time begins anew. Until it has
        passed the module fails, see O(on_error), and says when to run it again. Check mode notes nothing.
      - V(0) does not wait, and needs no right to write to Consul KV.
    type: float
    default: 300.0
  enable:
    description: Whether O(state=maintenance) begins or ends it.
    type: bool
    default: true
  reason:
    description:
      - Why, shown by Consul. Consul keeps the first reason as long as the maintenance lasts.
      - With O(enable=false), only a maintenance whose reason begins with this text is ended. Another one is left on, with a warning.
    type: str
    default: ""
  wait:
    description: With O(state=present), wait until all instances are passing in the catalog.
    type: bool
    default: false
  wait_timeout:
    description: Seconds for which O(wait) waits at the most, for all instances together.
extends_documentation_fragment:
  - microservices.autoscale.registrations
  - microservices.autoscale.batch
  - microservices.autoscale.wait
  - microservices.autoscale.consul
  - microservices.autoscale.lease
  - microservices.autoscale.attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
  idempotent:
    support: full
notes:
  - With O(session), the lock of each instance's service is checked and renewed before each change and while waiting.
seealso:
  - module: microservices.autoscale.consul_service_info
  - plugin: microservices.autoscale.consul_service
    plugin_type: lookup
"""

EXAMPLES = r"""
- name: Two instances of a shop, each with a check, in one task
  microservices.autoscale.consul_service:
    services:
      - name: shop
        id: shop-app1-20000
        address: 192.0.2.11
        port: 20000
        tags: [web]
        meta: {version: 1.4.2}
        checks:
          - {http: /healthz, interval: 2s, timeout: 1s}
      - name: shop
        id: shop-app1-20001
        address: 192.0.2.11
        port: 20001
        checks:
          - {http: /healthz, interval: 2s, timeout: 1s}
    wait: true
    wait_timeout: 30

- name: Take one out of rotation
  microservices.autoscale.consul_service:
    state: maintenance
    reason: "new memory for the host"
    services:
      - {name: shop, id: shop-app1-20000}

- name: Put it back, whatever the reason was
  microservices.autoscale.consul_service:
    state: maintenance
    enable: false
    services:
      - {name: shop, id: shop-app1-20000}

- name: A check over gRPC, one with a body, and one that follows a database at the same agent
  microservices.autoscale.consul_service:
    services:
      - name: shop
        id: shop-app1-20000
        address: 192.0.2.11
        port: 20000
        tagged_addresses:
          wan: {address: 198.51.100.7, port: 443}
        weight: 10
        weight_warning: 1
        checks:
          - {grpc: ":20000/shop", interval: 5s, timeout: 1s, failures_before_critical: 3}
          - {http: /ready, method: POST, body: '{"deep": true}', headers: {Content-Type: application/json}}
          - {alias_service: db-app1-5432}

- name: Take everything on this host out of rotation
  microservices.autoscale.consul_service:
    state: maintenance
    scope: node
    reason: "new memory for the host"

- name: Deregister it
  microservices.autoscale.consul_service:
    state: absent
    services:
      - {name: shop, id: shop-app1-20000}

- name: Forget what is registered on a host that does not come back
  microservices.autoscale.consul_service:
    state: absent
    node: app3
    grace: 3600
  delegate_to: localhost
  run_once: true
"""

RETURN = r"""
failures:
  description: Instances for which something failed.
  returned: always
  type: list
  elements: dict
  contains:
    service:
      description: Name of the service.
      type: str
    instance:
      description: Identity of the instance.
      type: str
    error:
      description: What was tried and what came back; after a wait, the last output of the checks that do not pass.
      type: str
  sample: []
"""

import time

from ..module_utils._domain.errors import AutoscaleError
from ..module_utils._module.argspec import BATCH, CONSUL, LEASE, REGISTRATIONS, WAIT, ArgumentSpec
from ..module_utils._module.clients import consul_from
from ..module_utils._module.run import run
from ..module_utils._operations import node_registration, registration
from ..module_utils._operations.lease import Lease

SPEC = (
    ArgumentSpec(
        {
            "state": {"type": "str", "choices": ["present", "absent", "maintenance"], "default": "present"},
            "scope": {"type": "str", "choices": ["services", "node"], "default": "services"},
            "node": {"type": "str"},
            "grace": {"type": "float", "default": 300.0},
            "enable": {"type": "bool", "default": True},
            "reason": {"type": "str", "default": ""},
            "wait": {"type": "bool", "default": False},
        },
        {"required_if": [["state", "present", ["services"]], ["scope", "services", ["services", "node"], True]]},
    )
    + REGISTRATIONS
    + BATCH
    + WAIT
    + CONSUL
    + LEASE
)


def operation(params, check_mode):
    state, services, node = params["state"], params["services"], params["node"]
    if node is not None and state != "absent":
        raise AutoscaleError(f"node: is for state absent only, got state {state}")
    if params["scope"] == "node" and (state != "maintenance" or services is not None):
        raise AutoscaleError("scope node: is for state maintenance only, without services")
    consul = consul_from(params)
    lease = Lease(consul, params["session"])
    enable, reason = params["enable"], params["reason"]
    if params["scope"] == "node":
        result = node_registration.maintain_node(consul, enable, reason, check_mode)
    elif state == "present":
        wait_seconds = params["wait_timeout"] if params["wait"] else 0
        result = registration.declare(consul, services, lease, check_mode, wait_seconds=wait_seconds)
    else:
        owners = registration.owners_by_id(services or [])
        if node is not None:
            result = node_registration.remove_from_dead_node(consul, node, owners, params["grace"], lease, check_mode, now=time.time())
        elif state == "absent":
            result = registration.remove(consul, owners, lease, check_mode, owners=owners)
        else:
            result = registration.maintain(consul, owners, enable, reason, lease, check_mode, owners=owners)
    return result.outcome(params["on_error"])


def main():
    run(SPEC, operation)


if __name__ == "__main__":
    main()
