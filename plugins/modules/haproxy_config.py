#!/usr/bin/python
# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
---
module: haproxy_config
short_description: Keep services' pools on an HAProxy, in its files and in its process
version_added: 0.1.0
description:
  - Owns one file per service, C(<config_dir>/<service>.cfg), with a section C(listen autoscale_<service>).
  - A change of servers or weights is made in the running process, read back, and written to the file; nothing is reloaded.
  - Any other change is checked as a staged copy of the whole folder, swapped in, reloaded and verified as live.
    If that fails, the old file and the old process are put back.
  - A new server takes no traffic before HAProxy's own check of it has passed. One that does not come up is removed again.
  - A server that goes is taken out of rotation first, and deleted when nothing is in flight.
  - Servers that are in maintenance stay so across a reload.
  - Equal text and an equal process are left alone.
author:
  - microservices.autoscale authors (@microservices-autoscale)
notes:
  - HAProxy runs in master-worker mode, with C(-f <base_config> -f <config_dir>).
  - The base configuration has in its global section a C(stats socket) of level admin and a C(server-state-file).
options:
  config_dir:
    description: Folder with one file per service.
    type: path
    required: true
  base_config:
    description: HAProxy's base configuration, which is read and never written.
    type: path
    required: true
  binary:
    description: HAProxy's program, for checking configurations.
    type: str
    default: haproxy
  pid_file:
    description: File with the number of HAProxy's master process.
    type: path
    required: true
  socket:
    description: HAProxy's runtime socket, a unix socket of level admin.
    type: path
    required: true
  up_timeout:
    description: Seconds for new servers to come up. O(wait_timeout) by default.
    type: float
  wait_timeout:
    description: Seconds for servers that go to have nothing in flight.
  reload_timeout:
    description: Seconds for a new worker to serve.
    type: float
    default: 20.0
extends_documentation_fragment:
  - microservices.autoscale.pools
  - microservices.autoscale.wait
  - microservices.autoscale.batch
  - microservices.autoscale.attributes
  - microservices.autoscale.lease
  - microservices.autoscale.consul
"""

EXAMPLES = r"""
- name: Balance the shop over two instances
  microservices.autoscale.haproxy_config:
    config_dir: /etc/haproxy/conf.d
    base_config: /etc/haproxy/haproxy.cfg
    pid_file: /run/haproxy.pid
    socket: /run/haproxy/admin.sock
    pools:
      - service: shop
        listen: {address: 192.0.2.1, port: 8080}
        algorithm: least_conn
        check: {http: /healthz, interval: 2, timeout: 1}
        servers:
          - {id: shop-app1-20000, address: 192.0.2.11, port: 20000, weight: 100}
          - {id: shop-app2-20000, address: 192.0.2.12, port: 20000, weight: 100}

- name: Balance it by its users, over TLS, with a standby
  microservices.autoscale.haproxy_config:
    config_dir: /etc/haproxy/conf.d
    base_config: /etc/haproxy/haproxy.cfg
    pid_file: /run/haproxy.pid
    socket: /run/haproxy/admin.sock
    pools:
      - service: shop
        listen: {address: 192.0.2.1, port: 8443}
        certificate: /etc/ssl/private/shop.pem
        algorithm: hash
        hash_key: header:X-User
        rate_limit: 100
        timeouts: {response: 300}
        check: {http: /healthz}
        servers:
          - {id: shop-app1-20000, address: 192.0.2.11, port: 20000}
          - {id: shop-app2-20000, address: 192.0.2.12, port: 20000, backup: true}

- name: Take a service away
  microservices.autoscale.haproxy_config:
    config_dir: /etc/haproxy/conf.d
    base_config: /etc/haproxy/haproxy.cfg
    pid_file: /run/haproxy.pid
    socket: /run/haproxy/admin.sock
    pools:
      - {service: shop, state: absent}
"""

RETURN = r"""
reloads:
  description: How often HAProxy was reloaded.
  type: int
  returned: success
  sample: 0
failures:
  description: What failed. A failure of a whole pool is listed for each of its instances, or with an empty instance when it has none.
  type: list
  elements: dict
  returned: always
  sample: [{service: shop, instance: shop-app1-20000, error: "HAProxy's check … did not pass in time; last state: DOWN L7STS 503"}]
"""

from ..module_utils._clients.haproxy import Runtime
from ..module_utils._clients.haproxy_config import ConfigFolder, Master
from ..module_utils._module.argspec import BATCH, CONSUL, LEASE, POOLS, WAIT, ArgumentSpec
from ..module_utils._module.clients import consul_from
from ..module_utils._module.run import run
from ..module_utils._operations.haproxy_pools import apply_pools
from ..module_utils._operations.lease import Lease

SPEC = (
    ArgumentSpec(
        {
            "config_dir": {"type": "path", "required": True},
            "base_config": {"type": "path", "required": True},
            "binary": {"type": "str", "default": "haproxy"},
            "pid_file": {"type": "path", "required": True},
            "socket": {"type": "path", "required": True},
            "up_timeout": {"type": "float"},
            "reload_timeout": {"type": "float", "default": 20.0},
        }
    )
    + POOLS
    + WAIT
    + BATCH
    + LEASE
    + CONSUL
)


def _operation(params, check_mode):
    return apply_pools(
        ConfigFolder(params["config_dir"], params["base_config"], params["binary"]),
        Master(params["pid_file"]),
        Runtime(params["socket"]),
        Lease(consul_from(params), params["session"]),
        params["pools"],
        up_timeout=params["wait_timeout"] if params["up_timeout"] is None else params["up_timeout"],
        wait_timeout=params["wait_timeout"],
        reload_timeout=params["reload_timeout"],
        on_error=params["on_error"],
        check=check_mode,
    )


def main():
    run(SPEC, _operation)


if __name__ == "__main__":
    main()
