#!/usr/bin/python
# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
---
module: nginx_config
short_description: Keep services' pools on an Nginx, in its files and in its process
version_added: 0.2.0
description:
  - Owns one file per service, C(<config_dir>/autoscale_<service>.conf), with an upstream named C(autoscale_<service>), a server, and the
    format of one line of JSON per request. Other files of the folder are left alone.
  - What differs is checked by C(nginx -t) as a staged copy, swapped in, and brought in by one reload for all pools of a call.
    The reload is proven by new workers and by listeners that accept; otherwise the old files and the old configuration are put back.
  - Where servers or services go, the old workers are waited for, which go on sending requests to them.
  - Equal text is neither checked nor reloaded.
author:
  - microservices.autoscale authors (@microservices-autoscale)
notes:
  - The base configuration includes C(<config_dir>/*.conf) inside its C(http) block, and Nginx runs with a master process.
  - Open-source Nginx does not check instances by itself. An instance is a part of the pool when it is healthy for Consul.
options:
  pools:
    description: The pools. An empty list does nothing.
    type: list
    elements: dict
    required: true
    suboptions:
      service:
        description: The service.
        type: str
        required: true
      state:
        description: With V(absent) the service's listener and servers are removed; only O(pools[].service) is used then.
        type: str
        choices: [present, absent]
        default: present
      listen:
        description: Where the service's clients connect.
        type: dict
        suboptions:
          address:
            description: IP address.
            type: str
            required: true
          port:
            description: Port.
            type: int
            required: true
      algorithm:
        description:
          - How a server is chosen. V(random) takes the better of two, V(source) hashes the client's address consistently.
        type: str
        choices: [round_robin, least_conn, random, source]
        default: round_robin
      check:
        description: How an instance is checked, in the shape that M(microservices.autoscale.haproxy_config) has. Nginx makes no use of it.
        type: dict
        suboptions:
          http:
            description: Path that answers with a status of 2xx or 3xx.
            type: str
          tcp:
            description: Whether a connection is enough.
            type: bool
            default: false
          interval:
            description: Seconds between checks.
            type: float
            default: 2.0
          timeout:
            description: Seconds for an answer.
            type: float
            default: 1.0
      max_connections:
        description: Must not be given. Nginx has no queue, and more requests would fail.
        type: int
      servers:
        description: The instances in rotation, and no others. Without any, requests are answered with 503.
        type: list
        elements: dict
        default: []
        suboptions:
          id:
            description: The instance's id.
            type: str
            required: true
          address:
            description: IP address.
            type: str
            required: true
          port:
            description: Port.
            type: int
            required: true
          weight:
            description: Weight from 0 to 256. Of 0 the server gets no requests.
            type: int
            default: 100
  wait_timeout:
    description: Seconds for old workers to end, where servers or services go.
    type: float
    default: 60.0
extends_documentation_fragment:
  - microservices.autoscale.nginx
  - microservices.autoscale.attributes
  - microservices.autoscale.lease
  - microservices.autoscale.consul
"""

EXAMPLES = r"""
- name: Balance the shop over two instances
  microservices.autoscale.nginx_config:
    config_dir: /etc/nginx/conf.d
    base_config: /etc/nginx/nginx.conf
    pid_file: /run/nginx.pid
    access_log: /var/log/nginx/autoscale.log
    pools:
      - service: shop
        listen: {address: 192.0.2.1, port: 8080}
        algorithm: least_conn
        check: {http: /healthz}
        servers:
          - {id: shop-app1-20000, address: 192.0.2.11, port: 20000, weight: 100}
          - {id: shop-app2-20000, address: 192.0.2.12, port: 20000, weight: 100}

- name: Take a service away
  microservices.autoscale.nginx_config:
    config_dir: /etc/nginx/conf.d
    base_config: /etc/nginx/nginx.conf
    pid_file: /run/nginx.pid
    access_log: /var/log/nginx/autoscale.log
    pools:
      - {service: shop, state: absent}
"""

RETURN = r"""
reloads:
  description: How often Nginx was reloaded.
  type: int
  returned: success
  sample: 1
failures:
  description: What failed. A failure of a whole pool is listed for each of its instances, or with an empty instance when it has none.
  type: list
  elements: dict
  returned: always
  sample: [{service: shop, instance: shop-app1-20000, error: "the listener 192.0.2.1:8080 of shop is bound in … already"}]
"""

from ..module_utils._clients.nginx import Master, NginxFiles
from ..module_utils._module.argspec import CONSUL, LEASE, NGINX, ArgumentSpec
from ..module_utils._module.clients import consul_from
from ..module_utils._module.run import run
from ..module_utils._operations.lease import Lease
from ..module_utils._operations.nginx_pools import apply_pools

SERVER = {
    "id": {"type": "str", "required": True},
    "address": {"type": "str", "required": True},
    "port": {"type": "int", "required": True},
    "weight": {"type": "int", "default": 100},
}
CHECK = {
    "http": {"type": "str"},
    "tcp": {"type": "bool", "default": False},
    "interval": {"type": "float", "default": 2.0},
    "timeout": {"type": "float", "default": 1.0},
}
LISTEN = {"address": {"type": "str", "required": True}, "port": {"type": "int", "required": True}}
POOL = {
    "service": {"type": "str", "required": True},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "listen": {"type": "dict", "options": LISTEN},
    "algorithm": {"type": "str", "choices": ["round_robin", "least_conn", "random", "source"], "default": "round_robin"},
    "check": {"type": "dict", "options": CHECK},
    "max_connections": {"type": "int"},
    "servers": {"type": "list", "elements": "dict", "options": SERVER, "default": []},
}
REQUIRED = [("state", "present", ["listen", "check"])]
SPEC = (
    ArgumentSpec(
        {
            "pools": {"type": "list", "elements": "dict", "required": True, "options": POOL, "required_if": REQUIRED},
            "wait_timeout": {"type": "float", "default": 60.0},
        }
    )
    + NGINX
    + LEASE
    + CONSUL
)


def _operation(params, check_mode):
    return apply_pools(
        NginxFiles(params["config_dir"], params["base_config"], params["binary"]),
        Master(params["pid_file"]),
        Lease(consul_from(params), params["session"]),
        params["pools"],
        access_log=params["access_log"],
        wait_timeout=params["wait_timeout"],
        reload_timeout=params["reload_timeout"],
        on_error=params["on_error"],
        check=check_mode,
    )


def main():
    run(SPEC, _operation)


if __name__ == "__main__":
    main()
