#!/usr/bin/python
# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
---
module: haproxy_server
short_description: Add, drain, weigh and delete servers of a running HAProxy
version_added: 0.1.0
description:
  - Changes servers through HAProxy's runtime API. Nothing is reloaded, and every change is read back.
  - All servers are changed before the first one is waited for.
  - The configuration file is not touched, see M(microservices.autoscale.haproxy_config).
author:
  - microservices.autoscale authors (@microservices-autoscale)
options:
  socket:
    description: HAProxy's runtime socket, a unix socket of level admin.
    type: path
    required: true
  state:
    description:
      - V(present), the server exists and is in rotation; a new one takes no traffic before its check has passed.
      - V(ready), the server is in rotation.
      - V(drain), no new clients, though persistent ones.
      - V(maint), no new requests.
      - V(drained), as V(maint), and nothing is in flight or queued. A server that does not exist is drained.
      - V(absent), drained and deleted.
    type: str
    choices: [present, ready, drain, maint, drained, absent]
    default: present
  servers:
    description: The servers.
    type: list
    elements: dict
    required: true
    suboptions:
      backend:
        description: Name of the backend.
        type: str
        required: true
      server:
        description: Name of the server, the instance id.
        type: str
        required: true
      service:
        description: The service whose lock covers the change. Default is the backend's name without the prefix V(autoscale_).
        type: str
      address:
        description: IP address, required for O(state=present).
        type: str
      port:
        description: Port, required for O(state=present).
        type: int
      weight:
        description: Weight from 0 to 256. A new server without it gets 100; of another one it is left alone.
        type: int
      max_connections:
        description: Most connections at a time, for a new server.
        type: int
      check_interval:
        description: Seconds between checks, for a new server. How it is checked is the backend's.
        type: float
        default: 2.0
  wait_timeout:
    description: Seconds for servers to come up, or to have nothing in flight.
  at_deadline:
    description:
      - What O(state=drained) and O(state=absent) do when something is in flight after O(wait_timeout), V(fail) and leave the server
        out of rotation with what it has, or V(force) with a warning. V(force) puts it into maintenance, and cuts off what is in flight
        only with O(state=absent).
extends_documentation_fragment:
  - microservices.autoscale.wait
  - microservices.autoscale.deadline
  - microservices.autoscale.batch
  - microservices.autoscale.attributes
  - microservices.autoscale.lease
  - microservices.autoscale.consul
"""

EXAMPLES = r"""
- name: Take two instances out of rotation and wait until nothing is in flight
  microservices.autoscale.haproxy_server:
    socket: /run/haproxy/admin.sock
    state: drained
    wait_timeout: 120
    servers:
      - {backend: autoscale_shop, server: shop-app1-20000}
      - {backend: autoscale_shop, server: shop-app2-20000}

- name: Add an instance
  microservices.autoscale.haproxy_server:
    socket: /run/haproxy/admin.sock
    servers:
      - {backend: autoscale_shop, server: shop-app1-20001, address: 192.0.2.11, port: 20001, weight: 100}
"""

RETURN = r"""
servers:
  description: The servers as read back at the end.
  type: list
  elements: dict
  returned: success
  sample: [{service: shop, backend: autoscale_shop, server: shop-app1-20000, now: {address: "192.0.2.11:20000", weight: 100, state: maint}}]
failures:
  description: The servers that did not get into the state, with what was seen last.
  type: list
  elements: dict
  returned: always
  sample: [{service: shop, instance: shop-app1-20000, error: "server … was not drained in time; last state: …"}]
"""

from ..module_utils._clients.haproxy import Runtime
from ..module_utils._module.argspec import BATCH, CONSUL, DEADLINE, LEASE, NAMED_SERVER, WAIT, ArgumentSpec
from ..module_utils._module.clients import consul_from
from ..module_utils._module.run import run
from ..module_utils._operations.haproxy_servers import set_servers
from ..module_utils._operations.lease import Lease

SERVER = {
    **NAMED_SERVER,
    "address": {"type": "str"},
    "port": {"type": "int"},
    "weight": {"type": "int"},
    "max_connections": {"type": "int"},
    "check_interval": {"type": "float", "default": 2.0},
}
SPEC = (
    ArgumentSpec(
        {
            "socket": {"type": "path", "required": True},
            "state": {"type": "str", "choices": ["present", "ready", "drain", "maint", "drained", "absent"], "default": "present"},
            "servers": {"type": "list", "elements": "dict", "required": True, "options": SERVER},
        }
    )
    + WAIT
    + DEADLINE
    + BATCH
    + LEASE
    + CONSUL
)


def _operation(params, check_mode):
    return set_servers(
        Runtime(params["socket"]),
        Lease(consul_from(params), params["session"]),
        params["servers"],
        params["state"],
        wait_timeout=params["wait_timeout"],
        force=params["at_deadline"] == "force",
        on_error=params["on_error"],
        check=check_mode,
    )


def main():
    run(SPEC, _operation)


if __name__ == "__main__":
    main()
