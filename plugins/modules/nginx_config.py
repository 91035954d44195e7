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
  - The base configuration includes C(<config_dir>/*.conf) inside its C(http) block, and Nginx runs with a master process. For
    O(pools[].mode=tcp) it includes C(<config_dir>/*.stream) inside its C(stream) block.
  - Open-source Nginx does not check instances by itself. An instance is a part of the pool when it is healthy for Consul.
options:
  pools:
    description:
      - The pools. An empty list does nothing.
      - Nginx makes no use of O(pools[].check).
      - O(pools[].max_connections), O(pools[].max_queue) and O(pools[].slow_start) are refused, since Nginx cannot do them, and so are
        O(pools[].sticky_cookie) before 1.29.6 and O(pools[].servers[].backup) with an algorithm that hashes or draws.
      - Without any O(pools[].servers), requests are answered with 503, and connections are closed with O(pools[].mode=tcp).
      - A service that is there does not change its O(pools[].mode); remove it first.
  wait_timeout:
    description: Seconds for old workers to end, where servers or services go.
  at_deadline:
    description:
      - What is done with old workers that have not ended after O(wait_timeout), V(fail) and list the services in RV(failures), or
        V(force) and go on with a warning. Neither ends a worker.
extends_documentation_fragment:
  - microservices.autoscale.pools
  - microservices.autoscale.wait
  - microservices.autoscale.deadline
  - microservices.autoscale.batch
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
from ..module_utils._module.argspec import BATCH, CONSUL, DEADLINE, LEASE, NGINX, POOLS, WAIT
from ..module_utils._module.clients import consul_from
from ..module_utils._module.run import run
from ..module_utils._operations.lease import Lease
from ..module_utils._operations.nginx_pools import apply_pools

SPEC = POOLS + WAIT + DEADLINE + BATCH + NGINX + LEASE + CONSUL


def _operation(params, check_mode):
    return apply_pools(
        NginxFiles(params["config_dir"], params["base_config"], params["binary"]),
        Master(params["pid_file"]),
        Lease(consul_from(params), params["session"]),
        params["pools"],
        access_log=params["access_log"],
        wait_timeout=params["wait_timeout"],
        reload_timeout=params["reload_timeout"],
        force=params["at_deadline"] == "force",
        on_error=params["on_error"],
        check=check_mode,
    )


def main():
    run(SPEC, _operation)


if __name__ == "__main__":
    main()
