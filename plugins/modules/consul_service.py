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
options:
  services:
    description:
      - The instances, all of this agent.
      - With O(state=absent) and O(state=maintenance) only C(name) and C(id) are used.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Name of the service, of lower case letters, digits and hyphens.
        type: str
        required: true
      id:
        description: Identity of the instance, unique at the agent. The name by default.
        type: str
      address:
        description: IP address of the instance. That of the agent's node by default.
        type: str
      port:
        description: TCP port of the instance.
        type: int
      tags:
        description: Tags; their order has no meaning.
        type: list
        elements: str
        default: []
      meta:
        description: Further pairs of names and values; numbers and booleans become text.
        type: dict
        default: {}
      weight:
        description: Weight while the checks pass; 0 is registered as 1, the least that Consul takes.
        type: int
        default: 1
      checks:
        description: All checks of the instance. Each is of one kind, C(http), C(tcp) or C(ttl).
        type: list
        elements: dict
        default: []
        suboptions:
          id:
            description: Identity of the check. By default C(service:ID), with a number where there are several.
            type: str
          name:
            description: A name for people.
            type: str
          http:
            description: URL to ask, or a path that begins with a slash, on the instance's own address and port.
            type: str
          tcp:
            description: C(ADDRESS:PORT) to connect to, or C(:PORT) on the instance's own address.
            type: str
          ttl:
            description: The service reports by itself, at least once in this time, such as V(30s).
            type: str
          interval:
            description: Time between two checks, such as V(10s). 10 seconds by default.
            type: str
          timeout:
            description: Time after which a check has failed.
            type: str
          method:
            description: Method of an HTTP check. GET by default.
            type: str
          headers:
            description:
              - Header names and values of an HTTP check. They are masked in the diff, and not logged.
              - Whoever may register this service can have the check sent to another address. Do not put a valuable secret here.
            type: dict
          tls_skip_verify:
            description: Do not verify the certificate of an https check.
            type: bool
          success_before_passing:
            description: Number of good results in a row before the check passes.
            type: int
          failures_before_critical:
            description: Number of bad results in a row before the check is critical.
            type: int
          deregister_critical_service_after:
            description: Deregister the instance when the check is critical for longer. Consul's own minimum is one minute.
            type: str
          notes:
            description: Text for people.
            type: str
  state:
    description:
      - V(present) registers, V(absent) deregisters.
      - V(maintenance) begins or ends the maintenance of instances that are registered, see O(enable). It lasts also when the
        agent is restarted.
    type: str
    choices: [present, absent, maintenance]
    default: present
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

- name: Deregister it
  microservices.autoscale.consul_service:
    state: absent
    services:
      - {name: shop, id: shop-app1-20000}
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

from ..module_utils._module.argspec import BATCH, CONSUL, LEASE, WAIT, ArgumentSpec
from ..module_utils._module.clients import consul_from
from ..module_utils._module.run import run
from ..module_utils._operations import registration
from ..module_utils._operations.lease import Lease

CHECK = {
    "id": {"type": "str"},
    "name": {"type": "str"},
    "http": {"type": "str"},
    "tcp": {"type": "str"},
    "ttl": {"type": "str"},
    "interval": {"type": "str"},
    "timeout": {"type": "str"},
    "method": {"type": "str"},
    "headers": {"type": "dict", "no_log": True},
    "tls_skip_verify": {"type": "bool"},
    "success_before_passing": {"type": "int", "no_log": False},
    "failures_before_critical": {"type": "int"},
    "deregister_critical_service_after": {"type": "str"},
    "notes": {"type": "str"},
}
SERVICE = {
    "name": {"type": "str", "required": True},
    "id": {"type": "str"},
    "address": {"type": "str"},
    "port": {"type": "int"},
    "tags": {"type": "list", "elements": "str", "default": []},
    "meta": {"type": "dict", "default": {}},
    "weight": {"type": "int", "default": 1},
    "checks": {"type": "list", "elements": "dict", "default": [], "options": CHECK},
}
SPEC = (
    ArgumentSpec(
        {
            "services": {"type": "list", "elements": "dict", "required": True, "options": SERVICE},
            "state": {"type": "str", "choices": ["present", "absent", "maintenance"], "default": "present"},
            "enable": {"type": "bool", "default": True},
            "reason": {"type": "str", "default": ""},
            "wait": {"type": "bool", "default": False},
        }
    )
    + BATCH
    + WAIT
    + CONSUL
    + LEASE
)


def operation(params, check_mode):
    consul = consul_from(params)
    lease = Lease(consul, params["session"])
    if params["state"] == "present":
        result = registration.declare(
            consul, params["services"], lease, check_mode, wait_seconds=params["wait_timeout"] if params["wait"] else 0
        )
    else:
        owners = registration.owners_by_id(params["services"])
        if params["state"] == "absent":
            result = registration.remove(consul, owners, lease, check_mode, owners=owners)
        else:
            result = registration.maintain(consul, owners, params["enable"], params["reason"], lease, check_mode, owners=owners)
    return result.outcome(params["on_error"])


def main():
    run(SPEC, operation)


if __name__ == "__main__":
    main()
